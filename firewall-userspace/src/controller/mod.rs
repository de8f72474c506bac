//! The one thread that owns the layers and the tables of the kernel.

mod begin;
mod confirm;
mod drift;
mod explain;
mod handle;
mod interfaces;
mod policy;
mod prepare;
mod push;
mod report;
mod snapshots;

pub use handle::{Controller, Message};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use firewall_common::abi::MAX_PREFIXES;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{
    clock::{Now, Watch, deadline::Deadline},
    control::Refusal,
    datapath::{
        self, Attachments, DatapathError, Generation, LoadOptions, Names, PinFolder, Pinned, Presence, SharedMaps,
        TableError,
    },
    lists::{
        layers,
        members::{Member, Members},
        pushed::Runtime,
    },
    policy::{
        Policy, Prefix,
        compile::{Identities, Reused, compile},
    },
    state::{
        disk::Folder,
        history::{History, start::Start},
        journal::Store,
    },
};

use self::{confirm::Waiting, drift::Drift, prepare::Candidate, push::check, snapshots::Snapshots};

/// The generations of the policy, in the state folder.
pub type PolicyHistory = History<Folder>;

/// What the controller starts from.
pub struct Setup {
    /// The configuration file, read again by a reload.
    pub config: PathBuf,
    /// The policy to begin with.
    pub start: Start,
    /// Where generations of the policy are kept.
    pub history: PolicyHistory,
    /// Where links and shared maps are pinned.
    pub pins: PinFolder,
    /// Addresses of this host.
    pub own: BTreeSet<Prefix>,
    /// Where pushes are kept.
    pub store: Store<Folder>,
    /// What was in it.
    pub runtime: Runtime,
    /// Log every packet.
    pub trace_packets: bool,
}

/// Owner of everything that a verdict depends on.
struct State {
    config: PathBuf,
    policy: Policy,
    ids: Identities,
    pins: PinFolder,
    own: BTreeSet<Prefix>,
    history: PolicyHistory,
    waiting: Option<Waiting>,
    push_deadline: Option<Deadline>,
    is_push_told: bool,
    automatic_rollbacks: u64,
    runtime: Runtime,
    store: Store<Folder>,
    snapshots: Snapshots,
    is_settled: bool,
    watch: Watch,
    members: Members,
    live: Generation,
    shared: SharedMaps,
    names: Names,
    attachments: Attachments,
    drift: Drift,
    /// How often an interface was attached again.
    reattachments: BTreeMap<String, u64>,
    trace_packets: bool,
    number: u64,
    started: Timestamp,
    loaded: Timestamp,
    reloads: Reloads,
}

/// How loading the configuration went.
struct Reloads {
    successes: u64,
    failures: u64,
    error: Option<String>,
}

/// Messages that wait for the controller.
const QUEUE: usize = 64;

/// Longest wait while entries have a time to live: the wall clock may be set forward.
const EXPIRY_TICK: Duration = Duration::from_secs(1);

/// Loads the first generation, attaches it and starts the controller's thread.
///
/// # Errors
/// When the kernel refuses; nothing is attached then that was not before.
pub fn start(setup: Setup) -> Result<(Controller, std::thread::JoinHandle<()>), DatapathError> {
    let mut state = State::new(setup)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new()
        .name("controller".into())
        .spawn(move || runtime.block_on(async { state.run(receiver).await }))
        .map_err(|error| DatapathError::Load {
            cause: format!("no thread to be had: {error}"),
            errno: error.raw_os_error(),
        })?;
    Ok((Controller::new(sender), thread))
}

impl State {
    fn new(setup: Setup) -> Result<Self, DatapathError> {
        let Setup { config, start, history, pins, own, store, runtime, trace_packets } = setup;
        let Start { policy, basis } = start;
        interfaces::require(&policy, &pins)?;
        let members = members(&policy, &runtime, &own);
        prepare::warn_at_start(&policy, &members);
        datapath::adopt(&pins, &members)?;
        let (mut names, mut ids) = Names::open(&pins)?;
        let reused = ids.assign(&policy);
        let mut live = load(&policy, &ids, &members, &pins, trace_packets)?;
        let mut shared = SharedMaps::open(&pins)?;
        names.write(&ids, &reused)?;
        let mut attachments = Attachments::default();
        attachments.switch(&mut live, None, &policy.interfaces, &pins)?;
        shared.clear(&reused)?;
        names.write(&ids, &Reused::default())?;
        for Pinned { version, links, maps } in pins.clear_others()? {
            tracing::warn!(version, links = links.len(), maps = maps.len(), "removed the pins of another ABI version");
        }
        let now = Timestamp::now();
        let mut state = Self {
            config,
            policy,
            ids,
            pins,
            own,
            history,
            waiting: None,
            push_deadline: store.provisional().map(|push| Deadline::resume(push.until, Now::read())),
            is_push_told: false,
            automatic_rollbacks: 0,
            runtime,
            store,
            snapshots: Snapshots::default(),
            is_settled: true,
            watch: Watch::new(),
            members,
            live,
            shared,
            names,
            attachments,
            drift: Drift::new(),
            reattachments: BTreeMap::new(),
            trace_packets,
            number: 1,
            started: now,
            loaded: now,
            reloads: Reloads { successes: 1, failures: 0, error: None },
        };
        state.begin(basis);
        state.log_interfaces();
        Ok(state)
    }

