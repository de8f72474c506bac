//! The one thread that changes what is enforced.
//!
//! In: messages of a [`Controller`], the time, what netlink and the kernel say. Out: answers, and what readers are told.
//! `Core` has the owners: each knows its own part alone, and the flows (`push`, `policy`, `confirm`, `explain`) bring them
//! together.

mod admit;
mod asked;
mod audit;
mod begin;
mod confirm;
mod counters;
mod explain;
#[cfg(test)]
pub(crate) mod fake;
mod file;
mod footprint;
mod forced;
mod handle;
mod host;
mod idle;
mod in_force;
mod message;
mod policy;
mod prepare;
mod published;
mod push;
mod readings;
mod reply;
mod report;
mod scope;
mod sight;
mod sync;
mod temporary;
#[cfg(test)]
mod tests;
mod thread;
mod traffic;
mod undo;
mod waiting;
mod work;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

pub use counters::Counters;
pub use file::{ConfigFile, ReadConfig};
pub use handle::Controller;
pub use host::{Host, ThisHost};
pub use idle::{Begin, NoPolicy, WithoutPolicy};
pub use message::{Explaining, Inquiry, Message};
pub use readings::Readings;
pub use reply::{PATIENCE, Reply, ReplyAhead, reply};
pub use report::generation_document;
pub use sync::{
    CancelOnDrop, Comparison, MAX_LINE, Survey, SyncBase, SyncCollector, SyncKind, SyncOrder, SyncReply, SyncSet,
    SyncTicket, SyncTurn, Syncs,
};
pub use thread::{Beginning, LateUpkeep, Launch, Launched, start};
pub use work::{Activity, Doing, LONGEST_JOB, Work};

use self::{in_force::InForce, published::Publisher, undo::Undoable};
use crate::{
    clock::Now,
    control::Refusal,
    datapath::{DatapathError, Filter, Unwilling},
    lists::{
        self, Applied, Lists,
        change::Change,
        members::Members,
        pushed::Runtime,
        tally::{EntryTally, Happening},
    },
    policy::{Name, Policy, Prefix},
    state::{
        audit::AuditHandle,
        disk::Disk,
        history::{History, start::Start},
        journal::{Keeper, Store},
    },
};

/// What the controller starts from.
pub struct Setup<D: Disk> {
    /// The configuration file, read again by a reload.
    pub config: PathBuf,
    /// The policy to begin with.
    pub start: Start,
    /// Where generations of the policy are kept.
    pub history: History<D>,
    /// Addresses of this host.
    pub own: BTreeSet<Prefix>,
    /// Where pushes are kept.
    pub store: Store<D>,
    /// What was in it.
    pub runtime: Runtime,
    /// The host that it runs on.
    pub host: Arc<dyn Host>,
    /// Where changes are recorded.
    pub audit: AuditHandle,
}

/// What is outside of the controller, and asked or told by it.
struct Outer {
    host: Arc<dyn Host>,
    audit: AuditHandle,
}

/// Everything that a verdict depends on, by its owner.
struct Core<F: Filter, D: Disk> {
    in_force: InForce,
    lists: Lists,
    filter: F,
    keeper: Keeper<D>,
    history: History<D>,
    undoable: Undoable,
    publisher: Publisher,
    outer: Outer,
}

/// Starts a filter by a policy with what every prefix is in.
type StartFilter<'a, F> = dyn FnMut(&Arc<Policy>, &Members, Unwilling) -> Result<F, DatapathError> + Send + 'a;

/// From so many changes on they are very many: what filters gets fresh tables for all of them at once, where they are not few beside the
/// rest, since tables that grow from one piece to the next would be filled anew several times; and they are undone beside the
/// controller.
const MANY: usize = 1 << 16;

/// Longest wait while something ends by itself: the wall clock may be set forward.
const TICK: Duration = Duration::from_secs(1);

