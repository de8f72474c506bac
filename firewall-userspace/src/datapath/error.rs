//! Why the kernel refused, in words an operator can act on.

use std::{fmt, io, path::PathBuf};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use firewall_common::abi::ABI_VERSION;

use super::{Distrust, ForeignProgram, Holder, capabilities::missing_capabilities, floor};
use crate::{host::devices::Unfilterable, policy::AttachMode};

/// What makes a BPF file system that only root writes to: without the mode the kernel lets everybody (`bpf_fill_super`,
/// kernel/bpf/inode.c).
pub const MOUNT: &str = "mount -t bpf -o mode=700 bpf /sys/fs/bpf";

/// A failure of the data path. Nothing that was live before has changed.
#[derive(Debug)]
pub enum DatapathError {
    /// The binary was built without the eBPF object.
    NoObject,
    /// The kernel is too old.
    Kernel {
        /// Its release.
        release: String,
        /// What the program needs of a kernel.
        lacks: &'static str,
        /// Major and minor of the kernel that brought it.
        since: (u32, u32),
    },
    /// The pin folder is not on a BPF file system.
    NoBpffs {
        /// The folder.
        folder: PathBuf,
    },
    /// The pin folder belongs to another daemon.
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as far as the kernel tells.
        holders: Vec<Holder>,
    },
    /// Another user could change what is pinned.
    Untrusted {
        /// What is not believed.
        path: PathBuf,
        /// Why.
        fault: Distrust,
    },
    /// Another ABI version has pins.
    OtherVersion {
        /// Where.
        folder: PathBuf,
        /// Which.
        version: u32,
        /// What it filters.
        interfaces: Vec<String>,
    },
    /// What is pinned is not what this build would make.
    PinnedMap {
        /// Where.
        path: PathBuf,
        /// What differs.
        cause: String,
    },
    /// A file operation in the pin folder failed.
    Pin {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The object or one of its maps could not be created.
    Load {
        /// Why it failed, the telling line of the verifier's log included.
        cause: String,
        /// Error number, when the kernel gave one.
        errno: Option<i32>,
    },
    /// A map could not be read or written.
    Map {
        /// What was attempted.
        what: String,
        /// Why it failed.
        cause: String,
        /// Error number, when the kernel gave one.
        errno: Option<i32>,
    },
    /// There is no such interface.
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// The program could not be attached.
    Attach {
        /// The interface.
        interface: String,
        /// The mode.
        mode: AttachMode,
        /// Why it failed.
        cause: String,
        /// Error number, when the kernel gave one.
        errno: Option<i32>,
        /// What removes the cause, where the interface tells.
        advice: Option<String>,
    },
    /// The interface cannot be filtered, in whatever mode.
    Unfilterable {
        /// Its name.
        interface: String,
        /// Why.
        cause: Unfilterable,
    },
    /// Two names of one interface are configured.
    SameInterface {
        /// The later one.
        interface: String,
        /// The other.
        other: String,
    },
    /// A program is there that this process has not attached.
    Foreign {
        /// The interface.
        interface: String,
        /// The mode in which ours would have been attached.
        mode: AttachMode,
        /// What is there.
        programs: Vec<ForeignProgram>,
    },
    /// The attached program could not be replaced.
    Swap {
        /// The interface.
        interface: String,
        /// Why it failed.
        cause: String,
    },
    /// A reload asks for another attach mode on an interface that is attached.
    ModeChange {
        /// The interface.
        interface: String,
    },
}

impl DatapathError {
    pub(super) fn load(error: EbpfError) -> Self {
        let errno = errno(&error);
        Self::Load { cause: describe(&error), errno }
    }

    pub(super) fn program(error: ProgramError) -> Self {
        // What the verifier refuses is our fault; its error number is not that of a missing permission.
        let refused =
            matches!(&error, ProgramError::LoadError { verifier_log, .. } if !verifier_log.to_string().is_empty());
        let errno = if refused { None } else { errno(&error) };
        Self::Load { cause: program_cause(&error), errno }
    }

    pub(super) fn map(what: impl Into<String>, error: MapError) -> Self {
        let errno = errno(&error);
        Self::Map { what: what.into(), cause: describe(&error), errno }
    }

