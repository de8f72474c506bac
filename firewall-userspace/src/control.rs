//! What can be asked of the controller, and how it answers.
//!
//! One thread owns the layers and the tables ([`crate::controller`]); everybody else holds a [`Controller`] and sends it
//! messages, so changes from files, pushes and timers come one after the other.

mod policies;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use firewall_common::{Family, Verdict, abi::Count};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use policies::{
    Apply, Confirm, Confirmed, Generations, Pending, PendingChange, Reload, Reloaded, Rollback, SetMode,
};

use crate::{
    connections::Connection,
    explain::{Explained, Question},
    guard::Harm,
    history::Generation,
    policy::{AttachMode, Mode, Name, Policy, Prefix},
};

/// A handle on the controller; cheap to clone.
#[derive(Clone, Debug)]
pub struct Controller {
    messages: mpsc::Sender<Message>,
}

/// One question and where its answer goes.
#[derive(Debug)]
pub enum Message {
    /// See [`Controller::push`].
    Push(Push, oneshot::Sender<Result<Pushed, Refusal>>),
    /// See [`Controller::entries`].
    Entries(EntriesQuery, oneshot::Sender<Result<Page, Refusal>>),
    /// See [`Controller::status`].
    Status(oneshot::Sender<Status>),
    /// See [`Controller::policy`].
    Policy(oneshot::Sender<(u64, Policy)>),
    /// See [`Controller::counters`].
    Counters(oneshot::Sender<Result<Counters, Refusal>>),
    /// See [`Controller::explain`].
    Explain(Question, oneshot::Sender<Result<Explained, Refusal>>),
    /// See [`Controller::reload`].
    Reload(Reload, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::apply`].
    Apply(Apply, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::rollback`].
    Rollback(Rollback, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::set_mode`].
    SetMode(SetMode, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::confirm`].
    Confirm(Confirm, oneshot::Sender<Result<Confirmed, Refusal>>),
    /// See [`Controller::history`].
    History(oneshot::Sender<Generations>),
    /// The addresses of this host and the broadcast addresses of its subnets, as netlink knows them now.
    OwnAddresses(Vec<Prefix>),
    /// Interfaces may have come, gone or changed.
    Interfaces,
    /// See [`Controller::stop`].
    Stop(oneshot::Sender<()>),
}

/// A batch of changes of one layer: all of it happens, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// `allow` or `deny`: the batch is refused when a list has the opposite meaning in every service that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// Whose entries they are; any layer but that of the configuration.
    #[serde(default = "runtime", skip_serializing_if = "is_runtime")]
    pub layer: Layer,
    /// Lists of which the layer is to hold what is in `add` and nothing else of the same owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<String>,
    /// Entries to add; adding an entry again refreshes its comment and its time to live.
    #[serde(default)]
    pub add: Vec<Addition>,
    /// Entries to remove from the layer.
    #[serde(default)]
    pub remove: Vec<Removal>,
    /// Only say what would happen.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Do it whatever it would hurt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Undo it after this time, such as `60s`, unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// The connection through which the caller sits at this host: it must not be cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Connection>,
    /// Who pushes, from the credentials of the connection; never from the request.
    #[serde(skip)]
    pub owner: String,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            verb: None,
            layer: Layer::Runtime,
            replace: Vec::new(),
            add: Vec::new(),
            remove: Vec::new(),
            dry_run: false,
            force: false,
            confirm: None,
            caller: None,
            owner: String::new(),
        }
    }
}

const fn runtime() -> Layer {
    Layer::Runtime
}

fn is_runtime(layer: &Layer) -> bool {
    *layer == Layer::Runtime
}

/// What the caller takes the lists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Lists that admit.
    Allow,
    /// Lists that deny.
    Deny,
}

/// One entry to add, as written by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Name of a list.
    pub list: String,
    /// A prefix or a bare address.
    pub prefix: String,
    /// Time to live, such as `1h30m`; absent: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One entry to remove, as written by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Name of a list.
    pub list: String,
    /// A prefix or a bare address.
    pub prefix: String,
}

/// A push that happened: every packet judged after this reply, on any CPU, meets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pushed {
    /// Generation of the policy after the push; unchanged when nothing changed.
    pub generation: u64,
    /// Entries that are new in the layer.
    pub added: usize,
    /// Entries that are gone from the layer.
    pub removed: usize,
    /// Entries that were already so; a refreshed entry is among them.
    pub unchanged: usize,
    /// What the caller should know: entries that another layer still holds, lists that no service uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Nothing was changed: this is what would be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// With `dry_run`: what would happen to each entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// It waits for a confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
}

