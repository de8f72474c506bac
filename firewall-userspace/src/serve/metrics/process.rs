//! The metrics that every process has, from /proc/self (proc(5)).

use std::fs;

use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit},
    unistd::{SysconfVar, sysconf},
};

use super::family::Family;

/// What the kernel says about this process; `None` where /proc is not as expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    virtual_bytes: Option<f64>,
    resident_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

impl Process {
    /// Reads it all.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_seconds(&text));
        let positive = |variable| sysconf(variable).ok().flatten().filter(|&value| value > 0).map(|value| value as f64);
        let mut process = Self::default();
        if let (Some(ticks), Some(page)) = (positive(SysconfVar::CLK_TCK), positive(SysconfVar::PAGE_SIZE)) {
            process.read_stat(&stat, ticks, page, boot);
        }
        // One of them is the descriptor that reads the folder.
        process.open_fds = fs::read_dir("/proc/self/fd").ok().map(|all| all.count().saturating_sub(1) as f64);
        let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
        process.max_fds = limit.filter(|&soft| soft != RLIM_INFINITY).map(|soft| soft as f64);
        process
    }

    /// Fields are numbered as in proc_pid_stat(5), from 1; the second, a name in parentheses, may contain anything.
    fn read_stat(&mut self, stat: &str, ticks_per_second: f64, page_bytes: f64, boot_seconds: Option<f64>) {
        let Some((_, rest)) = stat.rsplit_once(") ") else { return };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let seconds = |number| field(number).map(|ticks| ticks / ticks_per_second);
        self.cpu_seconds = seconds(14).zip(seconds(15)).map(|(user, system)| user + system);
        self.start_seconds = boot_seconds.zip(seconds(22)).map(|(boot, since)| boot + since);
        self.virtual_bytes = field(23);
        self.resident_bytes = field(24).map(|pages| pages * page_bytes);
    }
}

/// The families of `process`, under the names that Prometheus client libraries share.
pub fn families(process: &Process) -> prometheus::Result<Vec<Family>> {
    let help = "User and system CPU time spent, in seconds.";
    let cpu = (Family::counter("process_cpu_seconds_total", help, &[])?, process.cpu_seconds);
    let gauges = [
        ("process_start_time_seconds", "Start of the process in seconds since 1970.", process.start_seconds),
        ("process_virtual_memory_bytes", "Virtual memory in bytes.", process.virtual_bytes),
        ("process_resident_memory_bytes", "Resident memory in bytes.", process.resident_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "Most open file descriptors.", process.max_fds),
    ];
    let mut families = vec![cpu];
    for (name, help, value) in gauges {
        families.push((Family::gauge(name, help, &[])?, value));
    }
    Ok(families.into_iter().filter_map(|(family, value)| Some(family.with(value?))).collect())
}

fn boot_seconds(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1000 4096000 25 18446744073709551615 1";
        let mut process = Process::default();
        process.read_stat(stat, 100.0, 4096.0, Some(1_000_000.0));
        let wanted = Process {
            cpu_seconds: Some(2.0),
            start_seconds: Some(1_000_010.0),
            virtual_bytes: Some(4_096_000.0),
            resident_bytes: Some(102_400.0),
            ..Process::default()
        };
        assert_eq!(process, wanted);
    }

    #[test]
    fn everything_is_known_about_this_process() {
        let process = Process::read();
        for value in [process.start_seconds, process.virtual_bytes, process.resident_bytes, process.open_fds] {
            assert!(value.is_some_and(|value| value > 0.0), "{process:?}");
        }
        assert!(process.cpu_seconds.is_some(), "{process:?}");
    }

    #[test]
    fn an_empty_stat_leaves_everything_unknown() {
        let mut process = Process::default();
        process.read_stat("", 100.0, 4096.0, None);
        assert_eq!(process, Process::default());
    }
}
