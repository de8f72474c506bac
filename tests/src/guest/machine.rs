//! The machine itself: file systems, modules, interfaces, and its end.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

use super::{PROTECTED, SENDER};
use crate::running::wait_until;

/// The port that the host listens to; the kernel has the first one for itself.
const PORT: &str = "/dev/ttyS1";

/// Where the host put modules, in the order of their names.
const MODULES: &str = "/modules";

/// `IFF_UP | IFF_BROADCAST | IFF_PROMISC | IFF_MULTICAST` of linux/if.h.
const FLAGS: &str = "0x1103";

/// How long a network card may take to appear.
const CARD_LIMIT: Duration = Duration::from_secs(10);

/// What the host booted.
pub(super) struct Machine {
    /// Release of the kernel.
    pub(super) release: String,
    /// Whether every variant is to be loaded, however long it takes.
    pub(super) wants_all: bool,
}

/// A word on the kernel's command line.
const ALL_VARIANTS: &str = "portcullis.variants=all";

/// Makes a machine of what the kernel left us.
pub(super) fn prepare() -> Result<Machine> {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp")] {
        mount_at(kind, place)?;
    }
    speak_to_host()?;
    mount_at("bpf", "/sys/fs/bpf")?;
    load_modules()?;
    // Nobody but us is to send a frame.
    for interfaces in ["all", "default"] {
        write(&format!("/proc/sys/net/ipv6/conf/{interfaces}/disable_ipv6"), "1")?;
    }
    for interface in [PROTECTED, SENDER] {
        let file = format!("/sys/class/net/{interface}/flags");
        let is_there = || Ok(Path::new(&file).exists().then_some(()));
        wait_until(&format!("{interface} in the machine"), CARD_LIMIT, is_there)?;
        write(&file, FLAGS)?;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release")?;
    let options = fs::read_to_string("/proc/cmdline").context("cannot read the kernel's command line")?;
    let wants_all = options.split_whitespace().any(|word| word == ALL_VARIANTS);
    Ok(Machine { release: release.trim().to_owned(), wants_all })
}

/// The end of the machine.
pub(super) fn power_off() -> ! {
    // SAFETY: reboot(2) reads no memory of ours.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
    // The kernel stops the machine when its first process ends, too.
    std::process::exit(1)
}

fn mount_at(kind: &str, place: &str) -> Result<()> {
    mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount {kind} on {place}"))
}

/// Standard output and error go to the host from here on.
fn speak_to_host() -> Result<()> {
    let port = OpenOptions::new().write(true).open(PORT).with_context(|| format!("cannot open {PORT}"))?;
    nix::unistd::dup2_stdout(&port).context("cannot redirect standard output")?;
    nix::unistd::dup2_stderr(&port).context("cannot redirect standard error")?;
    Ok(())
}

fn load_modules() -> Result<()> {
    let mut files: Vec<_> =
        fs::read_dir(MODULES).context("cannot list modules")?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().try_for_each(|file| {
        let attempt = || format!("cannot load the module {}", file.display());
        let module = File::open(file).with_context(attempt)?;
        // SAFETY: the descriptor is open until the call returns, which reads an empty string besides.
        let result = unsafe { libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), c"".as_ptr(), 0) };
        if result < 0 { Err(io::Error::last_os_error()).with_context(attempt) } else { Ok(()) }
    })
}

fn write(file: &str, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {text} to {file}"))
}
