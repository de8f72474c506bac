//! The state of the daemon.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Pending, SandboxStatus, Way};
use crate::{lists::entry::Layer, state::history::Generation};

/// The state of the daemon: the schema `portcullis.status/v1`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// Always `portcullis.status/v1`.
    pub schema: String,
    /// Version of the daemon.
    pub version: String,
    /// Revision of its sources; empty when an older daemon does not tell.
    #[serde(default)]
    pub source_revision: String,
    /// When the daemon started.
    pub started: Timestamp,
    /// Number of the last change, as older clients know it: the same as `revision`.
    pub generation: u64,
    /// Revision of the lists; grows when entries are added, refreshed, removed or end, and when the policy changes.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy: the revision that it made.
    #[serde(default)]
    pub policy_generation: u64,
    /// For how many milliseconds something has been under way that this does not show yet; 0: nothing is.
    #[serde(default)]
    pub age_ms: u64,
    /// What that is: `push`, `reload`, `chores`, ...; `None`: nothing is under way.
    #[serde(default)]
    pub doing: Option<String>,
    /// Lines of the log that could not be written, since the daemon started.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// `enforce` or `observe`; `none` while there is no policy.
    pub mode: String,
    /// The configuration file.
    #[schema(value_type = String)]
    pub config: PathBuf,
    /// Where metrics are served.
    #[schema(value_type = String)]
    pub admin_listen: SocketAddr,
    /// How the daemon is confined; `None` when it does not tell.
    #[serde(default)]
    pub sandbox: Option<SandboxStatus>,
    /// What the daemon knows of the time.
    #[serde(default)]
    pub clock: ClockStatus,
    /// The last reload.
    pub reload: ReloadStatus,
    /// The generation of the whole policy that is in force.
    pub policy: Option<Generation>,
    /// Whether the configuration file, as it was last read, says something else.
    pub differs_from_file: bool,
    /// What waits for a confirmation.
    pub pending: Option<Pending>,
    /// Changes that were undone because nobody confirmed them, since the daemon started.
    pub automatic_rollbacks: u64,
    /// Why what filters is not pinned, so that it would end with the daemon; `None` when it is.
    #[serde(default)]
    pub pin_failure: Option<String>,
    /// Interfaces of the policy.
    pub interfaces: Vec<InterfaceStatus>,
    /// Lists, by name.
    pub lists: Vec<ListStatus>,
    /// Services, by name.
    pub services: Vec<ServiceStatus>,
    /// What is not as it should be; nothing when all is well.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What goes through the filter; `None` when nobody filters, or it cannot be read.
    #[serde(default)]
    pub traffic: Option<TrafficStatus>,
    /// Why it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_failure: Option<String>,
}

/// What went through the filter since its counters began, which live on over restarts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct TrafficStatus {
    /// Over how many milliseconds, until now, rates are measured; `None`: there is nothing to compare with yet. Asking again after
    /// half a second helps.
    pub interval_ms: Option<u64>,
    /// Frames that passed by their verdict.
    pub passed: TrafficCounts,
    /// Frames that were dropped, or would have been where nothing but counting is done.
    pub dropped: TrafficCounts,
    /// By verdict: all of them, in the order of their numbers.
    pub reasons: Vec<ReasonTraffic>,
    /// By service, by name.
    pub services: Vec<ServiceTraffic>,
}

/// How much, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct TrafficCounts {
    /// Packets.
    pub packets: u64,
    /// Octets of their frames.
    pub bytes: u64,
    /// Packets a second.
    pub packets_per_second: Option<f64>,
    /// Octets a second.
    pub bytes_per_second: Option<f64>,
}

/// What had one verdict.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ReasonTraffic {
    /// The label of the verdict, as in metrics: `denied`.
    pub reason: String,
    /// `pass` or `drop`.
    pub verdict: String,
    /// How much.
    #[serde(flatten)]
    pub counts: TrafficCounts,
}

/// What went to one service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ServiceTraffic {
    /// Its name.
    pub service: String,
    /// What passed.
    pub passed: TrafficCounts,
    /// What was dropped, or would have been.
    pub dropped: TrafficCounts,
}

