//! Which programs hold which sockets, as procfs has it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
};

/// A process, and the name that the kernel has for it (`comm`, at most 15 octets; whoever runs it may choose it).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketHolder {
    /// Its number.
    pub process: u32,
    /// Its name, with whatever characters it has.
    pub name: String,
}

/// Processes that hold the sockets with these inodes, by inode. Those of other users are not found without `CAP_SYS_PTRACE`
/// (proc_pid_fd(5)).
pub fn holders(inodes: &HashSet<u32>) -> HashMap<u32, BTreeSet<SocketHolder>> {
    holders_in(Path::new("/proc"), inodes)
}

fn holders_in(proc: &Path, inodes: &HashSet<u32>) -> HashMap<u32, BTreeSet<SocketHolder>> {
    let mut found: HashMap<u32, BTreeSet<SocketHolder>> = HashMap::new();
    for entry in fs::read_dir(proc).into_iter().flatten().filter_map(Result::ok) {
        let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // A process that ends meanwhile, or that may not be looked into, has none.
        let open = fs::read_dir(entry.path().join("fd")).into_iter().flatten().filter_map(Result::ok);
        let held: HashSet<u32> = open.filter_map(|file| inode(&fs::read_link(file.path()).ok()?)).collect();
        let mut held = held.intersection(inodes).peekable();
        if held.peek().is_none() {
            continue;
        }
        let name = fs::read(entry.path().join("comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
        for inode in held {
            found.entry(*inode).or_default().insert(SocketHolder { process, name: name.clone() });
        }
    }
    found
}

/// `socket:[4711]` (proc_pid_fd(5)).
pub(super) fn inode(target: &Path) -> Option<u32> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::TestFolder;

    #[test]
    fn a_socket_has_every_process_that_holds_it_under_whatever_name() {
        let proc = TestFolder::new("processes");
        let process = |number: &str, name: &[u8], sockets: &[u32]| {
            let folder = proc.path().join(number);
            fs::create_dir_all(folder.join("fd")).unwrap();
            fs::write(folder.join("comm"), name).unwrap();
            for (index, inode) in sockets.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), folder.join("fd").join(index.to_string())).unwrap();
            }
        };
        process("1", b"systemd\n", &[5]);
        process("70", b"a\"\nb\xff\x1b[31m\n", &[5, 6, 6]);
        process("self", b"nobody\n", &[6]);
        process("71", b"other\n", &[9]);
        let found = holders_in(proc.path(), &HashSet::from([5, 6, 7]));
        let of =
            |inode| found.get(&inode).into_iter().flatten().map(|one| (one.process, &*one.name)).collect::<Vec<_>>();
        assert_eq!(of(5), [(1, "systemd"), (70, "a\"\nb\u{fffd}\u{1b}[31m")]);
        assert_eq!(of(6), [(70, "a\"\nb\u{fffd}\u{1b}[31m")]);
        assert_eq!(found.len(), 2);
    }
}
