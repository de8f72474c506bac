//! Processes that hold something, as /proc tells of them.
//!
//! In: the number of a process. Out: its name and user. What this user may not read is left out.

use std::{fmt, fs, path::PathBuf};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub process: u32,
    /// Its name, which may be empty.
    pub name: String,
    /// Its effective user; `None` when it has ended.
    pub user: Option<u32>,
}

impl Holder {
    /// The process of this number.
    pub(super) fn of(process: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default().trim_end().to_owned();
        // The folder itself is root's when the process is not dumpable, whoever runs it (proc(5)).
        let user = fs::read_to_string(folder.join("status")).ok().and_then(|status| effective_user(&status));
        Self { process, name, user }
    }
}

/// The second number of the line `Uid` of /proc/PID/status.
fn effective_user(status: &str) -> Option<u32> {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.name {
            "" => write!(f, "process {}", self.process),
            name => write!(f, "process {} ({name})", self.process),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_name_and_an_effective_user() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some(2));
        let this = Holder::of(std::process::id());
        assert_eq!(this.user, Some(nix::unistd::geteuid().as_raw()));
        assert!(this.to_string().starts_with("process ") && this.to_string().ends_with(')'), "{this}");
        let nobody = Holder { process: 7, name: String::new(), user: None };
        assert_eq!(nobody.to_string(), "process 7");
    }
}