impl<F: Filter, D: Disk> Core<F, D> {
    /// Brings the policy of `setup` into force, by the filter that `filter` starts. Where it comes from the configuration file,
    /// and a guard or the kernel refuses it, what was in force before goes on.
    fn start(setup: Setup<D>, filter: &mut StartFilter<'_, F>, now: Now) -> Result<Self, DatapathError> {
        let Setup { config, start, history, own, store, runtime, host, audit } = setup;
        let members_of = |policy: &Policy| Lists::members_of(policy, &runtime, &own, store.clock());
        let (mut start, mut members) = prepare::admit_start(start, members_of, &runtime, &*host);
        let (policy, filter) = loop {
            let policy = Arc::new(start.policy.clone());
            // As a reload would be, where there is something to go on with.
            let unwilling = start.fallback.as_ref().map_or(Unwilling::IsWaitedFor, |before| {
                Unwilling::Refuses(before.policy.interfaces.iter().map(|interface| interface.name.clone()).collect())
            });
            match filter(&policy, &members, unwilling) {
                Ok(filter) => break (policy, filter),
                Err(error) => start = start.fall_back(&error.to_string()).map_err(|_| error)?,
            }
            members = members_of(&start.policy);
        };
        prepare::warn_at_start(&policy, &members, &runtime, &*host);
        let lists = Lists::new(members, runtime, own, store.clock().clone());
        let Start { basis, refused, .. } = start;
        let mut core = Self {
            in_force: InForce::new(policy, config, history.last(), refused, now.wall),
            lists,
            publisher: Publisher::new(),
            filter,
            keeper: Keeper::new(store),
            history,
            undoable: Undoable::default(),
            outer: Outer { host, audit },
        };
        core.begin(basis, now);
        core.undoable.log.begin(core.in_force.revision());
        core.publish();
        Ok(core)
    }

    /// Does what is due by itself, and tells readers when that has changed anything.
    fn tend(&mut self, now: Now) {
        self.hurry(now);
        let is_changed = self.follow_clock(now)
            | self.undo_overdue(now)
            | self.end_mode(now)
            | self.expire(now)
            | self.keeper.tend(self.lists.pushed(), now)
            | self.history.tend(now)
            | self.filter.look(self.lists.members(), now);
        if is_changed {
            self.publish();
        }
        // Last: readers are told the same before and after it.
        self.refresh(now);
    }

    /// No disk is waited for beyond the time at which a change has to be undone.
    fn hurry(&self, now: Now) {
        self.keeper.be_back_in(self.undoable.waiting.as_ref().map(|waiting| waiting.left(now)));
    }

    /// How long nothing happens by itself.
    fn time_until_work(&self, now: Now) -> Duration {
        if self.has_sync_to_do() {
            return Duration::ZERO;
        }
        let end = self.lists.time_until_end(&self.in_force.policy, now).map(|left| left.min(TICK));
        // The wall clock, which ends a wait early, may be set forward.
        let deadline = self.undoable.waiting.as_ref().map(|waiting| waiting.left(now).min(TICK));
        let mode = self.mode_left(now).map(|left| left.min(TICK));
        let looks_at_clock = !self.lists.clock().is_settled();
        let has_chores = looks_at_clock || self.keeper.has_chores() || self.history.is_owing() || self.lists.is_stale();
        let chores = [end, deadline, mode, has_chores.then_some(TICK)];
        chores
            .into_iter()
            .flatten()
            .fold(self.filter.time_until_look(now).min(self.keeper.time_until_look(now)), Duration::min)
    }

    /// Makes `changes` in the lists and in what filters: all of them, or none.
    fn change(&mut self, changes: Vec<Change>) -> Result<Applied, Refusal> {
        let applied = self.lists.apply(&self.in_force.policy, changes);
        match self.enforce(&mut applied.moved.keys().copied()) {
            Ok(()) => {
                self.lists.refreshed(applied.moved.keys());
                Ok(applied)
            }
            Err(refusal) => {
                self.lists.apply(&self.in_force.policy, applied.inverse);
                self.restore(applied.moved.into_keys());
                Err(refusal)
            }
        }
    }

    /// Brings what filters in line with the lists, of which `prefixes` have changed.
    fn enforce(&mut self, prefixes: &mut dyn ExactSizeIterator<Item = Prefix>) -> Result<(), Refusal> {
        prepare::require_room(self.lists.members().len())?;
        self.tell_filter(prefixes).map_err(|error| Refusal::Datapath { message: error.to_string() })
    }

    /// Tells what filters that `prefixes` have changed, one by one or, where they are very many, by fresh tables.
    fn tell_filter(&mut self, prefixes: &mut dyn ExactSizeIterator<Item = Prefix>) -> Result<(), DatapathError> {
        if self.are_many(prefixes.len()) {
            self.filter.switch(&self.in_force.policy, self.lists.members())
        } else {
            self.filter.update(self.lists.members(), prefixes)
        }
    }

