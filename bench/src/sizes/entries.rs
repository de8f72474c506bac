//! Very many entries: pushed, replaced, listed and kept, with pushes of one entry meanwhile.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
    fs::File,
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, Site, command_line},
    lab::Lab,
    random::Random,
    trial::binary,
};
use serde::{Deserialize, Serialize};

use super::pusher::{PushWaits, Pusher, forget_peak, memory_mib};
use crate::{cases::short, interrupt};

/// What very many entries took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncTimes {
    /// Entries of the list.
    pub entries: usize,
    /// Pushes beside nothing, before there are entries.
    pub idle: PushWaits,
    /// The same once there are.
    pub idle_with: PushWaits,
    /// What was done, in turn.
    pub stages: Vec<SyncStage>,
}

/// One thing that was done with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncStage {
    /// In words.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// The most memory of the daemon since its start, in MiB; since the beginning of this where `before_mib` says what it was then.
    pub peak_mib: f64,
    /// Its memory at the beginning, in MiB, where the peak is compared with that.
    pub before_mib: Option<f64>,
    /// Pushes meanwhile, where the daemon ran all the time.
    pub pushes: Option<PushWaits>,
}

/// What the configuration has besides when it is loaded again.
const OTHER_SERVICE: &str = "[services.other]\nprotocol = \"tcp\"\nports = [8443]\ndeny = [\"blocked\"]\n";

/// Between two pushes.
const PAUSE: Duration = Duration::from_millis(2);

/// How long pushes beside nothing go on.
const IDLE: Duration = Duration::from_secs(4);

impl fmt::Display for SyncTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sizes/{}: idle pushes p99 {:.1} ms, ", short(self.entries), self.idle.p99_ms)?;
        write!(f, "with the entries {:.1} ms", self.idle_with.p99_ms)?;
        for SyncStage { name, seconds, peak_mib, before_mib, pushes } in &self.stages {
            write!(f, "\n  {name}: {seconds:.1} s, at most {peak_mib:.0} MiB")?;
            if let Some(before) = before_mib {
                write!(f, " after {before:.0} MiB")?;
            }
            if let Some(pushes) = pushes {
                let PushWaits { count, p50_ms, p99_ms, most_ms, .. } = pushes;
                write!(f, ", {count} pushes: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, most {most_ms:.0} ms")?;
            }
        }
        Ok(())
    }
}

/// Pushes, replaces and lists them, kills the daemon and starts it again.
///
/// # Errors
/// When something is refused, or entries are missing.
pub fn measure(entries: usize, seed: u64) -> Result<SyncTimes> {
    let lab = Lab::new()?;
    let first = lab.trial.write("first.txt", &addresses(entries, seed))?;
    let second = lab.trial.write("second.txt", &addresses(entries, seed + 1))?;
    let mut daemon = super::start(&lab)?;
    let site = Site::of(&lab.trial);
    let pusher = Pusher::new(&site.socket);
    let rest = || {
        thread::sleep(IDLE);
        interrupt::check()
    };
    let ((), idle) = pusher.beside(PAUSE, rest)?;
    let mut stages = Vec::new();
    let mut stage = |name: &str, daemon: &Daemon<'_>, work: &dyn Fn() -> Result<()>| {
        interrupt::check()?;
        let begin = Instant::now();
        let (seconds, pushes) = pusher.beside(PAUSE, || work().map(|()| begin.elapsed().as_secs_f64()))?;
        let peak_mib = memory_mib(daemon.pid(), "VmHWM")?;
        stages.push(SyncStage { name: name.to_owned(), seconds, peak_mib, before_mib: None, pushes: Some(pushes) });
        anyhow::Ok(())
    };
    stage("pushed", &daemon, &|| replace(&site.socket, &first))?;
    let ((), idle_with) = pusher.beside(PAUSE, rest)?;
    stage("replaced", &daemon, &|| replace(&site.socket, &second))?;
    stage("listed", &daemon, &|| list(&lab, &site.socket, entries))?;
    stages.push(reload(&daemon, &site, &pusher)?);
    daemon.kill()?;
    super::forget_log(&lab)?;
    drop(daemon);
    let begin = Instant::now();
    let again = super::ready(Daemon::launch(&lab, site.clone())?)?;
    let (seconds, peak_mib) = (begin.elapsed().as_secs_f64(), memory_mib(again.pid(), "VmHWM")?);
    stages.push(SyncStage { name: "started again".to_owned(), seconds, peak_mib, before_mib: None, pushes: None });
    list(&lab, &site.socket, entries).context("after the restart")?;
    let said = command_line(&site.socket, &["status"])?;
    ensure!(said.code == 0, "no status after the restart: {}", said.stderr);
    Ok(SyncTimes { entries, idle, idle_with, stages })
}

/// Loads a configuration that differs, with all entries.
fn reload(daemon: &Daemon<'_>, site: &Site, pusher: &Pusher<'_>) -> Result<SyncStage> {
    interrupt::check()?;
    site.configure(&format!("{}{OTHER_SERVICE}", super::POLICY))?;
    forget_peak(daemon.pid())?;
    let before_mib = Some(memory_mib(daemon.pid(), "VmRSS")?);
    let begin = Instant::now();
    let (seconds, pushes) = pusher.beside(PAUSE, || {
        let said = command_line(&site.socket, &["reload"])?;
        ensure!(said.code == 0, "the configuration was refused: {}", said.stderr);
        Ok(begin.elapsed().as_secs_f64())
    })?;
    let peak_mib = memory_mib(daemon.pid(), "VmHWM")?;
    Ok(SyncStage { name: "reloaded".to_owned(), seconds, peak_mib, before_mib, pushes: Some(pushes) })
}

fn replace(socket: &Path, file: &Path) -> Result<()> {
    let file = file.to_string_lossy();
    let said = command_line(socket, &["deny", "replace", "blocked", "--force", "--file", &file])?;
    ensure!(said.code == 0, "the entries were refused: {}", said.stderr);
    Ok(())
}

/// Exports all, and counts them: those that were pushed one by one meanwhile are among them.
fn list(lab: &Lab, socket: &Path, entries: usize) -> Result<()> {
    let path = lab.trial.folder().join("export.jsonl");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut command = Command::new(binary()?);
    command.arg("--socket").arg(socket).args(["deny", "list", "blocked", "--export"]);
    let status = command.stdin(Stdio::null()).stdout(file).status().context("cannot list")?;
    ensure!(status.success(), "the list was refused: {status}");
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let lines = BufReader::new(file).split(b'\n').count();
    ensure!(lines >= entries, "the list has {lines} lines of {entries} entries");
    Ok(())
}

/// As many different random addresses, one a line.
fn addresses(count: usize, seed: u64) -> String {
    let mut random = Random::part(seed, 5);
    let mut seen = HashSet::with_capacity(count);
    let mut text = String::with_capacity(count * 16);
    while seen.len() < count {
        let address = Ipv4Addr::from(random.number() as u32);
        let [first, ..] = address.octets();
        // What a list of sources cannot have, the addresses of the lab, and those that are pushed one by one.
        if matches!(first, 0 | 10 | 127 | 192 | 224..) || !seen.insert(address) {
            continue;
        }
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{address}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_different_and_the_same_for_a_seed() {
        let text = addresses(1000, 7);
        assert_eq!(text, addresses(1000, 7));
        assert_ne!(text, addresses(1000, 8));
        assert_eq!(text.lines().collect::<HashSet<_>>().len(), 1000);
        assert!(!text.lines().any(|line| line.starts_with("10.") || line.starts_with("192.")));
    }
}
