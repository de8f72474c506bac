//! A filter in memory that refuses when told, on interfaces that come and go when told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use firewall_common::{Action, Verdict, abi::Explanation};

use super::{
    Attached, AttachmentState, CounterReader, DatapathError, Explainer, Filter, FilterReport, FrameCounters, Judgement,
    Presence,
};
use crate::{
    clock::Now,
    lists::members::{Member, Members},
    policy::{Policy, Prefix},
};

/// The kernel below a [`FakeFilter`]; clones are the same. It outlives daemons.
#[derive(Clone, Default)]
pub struct FakeKernel(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Interfaces that are there, by name.
    interfaces: BTreeMap<String, u32>,
    /// Indices that are filtered, with the name that they were attached by.
    links: BTreeMap<u32, String>,
    enforced: Option<Enforced>,
    /// Calls that may be refused, so far.
    calls: u64,
    refused: Option<Refused>,
}

/// What packets meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Enforced {
    /// The policy.
    pub policy: Arc<Policy>,
    /// What each prefix that is in anything is in.
    pub table: BTreeMap<Prefix, Member>,
}

/// Calls that are refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The first.
    pub from: u64,
    /// How many.
    pub count: u64,
}

impl FakeKernel {
    pub fn enforced(&self) -> Option<Enforced> {
        self.inner().enforced.clone()
    }

    /// So many calls are refused, after so many that are not.
    pub fn refuse(&self, after: u64, count: u64) {
        let mut inner = self.inner();
        inner.refused = (count > 0).then_some(Refused { from: inner.calls + after, count });
    }

    /// An interface is made with this index, in the place of the one of that name, or only removed.
    pub fn set_interface(&self, name: &str, index: Option<u32>) {
        let mut inner = self.inner();
        if let Some(gone) = inner.interfaces.remove(name) {
            inner.links.remove(&gone);
        }
        if let Some(index) = index {
            inner.interfaces.insert(name.to_owned(), index);
        }
    }

    /// An interface gets another name, or its own again.
    pub fn rename(&self, one: &str, other: &str) {
        let mut inner = self.inner();
        let (from, to) = if inner.interfaces.contains_key(one) { (one, other) } else { (other, one) };
        if !inner.interfaces.contains_key(to)
            && let Some(index) = inner.interfaces.remove(from)
        {
            inner.interfaces.insert(to.to_owned(), index);
        }
    }

    pub fn index_of(&self, name: &str) -> Option<u32> {
        self.inner().interfaces.get(name).copied()
    }

    pub fn has_interface(&self, name: &str) -> bool {
        self.index_of(name).is_some()
    }

    pub fn has_index(&self, index: u32) -> bool {
        self.inner().interfaces.values().any(|other| *other == index)
    }

    /// Indices that are filtered.
    pub fn filtered(&self) -> Vec<u32> {
        self.inner().links.keys().copied().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Counts a call.
    fn call(&self, what: &str) -> Result<MutexGuard<'_, Inner>, DatapathError> {
        let mut inner = self.inner();
        let call = inner.calls;
        inner.calls += 1;
        let is_refused =
            inner.refused.is_some_and(|refused| (refused.from..refused.from + refused.count).contains(&call));
        if is_refused {
            return Err(DatapathError::Load { cause: format!("refused as told: {what}"), errno: None });
        }
        Ok(inner)
    }
}

impl Inner {
    fn name_of(&self, index: u32) -> Option<&String> {
        self.interfaces.iter().find(|(_, other)| **other == index).map(|(name, _)| name)
    }
}

/// The filter of one daemon.
pub struct FakeFilter {
    kernel: FakeKernel,
    policy: Arc<Policy>,
    states: BTreeMap<String, AttachmentState>,
}

impl FakeFilter {
    /// Starts on what a daemon before this one has left.
    pub fn start(kernel: &FakeKernel, policy: &Arc<Policy>, members: &Members) -> Result<Self, DatapathError> {
        let mut filter = Self { kernel: kernel.clone(), policy: Arc::clone(policy), states: BTreeMap::new() };
        filter.switch(policy, members)?;
        Ok(filter)
    }
}

fn table(members: &Members) -> BTreeMap<Prefix, Member> {
    members.prefixes().map(|prefix| (prefix, members.own_value(prefix))).collect()
}

impl Filter for FakeFilter {
    fn admit(&self, policy: &Policy) -> Result<(), DatapathError> {
        let inner = self.kernel.inner();
        for interface in &policy.interfaces {
            let is_left = inner.links.values().any(|name| *name == interface.name);
            let is_known = is_left || self.states.contains_key(&interface.name);
            if !is_known && !inner.interfaces.contains_key(&interface.name) {
                return Err(DatapathError::NoInterface { interface: interface.name.clone() });
            }
        }
        Ok(())
    }