    /// Whether what filters gets fresh tables for so many changes.
    fn are_many(&self, changes: usize) -> bool {
        changes >= MANY.max(self.lists.members().len().iter().sum::<usize>() / 4)
    }

    /// Brings what filters in line with the lists again, after a change of `prefixes` that was refused: a part of it may be
    /// live. What cannot be taken back is tried again until it can.
    fn restore(&mut self, prefixes: impl IntoIterator<Item = Prefix>) {
        self.lists.mark_stale(prefixes);
        let prefixes = self.lists.all_stale();
        match self.tell_filter(&mut prefixes.iter().copied()) {
            Ok(()) => self.lists.refreshed(&prefixes),
            Err(error) => tracing::error!(%error, "cannot undo a part of the change; trying again"),
        }
    }

    /// Tries again to undo what could not be undone.
    fn refresh(&mut self, now: Now) {
        let stale = self.lists.stale(now);
        if !stale.is_empty() && self.tell_filter(&mut stale.iter().copied()).is_ok() {
            self.lists.refreshed(&stale);
            tracing::info!("undid the part of a change that could not be undone before");
        }
    }

    /// This host has the addresses `own`; whether they are refused as sources now.
    fn set_own(&mut self, own: Vec<Prefix>) -> bool {
        let (before, moved) = self.lists.set_own(&self.in_force.policy, own.into_iter().collect());
        match self.enforce(&mut moved.keys().copied()) {
            Ok(()) => {
                tracing::info!(addresses = self.lists.own().len(), "the addresses of this host changed");
                true
            }
            Err(refusal) => {
                tracing::error!(%refusal, "cannot refuse sources with the new addresses of this host; trying again");
                self.lists.set_own(&self.in_force.policy, before);
                self.restore(moved.into_keys());
                false
            }
        }
    }

    /// Takes out entries whose time is over; the program in the kernel does not wait for this.
    fn expire(&mut self, now: Now) -> bool {
        let ended = self.lists.ended(&self.in_force.policy, now);
        if ended.is_empty() {
            return false;
        }
        if let Err(refusal) = self.change(ended.clone()) {
            tracing::error!(%refusal, "cannot end entries whose time is over; trying again");
            self.lists.retry_later(now);
            return false;
        }
        let mut tally = EntryTally::default();
        ended.iter().for_each(|one| tally.count(&one.list, one.holding.layer, Happening::Expired));
        self.lists.count(&tally);
        let revision = self.in_force.advance();
        tracing::info!(revision, removed = ended.len(), "ended entries whose time is over");
        for list in admit::emptied(&self.in_force.policy, self.lists.pushed(), &ended) {
            tracing::warn!(%list, "a list that services allow is empty, because its last entry has ended: it admits nobody");
        }
        self.keeper.owe(now, ended);
        true
    }

    /// Follows what is known of the time, and with it the ends of entries.
    fn follow_clock(&mut self, now: Now) -> bool {
        let Some(turn) = self.keeper.follow_clock(now) else { return false };
        let is_denied = |list: &Name| lists::is_denied(&self.in_force.policy, list);
        let [told, others] = self.lists.pushed().turned(&turn, is_denied);
        self.keeper.owe_turn(now, &turn, &told, is_denied);
        self.undoable.log.follow(&turn, is_denied);
        let changes = told.into_iter().chain(others).collect();
        let moved = self.lists.follow_clock(&self.in_force.policy, self.keeper.clock().clone(), changes);
        match self.enforce(&mut moved.keys().copied()) {
            Ok(()) => self.lists.refreshed(moved.keys()),
            Err(refusal) => {
                tracing::error!(%refusal, "cannot move the ends of entries with the clock; trying again");
                self.lists.mark_stale(moved.into_keys());
            }
        }
        true
    }

    /// Keeps what is still to be kept. The pins stay: only `portcullis detach` ends the filter.
    fn stop(&mut self, now: Now) {
        self.finish_sync(now);
        self.keeper.settle_now(now);
        if let Err(error) = self.history.settle() {
            tracing::error!(%error, "cannot keep the generations of the policy");
        }
        self.keeper.finish();
        let report = self.filter.report();
        let interfaces: Vec<&str> = report.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        let interfaces = interfaces.join(", ");
        if let Some(cause) = report.pin_failure {
            tracing::error!(interfaces, "stopped; nothing is filtered any more, because nothing is pinned: {cause}");
            return;
        }
        tracing::info!(interfaces, "stopped; the last policy goes on filtering until `portcullis detach`");
    }
}
