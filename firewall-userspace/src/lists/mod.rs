//! What every prefix is in.
//!
//! In: the policy's lists and changes of pushed entries. Out: members by prefix, and the lines of the kernel's prefix table.
//! `pushed` owns pushed entries, `members` what each prefix is in, `table` the table's lines.

pub mod alike;
pub mod change;
pub mod entry;
pub mod layers;
pub mod members;
pub mod pushed;
pub mod seek;
pub mod table;
pub mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use self::{
    change::Change,
    entry::Holding,
    members::{AlikeEnds, Member, Members},
    pushed::{Runtime, RuntimeEntry},
    tally::{EntryTally, Happening},
};
use crate::{
    clock::{Now, reckoning::Reckoning},
    policy::{Name, Policy, Prefix},
};

/// The entries of all layers with the addresses of this host, and what every prefix is in because of them and the policy.
pub struct Lists {
    pushed: Runtime,
    own: Arc<BTreeSet<Prefix>>,
    members: Members,
    /// What is known of the time: by it, entries end.
    clock: Reckoning,
    /// Time since boot before which no entry is ended again: the last attempt failed.
    retry: Duration,
    /// Prefixes that packets may meet as they were in a change that was refused.
    stale: BTreeSet<Prefix>,
    /// Time since boot before which those are not tried again.
    stale_retry: Duration,
    /// Entries that have changed since they are watched.
    touched: Option<BTreeSet<(Name, Holding)>>,
    /// What happened to entries since the daemon started.
    tally: Arc<EntryTally>,
}

/// What a change of the lists came to.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Makes every entry what it was, in this order.
    pub inverse: Vec<Change>,
    /// Prefixes that are in something else now, with what they were in before.
    pub moved: BTreeMap<Prefix, Member>,
}

impl Applied {
    /// What happened to entries, which the changes made `after`, in their order.
    pub fn tally<'a>(&self, after: impl IntoIterator<Item = &'a Option<Arc<RuntimeEntry>>>) -> EntryTally {
        let mut tally = EntryTally::default();
        // The inverse begins with the last change.
        for (was, is) in self.inverse.iter().rev().zip(after) {
            if let Some(what) = Happening::between(was.entry.as_deref(), is.as_deref()) {
                tally.count(&was.list, was.holding.layer, what);
            }
        }
        tally
    }
}

/// Between two attempts to end entries.
const RETRY: Duration = Duration::from_secs(1);

/// Between two attempts to undo a part of a change: each may load a program.
const STALE_RETRY: Duration = Duration::from_secs(5);

impl Lists {
    /// What was pushed, the addresses of this host, and the [`members`](Self::members_of) that a policy makes of them.
    pub fn new(members: Members, pushed: Runtime, own: BTreeSet<Prefix>, clock: Reckoning) -> Self {
        let own = Arc::new(own);
        Self {
            pushed,
            own,
            members,
            clock,
            retry: Duration::ZERO,
            stale: BTreeSet::new(),
            stale_retry: Duration::ZERO,
            touched: None,
            tally: Arc::default(),
        }
    }

    /// Entries that were pushed.
    pub fn pushed(&self) -> &Runtime {
        &self.pushed
    }

    /// Addresses of this host.
    pub fn own(&self) -> &Arc<BTreeSet<Prefix>> {
        &self.own
    }

    /// What every prefix is in.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// What is known of the time.
    pub fn clock(&self) -> &Reckoning {
        &self.clock
    }

    /// What every prefix would be in with `policy`.
    pub fn members_with(&self, policy: &Policy) -> Members {
        Self::members_of(policy, &self.pushed, &self.own, &self.clock)
    }

    /// What every prefix is in with `policy`, what was pushed and the addresses of this host.
    pub fn members_of(policy: &Policy, pushed: &Runtime, own: &BTreeSet<Prefix>, clock: &Reckoning) -> Members {
        let mut all = Vec::with_capacity(layers::count_members(policy, pushed, own));
        all.extend(layers::all_members(policy, pushed, own, clock));
        Members::from_vec(all)
    }

    /// A policy with these [members](Self::members_with) has come into force, in fresh tables.
    pub fn follow(&mut self, members: Members) {
        self.members = members;
        self.stale.clear();
    }

    /// What filters may have these prefixes as they were in a change that was refused: it is to be told again.
    pub fn mark_stale(&mut self, prefixes: impl IntoIterator<Item = Prefix>) {
        self.stale.extend(prefixes);
    }

    /// All such prefixes.
    pub fn all_stale(&self) -> Vec<Prefix> {
        self.stale.iter().copied().collect()
    }

    /// Prefixes that what filters is to be told again, after a while since the last attempt.
    pub fn stale(&mut self, now: Now) -> Vec<Prefix> {
        if self.stale.is_empty() || now.boot < self.stale_retry {
            return Vec::new();
        }
        self.stale_retry = now.boot.saturating_add(STALE_RETRY);
        self.all_stale()
    }

