//! What a start has to say about the state folder, in words.

use std::{fmt, path::PathBuf};

use jiff::SignedDuration;

use crate::{state::error::Flaw, text::shown::counted};

/// Something that an operator should know, though nothing that was acknowledged is lost, unless it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The last write was not finished.
    TornTail {
        /// The journal.
        path: PathBuf,
        /// Octets that are no record.
        octets: u64,
    },
    /// An older snapshot and the journals after it were read instead.
    SkippedSnapshot {
        /// The snapshot.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The clock was set back while nobody looked.
    ClockBack(SignedDuration),
    /// Entries whose time was over.
    Ended(usize),
    /// Entries that a push had changed that nobody confirmed in time.
    Undone(usize),
    /// Changes cannot be kept for now.
    CannotWrite(String),
    /// Lost: only [`salvage`](super::salvage) goes on after this.
    Lost {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { path, octets } => write!(
                f,
                "dropped the last {} of {}: a write that was never finished, so nobody was told that it was kept",
                counted(usize::try_from(*octets).unwrap_or(usize::MAX), "octet"),
                path.display()
            ),
            Self::SkippedSnapshot { path, flaw } => {
                write!(f, "skipped the snapshot {}: {flaw}; read the one before and all changes since", path.display())
            }
            Self::ClockBack(by) => write!(
                f,
                "the clock is {:#} behind the last change: entries keep the time that they had left, none comes back",
                SignedDuration::from_secs(by.as_secs())
            ),
            Self::Ended(count) => {
                write!(f, "ended {} whose time was over", counted(*count, "entry"))
            }
            Self::Undone(count) => write!(
                f,
                "nobody confirmed the last push that waited for it: {} as before it",
                counted(*count, "entry")
            ),
            Self::CannotWrite(why) => write!(f, "pushes are refused for now: {why}"),
            Self::Lost { path, why } => write!(f, "lost what was in {}: {why}", path.display()),
        }
    }
}
