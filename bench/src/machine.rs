//! What the figures were measured on.

use std::{fs, thread};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The machine, as far as it makes figures what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// CPUs of the machine.
    pub cpus: usize,
    /// Who runs it, when it is virtual.
    pub hypervisor: Option<String>,
    /// Release of the kernel.
    pub kernel: String,
    /// Interrupts of the timer a second.
    pub hz: Option<u32>,
    /// `net.core.bpf_jit_harden`.
    pub jit_harden: Option<String>,
    /// Mitigations of the CPU's weaknesses, those that are in force.
    pub mitigations: Vec<String>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Load average of the last minute, when measuring began.
    pub load: String,
    /// Day on which measuring began, UTC.
    pub date: String,
}

impl Machine {
    /// This one. What cannot be read is left empty: it is told, not used.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let cpu = read("/proc/cpuinfo");
        let part = |name| field(&cpu, name).unwrap_or_else(|| "?".to_owned());
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Self {
            cpu: format!("{} (family {}, model {})", part("model name"), part("cpu family"), part("model")),
            cpus: thread::available_parallelism().map_or(0, usize::from),
            hypervisor: hypervisor(&cpu, &read("/sys/class/dmi/id/sys_vendor")),
            kernel: read("/proc/sys/kernel/osrelease"),
            hz: hz(),
            jit_harden: Some(read("/proc/sys/net/core/bpf_jit_harden")).filter(|text| !text.is_empty()),
            mitigations: mitigations(),
            memory_mib: kib / 1024,
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

fn hypervisor(cpu: &str, vendor: &str) -> Option<String> {
    let is_virtual = cpu.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    is_virtual.then(|| if vendor.is_empty() { "virtual".to_owned() } else { format!("virtual, {vendor}") })
}

/// From the configuration of the kernel; its interrupt rate cannot be asked for.
fn hz() -> Option<u32> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let plain = fs::read_to_string(format!("/boot/config-{}", release.trim()));
    let text = plain.or_else(|_| {
        let output = std::process::Command::new("zcat").arg("/proc/config.gz").output()?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    text.ok()?.lines().find_map(|line| line.strip_prefix("CONFIG_HZ=")?.trim().parse().ok())
}

fn mitigations() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Vec::new();
    };
    let told = entries.flatten().filter_map(|entry| {
        let says = fs::read_to_string(entry.path()).ok()?;
        let says = says.trim().strip_prefix("Mitigation: ")?.to_owned();
        Some(format!("{}: {says}", entry.file_name().to_string_lossy()))
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}
