//! What all interfaces need.

use std::{fs, io, thread};

use nix::{
    sys::{
        statfs::{BPF_FS_MAGIC, statfs},
        utsname::uname,
    },
    unistd::geteuid,
};

use super::Check;
use crate::{datapath::probe, host::connections};

const HOST: &str = "host";

/// Where the BPF file system belongs.
const BPFFS: &str = "/sys/fs/bpf";

/// Capabilities that the daemon needs, with their bits (include/uapi/linux/capability.h).
const CAPABILITIES: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Everything about the host.
pub fn checks() -> Vec<Check> {
    vec![kernel(), program(), capabilities(), features(), compiler(), bpffs(), guard()]
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
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        return Check::ok(HOST, "capabilities", CAPABILITIES.map(|(_, name)| name).join(", "));
    }
    let fix = if geteuid().is_root() {
        format!("start the container or unit with {}", missing.join(" "))
    } else {
        "sudo portcullis doctor".to_owned()
    };
    Check::fail(HOST, "capabilities", format!("this process lacks {}", missing.join(", ")), fix)
}

/// What the line `CapEff` of /proc/PID/status lacks (proc(5)).
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

fn features() -> Check {
    match probe::features() {
        Ok(()) => Check::ok(HOST, "BPF", "XDP programs and their maps can be made"),
        Err(found) => {
            Check::fail(HOST, "BPF", found, "sudo portcullis doctor; if it says the same, boot Linux 6.1 or later")
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

fn bpffs() -> Check {
    if statfs(BPFFS).is_ok_and(|status| status.filesystem_type() == BPF_FS_MAGIC) {
        Check::ok(HOST, "bpffs", BPFFS)
    } else {
        Check::fail(HOST, "bpffs", format!("no BPF file system on {BPFFS}"), format!("mount -t bpf bpf {BPFFS}"))
    }
}

fn guard() -> Check {
    match connections::inbound() {
        Ok(found) => Check::ok(HOST, "lock-out guard", format!("sees {} connections to this host", found.len())),
        Err(error) => {
            let found = format!("cannot list TCP connections, so they are not guarded: {error}");
            Check::warn(HOST, "lock-out guard", found, "modprobe tcp_diag")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        let status = |effective: &str| format!("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n");
        assert_eq!(missing_capabilities(&status("000001ffffffffff")), [""; 0]);
        assert_eq!(missing_capabilities(&status("000000c000001000")), [""; 0]);
        assert_eq!(missing_capabilities(&status("0000000000001000")), ["CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_capabilities("").len(), 3);
    }
}
