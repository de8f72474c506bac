//! Everything that can be said about a change before the first write: whether it is refused, and what it would do.

use std::{cell::OnceCell, sync::Arc};

use firewall_common::abi::MAX_PREFIXES;

use super::{
    Core, Host,
    asked::Asked,
    forced::{Forced, insist},
    host::{around, established},
};
use crate::{
    control::{Refusal, guarded},
    datapath::{DatapathError, Filter},
    host::{connections::Connection, memory},
    lists::{members::Members, pushed::Runtime},
    policy::{Policy, Prefix},
    preview::{
        diff::Difference,
        guard::{self, GuardName, Harm, Side},
        model::HostModel,
    },
    state::{disk::Disk, history::start::Start},
};

/// A policy that nothing speaks against, with what every prefix would be in.
pub(super) struct Candidate {
    pub(super) policy: Arc<Policy>,
    pub(super) members: Members,
    pub(super) forced: Forced,
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Refuses what can be refused of a policy, which makes this `difference`, without touching a table.
    pub(super) fn prepare(
        &self,
        policy: Arc<Policy>,
        difference: &Difference,
        asked: &Asked,
    ) -> Result<Candidate, Refusal> {
        let absent = match self.filter.admit(&policy) {
            // It is waited for.
            Err(error @ DatapathError::NoInterface { .. }) if asked.force.lifts(GuardName::Interface) => {
                Some(error.to_string())
            }
            admitted => {
                admitted.map_err(|error| Refusal::Datapath { message: error.to_string() })?;
                None
            }
        };
        let members = self.lists.members_with(&policy);
        require_room(members.len())?;
        let live = &*self.in_force.policy;
        let sides = ((live, self.lists.members()), (&*policy, &members));
        let mut harms = lockouts_between(sides.0, sides.1, &*self.outer.host, asked.connection);
        harms.extend(losses(&policy, difference, self.lists.pushed()));
        harms.extend(coverage(Some((live, difference)), &policy, self.lists.pushed(), &*self.outer.host));
        let forced = insist(harms, &asked.force)?.after(absent);
        Ok(Candidate { policy, members, forced })
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
    let mut harms = guard::cut_off(&new.guard, Some(&before), &side, established(host, None), caller);
    harms.extend(guard::management(live, new, &model, new_members));
    harms
}

/// Lists that lose too much by a `new` policy.
fn losses(new: &Policy, difference: &Difference, pushed: &Runtime) -> Vec<Harm> {
    let emptied = guard::emptied(new, difference, |list| pushed.entries(list).next().is_some());
    let mut harms = new.guard.shrinks(difference);
    harms.retain(|harm| !guard::is_of_emptied(harm, &emptied));
    harms.extend(emptied);
    harms
}

/// What this host needs and a `new` policy denies by entries that the live one does not deny; by any, without a live one.
fn coverage(live: Option<(&Policy, &Difference)>, new: &Policy, pushed: &Runtime, host: &dyn Host) -> Vec<Harm> {
    let needed = OnceCell::new();
    let mut harms = Vec::new();
    for (_, list) in new.lists.iter().enumerate().filter(|(index, _)| new.denies_list(*index)) {
        let fresh = match live {
            Some((live, difference)) if is_denied_by(live, &list.name) => {
                let added = difference.lists.get(&*list.name).map_or(&[][..], |changes| &changes.added);
                added.iter().copied().filter(|entry| pushed.at(&list.name, *entry).next().is_none()).collect()
            }
            _ => {
                let pushed = pushed.entries(&list.name).map(|(holding, _)| holding.prefix);
                let mut all: Vec<Prefix> = list.entries.iter().copied().chain(pushed).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        };
        if !fresh.is_empty() {
            harms.extend(guard::covers(&list.name, &fresh, needed.get_or_init(|| around(host))));
        }
    }
    harms
}

/// Whether a service of `policy` denies what is in the list of this name.
fn is_denied_by(policy: &Policy, list: &str) -> bool {
    policy.list_named(list).is_some_and(|index| policy.denies_list(index))
}

/// Refuses a start with a configuration file that a reload would refuse: what was in force before goes on. What to start with, and
/// what every prefix is in with that, as `members` say. What the file denies of this host is only told of: it was so before, or somebody
/// wanted it.
pub(super) fn admit_start(
    start: Start,
    members: impl Fn(&Policy) -> Members,
    pushed: &Runtime,
    host: &dyn Host,
) -> (Start, Members) {
    let new = members(&start.policy);
    let Some(before) = start.fallback.as_deref().map(|fallback| &fallback.policy) else { return (start, new) };
    let live = members(before);
    let difference = Difference::of(before, &start.policy);
    let mut harms = lockouts_between((before, &live), (&start.policy, &new), host, None);
    harms.extend(losses(&start.policy, &difference, pushed));
    if harms.is_empty() {
        return (start, new);
    }
    match start.fall_back(&guarded(&harms, Some("portcullis reload"))) {
        Ok(before) => (before, live),
        Err(start) => (*start, new),
    }
}

/// Warns of connections that the first policy of a daemon cuts off, and of what this host needs and it denies: nobody is there to be
/// asked.
pub(super) fn warn_at_start(policy: &Policy, members: &Members, pushed: &Runtime, host: &dyn Host) {
    let model = HostModel::new(policy);
    let side = Side { model: &model, members: &|source| members.lookup(source) };
    let cut_off = guard::cut_off(&policy.guard, None, &side, established(host, None), None);
    for harm in cut_off.into_iter().chain(coverage(None, policy, pushed, host)) {
        tracing::warn!("{harm}");
    }
}

/// Refuses a configuration that would not fit into the memory that is left to the daemon: the kernel would end it half way.
pub(super) fn require_memory(policy: &Policy, pushed: &Runtime, host: &dyn Host) -> Result<(), Refusal> {
    let mut prefixes = memory::prefixes_of(policy);
    for (list, _) in pushed.lists() {
        let [v4, v6] = &mut prefixes;
        for [more_v4, more_v6] in pushed.counts(list) {
            (*v4, *v6) = (*v4 + more_v4 as usize, *v6 + more_v6 as usize);
        }
    }
    let fits = memory::require(prefixes, host.memory());
    fits.map_err(|shortage| Refusal::NoMemory { message: shortage.to_string() })
}

/// Refuses more prefixes than the tables hold.
pub(super) fn require_room(prefixes: [usize; 2]) -> Result<(), Refusal> {
    let (wanted, capacity) = (prefixes.into_iter().max().unwrap_or(0), MAX_PREFIXES as usize);
    if wanted > capacity { Err(Refusal::Full { wanted, capacity }) } else { Ok(()) }
}
