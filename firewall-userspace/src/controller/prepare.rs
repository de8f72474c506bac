//! Everything that can be said about a change before the first write: whether it is refused, and what it would do.

use std::collections::BTreeSet;

use firewall_common::abi::MAX_PREFIXES;

use super::{State, members, policy::Asked, push::check::CheckedPush};
use crate::{
    control::{Change, ChangeKind, Push, Refusal},
    datapath::{Attachments, DatapathError},
    host::connections::{self, Connection},
    lists::{
        layers,
        members::{Member, Members},
    },
    policy::{Policy, Prefix},
    preview::{
        diff::Difference,
        guard::{self, Harm, Side},
        model::HostModel,
    },
};

/// A policy that nothing speaks against, with what every prefix would be in.
pub(super) struct Candidate {
    pub(super) policy: Policy,
    pub(super) members: Members,
}

impl State {
    /// Refuses what can be refused of a policy, which makes this `difference`, without touching a table.
    pub(super) fn prepare(&self, policy: Policy, difference: &Difference, asked: &Asked) -> Result<Candidate, Refusal> {
        self.require_interfaces(&policy).map_err(|error| Refusal::Datapath { message: error.to_string() })?;
        let members = members(&policy, &self.runtime, &self.own);
        require_room(members.len())?;
        let mut harms = self.lockouts(&policy, &members, asked.caller);
        harms.extend(policy.guard.shrinks(difference));
        if !harms.is_empty() && !asked.force {
            return Err(Refusal::Guarded(harms));
        }
        for harm in harms.iter().filter(|_| !asked.dry_run) {
            tracing::warn!("forced: {harm}");
        }
        Ok(Candidate { policy, members })
    }

    fn require_interfaces(&self, policy: &Policy) -> Result<(), DatapathError> {
        for interface in &policy.interfaces {
            let attached = self.attachments.interfaces().get(&interface.name);
            if attached.is_none() {
                Attachments::index_of(&interface.name)?;
            }
            if attached.is_some_and(|attached| attached.configured != interface.mode) {
                return Err(DatapathError::ModeChange { interface: interface.name.clone() });
            }
        }
        Ok(())
    }

    /// Sources that a whole policy would lock out.
    fn lockouts(&self, policy: &Policy, members: &Members, caller: Option<Connection>) -> Vec<Harm> {
        let (live, new) = (HostModel::new(&self.policy), HostModel::new(policy));
        let live = Side { model: &live, members: &|source| self.members.lookup(source) };
        let side = Side { model: &new, members: &|source| members.lookup(source) };
        let mut harms = guard::cut_off(&policy.guard, Some(&live), &side, &inbound(), caller);
        harms.extend(guard::management(&self.policy, policy, &new, members));
        harms
    }

    /// Refuses a push, whose entries are in their layer already, that there is no room for or that would lock
    /// somebody out, or by which lists have `shrunk`. No table is touched.
    pub(super) fn admit(&self, checked: &CheckedPush, push: &Push, shrunk: Vec<Harm>) -> Result<(), Refusal> {
        let touched: BTreeSet<Prefix> = checked.entries().map(|(_, prefix)| prefix).collect();
        self.require_room_for(&touched)?;
        let mut harms = self.lockouts_by(checked, &touched, push.caller);
        harms.extend(shrunk);
        if !harms.is_empty() && !push.force {
            return Err(Refusal::Guarded(harms));
        }
        for harm in harms.iter().filter(|_| !push.dry_run) {
            tracing::warn!("forced: {harm}");
        }
        Ok(())
    }

