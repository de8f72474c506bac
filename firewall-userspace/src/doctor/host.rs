//! What all interfaces need.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    thread,
};

use nix::{sys::utsname::uname, unistd::geteuid};

use super::Check;
use crate::{
    datapath::{DEFAULT_PINS, MOUNT, PINS_VARIABLE, probe},
    host::{
        confinement::{Confinement, LandlockSupport},
        connections,
    },
    text::shown::counted,
};

const HOST: &str = "host";

/// Everything about the host.
pub fn checks() -> Vec<Check> {
    vec![kernel(), program(), capabilities(), features(), compiler(), bpffs(), landlock(), seccomp(), guard()]
}

/// Processors that may judge packets.
pub fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn kernel() -> Check {
    let release = uname().map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned());
    match probe::kernel() {
        Ok(()) => Check::ok(HOST, "kernel", release),
        Err(error) => {
            let text = error.to_string();
            let found = text.lines().next().unwrap_or_default();
            Check::fail(HOST, "kernel", found, error.hint().unwrap_or_default())
        }
    }
}

fn program() -> Check {
    if probe::has_program() {
        Check::ok(HOST, "program", "this binary carries the XDP program")
    } else {
        Check::fail(HOST, "program", "this binary was built without the XDP program", "cargo xtask build")
    }
}

fn capabilities() -> Check {
    let missing = probe::missing_capabilities();
    if missing.is_empty() {
        return Check::ok(HOST, "capabilities", probe::CAPABILITIES.map(|(_, name)| name).join(", "));
    }
    let fix = if geteuid().is_root() {
        format!("start the container or unit with {}", missing.join(" "))
    } else {
        "sudo portcullis doctor".to_owned()
    };
    Check::fail(HOST, "capabilities", format!("this process lacks {}", missing.join(", ")), fix)
}

fn features() -> Check {
    match probe::features() {
        Ok(()) => Check::ok(HOST, "BPF", "XDP programs and their maps can be made"),
        Err(found) => {
            let fix = format!("sudo portcullis doctor; if it says the same, {}", probe::newer_kernel());
            Check::fail(HOST, "BPF", found, fix)
        }
    }
}

fn compiler() -> Check {
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable") {
        Ok(text) if text.trim() == "0" => {
            Check::warn(HOST, "BPF JIT", "off: every packet is interpreted", "sysctl -w net.core.bpf_jit_enable=1")
        }
        Ok(_) => Check::ok(HOST, "BPF JIT", "on"),
        // The kernel shows it in the first network namespace only.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::ok(HOST, "BPF JIT", "not told in this network namespace")
        }
        Err(error) => {
            let found = format!("cannot read net.core.bpf_jit_enable: {error}");
            Check::warn(HOST, "BPF JIT", found, "sudo sysctl net.core.bpf_jit_enable")
        }
    }
}

/// The file system of the pin folder.
fn bpffs() -> Check {
    let pins = env::var_os(PINS_VARIABLE).map_or_else(|| PathBuf::from(DEFAULT_PINS), PathBuf::from);
    bpffs_of(&pins, probe::bpffs_of(&pins))
}

/// `found` is where it is mounted, and its permissions.
fn bpffs_of(pins: &Path, found: Option<(PathBuf, u32)>) -> Check {
    let Some((root, mode)) = found else {
        return Check::fail(HOST, "bpffs", format!("{} is on no BPF file system", pins.display()), MOUNT);
    };
    let told = format!("{} (mode {mode:04o})", root.display());
    let fix = format!("chmod 700 {}, and mount it by `{MOUNT}`", root.display());
    match (mode & 0o022, mode & 0o1000) {
        (0, _) => Check::ok(HOST, "bpffs", told),
        (_, 0) => Check::fail(HOST, "bpffs", format!("{told}: others may replace what is pinned there"), fix),
        _ => Check::warn(HOST, "bpffs", format!("{told}: others may make the pin folder first"), fix),
    }
}

/// Whether the daemon can confine what it does with files.
fn landlock() -> Check {
    let support = LandlockSupport::of_this_kernel();
    match (support, support.obstacle()) {
        (LandlockSupport::Version(version), _) => Check::ok(HOST, "Landlock", format!("ABI {version}")),
        (_, obstacle) => {
            let [found, fix] = obstacle.unwrap_or_default();
            Check::warn(HOST, "Landlock", format!("{found}: the daemon is not confined to its files"), fix)
        }
    }
}

/// Whether it can refuse itself system calls.
fn seccomp() -> Check {
    match Confinement::of_this_thread().has_filter {
        Some(_) => Check::ok(HOST, "seccomp", "system calls can be refused"),
        None => {
            let found = "the kernel has no seccomp: the daemon is not kept from any system call";
            Check::warn(HOST, "seccomp", found, "boot a kernel with CONFIG_SECCOMP_FILTER")
        }
    }
}

fn guard() -> Check {
    match connections::established(None) {
        Ok(found) => {
            let outgoing = found.iter().filter(|one| one.is_outgoing).count();
            let incoming = counted(found.len() - outgoing, "connection");
            Check::ok(HOST, "lock-out guard", format!("sees {incoming} to this host, and {outgoing} that it opened"))
        }
        Err(error) => {
            let found = format!("cannot list TCP connections, so they are not guarded: {error}");
            Check::warn(HOST, "lock-out guard", found, "modprobe tcp_diag")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_bpf_file_system_that_others_write_to_is_named() {
        let check = |mode| bpffs_of(Path::new(DEFAULT_PINS), Some(("/sys/fs/bpf".into(), mode)));
        assert_eq!(check(0o700).level, Level::Ok);
        assert_eq!(check(0o777).level, Level::Fail);
        let sticky = check(0o1777);
        assert_eq!(sticky.level, Level::Warn);
        assert_eq!(sticky.found, "/sys/fs/bpf (mode 1777): others may make the pin folder first");
        let fix = "chmod 700 /sys/fs/bpf, and mount it by `mount -t bpf -o mode=700 bpf /sys/fs/bpf`";
        assert_eq!(sticky.fix.as_deref(), Some(fix));
        assert_eq!(bpffs_of(Path::new(DEFAULT_PINS), None).fix.as_deref(), Some(MOUNT));
    }
}