impl Status {
    /// Whether all that the policy asks for is enforced.
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().all(|condition| !condition.blocks)
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Condition {
    /// What kind: one of the constants.
    pub code: String,
    /// The daemon is not ready because of it.
    pub blocks: bool,
    /// In words.
    pub message: String,
}

impl Condition {
    /// Nothing is enforced.
    pub const NO_POLICY: &str = "no_policy";
    /// The configuration file is not in force, because it was refused.
    pub const NOT_THE_FILE: &str = "not_the_file";
    /// An interface is not filtered: it is not there, or refuses.
    pub const INTERFACE: &str = "interface";
    /// Pushes are refused.
    pub const PUSHES_REFUSED: &str = "pushes_refused";
    /// Generations of the policy are not kept.
    pub const HISTORY_REFUSED: &str = "history_refused";
    /// Changes are refused, because they cannot be recorded.
    pub const AUDIT_REFUSED: &str = "audit_refused";
    /// The audit log was not as it was left when this daemon started.
    pub const AUDIT_DAMAGED: &str = "audit_damaged";
    /// The policy names another state folder, API socket or admin port than the daemon has: a restart takes them.
    pub const RESTART: &str = "restart";
    /// A mode was set for a time, and ends by itself.
    pub const TEMPORARY_MODE: &str = "temporary_mode";
    /// An address of the API is not served: it is not there yet, or somebody else has it.
    pub const API_ADDRESS: &str = "api_address";
    /// Certificates or keys of the API are not those of the files, because those cannot be used.
    pub const API_CERTIFICATE: &str = "api_certificate";
    /// Every kind.
    pub const ALL: [&str; 11] = [
        Self::NO_POLICY,
        Self::NOT_THE_FILE,
        Self::INTERFACE,
        Self::PUSHES_REFUSED,
        Self::HISTORY_REFUSED,
        Self::AUDIT_REFUSED,
        Self::AUDIT_DAMAGED,
        Self::RESTART,
        Self::TEMPORARY_MODE,
        Self::API_ADDRESS,
        Self::API_CERTIFICATE,
    ];
}

/// What the daemon knows of the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ClockStatus {
    /// Whether the wall clock has been synchronised in this boot, and was not set since.
    pub synchronised: bool,
    /// Whether ends of entries that were pushed before this boot, or before the clock was set, are in doubt.
    pub in_doubt: bool,
    /// While they are: why.
    pub why: Option<String>,
    /// While they are: what is denied ends by this time.
    pub earliest: Option<Timestamp>,
    /// While they are: everything else ends by this time.
    pub latest: Option<Timestamp>,
}

/// How loading the configuration went.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ReloadStatus {
    /// Whether the last attempt succeeded.
    pub successful: bool,
    /// When the live configuration was loaded; `None` when none is live.
    pub last_success: Option<Timestamp>,
    /// Attempts that succeeded, the start included.
    pub successes: u64,
    /// Attempts that were refused.
    pub failures: u64,
    /// The same attempts by who asked for them.
    #[serde(default)]
    pub triggers: ReloadTally,
    /// Why the last attempt was refused.
    pub error: Option<String>,
}

/// Attempts to load the configuration by their triggers: `start`, `signal`, `api`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ReloadTally(BTreeMap<String, ReloadAttempts>);

/// Attempts of one trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ReloadAttempts {
    /// Those that succeeded.
    pub successes: u64,
    /// Those that were refused.
    pub failures: u64,
}

impl Default for ReloadTally {
    /// No attempt of any trigger.
    fn default() -> Self {
        Self(Way::ALL.map(|way| (way.trigger().to_owned(), ReloadAttempts::default())).into())
    }
}

impl ReloadTally {
    /// One attempt.
    pub fn of(way: Way, is_success: bool) -> Self {
        let mut tally = Self::default();
        tally.count(way, is_success);
        tally
    }

    /// Counts an attempt.
    pub fn count(&mut self, way: Way, is_success: bool) {
        let attempts = self.0.entry(way.trigger().to_owned()).or_default();
        attempts.successes += u64::from(is_success);
        attempts.failures += u64::from(!is_success);
    }

    /// All triggers with their attempts, by name.
    pub fn triggers(&self) -> impl Iterator<Item = (&str, ReloadAttempts)> {
        self.0.iter().map(|(trigger, attempts)| (trigger.as_str(), *attempts))
    }

    /// The attempts of all triggers.
    pub fn total(&self) -> ReloadAttempts {
        self.0.values().fold(ReloadAttempts::default(), |sum, one| ReloadAttempts {
            successes: sum.successes + one.successes,
            failures: sum.failures + one.failures,
        })
    }
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct InterfaceStatus {
    /// Its name in the configuration; the one that it has now when another interface has that name.
    pub name: String,
    /// The name that it was filtered by, when another interface has that name now.
    #[serde(default)]
    pub was: Option<String>,
    /// The name that it has now, when it is `renamed`.
    #[serde(default)]
    pub now: Option<String>,
    /// Its index; 0 when it was never there.
    pub ifindex: u32,
    /// `native` or `generic`: what it got.
    pub mode: String,
    /// `native`, `generic` or `auto`: what was asked.
    pub configured: String,
    /// `attached`, `missing`, `renamed` (and filtered), or `refused` (and not filtered).
    pub state: String,
    /// Why it is `refused`.
    #[serde(default)]
    pub cause: Option<String>,
    /// Whether it is filtered on when the daemon ends.
    #[serde(default = "yes")]
    pub pinned: bool,
    /// How often it was attached again since the daemon started: it was made anew, or somebody had detached it.
    pub reattachments: u64,
}

/// A daemon that does not tell pins everything.
const fn yes() -> bool {
    true
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// Entries by layer and family; only those that exist.
    pub entries: Vec<ListEntries>,
    /// Services that allow it.
    pub allowed_by: Vec<String>,
    /// Services that deny it.
    pub denied_by: Vec<String>,
}

/// How many entries a list has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListEntries {
    /// Their layer.
    pub layer: Layer,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// How many.
    pub count: u64,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Ports and ranges, as in the configuration.
    pub ports: Vec<String>,
    /// `enforce` or `observe`, by itself.
    pub mode: String,
    /// `enforce` or `observe`, as it is judged: where the whole policy observes, every service does. Empty when an older daemon does
    /// not tell.
    #[serde(default)]
    pub effective_mode: String,
}

impl ServiceStatus {
    /// Its mode as it is judged on a host with this mode.
    pub fn effective(&self, host: &str) -> &str {
        match &*self.effective_mode {
            "" if host == "observe" => "observe",
            "" => &self.mode,
            told => told,
        }
    }
}
