//! The daemon under test, in the namespace of the host.
//!
//! In: a policy, or a site where files are already. Out: a process that is ready, what it says by every way, and its end. Owner: the test,
//! with whose `Daemon` the process goes.

mod said;
mod site;

use std::{
    net::SocketAddr,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

pub use self::{
    said::{Said, command_line, said},
    site::Site,
};
use crate::{
    lab::Lab,
    running::{Running, STOP_LIMIT, wait_until},
    scrape::{Answer, Metrics, Packets, get},
    traffic::RawSocket,
    trial::binary,
};

/// How long a daemon may take to be ready, to reload or to be refused; the machine may be busy with other things.
pub const LIMIT: Duration = Duration::from_secs(20);

/// How long the counters may take to show a packet.
pub const COUNT_LIMIT: Duration = Duration::from_secs(5);

/// Where it serves metrics unless its configuration says otherwise.
pub const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 9191);

/// A running `portcullis run`, stopped when this goes.
#[derive(Debug)]
pub struct Daemon<'a> {
    lab: &'a Lab,
    running: Running,
    site: Site,
}

impl<'a> Daemon<'a> {
    /// Starts it with this policy and waits until it is ready.
    ///
    /// # Errors
    /// When it is not ready in time; its log is part of the error.
    pub fn start(lab: &'a Lab, policy: &str) -> Result<Self> {
        let site = Site::of(&lab.trial);
        site.configure(policy)?;
        Self::start_at(lab, site)
    }

