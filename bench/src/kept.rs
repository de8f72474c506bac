//! Pushed entries that are kept: one push of very many, and a start that reads them again.

use std::{fmt, time::Instant};

use anyhow::{Result, ensure};
use firewall_common::Verdict;
use firewall_tests::{
    daemon::{Site, command_line, timed},
    lab::{Lab, STRANGER4},
    running::Running,
};
use serde::{Deserialize, Serialize};

use crate::{cases::short, effort::Effort, frame::Family, interrupt, load::Probe, prefixes::Prefixes, rounds::Sample};

/// Times for one number of entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Entries that were pushed.
    pub entries: usize,
    /// Seconds of `portcullis allow add --file` with all of them.
    pub push_s: Sample,
    /// Seconds from the start of a daemon, on a host where nothing is filtered, until a frame was judged by one of them.
    pub restart_s: Sample,
}

/// Entries that are pushed.
const ENTRIES: usize = 100_000;

const ROUNDS: usize = 3;

const POLICY: &str = "[lists.members]\n[services.api]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"members\"]\n";

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (push, restart) = (self.push_s.median(), self.restart_s.median());
        write!(f, "kept/{}  push {push:.2} s, restart {restart:.2} s", short(self.entries))
    }
}

/// Times pushes and restarts in turn.
///
/// # Errors
/// When something is refused, or does not happen in time.
pub fn measure(effort: Effort) -> Result<Kept> {
    let prefixes = Prefixes::new(Family::V4, ENTRIES, effort.seed);
    let mut kept = Kept { entries: ENTRIES, push_s: Sample::default(), restart_s: Sample::default() };
    for _ in 0..ROUNDS {
        interrupt::check()?;
        let lab = Lab::new()?;
        // The stranger is the last of them: what accepts it is the whole push.
        let file = lab.trial.write("many.txt", &format!("{}{STRANGER4}\n", prefixes.text()))?;
        let site = Site::of(&lab.trial);
        site.configure(POLICY)?;
        let probe = Probe::new(&lab, Family::V4, STRANGER4)?;
        let mut running = Running::start(&lab.trial, "portcullis", site.command(&lab.host)?)?;
        probe.wait(&site, Verdict::NotAllowed, &mut running)?;
        let push = || command_line(&site.socket, &["allow", "add", "members", "--file", &file.to_string_lossy()]);
        let (said, time) = timed(push);
        let said = said?;
        ensure!(said.code == 0, "the push was refused: {}", said.stderr);
        kept.push_s.push(time.as_secs_f64());

        running.kill()?;
        let said = site.detach(&[])?;
        ensure!(said.code == 0, "cannot detach: {}", said.stderr);
        let command = site.command(&lab.host)?;
        let begin = Instant::now();
        let mut running = Running::start(&lab.trial, "again", command)?;
        probe.wait(&site, Verdict::Accepted, &mut running)?;
        kept.restart_s.push(begin.elapsed().as_secs_f64());
        running.kill()?;
        site.detach(&[])?;
    }
    Ok(kept)
}
