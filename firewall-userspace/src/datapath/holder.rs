//! Processes that hold something, as /proc tells of them.
//!
//! In: the number of a process, or a BPF program. Out: names and users. What this user may not read is left out.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::files::names_in;

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

/// What the processes of this host tell of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it, or a link that attaches it.
    pub(super) holders: Vec<Holder>,
    /// Its tag.
    pub(super) tag: Option<u64>,
}

/// Most descriptors that are looked at.
const MOST_DESCRIPTORS: usize = 1 << 16;

/// What was seen of all programs before this process confined itself.
static SEEN_BEFORE: OnceLock<BTreeMap<u32, Seen>> = OnceLock::new();

/// Looks at the processes of this host once, and remembers what they hold: a process in a sandbox may look into none outside of it
/// (landlock(7)), and a start that is refused says who is in its way.
pub fn look_before() {
    let _ = SEEN_BEFORE.set(all());
}

/// Who holds the program of this identifier, among the processes that this user may look at, or could before it confined itself.
pub(super) fn of_program(id: u32) -> Seen {
    let mut seen = all().remove(&id).unwrap_or_default();
    if let Some(before) = SEEN_BEFORE.get().and_then(|before| before.get(&id)) {
        seen.tag = seen.tag.or(before.tag);
        // One that has ended holds nothing any more.
        let live = before.holders.iter().filter(|holder| Holder::of(holder.process) == **holder);
        for holder in live {
            if !seen.holders.contains(holder) {
                seen.holders.push(holder.clone());
            }
        }
    }
    seen
}

/// What the processes of this host hold, by program.
fn all() -> BTreeMap<u32, Seen> {
    let mut all: BTreeMap<u32, Seen> = BTreeMap::new();
    let mut left = MOST_DESCRIPTORS;
    for process in names_in(Path::new("/proc")).iter().filter_map(|name| name.parse().ok()) {
        let folder = PathBuf::from(format!("/proc/{process}"));
        for descriptor in names_in(&folder.join("fd")) {
            let Some(fewer) = left.checked_sub(1) else { return all };
            left = fewer;
            let is_bpf = fs::read_link(folder.join("fd").join(&descriptor)).is_ok_and(|kind| is_link_or_program(&kind));
            let facts = if is_bpf { fs::read_to_string(folder.join("fdinfo").join(&descriptor)).ok() } else { None };
            let Some(facts) = facts else { continue };
            let Some(id) = value(&facts, "prog_id:").and_then(|id| id.parse().ok()) else { continue };
            let seen = all.entry(id).or_default();
            seen.tag = seen.tag.or(value(&facts, "prog_tag:").and_then(|tag| u64::from_str_radix(tag, 16).ok()));
            if seen.holders.iter().all(|holder| holder.process != process) {
                seen.holders.push(Holder::of(process));
            }
        }
    }
    all
}

/// `anon_inode:bpf-prog`, `anon_inode:bpf_link` and, from a pin, `anon_inode:bpf-link` (kernel/bpf/syscall.c).
fn is_link_or_program(kind: &Path) -> bool {
    let kind = kind.to_string_lossy();
    ["bpf-prog", "bpf-link", "bpf_link"].iter().any(|name| kind.contains(name))
}

/// What stands behind `key` in a file of /proc/PID/fdinfo.
fn value<'a>(facts: &'a str, key: &str) -> Option<&'a str> {
    facts.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
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