/// What a push does to one entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Change {
    /// Its list.
    pub list: String,
    /// Its prefix.
    pub prefix: Prefix,
    /// What happens.
    pub change: ChangeKind,
}

/// What happens to an entry of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is there already and gets a new time to live and comment.
    Refreshed,
    /// It goes.
    Removed,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Why the controller did not do what it was asked. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is wrong; every problem is named.
    Invalid(Vec<Problem>),
    /// The verb and the use of a list contradict each other.
    WrongVerb {
        /// The list.
        list: String,
        /// What the caller took it for.
        verb: Verb,
    },
    /// There would be more entries than the tables hold.
    Full {
        /// Prefixes of one family after the change.
        wanted: usize,
        /// Most prefixes of one family.
        capacity: usize,
    },
    /// The new configuration is wrong; the rendered report says where. The old policy goes on.
    Config {
        /// Number of errors.
        errors: usize,
        /// The report, as `portcullis check` prints it.
        report: String,
    },
    /// The change cannot be kept over a restart, so it did not happen.
    NotKept {
        /// What was attempted, on what, and why it failed, with its hint.
        message: String,
    },
    /// The kernel refused; what had been written was undone.
    Datapath {
        /// What was attempted, on what, and why it failed, with its hint.
        message: String,
    },
    /// It would hurt, and the caller does not insist.
    Guarded(Vec<Harm>),
    /// Another change waits for a confirmation.
    Pending(Box<Pending>),
    /// Nothing waits for a confirmation.
    NothingPending {
        /// What became of what did, when that is known.
        why: Option<String>,
    },
    /// There is no such generation to go back to.
    NoGeneration {
        /// The one that was asked for; `None`: one before the live one.
        wanted: Option<u64>,
        /// Those that are kept.
        kept: Vec<u64>,
    },
    /// The daemon is stopping.
    Stopping,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => {
                let all: Vec<String> =
                    problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.detail)).collect();
                f.write_str(&all.join("; "))
            }
            Self::WrongVerb { list, verb } => match verb {
                Verb::Allow => write!(f, "the list `{list}` denies: its entries are not let in but kept out"),
                Verb::Deny => write!(f, "the list `{list}` allows: its entries are not kept out but let in"),
            },
            Self::Full { wanted, capacity } => {
                write!(f, "there would be {wanted} prefixes of one family and the table holds {capacity}")
            }
            Self::Config { errors, report } => {
                write!(f, "{}\n{report}", crate::config::counted(*errors, "error"))
            }
            Self::Datapath { message } | Self::NotKept { message } => f.write_str(message),
            Self::Guarded(harms) => {
                let harms: Vec<String> = harms.iter().map(Harm::to_string).collect();
                write!(f, "{}\nhint: `--force` does it all the same", harms.join("; "))
            }
            Self::Pending(pending) => write!(
                f,
                "{} waits for a confirmation for {} s more, and only one change can\nhint: `portcullis confirm` keeps it, \
                 `portcullis rollback` undoes it",
                pending.name(),
                pending.seconds_left
            ),
            Self::NothingPending { why } => {
                f.write_str("nothing waits for a confirmation")?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::NoGeneration { wanted, kept } => {
                match wanted {
                    Some(wanted) => write!(f, "there is no generation {wanted} to go back to")?,
                    None => f.write_str("there is no generation before this one to go back to")?,
                }
                let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
                write!(f, "; kept are {}", kept.join(", "))
            }
            Self::Stopping => f.write_str("the daemon is stopping"),
        }
    }
}

impl std::error::Error for Refusal {}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the request, such as `/add/3/prefix`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Which entries are asked for. There may be millions, so nobody gets all of them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntriesQuery {
    /// Only those of this list.
    pub list: Option<String>,
    /// Only those behind this one.
    pub after: Option<Position>,
}

/// Some entries, in their order. An entry that is there all the time is on exactly one page, whatever changes meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Generation they belong to.
    pub generation: u64,
    /// At most [`Page::MOST`].
    pub entries: Vec<Entry>,
    /// The last of them, when there may be more behind it.
    pub next: Option<Position>,
}

