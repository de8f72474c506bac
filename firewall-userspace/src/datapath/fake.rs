//! A filter in memory that refuses when told, on interfaces that come and go when told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use firewall_common::{Action, Verdict, abi::Explanation};

use super::{
    AttachmentState, CounterReader, DatapathError, Explainer, Filter, FilterReport, FrameCounters, Judgement, Presence,
    Unwilling, Upkeep,
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
    /// Links, by the index that is filtered.
    links: BTreeMap<u32, FakeLink>,
    /// Interfaces that refuse to be attached to.
    unwilling: BTreeSet<String>,
    /// Nothing can be pinned.
    has_no_bpffs: bool,
    enforced: Option<Enforced>,
    /// Calls that may be refused, so far.
    calls: u64,
    refused: Option<Refused>,
}

/// What attaches a program.
struct FakeLink {
    /// Name that the device is filtered by.
    origin: String,
    /// Whether it outlives its daemon.
    is_pinned: bool,
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

    /// Two interfaces change their names.
    pub fn swap_names(&self, one: &str, other: &str) {
        let mut inner = self.inner();
        let indices = [one, other].map(|name| inner.interfaces.remove(name));
        for (name, index) in [other, one].into_iter().zip(indices) {
            inner.interfaces.extend(index.map(|index| (name.to_owned(), index)));
        }
    }

    /// The interface of this name refuses to be attached to, or does not any more.
    pub fn refuse_interface(&self, name: &str, is_unwilling: bool) {
        let mut inner = self.inner();
        if is_unwilling {
            inner.unwilling.insert(name.to_owned())
        } else {
            inner.unwilling.remove(name)
        };
    }

    /// Somebody removes all pins.
    pub fn lose_pins(&self) {
        self.inner().links.values_mut().for_each(|link| link.is_pinned = false);
    }

    /// The file system of pins is unmounted, with all of them, or mounted again.
    pub fn set_bpffs(&self, is_mounted: bool) {
        self.lose_pins();
        self.inner().has_no_bpffs = !is_mounted;
    }

    /// The host starts again: what is in the kernel is gone. Its interfaces are there.
    pub fn reboot(&self) {
        let mut inner = self.inner();
        inner.links.clear();
        (inner.enforced, inner.has_no_bpffs) = (None, false);
    }

