//! The filter of this host: the XDP program on its interfaces.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    AttachmentState, Attachments, CounterReader, DatapathError, Explainer, Filter, FilterReport, InterfaceChange,
    LoadOptions, LoadedPolicy, Names, PinFolder, Pinned, Presence, SharedMaps, TableError,
    adopt::adopt,
    counters::KernelCounters,
    drift::{Drift, LINK},
    explain::KernelExplainer,
    fitness,
};
use crate::{
    clock::Now,
    lists::members::Members,
    policy::{
        Policy, Prefix,
        compile::{Identities, Reused, compile},
    },
};

/// The XDP program with its tables, attached and pinned. Dropping it leaves the filter as it is.
pub struct KernelFilter {
    policy: Arc<Policy>,
    live: LoadedPolicy,
    ids: Arc<Identities>,
    names: Names,
    shared: SharedMaps,
    /// The same maps for those who only read.
    readable: Arc<SharedMaps>,
    attachments: Attachments,
    pins: PinFolder,
    drift: Drift,
    /// How often an interface was attached again.
    reattachments: BTreeMap<String, u64>,
    /// Instances that explain are loaded one at a time.
    explaining: Arc<Mutex<()>>,
    trace_packets: bool,
}

impl KernelFilter {
    /// Loads the program for `policy` and attaches it, in the place of what a daemon before this one left. Interfaces that are
    /// not there, or refuse, are waited for.
    ///
    /// # Errors
    /// When the kernel refuses the program, or every interface; nothing is attached then that was not before.
    pub fn start(
        policy: &Arc<Policy>,
        members: &Members,
        pins: PinFolder,
        trace_packets: bool,
    ) -> Result<Self, DatapathError> {
        adopt(&pins, members)?;
        let (mut names, mut ids) = Names::open(&pins)?;
        let reused = ids.assign(policy);
        let mut live = load(policy, &ids, members, &pins, trace_packets)?;
        let mut shared = SharedMaps::open(&pins)?;
        names.write(&ids, &reused)?;
        let mut attachments = Attachments::default();
        attachments.switch(&mut live, None, &policy.interfaces, &pins)?;
        shared.clear(&reused)?;
        names.write(&ids, &Reused::default())?;
        for Pinned { version, links, maps } in pins.clear_others()? {
            tracing::warn!(version, links = links.len(), maps = maps.len(), "removed the pins of another ABI version");
        }
        let readable = Arc::new(SharedMaps::open(&pins)?);
        let filter = Self {
            policy: Arc::clone(policy),
            live,
            ids: Arc::new(ids),
            names,
            shared,
            readable,
            attachments,
            pins,
            drift: Drift::new(),
            reattachments: BTreeMap::new(),
            explaining: Arc::default(),
            trace_packets,
        };
        filter.log_interfaces();
        Ok(filter)
    }

    /// Loads the policy in force anew and swaps it in: into larger tables, or with other indices of interfaces.
    fn reload(&mut self, members: &Members) -> Result<(), DatapathError> {
        let mut next = load(&self.policy, &self.ids, members, &self.pins, self.trace_packets)?;
        self.attachments.switch(&mut next, Some(&mut self.live), &self.policy.interfaces, &self.pins)?;
        self.live = next;
        Ok(())
    }

    /// What is to be done after a policy came into force, and cannot be refused any more.
    fn give_identifiers(&mut self, ids: Identities, reused: &Reused) {
        let done = self.shared.clear(reused).and_then(|()| self.names.write(&ids, &Reused::default()));
        if let Err(error) = done {
            tracing::error!("counters of new names may go on from those of old ones: {error}");
        }
        self.ids = Arc::new(ids);
    }

    fn log_interfaces(&self) {
        for (interface, attached) in self.attachments.interfaces() {
            let mode = crate::policy::attach_label(attached.mode);
            match &attached.presence {
                Presence::Attached => tracing::info!(interface, mode, ifindex = attached.ifindex, "filtering"),
                Presence::Missing => tracing::error!(interface, "is not there; it is filtered as soon as it is"),
                Presence::Refused(cause) => tracing::error!(interface, "is not filtered; trying again: {cause}"),
                Presence::Renamed(name) => tracing::warn!(interface, name, "has another name now and is filtered on"),
            }
        }
        fitness::warn_of_pairs(self.attachments.interfaces().keys().map(String::as_str));
    }

    /// Tells what became of an interface by itself; whether it has another index now.
    fn note(&mut self, interface: &str, change: InterfaceChange) -> bool {
        match change {
            InterfaceChange::Presence(Presence::Attached) => tracing::info!(interface, "is as configured again"),
            InterfaceChange::Presence(Presence::Missing) => {
                tracing::error!(interface, "is gone; it is filtered again as soon as it is back");
            }
            InterfaceChange::Presence(Presence::Renamed(name)) => {
                tracing::warn!(interface, name, "has another name now and is filtered on; change the configuration");
            }
            InterfaceChange::Presence(Presence::Refused(cause)) => {
                tracing::error!(interface, "is not filtered: {cause}");
            }
            InterfaceChange::Created => {
                tracing::warn!(interface, "was made anew, and is filtered again");
                self.count_reattachment(interface);
                return true;
            }
            InterfaceChange::Detached => {
                tracing::error!(interface, "somebody has detached the program; it is attached again");
                self.count_reattachment(interface);
                self.drift.count(LINK, 1);
            }
            InterfaceChange::Replaced(program) => {
                tracing::error!(interface, program, "somebody has put another program in our link; ours is back");
                self.count_reattachment(interface);
                self.drift.count(LINK, 1);
            }
        }
        false
    }