impl Page {
    /// Most entries of a page.
    pub const MOST: usize = 1000;
}

/// Where an entry is in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its list.
    pub list: String,
    /// Its prefix.
    pub prefix: Prefix,
    /// Its layer.
    pub layer: Layer,
}

/// Entries of the lists: the schema `portcullis.entries/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entries {
    /// Always `portcullis.entries/v1`.
    pub schema: String,
    /// Generation they belong to.
    pub generation: u64,
    /// Ordered by list, prefix and layer.
    pub entries: Vec<Entry>,
}

/// One entry of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// Name of its list.
    pub list: String,
    /// Its prefix.
    pub prefix: String,
    /// Who owns it.
    pub layer: Layer,
    /// Who added it.
    pub owner: String,
    /// For people.
    pub comment: Option<String>,
    /// When it was added.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// A source of entries. A change of one layer never touches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The configuration and its list files.
    Config,
    /// Pushes by hand.
    Runtime,
    /// Lists that others publish.
    Feed,
    /// What the hosts of a fleet share.
    Fleet,
    /// Sources that something has found to misbehave.
    Ban,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 5] = [Self::Config, Self::Runtime, Self::Feed, Self::Fleet, Self::Ban];
    /// The first in order.
    pub const FIRST: Self = Self::Config;
    /// The last in order.
    pub const LAST: Self = Self::Ban;

    /// Its name, also the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Runtime => "runtime",
            Self::Feed => "feed",
            Self::Fleet => "fleet",
            Self::Ban => "ban",
        }
    }
}

/// The state of the daemon: the schema `portcullis.status/v1`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Status {
    /// Always `portcullis.status/v1`.
    pub schema: String,
    /// Version of the daemon.
    pub version: String,
    /// When the daemon started.
    pub started: Timestamp,
    /// Generation of the policy; grows with every change.
    pub generation: u64,
    /// `enforce` or `observe`.
    pub mode: String,
    /// The configuration file.
    pub config: PathBuf,
    /// Where metrics are served.
    pub admin_listen: SocketAddr,
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
    /// Attached interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// Lists, by name.
    pub lists: Vec<ListStatus>,
    /// Services, by name.
    pub services: Vec<ServiceStatus>,
}

/// How loading the configuration went.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ReloadStatus {
    /// Whether the last attempt succeeded.
    pub successful: bool,
    /// When the live configuration was loaded.
    pub last_success: Timestamp,
    /// Attempts that succeeded, the start included.
    pub successes: u64,
    /// Attempts that were refused.
    pub failures: u64,
    /// Why the last attempt was refused.
    pub error: Option<String>,
}

/// One attached interface.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// `native` or `generic`: what it got.
    pub mode: String,
    /// `native`, `generic` or `auto`: what was asked.
    pub configured: String,
    /// `attached`, `missing`, `renamed` (and filtered), or `refused` (and not filtered).
    pub state: String,
    /// How often it was attached again since the daemon started: it was made anew, or somebody had detached it.
    pub reattachments: u64,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ListEntries {
    /// Their layer.
    pub layer: Layer,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// How many.
    pub count: u64,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Ports and ranges, as in the configuration.
    pub ports: Vec<String>,
    /// `enforce` or `observe`, by itself.
    pub mode: String,
}

/// The counters of the data plane, summed over CPUs. They live on over reloads and never go back.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// By interface name, family and verdict; every combination of a configured interface is there.
    pub verdicts: BTreeMap<(String, u8, Verdict), Count>,
    /// By service name: passed, dropped.
    pub services: BTreeMap<String, [Count; 2]>,
    /// By limit name: conforming, exceeding.
    pub limits: BTreeMap<String, [Count; 2]>,
    /// Newcomers to the rate tables by what became of them.
    pub newcomers: BTreeMap<&'static str, u64>,
    /// By list, layer and family.
    pub list_entries: BTreeMap<(String, Layer, &'static str), u64>,
    /// Octets of the list tables: in use, and reserved.
    pub list_tables: [u64; 2],
    /// How keeping what is pushed went.
    pub store: StoreCounters,
    /// How comparing the kernel with what was written to it went.
    pub drift: DriftCounters,
}