    /// Starts it with files that are there already.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_at(lab: &'a Lab, site: Site) -> Result<Self> {
        let command = site.command(&lab.host)?;
        Self::start_by(lab, site, command)
    }

    /// Starts it by this command, which may be another build's or have more arguments.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_by(lab: &'a Lab, site: Site, command: Command) -> Result<Self> {
        let running = Running::start(&lab.trial, "portcullis", command)?;
        let mut daemon = Self { lab, running, site };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn launch(lab: &'a Lab, site: Site) -> Result<Self> {
        let running = Running::start(&lab.trial, "portcullis", site.command(&lab.host)?)?;
        Ok(Self { lab, running, site })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it is not in time; its log is part of the error.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let ready = wait_until("a daemon that is ready", LIMIT, || {
            self.running.must_run()?;
            Ok(self.get("/readyz").ok().filter(|answer| answer.status == 200).map(drop))
        });
        ready.with_context(|| self.log())
    }

    /// Where its files are.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Runs `portcullis` against it.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        command_line(&self.site.socket, arguments)
    }

    /// Runs `portcullis` against it as somebody who sits at the other end of this `SSH_CONNECTION`.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn cli_over_ssh(&self, connection: &str, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new(binary()?);
        command.env("SSH_CONNECTION", connection).arg("--socket").arg(&self.site.socket);
        said(command.args(arguments).stdin(Stdio::null()))
    }

    /// Runs `portcullis` against it and gives what it prints.
    ///
    /// # Errors
    /// When its exit code is not 0.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let said = self.cli(arguments)?;
        ensure!(said.code == 0, "`portcullis {}` failed: {said:?}", arguments.join(" "));
        Ok(said.stdout)
    }

    /// Its state, as JSON.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.ok(&["status", "-o", "json"])?)?)
    }

    /// Whether its controller is at this job, and has been for a moment.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn is_doing(&self, job: &str) -> Result<bool> {
        let status = self.status()?;
        Ok(status["doing"] == job && status["age_ms"].as_u64() > Some(0))
    }

    /// Waits until that is so.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_until_doing(&self, job: &str) -> Result<()> {
        wait_until(&format!("a controller at `{job}`"), LIMIT, || Ok(self.is_doing(job)?.then_some(())))
    }

    /// Waits until what a start keeps is on disk, and its controller is at nothing: what waits for the disk after that is what
    /// somebody asks for, and no chore.
    ///
    /// # Errors
    /// When it is not so in time.
    pub fn wait_until_kept(&self) -> Result<()> {
        let are_kept = || ["clock", "history"].iter().all(|name| self.site.state.join(name).exists());
        wait_until(
            "a start that is kept",
            LIMIT,
            || Ok((are_kept() && self.status()?["doing"].is_null()).then_some(())),
        )
    }

    /// Name and state of each interface.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn interface_states(&self) -> Result<Vec<(String, String)>> {
        let status = self.status()?;
        let interfaces = status["interfaces"].as_array().context("the status has no interfaces")?.iter();
        let word = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        Ok(interfaces.map(|one| (word(one, "name"), word(one, "state"))).collect())
    }

    /// State of the interface of this name; `None` when it tells of none.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn interface_state(&self, name: &str) -> Result<Option<String>> {
        Ok(self.interface_states()?.into_iter().find(|(one, _)| one == name).map(|(_, state)| state))
    }

    /// Generation of its policy.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn generation(&self) -> Result<u64> {
        self.status()?["generation"].as_u64().context("the status has no generation")
    }

    /// Asks its admin listener, as a scraper on the host would.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(&self.lab.host, SocketAddr::from(ADMIN), path)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = self.get("/metrics")?;
        ensure!(answer.status == 200, "{answer:?}");
        Metrics::parse(&answer.body)
    }

    /// Sends a frame from the peer: its verdict as the counters tell it, such as `ipv4 drop denied`.
    ///
    /// # Errors
    /// When no counter moves, or more than one.
    pub fn verdict_of(&self, frame: &[u8]) -> Result<String> {
        let before = self.metrics()?;
        RawSocket::open(&self.lab.peer)?.send(frame)?;
        let moved = wait_until("a counter that moves", COUNT_LIMIT, || {
            Ok(Some(self.metrics()?.packets_since(&before)).filter(|moved| !moved.is_empty()))
        })?;
        match moved.iter().next() {
            Some((verdict, 1)) if moved.len() == 1 => Ok(verdict.clone()),
            _ => bail!("one frame moved {moved:?}"),
        }
    }

    /// Packets judged since `before`, once they are at least `count`.
    ///
    /// # Errors
    /// When they are fewer after a while.
    pub fn judged(&self, before: &Metrics, count: u64) -> Result<Packets> {
        let mut last = Packets::new();
        let judged = wait_until("packets that are judged", COUNT_LIMIT, || {
            last = self.metrics()?.packets_since(before);
            Ok((last.values().sum::<u64>() >= count).then(|| last.clone()))
        });
        judged.with_context(|| format!("{count} packets were sent; {last:?} were counted"))
    }

    /// Sends SIGHUP and waits until the reload has happened, or was refused.
    ///
    /// # Errors
    /// When nothing happens in time.
    pub fn reload(&mut self) -> Result<()> {
        let reloads = |metrics: &Metrics| metrics.count("portcullis_config_reloads_total", &[]);
        let before = reloads(&self.metrics()?);
        self.running.signal(Signal::SIGHUP)?;
        wait_until("a reload", LIMIT, || Ok((reloads(&self.metrics()?) > before).then_some(())))
    }

    /// Sends SIGTERM: its exit code has to be 0.
    ///
    /// # Errors
    /// When it is another, or nothing happens in time.
    pub fn stop(&mut self) -> Result<()> {
        self.running.signal(Signal::SIGTERM)?;
        let status: ExitStatus = self.running.wait(STOP_LIMIT)?;
        ensure!(status.success(), "the daemon ended with {status}:\n{}", self.log());
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended in time.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.running.wait(STOP_LIMIT)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Kills it, so that it cannot clean up.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.running.kill()
    }

    /// An error when it has ended.
    ///
    /// # Errors
    /// That one.
    pub fn must_run(&mut self) -> Result<()> {
        self.running.must_run()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.running.log()
    }
}

/// Time that `work` takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}