    /// Whether what filters may differ from the members.
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// What filters was told all of these prefixes.
    pub fn refreshed<'a>(&mut self, prefixes: impl IntoIterator<Item = &'a Prefix>) {
        if !self.stale.is_empty() {
            for prefix in prefixes {
                self.stale.remove(prefix);
            }
        }
    }

    /// What happened to entries since the daemon started.
    pub fn tally(&self) -> &Arc<EntryTally> {
        &self.tally
    }

    /// This happened to entries, and will not be taken back.
    pub fn count(&mut self, happened: &EntryTally) {
        Arc::make_mut(&mut self.tally).add(happened);
    }

    /// Changes of entries are noted from now on.
    pub fn watch(&mut self) {
        self.touched = Some(BTreeSet::new());
    }

    /// They are not noted any more.
    pub fn unwatch(&mut self) {
        self.touched = None;
    }

    /// Entries that have changed since they are [watched](Self::watch); `None` when the time was found to be another since, which may
    /// change all of them.
    pub fn touched(&self) -> Option<&BTreeSet<(Name, Holding)>> {
        self.touched.as_ref()
    }

    /// All entries are others from now on: what prefixes are in because of that is to be [brought in line](Self::bring_in_line).
    pub fn exchange(&mut self, pushed: Runtime) {
        self.pushed = pushed;
    }

    /// Finds out what these prefixes are in now; those that are in something else than before, with that.
    pub fn bring_in_line(&mut self, policy: &Policy, prefixes: BTreeSet<Prefix>) -> BTreeMap<Prefix, Member> {
        self.move_members(policy, prefixes)
    }

    /// Makes entries what `changes` say, in their order. Applying the inverse undoes it.
    pub fn apply(&mut self, policy: &Policy, changes: Vec<Change>) -> Applied {
        if let Some(touched) = &mut self.touched {
            touched.extend(changes.iter().map(|change| (change.list.clone(), change.holding.clone())));
        }
        let touched: BTreeSet<Prefix> = changes.iter().map(|change| change.holding.prefix).collect();
        let mut inverse: Vec<Change> = changes
            .into_iter()
            .map(|Change { list, holding, entry }| {
                let before = self.pushed.set(&list, &holding, entry);
                Change { list, holding, entry: before }
            })
            .collect();
        inverse.reverse();
        Applied { inverse, moved: self.move_members(policy, touched) }
    }

    /// This host has the addresses `own`; those that it had, and what has moved.
    pub fn set_own(&mut self, policy: &Policy, own: BTreeSet<Prefix>) -> (BTreeSet<Prefix>, BTreeMap<Prefix, Member>) {
        let touched: BTreeSet<Prefix> = own.symmetric_difference(&self.own).copied().collect();
        let before = std::mem::replace(&mut self.own, Arc::new(own));
        (Arc::unwrap_or_clone(before), self.move_members(policy, touched))
    }

    /// Removals of the entries that have ended at `now`; none while a failure is recent.
    pub fn ended(&self, policy: &Policy, now: Now) -> Vec<Change> {
        if now.boot < self.retry {
            return Vec::new();
        }
        let over = |list: &Name, era| self.clock.over(era, is_denied(policy, list), now);
        let gone = |(list, holding)| Change { list, holding, entry: None };
        self.pushed.expired(over).into_iter().map(gone).collect()
    }

    /// Ended entries could not be taken out: they are tried again after a while.
    pub fn retry_later(&mut self, now: Now) {
        self.retry = now.boot.saturating_add(RETRY);
    }

    /// Time until an entry ends; `None` when none does.
    pub fn time_until_end(&self, policy: &Policy, now: Now) -> Option<Duration> {
        let ends = self.pushed.next_ends();
        let left = ends.map(|(list, end)| self.clock.left(end, is_denied(policy, list), now)).min()?;
        Some(left.max(self.retry.saturating_sub(now.boot)))
    }

    /// The time is known better, and `changes` are what becomes of entries by that; what has moved.
    pub fn follow_clock(
        &mut self,
        policy: &Policy,
        clock: Reckoning,
        changes: Vec<Change>,
    ) -> BTreeMap<Prefix, Member> {
        self.clock = clock;
        self.touched = None;
        for Change { list, holding, entry } in changes {
            self.pushed.set(&list, &holding, entry);
        }
        let ending = self.pushed.ending().map(|(_, holding)| holding.prefix).collect();
        self.move_members(policy, ending)
    }

    /// Finds out what `touched` prefixes are in now; those that are in something else than before, with that.
    fn move_members(&mut self, policy: &Policy, touched: BTreeSet<Prefix>) -> BTreeMap<Prefix, Member> {
        let (mut moved, mut changes, mut ends) = (Vec::new(), Vec::new(), AlikeEnds::default());
        for prefix in touched {
            let member = layers::member_of(policy, &self.pushed, &self.own, prefix, &self.clock, &mut ends);
            let before = self.members.own_value(prefix);
            if member != before {
                changes.push((prefix, member));
                moved.push((prefix, before));
            }
        }
        self.members.set_all(changes);
        // In order already, which a map is made of at once.
        moved.into_iter().collect()
    }
}

/// Whether a service denies what is in a list. A list that is not configured now may be denied again later.
pub fn is_denied(policy: &Policy, list: &Name) -> bool {
    let index = policy.lists.iter().position(|known| known.name == *list);
    index.is_none_or(|index| policy.denies_list(index))
}
