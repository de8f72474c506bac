//! The capabilities of this process, of those that the daemon needs.
//!
//! In: /proc/self/status. Out: what is missing, so that nobody is told to get what he has. To open a program, link or map by
//! its identifier takes one more, `CAP_SYS_ADMIN` (kernel/bpf/syscall.c), and is for descriptions only.

use std::fs;

/// Capabilities that the daemon needs and no others, with their bits (include/uapi/linux/capability.h).
pub const CAPABILITIES: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Those that this process lacks.
pub fn missing_capabilities() -> Vec<&'static str> {
    missing_in(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// What the line `CapEff` of /proc/PID/status lacks (proc(5)).
fn missing_in(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        let status = |effective: &str| format!("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n");
        assert_eq!(missing_in(&status("000001ffffffffff")), [""; 0]);
        assert_eq!(missing_in(&status("000000c000001000")), [""; 0]);
        assert_eq!(missing_in(&status("0000000000001000")), ["CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_in("").len(), 3);
    }
}
