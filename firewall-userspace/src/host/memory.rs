//! Whether a configuration fits into the memory that this process may have: what its control group allows, and what prefixes take.
//!
//! Control groups are those of Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel. Without a limit nothing is
//! refused.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    policy::{Policy, Prefix},
    text::shown::counted,
};

/// The memory that a control group leaves to its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRoom {
    /// Most octets.
    pub limit: u64,
    /// Octets in use that the kernel cannot take back: without files that are cached.
    pub used: u64,
    /// The file that says so.
    pub set_in: PathBuf,
}

/// A configuration needs more memory than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryShortage {
    prefixes: usize,
    needed: u64,
    room: MemoryRoom,
}

/// Octets for a prefix of IPv4 and of IPv6 in the tables of a generation, which are in memory twice, for the kernel and for the daemon:
/// a quarter of a line for a place, and one and a half lines (`datapath/lists.rs`) of 64 octets.
const TABLE_OCTETS: [u64; 2] = [2 * 64 / 4, 2 * 64 * 3 / 2];

/// Octets for a prefix while it is found out what each is in. `cargo test -p firewall-userspace --test memory -- --nocapture` measures
/// it.
pub const MEMBER_OCTETS: u64 = 100;

/// What every generation takes, however few prefixes it has: roots of the tables and the program.
const BASE_OCTETS: u64 = 16 << 20;

/// The unit of the daemon, where control groups are those of systemd.
const UNIT: &str = "/system.slice/portcullis.service";

/// Where control groups are (cgroups(7)), and which of them this process is in.
const MOUNT: &str = "/sys/fs/cgroup";
const OWN: &str = "/proc/self/cgroup";

/// Version 1 has no word for no limit: it is the largest number of whole pages. Whatever is as large is none.
const NO_LIMIT: u64 = 1 << 60;

/// What the control group of this process has left; `None` without a limit.
pub fn room() -> Option<MemoryRoom> {
    room_of(&fs::read_to_string(OWN).ok()?, Path::new(MOUNT))
}

/// The same for a command: the control group of the unit counts too, when it is there.
pub fn room_of_unit() -> Option<MemoryRoom> {
    let unit = room_of(&format!("0::{UNIT}\n"), Path::new(MOUNT))
        .filter(|_| Path::new(MOUNT).join(UNIT.trim_start_matches('/')).exists());
    tightest(room().into_iter().chain(unit))
}

/// Refuses a configuration for which there is no room.
///
/// # Errors
/// When tables for these prefixes, IPv4 and IPv6, and what they are in would take more than is left.
pub fn require(prefixes: [usize; 2], room: Option<MemoryRoom>) -> Result<(), Box<MemoryShortage>> {
    let Some(room) = room else { return Ok(()) };
    let tables = prefixes.iter().zip(TABLE_OCTETS).map(|(count, octets)| *count as u64 * octets).sum::<u64>();
    let all: usize = prefixes.iter().sum();
    let needed = (all as u64 * MEMBER_OCTETS).saturating_add(tables).saturating_add(BASE_OCTETS);
    if needed <= room.left() { Ok(()) } else { Err(Box::new(MemoryShortage { prefixes: all, needed, room })) }
}

/// How many prefixes of each family a policy names: IPv4, IPv6. One that stands in several lists counts in each.
pub fn prefixes_of(policy: &Policy) -> [usize; 2] {
    let is_v4 = |prefix: &Prefix| prefix.address().is_ipv4();
    let mut count = [0; 2];
    for entries in policy.lists.iter().map(|list| &list.entries) {
        let v4 = entries.partition_point(is_v4);
        let [all_v4, all_v6] = &mut count;
        (*all_v4, *all_v6) = (*all_v4 + v4, *all_v6 + entries.len() - v4);
    }
    count
}

impl MemoryRoom {
    /// Octets that are left.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl fmt::Display for MemoryShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefixes, needed, room } = self;
        let mebi = |octets: u64| octets.div_ceil(1 << 20);
        write!(
            f,
            "cannot load the configuration: lists with {} need about {} MiB of memory, and {} MiB are left of the {} MiB that {} \
             allows\nhint: raise `MemoryMax=` of the unit (`systemctl edit portcullis`), or the limit of the container, or leave out \
             entries",
            counted(*prefixes, "entry"),
            mebi(*needed),
            room.left() >> 20,
            mebi(room.limit),
            room.set_in.display()
        )
    }
}

impl std::error::Error for MemoryShortage {}

/// What the groups of `own`, the text of `/proc/PID/cgroup`, have left below `mount`.
fn room_of(own: &str, mount: &Path) -> Option<MemoryRoom> {
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        Some((controllers.to_owned(), path.to_owned()))
    };
    let groups: Vec<(String, String)> = own.lines().filter_map(of).collect();
    // Where version 1 has the controller, version 2 does not.
    let first = groups.iter().find(|(controllers, _)| controllers.split(',').any(|one| one == "memory"));
    if let Some((_, path)) = first {
        let files = GroupFiles { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cached: "total_" };
        return files.tightest(&mount.join("memory"), path);
    }
    let (_, path) = groups.iter().find(|(controllers, _)| controllers.is_empty())?;
    GroupFiles { limit: "memory.max", used: "memory.current", cached: "" }.tightest(mount, path)
}