    /// The daemon is gone: only what is pinned filters on.
    pub fn drop_unpinned(&self) {
        self.inner().links.retain(|_, link| link.is_pinned);
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

    /// A device that has a name of `policy` is the interface of that name; what it does not name any more is released.
    fn name_links(&mut self, policy: &Policy) {
        for (name, index) in
            policy.interfaces.iter().filter_map(|one| Some((&one.name, self.interfaces.get(&one.name)?)))
        {
            if let Some(link) = self.links.get_mut(index) {
                link.origin.clone_from(name);
            }
        }
        self.links.retain(|_, link| policy.interfaces.iter().any(|interface| interface.name == link.origin));
    }

    fn attach(&mut self, index: u32, name: &str) -> Result<(), DatapathError> {
        if self.unwilling.contains(name) {
            let cause = "refused as told: attach".to_owned();
            let mode = crate::policy::AttachMode::Native;
            return Err(DatapathError::Attach { interface: name.to_owned(), mode, cause, errno: None, advice: None });
        }
        self.links.insert(index, FakeLink { origin: name.to_owned(), is_pinned: false });
        Ok(())
    }

    /// How each interface of `states` stands now, and each device that has another name.
    fn tell(&mut self, states: &mut BTreeMap<String, AttachmentState>) {
        let can_pin = !self.has_no_bpffs;
        self.links.values_mut().for_each(|link| link.is_pinned |= can_pin);
        states.retain(|_, state| state.was.is_none());
        let mut displaced = Vec::new();
        for state in states.values_mut() {
            let own = self.interfaces.get(&state.name).copied();
            let mut renamed =
                self.links.iter().filter(|(index, link)| link.origin == state.name && Some(**index) != own);
            let renamed = renamed.find_map(|(index, _)| Some((*index, self.name_of(*index)?.clone())));
            state.attached.presence = match (own, renamed) {
                (Some(index), renamed) if self.links.contains_key(&index) => {
                    displaced.extend(renamed.map(|(index, now)| (index, now, state.clone())));
                    state.attached.ifindex = index;
                    Presence::Attached
                }
                (Some(_), _) => match &state.attached.presence {
                    refused @ Presence::Refused(_) => refused.clone(),
                    _ => Presence::Refused("not yet".into()),
                },
                (None, Some((index, now))) => {
                    state.attached.ifindex = index;
                    Presence::Renamed(now)
                }
                (None, None) => Presence::Missing,
            };
        }
        for (index, now, state) in displaced {
            let was = Some(state.name.clone());
            let mut state = AttachmentState { name: now.clone(), was, reattachments: 0, ..state };
            (state.attached.ifindex, state.attached.presence) = (index, Presence::Renamed(now.clone()));
            states.insert(now, state);
        }
        for state in states.values_mut() {
            let link = self.links.get(&state.attached.ifindex).filter(|_| state.attached.presence.is_filtered());
            state.is_pinned = link.is_some_and(|link| link.is_pinned);
        }
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
    pub fn start(
        kernel: &FakeKernel,
        policy: &Arc<Policy>,
        members: &Members,
        unwilling: Unwilling,
    ) -> Result<Self, DatapathError> {
        let mut filter = Self { kernel: kernel.clone(), policy: Arc::clone(policy), states: BTreeMap::new() };
        unwilling.admit(policy, |name| kernel.has_interface(name))?;
        kernel.inner().links.retain(|_, link| link.is_pinned);
        filter.bring_into_force(policy, members, unwilling == Unwilling::IsWaitedFor)?;
        Ok(filter)
    }

    fn bring_into_force(
        &mut self,
        policy: &Arc<Policy>,
        members: &Members,
        is_start: bool,
    ) -> Result<(), DatapathError> {
        let mut inner = self.kernel.call("switch")?;
        let (mut attached, mut refusals) = (Vec::new(), Vec::new());
        for interface in &policy.interfaces {
            let index = inner.interfaces.get(&interface.name).copied().filter(|index| !inner.links.contains_key(index));
            let Some(index) = index else { continue };
            match inner.attach(index, &interface.name) {
                Ok(()) => attached.push(index),
                Err(error) => refusals.push((&interface.name, error)),
            }
        }
        let is_new = |(name, _): &(&String, DatapathError)| !is_start && !self.states.contains_key(*name);
        let fatal = refusals.iter().position(is_new);
        let fatal = fatal.or_else(|| (is_start && refusals.len() == policy.interfaces.len()).then_some(0));
        if let Some(fatal) = fatal {
            inner.links.retain(|index, _| !attached.contains(index));
            return Err(refusals.swap_remove(fatal).1);
        }
        inner.enforced = Some(Enforced { policy: Arc::clone(policy), table: table(members) });
        inner.name_links(policy);
        // A device that only has the name of one is told anew.
        self.states.retain(|name, state| {
            state.was.is_none() && policy.interfaces.iter().any(|interface| interface.name == *name)
        });
        for interface in &policy.interfaces {
            let fresh = || AttachmentState::new(&interface.name, interface.mode);
            self.states.entry(interface.name.clone()).or_insert_with(fresh);
        }
        for (name, error) in refusals {
            if let Some(state) = self.states.get_mut(name) {
                state.attached.presence = Presence::Refused(error.to_string());
            }
        }
        inner.tell(&mut self.states);
        self.policy = Arc::clone(policy);
        Ok(())
    }
}

fn table(members: &Members) -> BTreeMap<Prefix, Member> {
    members.prefixes().map(|prefix| (prefix, members.own_value(prefix))).collect()
}

impl Filter for FakeFilter {
    fn admit(&self, policy: &Policy) -> Result<(), DatapathError> {
        let inner = self.kernel.inner();
        for interface in &policy.interfaces {
            if !self.states.contains_key(&interface.name) && !inner.interfaces.contains_key(&interface.name) {
                return Err(DatapathError::NoInterface { interface: interface.name.clone() });
            }
        }
        Ok(())
    }

    fn switch(&mut self, policy: &Arc<Policy>, members: &Members) -> Result<(), DatapathError> {
        self.bring_into_force(policy, members, false)
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
        let policy = Arc::clone(&self.policy);
        self.kernel.inner().name_links(&policy);
        for interface in &policy.interfaces {
            let inner = self.kernel.inner();
            let index = inner.interfaces.get(&interface.name).copied().filter(|index| !inner.links.contains_key(index));
            drop(inner);
            let Some((index, state)) = index.zip(self.states.get_mut(&interface.name)) else { continue };
            match self.kernel.call("attach").and_then(|mut inner| inner.attach(index, &interface.name)) {
                Ok(()) => state.reattachments += u64::from(state.attached.ifindex != 0),
                Err(error) => state.attached.presence = Presence::Refused(error.to_string()),
            }
        }
        self.kernel.inner().tell(&mut self.states);
    }

    /// Follows again what was refused, and what is not pinned.
    fn look(&mut self, members: &Members, _: Now) -> bool {
        let is_refused = |state: &AttachmentState| matches!(state.attached.presence, Presence::Refused(_));
        let is_unpinned = self.kernel.inner().links.values().any(|link| !link.is_pinned);
        let is_owing = is_unpinned || self.states.values().any(is_refused);
        if is_owing {
            self.follow(members);
        }
        is_owing
    }

    fn time_until_look(&self, _: Now) -> Duration {
        Duration::from_secs(60)
    }

    fn report(&self) -> FilterReport {
        let is_unpinned = |state: &&AttachmentState| state.attached.presence.is_filtered() && !state.is_pinned;
        let unpinned = self.states.values().find(is_unpinned);
        FilterReport {
            interfaces: self.states.values().cloned().collect(),
            pin_failure: unpinned.map(|state| format!("cannot pin {} as told", state.name)),
            ..FilterReport::default()
        }
    }

    fn upkeep(&self) -> Arc<dyn Upkeep> {
        Arc::new(Nothing)
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

impl Upkeep for Nothing {
    fn follow(&self, _: bool) -> bool {
        false
    }
}

impl CounterReader for Nothing {
    fn read(&self) -> Result<FrameCounters, DatapathError> {
        Ok(FrameCounters::default())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn policy(interfaces: &[&str]) -> Arc<Policy> {
        let text: String = interfaces.iter().map(|name| format!("[[interface]]\nname = \"{name}\"\n")).collect();
        Arc::new(config::load_text(Path::new("/p.toml"), &text, Path::new("")).unwrap().policy)
    }

    fn kernel(interfaces: &[(&str, u32)]) -> FakeKernel {
        let kernel = FakeKernel::default();
        interfaces.iter().for_each(|(name, index)| kernel.set_interface(name, Some(*index)));
        kernel
    }

    fn start(kernel: &FakeKernel, policy: &Arc<Policy>) -> FakeFilter {
        FakeFilter::start(kernel, policy, &Members::default(), Unwilling::IsWaitedFor).unwrap()
    }

    fn told(filter: &FakeFilter) -> Vec<(String, &'static str, u32)> {
        let report = filter.report().interfaces.into_iter();
        report.map(|one| (one.name, one.attached.presence.label(), one.attached.ifindex)).collect()
    }

    fn row(name: &str, state: &'static str, index: u32) -> (String, &'static str, u32) {
        (name.to_owned(), state, index)
    }

    #[test]
    fn what_is_late_or_refuses_leaves_no_other_open() {
        let (kernel, policy) = (kernel(&[("e0", 2), ("e2", 4)]), policy(&["e0", "e1", "e2"]));
        kernel.refuse_interface("e2", true);
        let mut filter = start(&kernel, &policy);
        assert_eq!(told(&filter), [row("e0", "attached", 2), row("e1", "missing", 0), row("e2", "refused", 0)]);
        kernel.set_interface("e1", Some(3));
        kernel.refuse_interface("e2", false);
        filter.follow(&Members::default());
        assert_eq!(told(&filter), [row("e0", "attached", 2), row("e1", "attached", 3), row("e2", "attached", 4)]);
        assert_eq!(kernel.filtered(), [2, 3, 4]);
    }

    #[test]
    fn a_start_is_refused_when_every_interface_refuses() {
        let (kernel, policy) = (kernel(&[("e0", 2), ("e1", 3)]), policy(&["e0", "e1"]));
        kernel.refuse_interface("e0", true);
        kernel.refuse_interface("e1", true);
        assert!(FakeFilter::start(&kernel, &policy, &Members::default(), Unwilling::IsWaitedFor).is_err());
        assert!(kernel.filtered().is_empty());
    }

    #[test]
    fn a_device_stays_filtered_under_another_name_and_so_is_who_takes_its_name() {
        let (kernel, policy) = (kernel(&[("e0", 2), ("e1", 3)]), policy(&["e0", "e1"]));
        let mut filter = start(&kernel, &policy);
        kernel.rename("e0", "z0");
        kernel.set_interface("e0", Some(9));
        filter.follow(&Members::default());
        let all = [row("e0", "attached", 9), row("e1", "attached", 3), row("z0", "renamed", 2)];
        assert_eq!((told(&filter), kernel.filtered()), (all.to_vec(), vec![2, 3, 9]));
        // The next daemon knows it too, and a policy without its name lets it go.
        filter = start(&kernel, &policy);
        assert_eq!((told(&filter), kernel.filtered()), (all.to_vec(), vec![2, 3, 9]));
        filter.switch(&self::policy(&["e1"]), &Members::default()).unwrap();
        assert_eq!(kernel.filtered(), [3]);
    }

    #[test]
    fn names_that_are_swapped_leave_both_filtered() {
        let (kernel, policy) = (kernel(&[("e0", 2), ("e1", 3)]), policy(&["e0", "e1"]));
        let mut filter = start(&kernel, &policy);
        kernel.swap_names("e0", "e1");
        filter.follow(&Members::default());
        assert_eq!(told(&filter), [row("e0", "attached", 3), row("e1", "attached", 2)]);
        assert_eq!(filter.report().interfaces.iter().map(|one| one.reattachments).sum::<u64>(), 0);
    }

    #[test]
    fn what_is_not_pinned_ends_with_its_daemon_only() {
        let (kernel, policy) = (kernel(&[("e0", 2)]), policy(&["e0"]));
        let mut filter = start(&kernel, &policy);
        kernel.set_bpffs(false);
        filter.follow(&Members::default());
        assert_eq!((kernel.filtered(), filter.report().pin_failure.is_some()), (vec![2], true));
        kernel.set_bpffs(true);
        filter.follow(&Members::default());
        assert_eq!(filter.report().pin_failure, None);
        kernel.lose_pins();
        kernel.set_interface("e1", Some(3));
        filter = start(&kernel, &self::policy(&["e1"]));
        assert_eq!(kernel.filtered(), [3], "nobody kept the first");
        kernel.reboot();
        assert!(kernel.filtered().is_empty());
        drop(filter);
    }
}