    fn switch(&mut self, policy: &Arc<Policy>, members: &Members) -> Result<(), DatapathError> {
        let mut inner = self.kernel.call("switch")?;
        inner.enforced = Some(Enforced { policy: Arc::clone(policy), table: table(members) });
        let is_wanted = |name: &String| policy.interfaces.iter().any(|interface| interface.name == *name);
        inner.links.retain(|_, name| is_wanted(name));
        self.states.retain(|name, _| is_wanted(name));
        for interface in &policy.interfaces {
            let index = inner.interfaces.get(&interface.name).copied();
            let state = self.states.entry(interface.name.clone()).or_insert_with(|| AttachmentState {
                name: interface.name.clone(),
                attached: Attached {
                    ifindex: 0,
                    configured: interface.mode,
                    mode: interface.mode,
                    presence: Presence::Missing,
                },
                reattachments: 0,
            });
            if let Some(index) = index {
                // One link for each name.
                inner.links.retain(|_, name| *name != interface.name);
                inner.links.insert(index, interface.name.clone());
                (state.attached.ifindex, state.attached.presence) = (index, Presence::Attached);
            }
        }
        self.policy = Arc::clone(policy);
        Ok(())
    }

    fn update(&mut self, members: &Members, prefixes: &mut dyn Iterator<Item = Prefix>) -> Result<(), DatapathError> {
        let prefixes: Vec<Prefix> = prefixes.collect();
        if prefixes.is_empty() {
            return Ok(());
        }
        // A refusal comes in the middle: a part of the change has happened.
        let (first, others) = prefixes.split_at(prefixes.len() / 2);
        for part in [first, others] {
            let mut inner = self.kernel.call("update")?;
            let table = inner.enforced.iter_mut().map(|enforced| &mut enforced.table);
            table.for_each(|table| {
                for prefix in part {
                    match members.own_value(*prefix) {
                        nothing if nothing.is_empty() => drop(table.remove(prefix)),
                        member => drop(table.insert(*prefix, member)),
                    }
                }
            });
        }
        Ok(())
    }

    fn follow(&mut self, _: &Members) {
        for interface in &self.policy.interfaces {
            let inner = self.kernel.inner();
            let Some(state) = self.states.get_mut(&interface.name) else { continue };
            let index = inner.interfaces.get(&interface.name).copied();
            let linked = inner.links.iter().find(|(_, name)| **name == interface.name).map(|(index, _)| *index);
            state.attached.presence = match (index, linked) {
                (Some(index), Some(linked)) if index == linked => Presence::Attached,
                (Some(index), linked) => {
                    drop(inner);
                    match self.kernel.call("attach") {
                        Ok(mut inner) => {
                            linked.iter().for_each(|old| drop(inner.links.remove(old)));
                            inner.links.insert(index, interface.name.clone());
                            state.attached.ifindex = index;
                            state.reattachments += 1;
                            Presence::Attached
                        }
                        Err(error) => Presence::Refused(error.to_string()),
                    }
                }
                (None, Some(linked)) => {
                    inner.name_of(linked).map_or(Presence::Missing, |name| Presence::Renamed(name.clone()))
                }
                (None, None) => Presence::Missing,
            };
        }
    }

    /// Follows again what was refused.
    fn look(&mut self, members: &Members, _: Now) -> bool {
        let is_refused = |state: &AttachmentState| matches!(state.attached.presence, Presence::Refused(_));
        let is_owing = self.states.values().any(is_refused);
        if is_owing {
            self.follow(members);
        }
        is_owing
    }

    fn time_until_look(&self, _: Now) -> Duration {
        Duration::from_secs(60)
    }

    fn report(&self) -> FilterReport {
        FilterReport { interfaces: self.states.values().cloned().collect(), ..FilterReport::default() }
    }

    fn explainer(&self) -> Arc<dyn Explainer> {
        Arc::new(Nothing)
    }

    fn counters(&self) -> Arc<dyn CounterReader> {
        Arc::new(Nothing)
    }
}

/// Counts nothing and has one answer.
#[derive(Debug)]
struct Nothing;

impl Explainer for Nothing {
    fn is_loaded(&self) -> bool {
        true
    }

    fn load(&self) -> Result<(), DatapathError> {
        Ok(())
    }

    fn explain(&self, _: &[u8]) -> Result<Judgement, DatapathError> {
        let (service, limit, explanation) = (None, None, Explanation::default());
        Ok(Judgement { action: Action::Pass, verdict: Verdict::NoService, service, limit, explanation })
    }
}

impl CounterReader for Nothing {
    fn read(&self) -> Result<FrameCounters, DatapathError> {
        Ok(FrameCounters::default())
    }
}