/// How comparing the kernel with what was written to it went, since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftCounters {
    /// Entries that were wrong in the last whole check.
    pub entries: u64,
    /// Whole checks.
    pub checks: u64,
    /// Tables that could not be read or put right.
    pub failures: u64,
    /// Entries that were put right, by table; `link` is that of the program on an interface.
    pub repairs: BTreeMap<&'static str, u64>,
}

/// How keeping what is pushed went, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Changes that were not kept, because the disk refused.
    pub failures: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// Snapshots that were not.
    pub snapshot_failures: u64,
    /// Octets of the journal.
    pub journal_octets: u64,
}

impl Counters {
    /// The family of a key of `verdicts`.
    pub fn family(key: u8) -> Family {
        Family::ALL.into_iter().find(|family| *family as u8 == key).unwrap_or(Family::Other)
    }
}

impl Controller {
    /// A handle that sends into `messages`.
    pub fn new(messages: mpsc::Sender<Message>) -> Self {
        Self { messages }
    }

    /// Changes one layer: all of the batch, or nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn push(&self, push: Push) -> Result<Pushed, Refusal> {
        self.ask(|reply| Message::Push(push, reply)).await?
    }

    /// The next entries of one list or of all.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for an unknown list.
    pub async fn entries(&self, query: EntriesQuery) -> Result<Page, Refusal> {
        self.ask(|reply| Message::Entries(query, reply)).await?
    }

    /// The state of the daemon.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Message::Status).await
    }

    /// The live policy and its generation.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn policy(&self) -> Result<(u64, Policy), Refusal> {
        self.ask(Message::Policy).await
    }

    /// The counters of the data plane.
    ///
    /// # Errors
    /// [`Refusal::Datapath`] when a map cannot be read.
    pub async fn counters(&self) -> Result<Counters, Refusal> {
        self.ask(Message::Counters).await?
    }

    /// What would become of a packet now. Nothing changes by it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] and [`Refusal::Datapath`].
    pub async fn explain(&self, question: Question) -> Result<Explained, Refusal> {
        self.ask(|reply| Message::Explain(question, reply)).await?
    }

    /// Loads the configuration anew: all of it, or nothing. Runtime entries stay.
    ///
    /// # Errors
    /// [`Refusal::Config`], [`Refusal::Guarded`] and [`Refusal::Datapath`]; the old policy goes on.
    pub async fn reload(&self, reload: Reload) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Reload(reload, reply)).await?
    }

    /// Makes another configuration the policy: all of it, or nothing. Runtime entries stay.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), [`Refusal::NotKept`] and [`Refusal::Pending`].
    pub async fn apply(&self, apply: Apply) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Apply(apply, reply)).await?
    }

    /// Brings a generation back, as a new one.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), and [`Refusal::NoGeneration`].
    pub async fn rollback(&self, rollback: Rollback) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Rollback(rollback, reply)).await?
    }

    /// Gives the policy another mode, as a new generation.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub async fn set_mode(&self, mode: SetMode) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::SetMode(mode, reply)).await?
    }

    /// Keeps what waits for a confirmation.
    ///
    /// # Errors
    /// [`Refusal::NothingPending`] and [`Refusal::NotKept`]; it waits on then.
    pub async fn confirm(&self, confirm: Confirm) -> Result<Confirmed, Refusal> {
        self.ask(|reply| Message::Confirm(confirm, reply)).await?
    }

    /// The generations that are kept.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn history(&self) -> Result<Generations, Refusal> {
        self.ask(Message::History).await
    }

    /// Tells the controller the addresses of this host.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn own_addresses(&self, prefixes: Vec<Prefix>) -> Result<(), Refusal> {
        self.messages.send(Message::OwnAddresses(prefixes)).await.map_err(|_| Refusal::Stopping)
    }

    /// Tells the controller to look at its interfaces.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn interfaces(&self) -> Result<(), Refusal> {
        self.messages.send(Message::Interfaces).await.map_err(|_| Refusal::Stopping)
    }

    /// Ends the controller; the last policy goes on filtering.
    pub async fn stop(&self) {
        let _ = self.ask(Message::Stop).await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)
    }
}

/// Label of an attach mode in status, metrics and logs.
pub const fn attach_label(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Native => "native",
        AttachMode::Generic => "generic",
        AttachMode::Auto => "auto",
    }
}

/// Label of a mode in status and logs.
pub const fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

/// The list names of a policy, for messages.
pub(crate) fn known_lists<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
