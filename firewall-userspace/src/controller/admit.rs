//! What speaks against a push that is in the lists and not in what filters yet.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Core,
    forced::{Forced, insist},
    prepare,
    push::check::CheckedPush,
    sight::Sight,
};
use crate::{
    control::{Push, Refusal},
    datapath::Filter,
    host::connections::{Connection, Established},
    lists::{Applied, change::Change, members::Member, pushed::Runtime},
    policy::{Name, Policy, Prefix, compile::bit},
    preview::guard::{self, Cut, Harm, Side},
    state::disk::Disk,
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Refuses a push, which is in the lists already, that there is no room for or that does harm, or by which lists have `shrunk`.
    /// Nothing that filters is touched. Words on whom it cuts off, and what is forced.
    pub(super) fn admit(
        &self,
        checked: &CheckedPush,
        push: &Push,
        applied: &Applied,
        shrunk: Vec<Harm>,
        sight: &Sight,
    ) -> Result<(Vec<String>, Forced), Refusal> {
        prepare::require_room(self.lists.members().len())?;
        let established = self.connected(checked, applied, sight);
        let cuts = self.cut_by(applied, &established, push.caller, sight);
        let notes = guard::told(&cuts);
        let guard = &self.in_force.policy.guard;
        let mut harms =
            guard::harms(cuts.into_iter().filter(|cut| cut.must_stay(guard, || sight.sshd(&*self.outer.host))));
        let emptied = self.emptied_by(checked, applied);
        harms.extend(shrunk.into_iter().filter(|harm| !guard::is_of_emptied(harm, &emptied)));
        harms.extend(emptied);
        let mut sources: Vec<IpAddr> = sources_of(&established).collect();
        sources.sort_unstable();
        let is_connected = |prefix: &Prefix| {
            let first = sources.partition_point(|source| *source < prefix.address());
            sources.get(first).is_some_and(|source| prefix.contains(*source))
        };
        let management = &self.in_force.policy.management;
        let managing: Vec<Prefix> = management.iter().copied().filter(is_connected).collect();
        for (list, mut new) in self.newly_denied(checked, applied) {
            harms.extend(guard::covers(&list, &new, sight.around(&*self.outer.host)));
            if !managing.is_empty() {
                new.retain(is_connected);
                harms.extend(guard::denied_management(&list, &new, &managing));
            }
        }
        Ok((notes, insist(harms, &push.force)?))
    }

    /// Established connections that a push may cut off, by their sources. Most pushes can cut off nobody, and ask the kernel for
    /// nothing.
    fn connected(&self, checked: &CheckedPush, applied: &Applied, sight: &Sight) -> Vec<Established> {
        let policy = &self.in_force.policy;
        let can_cut = checked.add.iter().any(|addition| policy.denies_list(addition.list))
            || checked.remove.iter().any(|(list, _)| policy.allows_list(*list));
        if can_cut && !applied.moved.is_empty() { sight.touched(&*self.outer.host, &applied.moved) } else { Vec::new() }
    }

    /// Those that a push cuts off, that of the `caller` among them.
    fn cut_by(
        &self,
        applied: &Applied,
        established: &[Established],
        caller: Option<Connection>,
        sight: &Sight,
    ) -> Vec<Cut> {
        let (policy, moved) = (&self.in_force.policy, &applied.moved);
        let caller = Sight::caller(caller, moved);
        if established.is_empty() && caller.is_none() {
            return Vec::new();
        }
        let members = self.lists.members();
        let before = |prefix: Prefix| moved.get(&prefix).cloned().unwrap_or_else(|| members.own_value(prefix));
        let live = |source| {
            let covers = Prefix::host(source).covering();
            covers.fold(Member::default(), |all, cover| all.union(&before(cover)))
        };
        let model = sight.model(policy);
        let live = Side { model, members: &live };
        let new = Side { model, members: &|source| members.lookup(source) };
        guard::cuts(Some(&live), &new, established, caller)
    }

    /// Lists that services allow and that a push has taken the last entry out of.
    fn emptied_by(&self, checked: &CheckedPush, applied: &Applied) -> Vec<Harm> {
        let policy = &self.in_force.policy;
        if checked.remove.is_empty() {
            return Vec::new();
        }
        let harm = |list: Name| {
            // The inverse brings back what was there.
            let gone = applied.inverse.iter().filter(|change| change.entry.is_some() && change.list == list);
            Harm::Empty { live: gone.count(), list: list.to_string() }
        };
        emptied(policy, self.lists.pushed(), &applied.inverse).into_iter().map(harm).collect()
    }

    /// Entries that are new in lists that services deny, sorted, by list.
    fn newly_denied(&self, checked: &CheckedPush, applied: &Applied) -> Vec<(String, Vec<Prefix>)> {
        let policy = &self.in_force.policy;
        let mut by_list: BTreeMap<usize, Vec<Prefix>> = BTreeMap::new();
        for addition in &checked.add {
            let before = applied.moved.get(&addition.prefix);
            if policy.denies_list(addition.list)
                && before.is_some_and(|before| before.all_lists() & bit(addition.list) == 0)
            {
                by_list.entry(addition.list).or_default().push(addition.prefix);
            }
        }
        let named = by_list.into_iter().filter_map(|(list, mut new)| {
            new.sort_unstable();
            Some((policy.lists.get(list)?.name.to_string(), new))
        });
        named.collect()
    }
}

/// Who has opened connections to this host.
pub(super) fn sources_of(established: &[Established]) -> impl Iterator<Item = IpAddr> {
    established.iter().filter(|one| !one.is_outgoing).map(|one| one.connection.source.ip())
}

/// Lists that services allow, that have no entry, and that are among those of `touched` entries.
pub(super) fn emptied(policy: &Policy, pushed: &Runtime, touched: &[Change]) -> Vec<Name> {
    let lists = policy.lists.iter().enumerate().filter(|(index, list)| {
        list.entries.is_empty() && policy.allows_list(*index) && pushed.entries(&list.name).next().is_none()
    });
    let is_touched = |name: &Name| touched.iter().any(|change| change.list == *name);
    lists.map(|(_, list)| list.name.clone()).filter(is_touched).collect()
}