    fn count_reattachment(&mut self, interface: &str) {
        *self.reattachments.entry(interface.to_owned()).or_default() += 1;
    }
}

impl Filter for KernelFilter {
    fn admit(&self, policy: &Policy) -> Result<(), DatapathError> {
        for interface in &policy.interfaces {
            let attached = self.attachments.interfaces().get(&interface.name);
            if attached.is_none() {
                Attachments::index_of(&interface.name)?;
            }
            if attached.is_some_and(|attached| attached.configured != interface.mode) {
                return Err(DatapathError::ModeChange { interface: interface.name.clone() });
            }
        }
        // Of one that is known is told already when it cannot be filtered, and the others go on.
        fitness::require_new(&policy.interfaces, |name| self.attachments.interfaces().contains_key(name))
    }

    fn switch(&mut self, policy: &Arc<Policy>, members: &Members) -> Result<(), DatapathError> {
        let mut ids = Identities::clone(&self.ids);
        let reused = ids.assign(policy);
        let mut next = load(policy, &ids, members, &self.pins, self.trace_packets)?;
        // If the daemon dies halfway, no counter is ever shown under the wrong name.
        let switched = self
            .names
            .write(&ids, &reused)
            .and_then(|()| self.attachments.switch(&mut next, Some(&mut self.live), &policy.interfaces, &self.pins));
        if let Err(error) = switched {
            if let Err(error) = self.names.write(&self.ids, &Reused::default()) {
                tracing::error!("after the next start counters of this policy may begin anew: {error}");
            }
            return Err(error);
        }
        self.live = next;
        self.policy = Arc::clone(policy);
        self.give_identifiers(ids, &reused);
        self.log_interfaces();
        Ok(())
    }

    fn update(&mut self, members: &Members, prefixes: &mut dyn Iterator<Item = Prefix>) -> Result<(), DatapathError> {
        match self.live.update(members, prefixes) {
            Ok(()) => Ok(()),
            Err(TableError::Datapath(error)) => Err(error),
            Err(TableError::Full) => {
                self.reload(members)?;
                tracing::info!("moved the lists to a larger table");
                Ok(())
            }
        }
    }

    fn follow(&mut self, members: &Members) {
        let changes = self.attachments.follow(&mut self.live, &self.pins);
        let mut is_new = false;
        for (interface, change) in changes {
            is_new |= self.note(&interface, change);
        }
        // The program knows interfaces by their index, where there are several.
        let has_several = self.policy.interfaces.iter().any(|interface| self.ids.position(&interface.name) > 0);
        if is_new
            && has_several
            && let Err(error) = self.reload(members)
        {
            tracing::error!("packets of a new interface are counted for another one: {error}");
        }
    }

    fn look(&mut self, members: &Members, now: Now) -> bool {
        if !self.drift.left(now).is_zero() {
            return false;
        }
        match self.drift.next(now) {
            Some(step) => self.drift.look_at(&mut self.live, &step),
            None => {
                self.follow(members);
                self.drift.begin(self.live.steps(), self.policy.drift_interval, now);
                true
            }
        }
    }

    fn time_until_look(&self, now: Now) -> Duration {
        self.drift.left(now)
    }

    fn report(&self) -> FilterReport {
        let interfaces = self.attachments.interfaces().iter().map(|(name, attached)| AttachmentState {
            name: name.clone(),
            attached: attached.clone(),
            reattachments: self.reattachments.get(name).copied().unwrap_or_default(),
        });
        FilterReport {
            interfaces: interfaces.collect(),
            drift: self.drift.counters().clone(),
            list_tables: self.live.list_memory(),
        }
    }

    fn explainer(&self) -> Arc<dyn Explainer> {
        Arc::new(KernelExplainer::new(self.live.explanations(), &self.ids, &self.explaining))
    }

    fn counters(&self) -> Arc<dyn CounterReader> {
        let interfaces = self.policy.interfaces.iter().map(|interface| interface.name.clone()).collect();
        Arc::new(KernelCounters::new(Arc::clone(&self.readable), Arc::clone(&self.ids), interfaces))
    }
}

fn load(
    policy: &Policy,
    ids: &Identities,
    members: &Members,
    pins: &PinFolder,
    trace_packets: bool,
) -> Result<LoadedPolicy, DatapathError> {
    let mut interfaces = vec![0; firewall_common::abi::MAX_INTERFACES];
    for interface in &policy.interfaces {
        // One that is gone for now has no index.
        let index = Attachments::index_of(&interface.name).unwrap_or(0);
        if let Some(slot) = interfaces.get_mut(ids.position(&interface.name) as usize) {
            *slot = index;
        }
    }
    let options = LoadOptions { interfaces, trace_packets };
    let mut generation = LoadedPolicy::load(&compile(policy, ids), members, pins, &options)?;
    if trace_packets {
        generation.follow_trace();
    }
    Ok(generation)
}
