//! What can go wrong with the state folder, in words.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{
    files::{NotOwn, NotRegular},
    text::shown::counted,
};

/// Why the store did not open, or did not keep a change.
#[derive(Debug)]
pub enum StoreError {
    /// The folder cannot be used.
    Folder {
        /// The folder.
        path: PathBuf,
        /// `find`, `look at`, `make`, `open`, `lock` or `read`.
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
    /// A journal is shorter than it was when its daemon stopped.
    Cut {
        /// The journal.
        path: PathBuf,
        /// Octets that can be read.
        found: u64,
        /// Octets that it had.
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
    /// Somebody else could change what is in the folder, or put another in its place.
    Distrusted {
        /// The folder.
        folder: PathBuf,
        /// It, or a folder above it.
        at: PathBuf,
        /// Why.
        distrust: NotOwn,
    },
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

/// What to do about a file that is not what was written.
fn repair(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    let folder = path.parent().unwrap_or(path).display();
    write!(
        f,
        "\nhint: what a daemon left attached goes on filtering; stop the daemon, then restore the folder from a copy, or run \
         `portcullis state repair {folder}`, which keeps all that can be read and says what cannot; then start it"
    )
}

impl StoreError {
    /// A file that is not what was written, and what to do about it.
    fn fmt_lost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, offset, length } => {
                write!(
                    f,
                    "cannot read pushed entries from {}: it is damaged at octet {offset} of {length}, and what comes behind \
                 cannot be understood without it",
                    path.display()
                )?;
                repair(f, path)
            }
            Self::Cut { path, found, length } => {
                write!(
                    f,
                    "cannot read pushed entries from {}: of it {} can be read, and it had {length} when its daemon \
                 stopped",
                    path.display(),
                    counted(usize::try_from(*found).unwrap_or(usize::MAX), "octet")
                )?;
                repair(f, path)
            }
            Self::Missing { path } => {
                write!(
                    f,
                    "cannot read pushed entries from {}: it is gone, and changes were kept in it",
                    path.display()
                )?;
                repair(f, path)
            }
            Self::NoSnapshot { path, flaw } => {
                write!(
                    f,
                    "cannot read pushed entries from {}: {flaw}, and there is no older snapshot to begin with",
                    path.display()
                )?;
                repair(f, path)
            }
            _ => Ok(()),
        }
    }
}

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
            Self::Damaged { .. } | Self::Cut { .. } | Self::Missing { .. } | Self::NoSnapshot { .. } => {
                self.fmt_lost(f)
            }
            Self::Distrusted { folder, at, distrust } => distrusted(f, folder, at, *distrust),
            Self::Closed { what, why } => write!(f, "{what} are refused: {why}"),
            Self::TooLarge => f.write_str("cannot keep more than 4 GiB of changes at once\nhint: push them in parts"),
        }
    }
}

/// Why a file is not written: what is open is not what its name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strayed {
    /// The path of the folder leads elsewhere, or nowhere.
    Folder,
    /// The file has no name any more.
    Gone,
    /// Another file has its name.
    Replaced,
    /// It is not as long as it was written.
    Length {
        /// Octets that it has.
        found: u64,
        /// Octets that it should have.
        length: u64,
    },
}

impl Strayed {
    /// Whether it is why.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Strayed> for io::Error {
    fn from(strayed: Strayed) -> Self {
        Self::other(strayed)
    }
}

impl std::error::Error for Strayed {}

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => {
                f.write_str("its folder was removed, renamed or unmounted, or another one has got its place")
            }
            Self::Gone => f.write_str("it was removed or renamed while the daemon ran"),
            Self::Replaced => f.write_str("another file has got its name while the daemon ran"),
            Self::Length { found, length } => {
                let found = counted(usize::try_from(*found).unwrap_or(usize::MAX), "octet");
                write!(f, "somebody else has changed it: it has {found}, and {length} were written")
            }
        }
    }
}

/// That a folder is not used because of what somebody could do to it at `at`.
fn distrusted(f: &mut fmt::Formatter<'_>, folder: &Path, at: &Path, distrust: NotOwn) -> fmt::Result {
    let (shown, place, us) = (folder.display(), at.display(), nix::unistd::geteuid());
    if folder != at {
        // What else is in there is not the daemon's.
        let mend = match distrust {
            NotOwn::Owner(_) => format!("`chown -h {us} {place}`"),
            NotOwn::Writable(_) => format!("`chmod go-w {place}` when nobody else has to write to it"),
        };
        return write!(
            f,
            "cannot use the state folder {shown}: another could be put in its place in {place}: {distrust}\nhint: set another \
             `directory` in [state], or {mend}"
        );
    }
    write!(f, "cannot use the state folder {shown}: {distrust}\nhint: ")?;
    match distrust {
        NotOwn::Owner(_) => {
            write!(f, "`chown -R {us} {shown}` when what is in it is to be used, or run the daemon as its owner")
        }
        NotOwn::Writable(_) => write!(f, "look at what is in it, then `chmod go-w {shown}`"),
    }
}

/// One action that helps, when there is one.
pub(super) fn hint(f: &mut fmt::Formatter<'_>, source: &io::Error) -> fmt::Result {
    if Strayed::of(source).is_some() {
        return f.write_str(
            "\nhint: everything is written anew by itself, as soon as that is possible, and then pushes work again; find out \
             who changes the state folder",
        );
    }
    if NotOwn::of(source).is_some() {
        return f.write_str("\nhint: look at it, then give it to the user that the daemon runs as, with mode 0600");
    }
    if NotRegular::is_why(source) {
        return f.write_str("\nhint: remove it, or restore the folder from a copy");
    }
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
        io::ErrorKind::PermissionDenied => f.write_str(
            "\nhint: run the daemon as the user that owns the folder; when somebody has put the folder there while the daemon ran, \
             its sandbox keeps it out: `portcullis allow list --export` and `deny list --export` write what was pushed, then \
             start it again",
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_distrusted_is_told_with_what_helps_and_harms_nothing_else() {
        let us = nix::unistd::geteuid();
        let words = |at: &str, distrust| {
            let (folder, at) = ("/srv/shared/state".into(), at.into());
            StoreError::Distrusted { folder, at, distrust }.to_string()
        };
        assert_eq!(
            words("/srv/shared/state", NotOwn::Owner(7)),
            format!(
                "cannot use the state folder /srv/shared/state: it belongs to user 7, and this runs as user {us}\nhint: \
                 `chown -R {us} /srv/shared/state` when what is in it is to be used, or run the daemon as its owner"
            )
        );
        // What else is in a folder above is nobody's business here.
        assert_eq!(
            words("/srv/shared", NotOwn::Owner(7)),
            format!(
                "cannot use the state folder /srv/shared/state: another could be put in its place in /srv/shared: it belongs to \
                 user 7, and this runs as user {us}\nhint: set another `directory` in [state], or `chown -h {us} /srv/shared`"
            )
        );
        assert_eq!(
            words("/srv/shared/state", NotOwn::Writable(0o777)),
            "cannot use the state folder /srv/shared/state: others may write to it: its mode is 0777\nhint: look at what is in \
             it, then `chmod go-w /srv/shared/state`"
        );
        assert_eq!(
            words("/srv/shared", NotOwn::Writable(0o777)),
            "cannot use the state folder /srv/shared/state: another could be put in its place in /srv/shared: others may write \
             to it: its mode is 0777\nhint: set another `directory` in [state], or `chmod go-w /srv/shared` when nobody else has to \
             write to it"
        );
    }
}
