//! Everything that can be said about a change before the first write: whether it is refused, and what it would do.

use std::collections::BTreeSet;

use firewall_common::abi::MAX_PREFIXES;

use super::{State, members};
use crate::{
    config::{self, Loaded},
    control::{Change, ChangeKind, Refusal, Reload},
    datapath::{Attachments, DatapathError},
    diff::{Difference, PolicyDocument},
    guard, layers,
    members::Members,
    policy::{Policy, Prefix},
    policy_tests,
    push::CheckedPush,
};

/// A configuration that nothing speaks against, with what every prefix would be in.
pub(super) struct Candidate {
    pub(super) loaded: Loaded,
    pub(super) members: Members,
}

impl State {
    /// Reads the configuration and refuses what can be refused without touching a table.
    pub(super) fn prepare(&self, reload: &Reload) -> Result<Candidate, Refusal> {
        let loaded = config::load(&self.config)
            .and_then(policy_tests::require)
            .map_err(|report| Refusal::Config { errors: report.errors().count(), report: report.render(false) })?;
        self.require_interfaces(&loaded.policy).map_err(|error| Refusal::Datapath { message: error.to_string() })?;
        let members = members(&loaded.policy, &self.runtime, &self.own);
        require_room(members.len())?;
        let harms = guard::shrink(&self.policy, &loaded.policy);
        if !harms.is_empty() && !reload.force {
            return Err(Refusal::Guarded(harms));
        }
        for harm in harms.iter().filter(|_| !reload.dry_run) {
            tracing::warn!("forced: {harm}");
        }
        Ok(Candidate { loaded, members })
    }

    /// What `candidate` would change.
    pub(super) fn difference(&self, candidate: &Candidate) -> Difference {
        let live = PolicyDocument::of(&self.policy, self.number);
        Difference::between(&live, &PolicyDocument::of(&candidate.loaded.policy, 0))
    }

    fn require_interfaces(&self, policy: &Policy) -> Result<(), DatapathError> {
        for interface in &policy.interfaces {
            Attachments::index_of(&interface.name)?;
            let attached = self.attachments.interfaces().get(&interface.name);
            if attached.is_some_and(|attached| attached.configured != interface.mode) {
                return Err(DatapathError::ModeChange { interface: interface.name.clone() });
            }
        }
        Ok(())
    }

    /// Refuses a push whose entries, which are in the runtime layer already, nothing has room for. No table is touched.
    pub(super) fn admit(&self, checked: &CheckedPush) -> Result<(), Refusal> {
        let touched: BTreeSet<Prefix> = checked.entries().map(|(_, prefix)| prefix).collect();
        let mut wanted = self.members.len();
        for prefix in touched {
            let [v4, v6] = &mut wanted;
            let count = if prefix.address().is_ipv4() { v4 } else { v6 };
            let was_there = !self.members.own_value(prefix).is_empty();
            let is_there = !layers::member_of(&self.policy, &self.runtime, &self.own, prefix).is_empty();
            *count = *count + usize::from(is_there) - usize::from(was_there);
        }
        require_room(wanted)
    }

    /// What a push would do to each entry; the runtime layer is as before.
    pub(super) fn changes(&self, checked: &CheckedPush) -> Vec<Change> {
        let entry = |list: usize, prefix| {
            let name = &self.policy.lists.get(list)?.name;
            Some((name.to_string(), self.runtime.entry(name, prefix).is_some()))
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

fn require_room(prefixes: [usize; 2]) -> Result<(), Refusal> {
    let (wanted, capacity) = (prefixes.into_iter().max().unwrap_or(0), MAX_PREFIXES as usize);
    if wanted > capacity { Err(Refusal::Full { wanted, capacity }) } else { Ok(()) }
}
