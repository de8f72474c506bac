//! The filter of this host: the XDP program on its interfaces.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Attachments, CounterReader, DatapathError, Explainer, Filter, FilterReport, LoadOptions, LoadedPolicy, Names,
    PinFolder, Pinned, Presence, SharedMaps, TableError, Unwilling, Upkeep,
    adopt::adopt,
    counters::KernelCounters,
    drift::{Drift, LINK, PIN},
    explain::KernelExplainer,
    fitness,
    upkeep::Upheld,
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
    /// Where it is attached, and where that is pinned.
    upheld: Arc<Upheld>,
    /// The indices by which the program knows its interfaces.
    indices: Vec<u32>,
    drift: Drift,
    /// Instances that explain are loaded one at a time.
    explaining: Arc<Mutex<()>>,
    trace_packets: bool,
}

impl KernelFilter {
    /// Loads the program for `policy` and attaches it, in the place of what a daemon before this one left. Interfaces that are
    /// not there are waited for; `unwilling` says what becomes of those that refuse.
    ///
    /// # Errors
    /// When the kernel refuses the program, or every interface, or one of them as `unwilling` says; nothing is attached then that was not before.
    pub fn start(
        policy: &Arc<Policy>,
        members: &Members,
        pins: PinFolder,
        trace_packets: bool,
        unwilling: Unwilling,
    ) -> Result<Self, DatapathError> {
        unwilling.admit(policy, |name| Attachments::index_of(name).is_ok())?;
        admit_names(policy, &unwilling)?;
        adopt(&pins, members)?;
        let (mut names, mut ids) = Names::open(&pins)?;
        let reused = ids.assign(policy);
        let attachments = Attachments::default();
        let indices = indices(policy, &ids, &attachments);
        let live = load(policy, &ids, members, &pins, &indices, trace_packets)?;
        let mut shared = SharedMaps::open(&pins)?;
        names.write(&ids, &reused)?;
        pins.hold_maps()?;
        attachments.begin(live.descriptor()?, &policy.interfaces, &pins, &unwilling)?;
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
            upheld: Arc::new(Upheld { attachments, pins }),
            indices,
            drift: Drift::new(),
            explaining: Arc::default(),
            trace_packets,
        };
        filter.log_interfaces();
        Ok(filter)
    }

    /// Loads the policy in force anew and swaps it in: into larger tables, or with other indices of interfaces.
    fn reload(&mut self, members: &Members) -> Result<(), DatapathError> {
        let Upheld { attachments, pins } = &*self.upheld;
        let indices = indices(&self.policy, &self.ids, attachments);
        let next = load(&self.policy, &self.ids, members, pins, &indices, self.trace_packets)?;
        attachments.switch(next.descriptor()?, &self.policy.interfaces, pins)?;
        (self.live, self.indices) = (next, indices);
        Ok(())
    }

    /// The program knows interfaces by their index, where there are several: loads it anew where one has another index now.
    fn follow_indices(&mut self, members: &Members) {
        let has_several = self.policy.interfaces.iter().any(|interface| self.ids.position(&interface.name) > 0);
        let now = indices(&self.policy, &self.ids, &self.upheld.attachments);
        let is_another = now.iter().zip(&self.indices).any(|(now, known)| *now != 0 && now != known);
        if has_several
            && is_another
            && let Err(error) = self.reload(members)
        {
            tracing::error!("packets of a new interface are counted for another one; trying again: {error}");
        }
    }

    /// Counts what was put right; whether it was anything.
    fn count_news(&mut self) -> bool {
        let news = self.upheld.attachments.take_news();
        self.drift.count(LINK, news.links);
        self.drift.count(PIN, news.pins);
        news.links + news.pins > 0
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
        for state in self.upheld.attachments.report() {
            let interface = state.was.as_ref().unwrap_or(&state.name);
            let mode = crate::policy::attach_label(state.attached.mode);
            match &state.attached.presence {
                Presence::Attached => tracing::info!(interface, mode, ifindex = state.attached.ifindex, "filtering"),
                Presence::Missing => tracing::error!(interface, "is not there; it is filtered as soon as it is"),
                Presence::Refused(cause) => tracing::error!(interface, "is not filtered; trying again: {cause}"),
                Presence::Renamed(name) => tracing::warn!(interface, name, "has another name now and is filtered on"),
            }
        }
        fitness::warn_of_pairs(self.upheld.attachments.interfaces().iter().map(String::as_str));
    }
}

