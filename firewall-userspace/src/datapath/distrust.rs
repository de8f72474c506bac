//! Why a pin folder is not believed, in words an operator can act on.
//!
//! In: what was seen of a folder or a pin. Out: what is wrong with it and what to do. Whoever may write there can take a filter
//! off or give the daemon maps of his own.

use std::{fmt, path::Path};

use nix::unistd::{Uid, User, geteuid};

/// Why a pin folder, or something in it, is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to this user.
    Owner(u32),
    /// Others may write to it: its mode.
    Writable(u32),
    /// It is a link of the file system.
    Link,
    /// Something else than a folder is where a folder belongs, or than a pin where a pin does.
    Kind,
    /// It lies above the pin folder, and others may put something else in its place: owner and mode.
    Above(u32, u32),
}

/// A user, by name if there is one.
fn user(id: u32) -> String {
    User::from_uid(Uid::from_raw(id)).ok().flatten().map_or_else(|| format!("user {id}"), |user| user.name)
}

impl Distrust {
    /// What to do about `path`.
    pub fn hint(&self, path: &Path) -> String {
        let (path, us) = (path.display(), user(geteuid().as_raw()));
        match self {
            Self::Owner(0) => format!(
                "run as root, or `chown -R {us} {path}; chmod -R go-rwx {path}` as root hands it over with what it filters"
            ),
            Self::Owner(owner) => {
                let owner = user(*owner);
                format!(
                    "if a daemon of {owner} left it, `chown -R {us} {path}; chmod -R go-rwx {path}` as root hands it over with what it filters; if none did, `rm -r {path}`"
                )
            }
            Self::Writable(_) => format!("see that nobody else has put anything there; then `chmod -R go-rwx {path}`"),
            Self::Link | Self::Kind => format!("name the folder itself with --pin-directory, or `rm {path}`"),
            Self::Above(owner, _) if *owner != 0 && *owner != geteuid().as_raw() => {
                format!("`chown {us} {path}; chmod go-w {path}` as root, or another --pin-directory")
            }
            Self::Above(..) => format!("`chmod go-w {path}`, or another --pin-directory"),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(owner) => {
                write!(f, "it belongs to {}, and this process runs as {}", user(*owner), user(geteuid().as_raw()))
            }
            Self::Writable(mode) => write!(f, "others may write to it (mode {mode:04o})"),
            Self::Link => f.write_str("it is a symbolic link"),
            Self::Kind => f.write_str("it is not what belongs there"),
            Self::Above(owner, mode) => {
                write!(f, "others may replace what lies in it (it belongs to {}, mode {mode:04o})", user(*owner))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_believed_is_said_with_a_way_on() {
        let us = user(geteuid().as_raw());
        let path = Path::new("/sys/fs/bpf/portcullis");
        let told = |fault: Distrust| format!("{fault}\n{}", fault.hint(path));
        let other = told(Distrust::Owner(4_000_000));
        assert_eq!(
            other,
            format!(
                "it belongs to user 4000000, and this process runs as {us}\nif a daemon of user 4000000 left it, `chown -R {us} /sys/fs/bpf/portcullis; chmod -R go-rwx /sys/fs/bpf/portcullis` as root hands it over with what it filters; if none did, `rm -r /sys/fs/bpf/portcullis`"
            )
        );
        assert!(told(Distrust::Owner(0)).contains("\nrun as root, or `chown -R "));
        assert!(told(Distrust::Writable(0o775)).contains("others may write to it (mode 0775)\n"));
        assert!(told(Distrust::Link).contains("it is a symbolic link\nname the folder itself"));
        let above = told(Distrust::Above(0, 0o777));
        assert!(above.contains("(it belongs to root, mode 0777)\n`chmod go-w "), "{above}");
    }
}