    async fn run(&mut self, mut messages: mpsc::Receiver<Message>) {
        let mut next = None;
        loop {
            self.follow_clock();
            self.undo_overdue();
            self.collect_snapshot();
            self.look_for_drift();
            let message = match next.take() {
                Some(message) => Some(message),
                None => match tokio::time::timeout(self.time_until_work(), messages.recv()).await {
                    Ok(message) => message,
                    Err(_) => {
                        self.follow_clock();
                        self.expire(Timestamp::now());
                        self.settle();
                        self.settle_history();
                        continue;
                    }
                },
            };
            match message {
                // A caller that has hung up does not want its answer: the sends below may fail.
                Some(Message::Push(push, reply)) => {
                    // Pushes that wait are kept by one write, and so wait for the disk only once.
                    let mut pushes = vec![(push, reply)];
                    while next.is_none()
                        && let Ok(message) = messages.try_recv()
                    {
                        match message {
                            Message::Push(push, reply) => pushes.push((push, reply)),
                            other => next = Some(other),
                        }
                    }
                    self.push_all(pushes);
                    self.take_snapshot();
                }
                Some(Message::Entries(query, reply)) => drop(reply.send(self.entries(&query))),
                Some(Message::Status(reply)) => drop(reply.send(self.status())),
                Some(Message::Policy(reply)) => drop(reply.send((self.number, self.policy.clone()))),
                Some(Message::Counters(reply)) => drop(reply.send(self.counters())),
                Some(Message::Explain(question, reply)) => drop(reply.send(self.explain(&question))),
                Some(Message::Reload(reload, reply)) => drop(reply.send(self.reload(&reload))),
                Some(Message::Apply(apply, reply)) => drop(reply.send(self.apply(apply))),
                Some(Message::Rollback(rollback, reply)) => drop(reply.send(self.rollback(&rollback))),
                Some(Message::SetMode(mode, reply)) => drop(reply.send(self.set_mode(&mode))),
                Some(Message::Confirm(confirm, reply)) => drop(reply.send(self.confirm(confirm))),
                Some(Message::History(reply)) => drop(reply.send(self.generations())),
                Some(Message::OwnAddresses(own)) => self.set_own(own),
                Some(Message::Interfaces) => self.follow_interfaces(),
                Some(Message::Stop(reply)) => {
                    self.settle();
                    self.settle_history();
                    self.snapshots.finish();
                    self.log_stop();
                    let _ = reply.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// How long nothing happens by itself.
    fn time_until_work(&self) -> Duration {
        let expiry = self.runtime.next_expiry().map(|expiry| {
            let left = expiry.duration_since(Timestamp::now());
            Duration::try_from(left).unwrap_or_default().min(EXPIRY_TICK)
        });
        let has_work = self.store.is_owing() || self.history.is_owing() || self.snapshots.is_running();
        // The wall clock, which ends a wait early, may be set forward.
        let deadline = self.time_until_deadline().map(|left| left.min(EXPIRY_TICK));
        let chores = [expiry, deadline, has_work.then_some(EXPIRY_TICK)];
        chores.into_iter().flatten().fold(self.drift.left(), Duration::min)
    }

    /// Brings the kernel in line with the layers for `prefixes`: all of them, or none.
    fn write_members(&mut self, prefixes: &BTreeSet<Prefix>) -> Result<(), Refusal> {
        let change = |prefix: &Prefix| {
            let member = layers::member_of(&self.policy, &self.runtime, &self.own, *prefix);
            (member != self.members.own_value(*prefix)).then_some((*prefix, member))
        };
        let changes: Vec<(Prefix, Member)> = prefixes.iter().filter_map(change).collect();
        let undo: Vec<(Prefix, Member)> =
            changes.iter().map(|(prefix, _)| (*prefix, self.members.own_value(*prefix))).collect();
        for (prefix, member) in &changes {
            self.members.set(*prefix, member.clone());
        }
        let result = self.update_tables(changes.iter().map(|(prefix, _)| *prefix));
        if result.is_err() {
            for (prefix, member) in &undo {
                self.members.set(*prefix, member.clone());
            }
            // A part of the change may be live. What cannot be taken back is said; a reload fills fresh tables.
            if let Err(error) = self.live.update(&self.members, undo.iter().map(|(prefix, _)| *prefix)) {
                tracing::error!(%error, "cannot undo a part of the change; reload to bring the tables in line");
            }
        }
        result
    }

    /// Brings the tables in line with the members, in a larger generation when they are full.
    fn update_tables(&mut self, prefixes: impl Iterator<Item = Prefix>) -> Result<(), Refusal> {
        let wanted = self.members.len().into_iter().max().unwrap_or(0);
        if wanted > MAX_PREFIXES as usize {
            return Err(Refusal::Full { wanted, capacity: MAX_PREFIXES as usize });
        }
        let fail = |error: DatapathError| Refusal::Datapath { message: error.to_string() };
        match self.live.update(&self.members, prefixes) {
            Ok(()) => Ok(()),
            Err(TableError::Datapath(error)) => Err(fail(error)),
            Err(TableError::Full) => {
                let mut next =
                    load(&self.policy, &self.ids, &self.members, &self.pins, self.trace_packets).map_err(fail)?;
                self.attachments
                    .switch(&mut next, Some(&mut self.live), &self.policy.interfaces, &self.pins)
                    .map_err(fail)?;
                self.live = next;
                tracing::info!("moved the lists to a larger table");
                Ok(())
            }
        }
    }

    fn set_own(&mut self, own: Vec<Prefix>) {
        let own: BTreeSet<Prefix> = own.into_iter().collect();
        let touched: BTreeSet<Prefix> = own.symmetric_difference(&self.own).copied().collect();
        let before = std::mem::replace(&mut self.own, own);
        match self.write_members(&touched) {
            Ok(()) => tracing::info!(addresses = self.own.len(), "the addresses of this host changed"),
            Err(refusal) => {
                tracing::error!(?refusal, "cannot refuse sources with the new addresses of this host");
                self.own = before;
            }
        }
    }

    /// Loads a generation for another policy beside the live one and swaps it in.
    fn switch_to(&mut self, Candidate { policy, members }: Candidate) -> Result<(), DatapathError> {
        let mut ids = self.ids.clone();
        let reused = ids.assign(&policy);
        let mut next = load(&policy, &ids, &members, &self.pins, self.trace_packets)?;
        // A daemon that dies in between leaves no counter to a name whose it is not.
        let switched = self
            .names
            .write(&ids, &reused)
            .and_then(|()| self.attachments.switch(&mut next, Some(&mut self.live), &policy.interfaces, &self.pins));
        if let Err(error) = switched {
            self.names.write(&self.ids, &Reused::default())?;
            return Err(error);
        }
        self.live = next;
        self.shared.clear(&reused)?;
        self.names.write(&ids, &Reused::default())?;
        let places = |policy: &Policy| (policy.admin_listen, policy.api_socket.clone(), policy.state.clone());
        if places(&policy) != places(&self.policy) {
            tracing::warn!("a new `admin.listen`, `api.socket` or `[state]` takes effect at the next start only");
        }
        for (list, entries) in self.runtime.lists() {
            if check::list_index(&policy, list).is_none() {
                tracing::warn!(%list, entries, "the list is gone from the configuration; its pushed entries wait for its return");
            }
        }
        self.policy = policy;
        self.ids = ids;
        self.members = members;
        Ok(())
    }

    /// The pins stay: only `portcullis detach` ends the filter.
    fn log_stop(&self) {
        let interfaces: Vec<&str> = self.attachments.interfaces().keys().map(String::as_str).collect();
        let interfaces = interfaces.join(", ");
        tracing::info!(interfaces, "stopped; the last policy goes on filtering until `portcullis detach`");
    }

    fn log_interfaces(&self) {
        for (interface, attached) in self.attachments.interfaces() {
            let mode = crate::policy::attach_label(attached.mode);
            match &attached.presence {
                Presence::Attached => tracing::info!(interface, mode, ifindex = attached.ifindex, "filtering"),
                other => tracing::warn!(interface, presence = other.label(), "not there as configured"),
            }
        }
    }
}

/// Everything that every prefix is in.
fn members(policy: &Policy, runtime: &Runtime, own: &BTreeSet<Prefix>) -> Members {
    Members::from_all(layers::all_members(policy, runtime, own))
}

fn load(
    policy: &Policy,
    ids: &Identities,
    members: &Members,
    pins: &PinFolder,
    trace_packets: bool,
) -> Result<Generation, DatapathError> {
    let mut interfaces = vec![0; firewall_common::abi::MAX_INTERFACES];
    for interface in &policy.interfaces {
        // One that is gone for now has no index.
        let index = Attachments::index_of(&interface.name).unwrap_or(0);
        if let Some(slot) = interfaces.get_mut(ids.position(&interface.name) as usize) {
            *slot = index;
        }
    }
    let options = LoadOptions { interfaces, trace_packets };
    let mut generation = Generation::load(&compile(policy, ids), members, pins, &options)?;
    if trace_packets {
        generation.follow_trace();
    }
    Ok(generation)
}