impl Filter for KernelFilter {
    fn admit(&self, policy: &Policy) -> Result<(), DatapathError> {
        for interface in &policy.interfaces {
            match self.upheld.attachments.configured(&interface.name) {
                None => drop(Attachments::index_of(&interface.name)?),
                Some(mode) if mode == interface.mode => {}
                Some(_) => return Err(DatapathError::ModeChange { interface: interface.name.clone() }),
            }
        }
        // Of one that is known is told already when it cannot be filtered, and the others go on.
        fitness::require_new(&policy.interfaces, |name| self.upheld.attachments.configured(name).is_some())
    }

    fn switch(&mut self, policy: &Arc<Policy>, members: &Members) -> Result<(), DatapathError> {
        let mut ids = Identities::clone(&self.ids);
        let reused = ids.assign(policy);
        let Upheld { attachments, pins } = &*self.upheld;
        let indices = indices(policy, &ids, attachments);
        let next = load(policy, &ids, members, pins, &indices, self.trace_packets)?;
        // If the daemon dies halfway, no counter is ever shown under the wrong name.
        let switched = self
            .names
            .write(&ids, &reused)
            .and_then(|()| attachments.switch(next.descriptor()?, &policy.interfaces, pins));
        if let Err(error) = switched {
            if let Err(error) = self.names.write(&self.ids, &Reused::default()) {
                tracing::error!("after the next start counters of this policy may begin anew: {error}");
            }
            return Err(error);
        }
        (self.live, self.indices) = (next, indices);
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
        self.upheld.attachments.follow(&self.upheld.pins, true);
        self.count_news();
        self.follow_indices(members);
    }

    fn look(&mut self, members: &Members, now: Now) -> bool {
        let has_news = self.count_news();
        if !self.drift.left(now).is_zero() {
            return has_news;
        }
        match self.drift.next(now) {
            Some(step) => self.drift.look_at(&mut self.live, &step) | has_news,
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
        let attachments = &self.upheld.attachments;
        FilterReport {
            interfaces: attachments.report(),
            pin_failure: attachments.pin_failure(),
            drift: self.drift.counters().clone(),
            list_tables: self.live.list_memory(),
            list_classes: self.live.list_classes(),
        }
    }

    fn upkeep(&self) -> Arc<dyn Upkeep> {
        Arc::clone(&self.upheld) as Arc<dyn Upkeep>
    }

    fn explainer(&self) -> Arc<dyn Explainer> {
        Arc::new(KernelExplainer::new(self.live.explanations(), &self.ids, &self.explaining))
    }

    fn counters(&self) -> Arc<dyn CounterReader> {
        let interfaces = self.policy.interfaces.iter().map(|interface| interface.name.clone()).collect();
        Arc::new(KernelCounters::new(Arc::clone(&self.readable), Arc::clone(&self.ids), interfaces))
    }
}

/// Refuses a start with two names of one interface, as a reload would, where there is something to go on with.
fn admit_names(policy: &Policy, unwilling: &Unwilling) -> Result<(), DatapathError> {
    match unwilling {
        Unwilling::Refuses(known) => fitness::require_distinct(&policy.interfaces, |name| known.contains(name)),
        Unwilling::IsWaitedFor => {
            if let Err(error) = fitness::require_distinct(&policy.interfaces, |_| false) {
                tracing::error!("one interface has two names in the configuration, and is filtered once: {error}");
            }
            Ok(())
        }
    }
}

/// The index of each interface of `policy` now, at its position in the counters; 0 for one that is not there.
fn indices(policy: &Policy, ids: &Identities, attachments: &Attachments) -> Vec<u32> {
    let mut indices = vec![0; firewall_common::abi::MAX_INTERFACES];
    for interface in &policy.interfaces {
        if let Some(slot) = indices.get_mut(ids.position(&interface.name) as usize) {
            *slot = attachments.index_for(&interface.name);
        }
    }
    indices
}

fn load(
    policy: &Policy,
    ids: &Identities,
    members: &Members,
    pins: &PinFolder,
    indices: &[u32],
    trace_packets: bool,
) -> Result<LoadedPolicy, DatapathError> {
    pins.require_maps()?;
    let options = LoadOptions { interfaces: indices.to_vec(), trace_packets };
    let mut generation = LoadedPolicy::load(&compile(policy, ids), members, pins, &options)?;
    if trace_packets {
        generation.follow_trace(ids);
    }
    Ok(generation)
}
