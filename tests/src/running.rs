//! A program that runs as long as its guard.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::trial::Trial;

/// How long a program may take to end when asked.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at something that will change.
const PAUSE: Duration = Duration::from_millis(10);

/// A running program whose output goes to a file, and from there to the output of the test when the guard goes.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
}

impl Running {
    /// Starts it; `name` is that of its log.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(trial: &Trial, name: &str, mut command: Command) -> Result<Self> {
        let log = trial.folder().join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let again = file.try_clone().with_context(|| format!("cannot share {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, ended: None, log })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(self.ended)
    }

    /// An error when it has ended.
    ///
    /// # Errors
    /// That one, with its log.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.log()),
            None => Ok(()),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.must_run()?;
        // The child is not waited for yet, so its number still means it.
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended in time.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        wait_until(&format!("the end of {}", self.name), limit, || self.ended())
    }

    /// Ends it as the kernel would when memory is short.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait(STOP_LIMIT).map(drop)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            let _ = self.signal(Signal::SIGTERM);
            if self.wait(STOP_LIMIT).is_err() {
                println!("{} did not end when asked", self.name);
                let _ = self.kill();
            }
        }
        println!("---- {} wrote:\n{}----", self.name, self.log());
    }
}

/// Looks again and again until there is something.
///
/// # Errors
/// When there is nothing in time.
pub fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what}: nothing within {} s", limit.as_secs_f64());
        }
        thread::sleep(PAUSE);
    }
}
