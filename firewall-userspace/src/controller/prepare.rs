//! Everything that can be said about a change before the first write: whether it is refused, and what it would do.

use std::{collections::BTreeSet, sync::Arc};

use firewall_common::abi::MAX_PREFIXES;

use super::{Core, Host, asked::Asked, push::check::CheckedPush};
use crate::{
    control::{Push, Refusal},
    datapath::{DatapathError, Filter},
    host::connections::Connection,
    lists::{
        Applied,
        members::{Member, Members},
    },
    policy::{Policy, Prefix},
    preview::{
        diff::{Difference, PolicyDocument},
        guard::{self, Harm, Side},
        model::HostModel,
    },
    state::{disk::Disk, history::start::Start},
};

/// A policy that nothing speaks against, with what every prefix would be in.
pub(super) struct Candidate {
    pub(super) policy: Arc<Policy>,
    pub(super) members: Members,
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Refuses what can be refused of a policy, which makes this `difference`, without touching a table.
    pub(super) fn prepare(&self, policy: Policy, difference: &Difference, asked: &Asked) -> Result<Candidate, Refusal> {
        match self.filter.admit(&policy) {
            // It is waited for.
            Err(error @ DatapathError::NoInterface { .. }) if asked.force => tracing::warn!("forced: {error}"),
            admitted => admitted.map_err(|error| Refusal::Datapath { message: error.to_string() })?,
        }
        let members = self.lists.members_with(&policy);
        require_room(members.len())?;
        let mut harms = self.lockouts(&policy, &members, asked.connection);
        harms.extend(policy.guard.shrinks(difference));
        if !harms.is_empty() && !asked.force {
            return Err(Refusal::Guarded(harms));
        }
        for harm in harms.iter().filter(|_| !asked.dry_run) {
            tracing::warn!("forced: {harm}");
        }
        Ok(Candidate { policy: Arc::new(policy), members })
    }

    /// Sources that a whole policy would lock out.
    fn lockouts(&self, policy: &Policy, members: &Members, caller: Option<Connection>) -> Vec<Harm> {
        let live = (&*self.in_force.policy, self.lists.members());
        lockouts_between(live, (policy, members), &*self.host, caller)
    }

    /// Refuses a push, which is in the lists already, that there is no room for or that would lock somebody out, or by which
    /// lists have `shrunk`. Nothing that filters is touched.
    pub(super) fn admit(
        &self,
        checked: &CheckedPush,
        push: &Push,
        applied: &Applied,
        shrunk: Vec<Harm>,
    ) -> Result<(), Refusal> {
        require_room(self.lists.members().len())?;
        let mut harms = self.lockouts_by(checked, applied, push.caller);
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
    fn lockouts_by(&self, checked: &CheckedPush, applied: &Applied, caller: Option<Connection>) -> Vec<Harm> {
        let policy = &self.in_force.policy;
        let services = || policy.services.iter();
        let denies = |list: usize| services().any(|service| service.deny.contains(&list));
        let allows = |list: usize| services().any(|service| service.allow.iter().flatten().any(|one| *one == list));
        let can_harm = checked.add.iter().any(|addition| denies(addition.list))
            || checked.remove.iter().any(|(list, _)| allows(*list));
        if !can_harm || applied.moved.is_empty() {
            return Vec::new();
        }
        let moved = &applied.moved;
        let lengths: BTreeSet<(bool, u8)> =
            moved.keys().map(|prefix| (prefix.address().is_ipv4(), prefix.length())).collect();
        let is_touched = |connection: &Connection| {
            let source = connection.source.ip();
            let of_family = lengths.iter().filter(|(is_ipv4, _)| *is_ipv4 == source.is_ipv4());
            let mut covers = of_family.filter_map(|(_, length)| Prefix::part(source, *length));
            covers.any(|cover| moved.contains_key(&cover))
        };
        let mut established = inbound(&*self.host);
        established.retain(is_touched);
        let caller = caller.filter(is_touched);
        if established.is_empty() && caller.is_none() {
            return Vec::new();
        }
        let members = self.lists.members();
        let before = |prefix: Prefix| moved.get(&prefix).cloned().unwrap_or_else(|| members.own_value(prefix));
        let live = |source| {
            let covers = std::iter::successors(Some(Prefix::host(source)), |prefix| prefix.parent());
            covers.fold(Member::default(), |all, cover| all.union(&before(cover)))
        };
        let model = HostModel::new(policy);
        let live = Side { model: &model, members: &live };
        let new = Side { model: &model, members: &|source| members.lookup(source) };
        guard::cut_off(&policy.guard, Some(&live), &new, &established, caller)
    }
}

/// Sources that `new`, a policy with its members, would lock out, and `live` does not.
fn lockouts_between(
    (live, live_members): (&Policy, &Members),
    (new, new_members): (&Policy, &Members),
    host: &dyn Host,
    caller: Option<Connection>,
) -> Vec<Harm> {
    let (live_model, model) = (HostModel::new(live), HostModel::new(new));
    let before = Side { model: &live_model, members: &|source| live_members.lookup(source) };
    let side = Side { model: &model, members: &|source| new_members.lookup(source) };
    let mut harms = guard::cut_off(&new.guard, Some(&before), &side, &inbound(host), caller);
    harms.extend(guard::management(live, new, &model, new_members));
    harms
}

/// Refuses a start with a configuration file that a reload would refuse: what was in force before goes on. What to start with, and
/// what every prefix is in with that, as `members` say.
pub(super) fn admit_start(start: Start, members: impl Fn(&Policy) -> Members, host: &dyn Host) -> (Start, Members) {
    let new = members(&start.policy);
    let Some(before) = start.fallback.as_deref().map(|fallback| &fallback.policy) else { return (start, new) };
    let live = members(before);
    let difference = Difference::between(&PolicyDocument::of(before, 0), &PolicyDocument::of(&start.policy, 0));
    let mut harms = lockouts_between((before, &live), (&start.policy, &new), host, None);
    harms.extend(start.policy.guard.shrinks(&difference));
    if harms.is_empty() {
        return (start, new);
    }
    let why = Refusal::Guarded(harms).to_string().replace("`--force`", "`portcullis reload --force`");
    match start.fall_back(&why) {
        Ok(before) => (before, live),
        Err(start) => (*start, new),
    }
}

/// Warns of connections that the first policy of a daemon cuts off: nobody is there to be asked.
pub(super) fn warn_at_start(policy: &Policy, members: &Members, host: &dyn Host) {
    let model = HostModel::new(policy);
    let side = Side { model: &model, members: &|source| members.lookup(source) };
    for harm in guard::cut_off(&policy.guard, None, &side, &inbound(host), None) {
        tracing::warn!("{harm}");
    }
}

/// Connections to this host; none, with a warning, when the kernel does not tell.
fn inbound(host: &dyn Host) -> Vec<Connection> {
    host.connections().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the connections of this host, so they are not guarded");
        Vec::new()
    })
}

/// Refuses more prefixes than the tables hold.
pub(super) fn require_room(prefixes: [usize; 2]) -> Result<(), Refusal> {
    let (wanted, capacity) = (prefixes.into_iter().max().unwrap_or(0), MAX_PREFIXES as usize);
    if wanted > capacity { Err(Refusal::Full { wanted, capacity }) } else { Ok(()) }
}