    /// Sources that a push would lock out. Most pushes can lock out nobody, and ask the kernel for nothing.
    fn lockouts_by(&self, checked: &CheckedPush, touched: &BTreeSet<Prefix>, caller: Option<Connection>) -> Vec<Harm> {
        let services = || self.policy.services.iter();
        let denies = |list: usize| services().any(|service| service.deny.contains(&list));
        let allows = |list: usize| services().any(|service| service.allow.iter().flatten().any(|one| *one == list));
        let can_harm = checked.add.iter().any(|addition| denies(addition.list))
            || checked.remove.iter().any(|(list, _)| allows(*list));
        if !can_harm {
            return Vec::new();
        }
        let lengths: BTreeSet<(bool, u8)> =
            touched.iter().map(|prefix| (prefix.address().is_ipv4(), prefix.length())).collect();
        let is_touched = |connection: &Connection| {
            let source = connection.source.ip();
            let of_family = lengths.iter().filter(|(is_ipv4, _)| *is_ipv4 == source.is_ipv4());
            let mut covers = of_family.filter_map(|(_, length)| Prefix::part(source, *length));
            covers.any(|cover| touched.contains(&cover))
        };
        let mut established = inbound();
        established.retain(is_touched);
        let caller = caller.filter(is_touched);
        if established.is_empty() && caller.is_none() {
            return Vec::new();
        }
        let own_value = |prefix: Prefix| match touched.contains(&prefix) {
            true => layers::member_of(&self.policy, &self.runtime, &self.own, prefix),
            false => self.members.own_value(prefix),
        };
        let after = |source| {
            let covers = std::iter::successors(Some(Prefix::host(source)), |prefix| prefix.parent());
            covers.fold(Member::default(), |all, cover| all.union(&own_value(cover)))
        };
        let model = HostModel::new(&self.policy);
        let live = Side { model: &model, members: &|source| self.members.lookup(source) };
        let new = Side { model: &model, members: &after };
        guard::cut_off(&self.policy.guard, Some(&live), &new, &established, caller)
    }

    fn require_room_for(&self, touched: &BTreeSet<Prefix>) -> Result<(), Refusal> {
        let mut wanted = self.members.len();
        for prefix in touched.iter().copied() {
            let [v4, v6] = &mut wanted;
            let count = if prefix.address().is_ipv4() { v4 } else { v6 };
            let was_there = !self.members.own_value(prefix).is_empty();
            let is_there = !layers::member_of(&self.policy, &self.runtime, &self.own, prefix).is_empty();
            *count = *count + usize::from(is_there) - usize::from(was_there);
        }
        require_room(wanted)
    }

    /// What a push would do to each entry; the layer is as before.
    pub(super) fn changes(&self, checked: &CheckedPush) -> Vec<Change> {
        let entry = |list: usize, prefix| {
            let name = &self.policy.lists.get(list)?.name;
            Some((name.to_string(), self.runtime.entry(name, prefix, checked.layer).is_some()))
        };
        let added = checked.add.iter().filter_map(|addition| {
            let (list, is_there) = entry(addition.list, addition.prefix)?;
            let change = if is_there { ChangeKind::Refreshed } else { ChangeKind::Added };
            Some(Change { list, prefix: addition.prefix, change })
        });
        let removed = checked.remove.iter().filter_map(|(list, prefix)| {
            let (list, is_there) = entry(*list, *prefix)?;
            is_there.then_some(Change { list, prefix: *prefix, change: ChangeKind::Removed })
        });
        added.chain(removed).collect()
    }
}

/// Warns of connections that the first policy of a daemon cuts off: nobody is there to be asked.
pub(super) fn warn_at_start(policy: &Policy, members: &Members) {
    let model = HostModel::new(policy);
    let side = Side { model: &model, members: &|source| members.lookup(source) };
    for harm in guard::cut_off(&policy.guard, None, &side, &inbound(), None) {
        tracing::warn!("{harm}");
    }
}

/// Connections to this host; none, with a warning, when the kernel does not tell.
fn inbound() -> Vec<Connection> {
    connections::inbound().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the connections of this host, so they are not guarded");
        Vec::new()
    })
}

fn require_room(prefixes: [usize; 2]) -> Result<(), Refusal> {
    let (wanted, capacity) = (prefixes.into_iter().max().unwrap_or(0), MAX_PREFIXES as usize);
    if wanted > capacity { Err(Refusal::Full { wanted, capacity }) } else { Ok(()) }
}
