//! A network namespace, gone when the guard goes.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::process::{self, find_program};

/// Where `ip netns` keeps them.
pub const FOLDER: &str = "/run/netns";

/// A network namespace made by this process.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, with the loopback interface up and without addresses that appear by themselves.
    pub fn create(name: String) -> Result<Self> {
        process::output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        // No duplicate address detection to wait for, no router to look for: the counters should show the demo only.
        let quiet = "cd /proc/sys/net/ipv6/conf; for c in all default; do echo 0 >$c/accept_dad; echo 0 >$c/accept_ra; \
                     echo 0 >$c/router_solicitations; done";
        process::output(namespace.command("sh")?.args(["-c", quiet]))?;
        namespace.ip(&["link", "set", "dev", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `ip` on it.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        process::output(self.command("ip")?.args(arguments))
    }

    /// A command that runs in it, and ends with the thread that starts it. `ip netns exec` would also change the view
    /// of /sys, and hide the BPF file system.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let program = program.as_ref();
        let path = match program.to_str().filter(|name| !name.contains('/')) {
            Some(name) => find_program(name).with_context(|| format!("`{name}` is not installed"))?,
            None => PathBuf::from(program),
        };
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .args(["--", "setpriv", "--pdeathsig", "TERM", "--"])
            .arg(path);
        Ok(command)
    }

    /// Calls `work` on a thread inside it: sockets made there belong to it for good.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            let file = File::open(self.path()).with_context(|| format!("cannot open the namespace {}", self.name))?;
            setns(file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("cannot enter the namespace {}", self.name))?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("a thread in {} panicked", self.name))?
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = process::output(Command::new("ip").args(["netns", "delete", &self.name])) {
            process::warn(&format!("cannot remove the namespace {}: {error:#}", self.name));
        }
    }
}
