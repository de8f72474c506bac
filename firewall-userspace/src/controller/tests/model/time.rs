//! What is known of the time, and which entries are over by it.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{Entry, Key, Model, Waiting, What, ahead, at};
use crate::{
    clock::Now,
    lists::is_denied,
    policy::{Name, Policy},
};

impl Model {
    /// Whether somebody keeps the clock right.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The wall clock may have been set, or somebody keeps it right again.
    pub fn follow_clock(&mut self, now: Now) {
        let wall = ahead(now);
        let (of_before, of_now) = match now.is_synchronised {
            true if self.is_settled && wall == self.latest => return,
            true => {
                let shifts = ((wall - self.earliest).min(SignedDuration::ZERO), wall - self.latest);
                (self.earliest, self.latest, self.is_settled) = (wall, wall, true);
                shifts
            }
            false if wall == self.wall => return,
            false => {
                let by = (wall - self.latest).max(SignedDuration::ZERO);
                self.latest += by;
                self.is_settled = false;
                (SignedDuration::ZERO, by)
            }
        };
        self.wall = wall;
        let is_settled = self.is_settled;
        let follow = |entry: &mut Entry| {
            let by = if entry.is_new { of_now } else { of_before };
            entry.expires = entry.expires.map(|expires| expires.checked_add(by).unwrap());
            entry.is_new &= !is_settled;
        };
        self.entries.values_mut().for_each(follow);
        if let Some(Waiting { what: What::Push { before, .. }, .. }) = &mut self.waiting {
            before.values_mut().flatten().for_each(follow);
        }
        self.pushes.values_mut().flat_map(BTreeMap::values_mut).flatten().flatten().for_each(follow);
    }

    /// Whether a service denies what is in a list, or may do so when the list comes back.
    fn is_denied(&self, list: &str) -> bool {
        let policy = self.policy();
        let index = policy.lists.iter().position(|known| *known.name == *list);
        index.is_none_or(|index| policy.services.iter().any(|service| service.deny.contains(&index)))
    }

    /// Whether this and `other` know the time as well as each other.
    pub fn knows_the_time_of(&self, other: &Self) -> bool {
        let known = |model: &Self| (model.wall, model.earliest, model.latest, model.is_settled);
        known(self) == known(other)
    }

    /// Whether an entry may end by a time that is not known, where `policy` is in force: the latest one that can be believed.
    pub fn may_end_early(&self, key: &Key, policy: &Policy) -> bool {
        let list = Name::parse(&key.0).unwrap();
        !is_denied(policy, &list) && self.entries.get(key).is_some_and(|entry| entry.expires.is_some())
    }

    /// Entries whose time is over.
    pub fn ended(&self, now: Now) -> Vec<Key> {
        self.over(now, |list| self.is_denied(list))
    }

    fn over(&self, now: Now, is_denied: impl Fn(&str) -> bool) -> Vec<Key> {
        let is_over = |(list, ..): &Key, entry: &Entry| {
            let ahead = if entry.is_new || !is_denied(list) { self.latest } else { self.earliest };
            entry.expires.is_some_and(|expires| expires <= at(now, ahead))
        };
        self.entries.iter().filter(|(key, entry)| is_over(key, entry)).map(|(key, _)| key.clone()).collect()
    }

    /// They are gone.
    pub fn end(&mut self, keys: &[Key]) {
        self.entries.retain(|key, _| !keys.contains(key));
        self.revision += u64::from(!keys.is_empty());
    }

    /// A daemon that starts does not know yet who is denied.
    pub(super) fn end_quietly(&mut self, now: Now) {
        let ended = self.over(now, |_| true);
        self.entries.retain(|key, _| !ended.contains(key));
    }
}