    pub(super) fn attach(interface: &str, mode: AttachMode, error: &io::Error) -> Self {
        let (errno, cause) = (error.raw_os_error(), error.to_string());
        Self::Attach { interface: interface.to_owned(), mode, cause, errno, advice: None }
    }

    /// The one action that fixes most cases.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoObject => Some("build with `cargo xtask build`".into()),
            Self::Kernel { .. } => Some(floor::newer()),
            Self::NoBpffs { .. } => Some(MOUNT.into()),
            Self::InUse { .. } => {
                Some("a portcullis daemon runs on this host: stop it, or use another --pin-directory".into())
            }
            Self::Untrusted { path, fault } => Some(fault.hint(path)),
            Self::OtherVersion { interfaces, .. } => Some(format!(
                "`portcullis run --replace` {} and removes those pins; its counters and rate state are not taken over",
                if interfaces.is_empty() { "starts afresh" } else { "takes over without a gap" }
            )),
            Self::PinnedMap { .. } => {
                Some("`portcullis run --replace` starts with fresh maps: counters and rate state begin again".into())
            }
            Self::Load { errno, .. } | Self::Map { errno, .. } => match (*errno)? {
                libc::EPERM | libc::EACCES => Some(permission_hint(&missing_capabilities())),
                libc::ENOSPC | libc::E2BIG => Some("the table is full: remove entries or use wider prefixes".into()),
                libc::ENOMEM => {
                    Some("the kernel is out of memory for BPF maps: free memory or use fewer entries".into())
                }
                _ => None,
            },
            Self::NoInterface { .. } => Some(
                "`ip link` lists the interfaces of this host; `--force=interface` waits for one that is to come".into(),
            ),
            Self::Unfilterable { cause, .. } => Some(cause.hint()),
            Self::SameInterface { interface, other } => {
                Some(format!("take one of {interface} and {other} out of the configuration"))
            }
            Self::Attach { advice: Some(advice), .. } => Some(advice.clone()),
            Self::Attach { mode, errno, interface, .. } => attach_hint(interface, *mode, (*errno)?),
            Self::Foreign { interface, programs, .. } => {
                let ways: Vec<String> = programs.iter().map(|program| program.way_on(interface)).collect();
                Some(ways.join("; "))
            }
            Self::ModeChange { .. } => Some("restart portcullis to attach in another mode".into()),
            Self::Pin { path, error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Some(format!(
                "{} belongs to another user: run as that user, or `{MOUNT}` elsewhere, `chown` it to the user of the daemon and name a folder in it with --pin-directory",
                path.parent().unwrap_or(path).display()
            )),
            Self::Pin { .. } | Self::Swap { .. } => None,
        }
    }
}

/// What a process that lacks these capabilities does about a refusal.
fn permission_hint(missing: &[&str]) -> String {
    if missing.is_empty() {
        return "this process has all capabilities that it needs: a security module refuses, or the kernel is locked down; `dmesg` may say which".into();
    }
    format!("run as root, or with {}, which this process lacks", missing.join(", "))
}

/// What an error number means when attaching XDP (net/core/dev.c `dev_xdp_attach` and the drivers).
fn attach_hint(interface: &str, mode: AttachMode, errno: i32) -> Option<String> {
    let native = mode != AttachMode::Generic;
    match errno {
        libc::EOPNOTSUPP if native => Some(format!(
            "the driver of {interface} has no native XDP; set `mode = \"generic\"` (slower), or use another interface"
        )),
        libc::EBUSY => Some(format!(
            "another XDP program is on {interface}: `ip -details link show dev {interface}` names it; detach it first"
        )),
        libc::EEXIST => {
            Some(format!("a program is attached to {interface} in the other mode, native or generic; detach it first"))
        }
        libc::ERANGE | libc::EMSGSIZE => Some(format!(
            "the MTU of {interface} is too large for XDP in this driver: `ip link set dev {interface} mtu 1500`"
        )),
        libc::EINVAL => Some(format!(
            "the driver refuses the state of {interface}: switch off LRO and hardware GRO, `ethtool -K {interface} lro off rx-gro-hw off`, and look at `dmesg`"
        )),
        libc::ENOSPC => Some(format!(
            "the driver has too few queues for XDP: use fewer of them, `ethtool -L {interface} combined N`"
        )),
        libc::ENOMEM => Some(format!(
            "the kernel has no memory for the queues of {interface}: free some, or make them fewer, \
             `ethtool -L {interface} combined N`, or smaller, `ethtool -G {interface} rx N`; `dmesg` may say which"
        )),
        libc::EPERM | libc::EACCES => Some(permission_hint(&missing_capabilities())),
        _ => None,
    }
}

