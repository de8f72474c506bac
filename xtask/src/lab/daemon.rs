//! A program that runs as long as its guard.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::process::{show, warn};

/// How long it may take to end when asked.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A running program whose output goes to a file.
pub struct Daemon {
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
}

impl Daemon {
    /// Starts it, out of reach of the terminal's Ctrl-C: it is stopped by us, in order.
    pub fn start(name: &'static str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let again = file.try_clone().with_context(|| format!("cannot share {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(again).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run `{}`", show(&command)))?;
        Ok(Self { name, child, ended: None, log })
    }

    /// An error when it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        }
        match self.ended {
            Some(status) => bail!("{} ended ({status}); its log ends with\n{}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    /// Asks it to end, and makes it end when it does not. Tells how it ended.
    pub fn stop(&mut self) -> Result<String> {
        if let Some(status) = self.ended {
            return Ok(status.to_string());
        }
        // The child is not waited for yet, so its number still means it.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).with_context(|| format!("cannot stop {}", self.name))?;
        let end = Instant::now() + STOP_LIMIT;
        let mut forced = "";
        let status = loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))? {
                break status;
            }
            if Instant::now() >= end && forced.is_empty() {
                forced = ", killed after 5 s without an end";
                kill(pid, Signal::SIGKILL).with_context(|| format!("cannot kill {}", self.name))?;
            }
            thread::sleep(Duration::from_millis(5));
        };
        self.ended = Some(status);
        Ok(format!("{status}{forced}"))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        if text.is_empty() {
            return "(it wrote nothing)".to_owned();
        }
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Name and number of its process.
    pub fn process(&self) -> (&'static str, u32) {
        (self.name, self.child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            warn(&format!("{error:#}"));
        }
    }
}
