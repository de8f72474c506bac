//! What can go wrong with the state folder, in words.

use std::{fmt, io, path::PathBuf};

/// Why the store did not open, or did not keep a change.
#[derive(Debug)]
pub enum StoreError {
    /// The folder cannot be used.
    Folder {
        /// The folder.
        path: PathBuf,
        /// `make`, `open`, `lock` or `read`.
        attempt: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another process has the folder.
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read, and so nobody knows what was pushed.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written. What it holds already is safe.
    Write {
        /// The file.
        path: PathBuf,
        /// Such as `write to`.
        attempt: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file is of a newer daemon.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
        /// The newest that this daemon knows.
        known: u8,
    },
    /// A part of a journal is not what was written, and more comes behind it.
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// Octets of the file.
        length: u64,
    },
    /// A file has to be there and is not, or is no journal at all.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No snapshot can be read, and the journals begin after one.
    NoSnapshot {
        /// The newest snapshot.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// More changes at once than a record holds.
    TooLarge,
    /// Nothing is written, because something that was there could not be read.
    Closed {
        /// Such as `pushes`.
        what: &'static str,
        /// What could not be read and why, with a hint.
        why: String,
    },
}

/// What is wrong with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not there.
    Missing,
    /// It ends too early.
    Truncated,
    /// It is not what was written, from this octet on.
    Damaged(u64),
}

const REPAIR: &str = "hint: what a daemon left attached goes on filtering; stop the daemon, then restore the folder \
                      from a copy, or run `portcullis state repair`, which keeps all that can be read and says what cannot";

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, attempt, source } => {
                write!(f, "cannot {attempt} the state folder {}: {source}", path.display())?;
                hint(f, source)
            }
            Self::Locked { path } => write!(
                f,
                "cannot lock the state folder {}: another process holds it\nhint: another portcullis daemon uses it; stop \
                 it, or set another `directory` in [state]",
                path.display()
            ),
            Self::Read { path, source } => {
                write!(f, "cannot read pushed entries from {}: {source}", path.display())?;
                hint(f, source)
            }
            Self::Write { path, attempt, source } => {
                write!(f, "cannot {attempt} {}: {source}", path.display())?;
                hint(f, source)
            }
            Self::Newer { path, version, known } => write!(
                f,
                "cannot read pushed entries from {}: it has format {version}, and this daemon knows up to {known}\nhint: \
                 start the newer portcullis that wrote it",
                path.display()
            ),
            Self::Damaged { path, offset, length } => write!(
                f,
                "cannot read pushed entries from {}: it is damaged at octet {offset} of {length}, and what comes behind \
                 cannot be understood without it\n{REPAIR}",
                path.display()
            ),
            Self::Missing { path } => write!(
                f,
                "cannot read pushed entries from {}: it is gone, and changes were kept in it\n{REPAIR}",
                path.display()
            ),
            Self::NoSnapshot { path, flaw } => write!(
                f,
                "cannot read pushed entries from {}: {flaw}, and there is no older snapshot to begin with\n{REPAIR}",
                path.display()
            ),
            Self::Closed { what, why } => write!(f, "{what} are refused: {why}"),
            Self::TooLarge => f.write_str("cannot keep more than 4 GiB of changes at once\nhint: push them in parts"),
        }
    }
}

/// One action that helps, when there is one.
fn hint(f: &mut fmt::Formatter<'_>, source: &io::Error) -> fmt::Result {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            f.write_str("\nhint: make room on its file system; pushes work again as soon as there is some")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            f.write_str("\nhint: mount its file system writable, or set another `directory` in [state]")
        }
        io::ErrorKind::TimedOut => f.write_str(
            "\nhint: look for a file system that is frozen (`fsfreeze --unfreeze`) or a file server that is gone; pushes work \
             again as soon as it answers",
        ),
        io::ErrorKind::PermissionDenied => f.write_str("\nhint: run the daemon as root, which owns the folder"),
        _ => Ok(()),
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Truncated => f.write_str("it ends too early"),
            Self::Damaged(offset) => write!(f, "it is damaged at octet {offset}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder { source, .. } | Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }
}