impl fmt::Display for DatapathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoObject => write!(f, "cannot load the packet program: this binary was built without it"),
            Self::Kernel { release, lacks, since: (major, minor) } => {
                write!(f, "cannot run on Linux {release}: it lacks {lacks}, which came with {major}.{minor}")
            }
            Self::NoBpffs { folder } => {
                write!(f, "cannot keep maps in {}: it is not on a BPF file system", folder.display())
            }
            Self::InUse { folder, holders } => {
                write!(f, "cannot use {}: another process holds it", folder.display())?;
                holders.iter().try_for_each(|holder| write!(f, ": {holder}"))
            }
            Self::Untrusted { path, fault } => write!(f, "cannot trust {}: {fault}", path.display()),
            Self::OtherVersion { folder, version, interfaces } => {
                let filters = match interfaces.join(", ") {
                    none if none.is_empty() => "it filters nothing".to_owned(),
                    interfaces => format!("it filters {interfaces}"),
                };
                write!(
                    f,
                    "cannot take over from a daemon with ABI version {version}, this one has {ABI_VERSION}: {} has its pins, {filters}",
                    folder.display()
                )
            }
            Self::PinnedMap { path, cause } => {
                write!(f, "cannot take over the pinned map {}: {cause}", path.display())
            }
            Self::Pin { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            Self::Load { cause, .. } => write!(f, "cannot load the packet program: {cause}"),
            Self::Map { what, cause, .. } => write!(f, "cannot {what}: {cause}"),
            Self::NoInterface { interface } => write!(f, "cannot attach to {interface}: there is no such interface"),
            Self::Attach { interface, mode, cause, .. } => {
                let mode = crate::policy::attach_label(*mode);
                write!(f, "cannot attach to {interface} in {mode} mode: {cause}")
            }
            Self::Unfilterable { interface, cause } => write!(f, "cannot filter {interface}: {cause}"),
            Self::SameInterface { interface, other } => {
                write!(f, "cannot attach to {interface}: it is {other} by another name, which is configured too")
            }
            Self::Foreign { interface, mode, programs } => {
                let mode = crate::policy::attach_label(*mode);
                let programs: Vec<String> =
                    programs.iter().map(|program| format!("{} is there: {program}", program.kind())).collect();
                write!(f, "cannot attach to {interface} in {mode} mode: {}", programs.join(", "))
            }
            Self::Swap { interface, cause } => {
                write!(f, "cannot swap the packet program on {interface}: {cause}")
            }
            Self::ModeChange { interface } => write!(f, "cannot change the attach mode of {interface} in a reload"),
        }?;
        if let Some(hint) = self.hint() {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DatapathError {}

/// The verifier says most in the last lines before its statistics.
fn program_cause(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return describe(error);
    };
    let log = verifier_log.to_string();
    let telling = log.lines().rev().find(|line| !line.trim().is_empty() && !is_statistics(line));
    match telling {
        Some(line) => format!("the verifier refused it: {} ({io_error})", line.trim()),
        None => format!("the kernel refused it: {io_error}"),
    }
}

/// What the verifier prints of every program, refused or not.
fn is_statistics(line: &str) -> bool {
    ["processed ", "stack depth ", "verification time "].iter().any(|start| line.starts_with(start))
}

/// An error and its causes in one line, each said once.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The error number at the end of a chain of causes.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            return io_error.raw_os_error();
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_without_memory_is_told_how_to_need_less() {
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        let hint = DatapathError::attach("eth0", AttachMode::Native, &error).hint().unwrap();
        assert!(hint.starts_with("the kernel has no memory for the queues of eth0: free some"), "{hint}");
    }

    #[test]
    fn nobody_is_told_to_get_what_he_has() {
        assert_eq!(permission_hint(&["CAP_BPF"]), "run as root, or with CAP_BPF, which this process lacks");
        assert!(!permission_hint(&[]).contains("CAP_"));
    }
}
