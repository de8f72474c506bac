//! What holds this process in check, as the kernel tells: its user, its capabilities, seccomp; and what the kernel could do.

use std::{fs, thread};

use landlock::{AccessFs, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetError};

/// The names of capabilities, by their bits (include/uapi/linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What a file /proc/PID/status says of what holds a thread in check (proc_pid_status(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// The effective user; `None` when that is not told.
    pub user: Option<u32>,
    /// The effective capabilities, by name, or `CAP_41` and so on.
    pub capabilities: Vec<String>,
    /// Whether a filter of system calls is in force. `None`: the kernel has none to offer.
    pub has_filter: Option<bool>,
    /// Whether nothing that it executes gets more rights.
    pub has_no_new_privileges: bool,
}

/// What the kernel has of Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandlockSupport {
    /// It has this version of its interface.
    Version(u32),
    /// It was built with Landlock, and started without: `lsm=` on its command line leaves it out.
    Off,
    /// It was built without, or something in between refuses it.
    Missing,
}

impl Confinement {
    /// That of the thread that calls.
    pub fn of_this_thread() -> Self {
        Self::read(&fs::read_to_string("/proc/thread-self/status").unwrap_or_default())
    }

    /// What `status` says.
    pub fn read(status: &str) -> Self {
        let value =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
        let user = value("Uid").and_then(|users| users.split_whitespace().nth(1)?.parse().ok());
        let effective = value("CapEff").and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
        let bits = (0..u64::BITS).filter(|bit| effective >> bit & 1 == 1);
        let name = |bit: u32| CAPABILITIES.get(bit as usize).map_or_else(|| format!("CAP_{bit}"), |&name| name.into());
        Self {
            user,
            capabilities: bits.map(name).collect(),
            // 2 is SECCOMP_MODE_FILTER.
            has_filter: value("Seccomp").map(|mode| mode == "2"),
            has_no_new_privileges: value("NoNewPrivs") == Some("1"),
        }
    }
}

impl LandlockSupport {
    /// What a restriction met.
    pub fn of(status: &RestrictionStatus) -> Self {
        match status.landlock {
            LandlockStatus::Available { effective_abi, kernel_abi } => {
                let known = effective_abi as u32;
                Self::Version(kernel_abi.and_then(|newer| u32::try_from(newer).ok()).unwrap_or(known))
            }
            LandlockStatus::NotEnabled => Self::Off,
            LandlockStatus::NotImplemented => Self::Missing,
        }
    }

    /// Tries it, on a thread of its own, which ends.
    pub fn of_this_kernel() -> Self {
        let attempt = || -> Result<RestrictionStatus, RulesetError> {
            Ruleset::default().handle_access(AccessFs::MakeBlock)?.create()?.restrict_self()
        };
        let tried = thread::scope(|scope| scope.spawn(attempt).join());
        tried.ok().and_then(Result::ok).map_or(Self::Missing, |status| Self::of(&status))
    }

    /// Why there is none, and what an operator does about that; `None` when there is.
    pub fn obstacle(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Version(_) => None,
            Self::Off => Some([
                "the kernel was started without Landlock",
                "add `landlock` to the modules of `lsm=` on the command line of the kernel (/sys/kernel/security/lsm has those of now)",
            ]),
            Self::Missing => Some([
                "the kernel has no Landlock, or a container refuses it",
                "boot a kernel with CONFIG_SECURITY_LANDLOCK, or let the container use landlock_create_ruleset(2)",
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_process_in_check_is_read_from_its_status() {
        let text = "Name:\tx\nUid:\t1\t997\t3\t4\nCapPrm:\t000001ffffffffff\nCapEff:\t800000c000001000\nNoNewPrivs:\t1\n\
                    Seccomp:\t2\nSeccomp_filters:\t3\n";
        let read = Confinement::read(text);
        assert_eq!(read.user, Some(997));
        assert_eq!(read.capabilities, ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF", "CAP_63"]);
        assert_eq!((read.has_filter, read.has_no_new_privileges), (Some(true), true));
        let open = Confinement::read("Seccomp:\t0\nNoNewPrivs:\t0\n");
        assert_eq!((open.has_filter, open.has_no_new_privileges, open.user), (Some(false), false, None));
        assert_eq!(Confinement::read("").has_filter, None, "a kernel without seccomp does not name it");
    }

    #[test]
    fn to_try_landlock_restricts_nobody_else() {
        let before = Confinement::of_this_thread();
        let support = LandlockSupport::of_this_kernel();
        assert_eq!(support.obstacle().is_none(), matches!(support, LandlockSupport::Version(1..)), "{support:?}");
        assert_eq!(Confinement::of_this_thread(), before);
    }
}
