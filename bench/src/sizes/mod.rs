//! Sizes of the control plane.
//!
//! - In: how many entries a sync has.
//! - Out: times, rates, octets and memory beside two million entries, thirty thousand established connections, and bad
//!   requests as large as they may be.
//! - Owner: each part has a daemon of its own, in namespaces that go with it.

mod answers;
mod connections;
mod entries;
mod holder;
mod pusher;

use std::{fs, io::ErrorKind};

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::Lab,
    running::wait_until,
};
use serde::{Deserialize, Serialize};

pub use self::{
    answers::BadAnswer,
    connections::GuardedRates,
    entries::{SyncStage, SyncTimes},
    holder::{Held, hold},
};
use crate::effort::Effort;

/// What the control plane came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sizes {
    /// Very many entries.
    pub entries: SyncTimes,
    /// Very many established connections.
    pub connections: GuardedRates,
    /// Bad requests.
    pub answers: Vec<BadAnswer>,
}

/// Entries of a sync.
const WHOLE_ENTRIES: usize = 2_000_000;
const QUICK_ENTRIES: usize = 100_000;

/// Connections to the service.
const WHOLE_CONNECTIONS: usize = 30_000;
const QUICK_CONNECTIONS: usize = 3_000;

/// A list that one service denies.
const POLICY: &str = "[policy]\nmanagement = [\"192.0.2.4\"]\n[lists.blocked]\n\
    [services.web]\nprotocol = \"tcp\"\nports = [443]\ndeny = [\"blocked\"]\n";

/// Measures all of them, one after the other; `entries` is how many a sync has, when somebody says.
///
/// # Errors
/// When a daemon does not start, or refuses what it must take.
pub fn measure(effort: Effort, entries: Option<usize>) -> Result<Sizes> {
    let is_quick = effort == Effort::QUICK;
    let (usual, connections) =
        if is_quick { (QUICK_ENTRIES, QUICK_CONNECTIONS) } else { (WHOLE_ENTRIES, WHOLE_CONNECTIONS) };
    let connections = connections::measure(connections).context("with established connections")?;
    eprintln!("{connections}");
    let answers = answers::measure().context("with bad requests")?;
    answers.iter().for_each(|answer| eprintln!("{answer}"));
    let entries = entries::measure(entries.unwrap_or(usual), effort.seed).context("with very many entries")?;
    eprintln!("{entries}");
    Ok(Sizes { entries, connections, answers })
}

/// A daemon with the policy of all parts, ready.
fn start(lab: &Lab) -> Result<Daemon<'_>> {
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let daemon = Daemon::launch(lab, site)?;
    ready(daemon)
}

/// Waits longer than tests do: two million entries are read at a start.
fn ready(mut daemon: Daemon<'_>) -> Result<Daemon<'_>> {
    let waited = wait_until("a daemon that is ready", pusher::PATIENCE, || {
        daemon.must_run()?;
        Ok(daemon.get("/readyz").ok().filter(|answer| answer.status == 200).map(drop))
    });
    waited.with_context(|| daemon.log())?;
    Ok(daemon)
}

/// Removes what a daemon has logged so far, which is a line for each push. What fails before that is told with its log.
fn forget_log(lab: &Lab) -> Result<()> {
    let path = lab.trial.folder().join("portcullis.log");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
