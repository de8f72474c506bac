//! Network namespaces, gone when their guards go.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};

use crate::trial::{NAMESPACES, Trial};

/// A network namespace of a test.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes it, with loopback up, and silent: no duplicate address detection to wait for, no router to look for.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn create(trial: &Trial, part: &str) -> Result<Self> {
        let name = trial.name(part);
        output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        for interfaces in ["all", "default"] {
            for setting in ["accept_dad", "accept_ra", "router_solicitations"] {
                namespace.set(&format!("net/ipv6/conf/{interfaces}/{setting}"), "0")?;
            }
        }
        namespace.ip("link set dev lo up")?;
        Ok(namespace)
    }

    /// Its name in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }

    /// Runs `ip` with these words in it, and gives what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn ip(&self, words: &str) -> Result<String> {
        self.enter(|| output(Command::new("ip").args(words.split_whitespace())))?
    }

    /// Sets a variable of the kernel, such as `net/ipv4/ip_forward`, for this namespace.
    ///
    /// # Errors
    /// When there is no such variable.
    pub fn set(&self, variable: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(variable);
        self.enter(|| fs::write(&path, value).with_context(|| format!("cannot write {value} to {}", path.display())))?
    }

    /// A command that runs in it, and ends with the thread that starts it. `ip netns exec` would also change the view
    /// of /sys, and hide the BPF file system.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display()));
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Calls `work` on a thread inside it: sockets made there belong to it for good.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            self.enter_for_good()?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("a thread in {} panicked", self.name))?
    }

    /// Moves the thread that calls into it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter_for_good(&self) -> Result<()> {
        let file = File::open(self.path()).with_context(|| format!("cannot open the namespace {}", self.name))?;
        setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter the namespace {}", self.name))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = output(Command::new("ip").args(["netns", "delete", &self.name])) {
            println!("cannot remove the namespace {}: {error:#}", self.name);
        }
    }
}

/// Runs a command to its end and gives what it prints.
///
/// # Errors
/// When it cannot be run or fails; what it said is part of the error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
