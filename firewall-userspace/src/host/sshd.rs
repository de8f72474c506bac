//! Which ports sshd listens at.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::Path,
};

use super::{connections::listening_inodes, processes::inode};

/// The name of its process, as the kernel has it.
const NAME: &str = "sshd";

/// Ports at which sshd was seen to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshdPorts(BTreeSet<u16>);

/// Ports at which sshd listens now; none when the kernel does not tell.
pub fn look() -> SshdPorts {
    SshdPorts(ports(&SshdPorts::default()).unwrap_or_default())
}

/// Ports of TCP sockets that listen, in the network namespace of this thread, and belong to a process named `sshd`. None when there is
/// no such process, when another one listens in its place (socket activation), or when this one may not look into it, for which it needs
/// its capabilities or `CAP_SYS_PTRACE`, and no sandbox (proc_pid_fd(5), landlock(7)). A port in `before` at which somebody listens still
/// is one of them.
///
/// # Errors
/// When the kernel does not tell which sockets listen.
pub fn ports(before: &SshdPorts) -> io::Result<BTreeSet<u16>> {
    let listening = listening_inodes()?;
    let still = before.still(&listening);
    Ok(ports_in(Path::new("/proc"), &listening).into_iter().chain(still).collect())
}

impl SshdPorts {
    fn still(&self, listening: &HashMap<u32, u16>) -> impl Iterator<Item = u16> {
        self.0.iter().copied().filter(|port| listening.values().any(|one| one == port))
    }
}

fn ports_in(proc: &Path, listening: &HashMap<u32, u16>) -> BTreeSet<u16> {
    let processes = fs::read_dir(proc).into_iter().flatten().filter_map(Result::ok);
    let numbered = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let is_sshd = |process: &Path| fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == NAME);
    let ours = numbered.map(|entry| entry.path()).filter(|process| is_sshd(process));
    // A process that ends meanwhile, or that may not be looked into, has none.
    let open = ours.flat_map(|process| fs::read_dir(process.join("fd")).into_iter().flatten());
    let inodes = open.filter_map(|file| inode(&fs::read_link(file.ok()?.path()).ok()?));
    inodes.filter_map(|inode| listening.get(&inode).copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::TestFolder;

    #[test]
    fn ports_are_those_that_a_process_of_this_name_listens_at() {
        let proc = TestFolder::new("sshd");
        let process = |number: &str, name: &str, sockets: &[u32]| {
            let folder = proc.path().join(number);
            fs::create_dir_all(folder.join("fd")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            for (index, inode) in sockets.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), folder.join("fd").join(index.to_string())).unwrap();
            }
            symlink("/dev/null", folder.join("fd").join("99")).unwrap();
        };
        process("1", "systemd", &[5]);
        process("70", "sshd", &[7, 8, 1234]);
        process("71", "nginx", &[9]);
        process("self", "sshd", &[9]);
        let listening = HashMap::from([(5, 25), (7, 22), (8, 2222), (9, 443)]);
        assert_eq!(ports_in(proc.path(), &listening), BTreeSet::from([22, 2222]));
        assert!(ports_in(&proc.path().join("none"), &listening).is_empty());
    }

    #[test]
    fn a_port_of_sshd_counts_on_from_a_sandbox_as_long_as_somebody_listens_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // As if its process were one that cannot be looked into any more.
        let before = SshdPorts(BTreeSet::from([port]));
        assert!(ports(&before).unwrap().contains(&port));
        drop(listener);
        assert!(!before.still(&HashMap::from([(1, port.wrapping_add(1))])).any(|one| one == port));
        assert_eq!(before.still(&HashMap::from([(1, port)])).collect::<Vec<_>>(), [port]);
    }
}
