//! What can go wrong with kept generations, in words.

use std::{fmt, io, path::PathBuf};

use super::document::VERSION;
use crate::state::error::hint;

/// Why a kept generation cannot be read.
#[derive(Debug)]
pub enum HistoryError {
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A file has to be there and is not.
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A file is of a newer daemon.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

const REPAIR: &str = "hint: what a daemon left attached goes on filtering; restore the folder from a copy, or run `portcullis \
                      state repair`, which sets aside what cannot be read";

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "cannot read the generations of the policy from {}: {source}", path.display())?;
                hint(f, source)
            }
            Self::Damaged { path } => {
                write!(f, "cannot read the generations of the policy from {}: it is damaged\n{REPAIR}", path.display())
            }
            Self::Gone { path } => {
                write!(f, "cannot read a generation of the policy from {}: it is gone\n{REPAIR}", path.display())
            }
            Self::Newer { path, version } => write!(
                f,
                "cannot read the generations of the policy from {}: it has format {version}, and this daemon knows up to \
                 {VERSION}\nhint: start the newer portcullis that wrote it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for HistoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