/// The one that leaves least.
fn tightest(rooms: impl Iterator<Item = MemoryRoom>) -> Option<MemoryRoom> {
    rooms.min_by_key(MemoryRoom::left)
}

/// How a version of control groups calls its files.
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// Begins the names of cached files in `memory.stat`: with those of the groups below.
    cached: &'static str,
}

impl GroupFiles {
    /// Of a group and all above it up to the root, which has files in a container.
    fn tightest(&self, root: &Path, path: &str) -> Option<MemoryRoom> {
        // A group outside of what this process sees is told as `/../..`.
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != "..").collect();
        let folders =
            (0..=names.len()).map(|depth| names.iter().take(depth).fold(root.to_owned(), |at, name| at.join(name)));
        tightest(folders.filter_map(|folder| self.read(&folder).ok().flatten()))
    }

    /// `None` without a limit.
    fn read(&self, folder: &Path) -> io::Result<Option<MemoryRoom>> {
        let set_in = folder.join(self.limit);
        let number = |text: String| text.trim().parse::<u64>().map_err(io::Error::other);
        // `max`, which is no number, is no limit.
        let limit = fs::read_to_string(&set_in)?.trim().parse::<u64>().ok().filter(|limit| *limit < NO_LIMIT);
        let Some(limit) = limit else { return Ok(None) };
        let used = number(fs::read_to_string(folder.join(self.used))?)?;
        let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let of = |name: &str| {
            let line = statistics.lines().find_map(|line| line.strip_prefix(self.cached)?.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let cached = of("inactive_file ").saturating_add(of("active_file "));
        Ok(Some(MemoryRoom { limit, used: used.saturating_sub(cached), set_in }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::TestFolder;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }

    #[test]
    fn the_tightest_group_counts_without_cached_files() {
        let folder = TestFolder::new("memory-v2");
        let root = folder.path();
        assert_eq!(room_of("0::/a/b\n", root), None, "no files at all");
        let stat = "anon 5\nfile 300\ninactive_file 200\nactive_file 100\n";
        write(&root.join("a/b"), &[("memory.max", "max\n"), ("memory.current", "1000\n"), ("memory.stat", stat)]);
        assert_eq!(room_of("0::/a/b\n", root), None);
        write(&root.join("a"), &[("memory.max", "5000\n"), ("memory.current", "4000\n"), ("memory.stat", stat)]);
        let of_slice = MemoryRoom { limit: 5000, used: 3700, set_in: root.join("a/memory.max") };
        assert_eq!(room_of("0::/a/b\n", root), Some(of_slice.clone()));
        assert_eq!(of_slice.left(), 1300);
        write(&root.join("a/b"), &[("memory.max", "1500\n")]);
        assert_eq!(room_of("0::/a/b\n", root).map(|room| room.left()), Some(800));
        // In a container, its own group is the root.
        write(root, &[("memory.max", "900\n"), ("memory.current", "1000\n")]);
        assert_eq!(room_of("0::/\n", root).map(|room| room.left()), Some(0));
        assert_eq!(room_of("0::/../../a\n", root).map(|room| room.left()), Some(0));
    }

    #[test]
    fn the_first_version_of_control_groups_is_known_too() {
        let folder = TestFolder::new("memory-v1");
        let own = "4:memory:/box\n2:cpu,cpuacct:/box\n0::/\n";
        let at = folder.path().join("memory/box");
        let stat = "inactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n";
        write(&at, &[("memory.usage_in_bytes", "100\n"), ("memory.stat", stat)]);
        write(&at, &[("memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(room_of(own, folder.path()), None);
        write(&at, &[("memory.limit_in_bytes", "150\n")]);
        let wanted = MemoryRoom { limit: 150, used: 50, set_in: at.join("memory.limit_in_bytes") };
        assert_eq!(room_of(own, folder.path()), Some(wanted));
    }

    #[test]
    fn a_configuration_without_room_is_refused_with_figures_and_a_way_out() {
        let room = MemoryRoom { limit: 400 << 20, used: 200 << 20, set_in: "/sys/fs/cgroup/x/memory.max".into() };
        assert_eq!(require([10_000_000, 10_000_000], None), Ok(()));
        assert_eq!(require([1_000_000, 0], Some(room.clone())), Ok(()));
        let words = require([1_000_000, 1_000_000], Some(room)).unwrap_err().to_string();
        assert!(
            words.starts_with("cannot load the configuration: lists with 2,000,000 entries need about 421 MiB"),
            "{words}"
        );
        assert!(
            words.contains("200 MiB are left of the 400 MiB that /sys/fs/cgroup/x/memory.max allows\nhint: raise"),
            "{words}"
        );
    }
}
