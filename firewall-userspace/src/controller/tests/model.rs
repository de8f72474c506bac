//! What a daemon is to be in, told a second time: plain maps, without disk, kernel, batches or inverses.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::world::{self, KEEP};
use crate::{
    clock::Now,
    lists::{entry::Layer, is_denied},
    policy::{Mode, Name, Policy, Prefix},
};

/// List, prefix, layer, owner.
pub type Key = (String, Prefix, Layer, String);

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub expires: Option<Timestamp>,
    /// It was written while nobody knew the time.
    is_new: bool,
    /// Time since boot after which no packet may meet it, whatever was done to clocks.
    pub latest: Option<Duration>,
    created: Timestamp,
}

impl Entry {
    /// What tells it from another entry.
    fn facts(&self) -> (Option<Timestamp>, bool, Timestamp) {
        (self.expires, self.is_new, self.created)
    }
}

fn is_same(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    one.map(Entry::facts) == other.map(Entry::facts)
}

/// The entries of a push, each as it was and as the push left it.
type Traces = BTreeMap<Key, [Option<Entry>; 2]>;

#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    pub number: u64,
    pub config: usize,
    pub mode: Option<Mode>,
    pub bundle: u64,
    pub is_confirmed: bool,
}

#[derive(Clone, Debug)]
pub struct Waiting {
    pub what: What,
    pub until: Timestamp,
    pub length: Duration,
    wall: Timestamp,
    boot: Duration,
}

#[derive(Clone, Debug)]
pub enum What {
    Policy { generation: u64, previous: u64 },
    Push { revision: u64, before: BTreeMap<Key, Option<Entry>> },
}

/// A change of one entry: added with a time to live, or removed.
pub type Wish = (Key, Option<Option<Duration>>);

#[derive(Clone)]
pub struct Model {
    pub entries: BTreeMap<Key, Entry>,
    pub own: BTreeSet<Prefix>,
    pub generations: Vec<Generation>,
    pub active: u64,
    /// Bundle that the configuration file was last read as, and its configuration.
    pub read: (u64, usize),
    pub waiting: Option<Waiting>,
    pub revision: u64,
    /// Pushes of this daemon that can be undone, by revision, and those that were.
    pub pushes: BTreeMap<u64, Traces>,
    pub undone: BTreeSet<u64>,
    /// The push of this daemon that waits.
    pub waits: Option<u64>,
    /// The push that it takes back.
    takes_back: Option<u64>,
    /// The configuration file was refused when it was last tried.
    pub is_file_refused: bool,
    /// How far ahead of the boot clock the wall clock was at the last look, and the times that can be believed are.
    wall: SignedDuration,
    earliest: SignedDuration,
    latest: SignedDuration,
    is_settled: bool,
}

fn ahead(now: Now) -> SignedDuration {
    now.wall.as_duration() - SignedDuration::try_from(now.boot).unwrap()
}

/// The time `ahead` of the boot clock.
fn at(now: Now, ahead: SignedDuration) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(now.boot).unwrap().checked_add(ahead).unwrap()
}

impl Waiting {
    pub fn new(what: What, length: Duration, now: Now) -> Self {
        let until = now.wall.checked_add(length).unwrap();
        Self { what, until, length, wall: until, boot: now.boot + length }
    }

    pub fn is_over(&self, now: Now) -> bool {
        now.wall >= self.wall || now.boot >= self.boot
    }

    /// Another daemon waits on: more than the length was is none.
    fn resume(&mut self, now: Now) {
        let left = Duration::try_from(self.until.duration_since(now.wall)).unwrap_or_default();
        let left = if left > self.length { Duration::ZERO } else { left };
        (self.wall, self.boot) = (now.wall.checked_add(left).unwrap(), now.boot + left);
    }
}

impl Model {
    /// The first start, with configuration `file`.
    pub fn new(file: usize, now: Now) -> Self {
        let first = Generation { number: 1, config: file, mode: None, bundle: 1, is_confirmed: true };
        Self {
            entries: BTreeMap::new(),
            own: BTreeSet::new(),
            generations: vec![first],
            active: 1,
            read: (1, file),
            waiting: None,
            revision: 1,
            pushes: BTreeMap::new(),
            undone: BTreeSet::new(),
            waits: None,
            takes_back: None,
            is_file_refused: false,
            wall: ahead(now),
            earliest: ahead(now),
            latest: ahead(now),
            is_settled: true,
        }
    }

    pub fn active(&self) -> &Generation {
        self.generation(self.active).unwrap()
    }

    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|one| one.number == number)
    }

    pub fn policy(&self) -> Policy {
        let active = self.active();
        let mut policy = world::load(active.config).unwrap().policy;
        policy.mode = active.mode.unwrap_or(policy.mode);
        policy
    }

    /// A push that is in force.
    pub fn push(&mut self, wishes: &[Wish], confirm: Option<Duration>, now: Now) {
        let (mut before, mut is_counted) = (BTreeMap::new(), false);
        for (key, wish) in wishes {
            let old = self.entries.get(key).cloned();
            match wish {
                Some(ttl) => {
                    let expires = ttl.map(|ttl| at(now, self.latest).checked_add(ttl).unwrap());
                    let (latest, is_new) = (ttl.map(|ttl| now.boot + ttl), ttl.is_some() && !self.is_settled);
                    // It is so already, and no push that waits would change it.
                    let is_so = |old: &Entry| (old.expires, old.is_new) == (expires, is_new);
                    let is_so = old.as_ref().is_some_and(is_so);
                    if is_so && !self.waits_with(key) {
                        continue;
                    }
                    let created = old.as_ref().map_or(now.wall, |old| old.created);
                    self.entries.insert(key.clone(), Entry { expires, is_new, latest, created });
                    is_counted |= !is_so;
                }
                None if old.is_none() => continue,
                None => {
                    self.entries.remove(key);
                    is_counted = true;
                }
            }
            before.insert(key.clone(), old);
        }
        self.note(before, is_counted, confirm, now);
    }

    /// Entries are what they are now by a push, or because one was taken back.
    fn note(&mut self, before: BTreeMap<Key, Option<Entry>>, is_counted: bool, confirm: Option<Duration>, now: Now) {
        if is_counted {
            let traces = before.iter().map(|(key, old)| (key.clone(), [old.clone(), self.entries.get(key).cloned()]));
            let traces = traces.filter(|(_, [old, new])| !is_same(old.as_ref(), new.as_ref())).collect();
            self.pushes.insert(self.revision + 1, traces);
        }
        match (confirm, &mut self.waiting) {
            (Some(length), _) if !before.is_empty() => {
                let what = What::Push { revision: self.revision + 1, before };
                self.waiting = Some(Waiting::new(what, length, now));
                self.waits = is_counted.then_some(self.revision + 1);
                self.takes_back = None;
            }
            // What a later push has changed is its own.
            (None, Some(Waiting { what: What::Push { before: kept, .. }, .. })) => {
                kept.retain(|key, _| !before.contains_key(key));
            }
            _ => {}
        }
        self.revision += u64::from(is_counted);
    }

    /// Whether a push that waits for a confirmation has changed this.
    fn waits_with(&self, key: &Key) -> bool {
        matches!(&self.waiting, Some(Waiting { what: What::Push { before, .. }, .. }) if before.contains_key(key))
    }

    /// What a push that waits for a confirmation has changed.
    pub fn waiting_keys(&self) -> impl Iterator<Item = &Key> {
        let before = match &self.waiting {
            Some(Waiting { what: What::Push { before, .. }, .. }) => Some(before),
            _ => None,
        };
        before.into_iter().flat_map(|before| before.keys())
    }

    /// A push is taken back; how many entries are not what they were before it.
    pub fn undo(&mut self, revision: u64, confirm: Option<Duration>, now: Now) -> usize {
        let (mut before, mut kept) = (BTreeMap::new(), 0);
        for (key, [old, new]) in self.pushes[&revision].clone() {
            let live = self.entries.get(&key).cloned();
            if !is_same(live.as_ref(), new.as_ref()) {
                kept += 1;
                continue;
            }
            let lives = |entry: &Entry| entry.expires.is_none_or(|expires| expires > at(now, self.earliest));
            let back = old.clone().filter(lives);
            kept += usize::from(old.is_some() && back.is_none());
            if live.is_none() && back.is_none() {
                continue;
            }
            self.entries.remove(&key);
            self.entries.extend(back.map(|back| (key.clone(), back)));
            before.insert(key, live);
        }
        let is_counted = !before.is_empty();
        self.note(before, is_counted, confirm, now);
        if is_counted && confirm.is_some() {
            self.takes_back = Some(revision);
        } else if is_counted {
            self.pushes.remove(&revision);
            self.undone.insert(revision);
        }
        kept
    }

    /// Whether somebody keeps the clock right.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Another daemon knows nothing of the pushes before it.
    pub fn forget_pushes(&mut self) {
        self.pushes.clear();
        self.undone.clear();
        (self.waits, self.takes_back) = (None, None);
    }

    /// Puts back what a push that was not confirmed has changed.
    pub fn undo_push(&mut self, now: Now) {
        let Some(Waiting { what: What::Push { before, .. }, .. }) = self.waiting.take() else {
            panic!("no push waits")
        };
        self.takes_back = None;
        if let Some(revision) = self.waits.take() {
            self.pushes.remove(&revision);
            self.undone.insert(revision);
        }
        for (key, entry) in before {
            let before = entry.filter(|entry| entry.expires.is_none_or(|expires| expires > at(now, self.earliest)));
            self.entries.remove(&key);
            self.entries.extend(before.map(|before| (key, before)));
        }
        self.revision += 1;
    }

    /// A policy that is in force. `sent` is a configuration, or one that is kept is brought back.
    pub fn switch(
        &mut self,
        config: usize,
        mode: Option<Mode>,
        of: Option<u64>,
        is_read: bool,
        confirm: Option<Duration>,
        now: Now,
    ) {
        self.revision += 1;
        self.is_file_refused &= !is_read;
        let active = self.active().clone();
        let is_live = of.is_none() && (active.config, active.mode) == (config, mode);
        if is_live && confirm.is_none() {
            if is_read {
                self.read = (active.bundle, active.config);
            }
            if matches!(&self.waiting, Some(Waiting { what: What::Policy { .. }, .. })) {
                panic!("a policy waits");
            }
            return;
        }
        let bundle = match of {
            Some(kept) => self.generation(kept).map_or(kept, |kept| kept.bundle),
            None if active.config == config => active.bundle,
            None if self.read.1 == config => self.read.0,
            None => self.revision,
        };
        self.record(Generation { number: self.revision, config, mode, bundle, is_confirmed: confirm.is_none() });
        if is_read {
            self.read = (bundle, config);
        }
        match confirm {
            Some(length) => {
                let what = What::Policy { generation: self.revision, previous: active.number };
                self.waiting = Some(Waiting::new(what, length, now));
            }
            None if matches!(&self.waiting, Some(Waiting { what: What::Policy { .. }, .. })) => self.waiting = None,
            None => {}
        }
        self.prune();
    }

    /// The mode that was set by hand and stays, since the file's own mode is what it was when it was last read.
    pub fn kept_mode(&self, own: Mode) -> Option<Mode> {
        let read = world::load(self.read.1).unwrap().policy.mode;
        self.active().mode.filter(|_| read == own)
    }

    /// Whether the guard refuses this policy in place of the one in force: it drops what was management.
    pub fn locks_out(&self, config: usize, mode: Option<Mode>) -> bool {
        let is_enforcing = mode.is_none_or(|mode| mode == Mode::Enforce);
        config == world::LOCKS_OUT && self.active().config != world::LOCKS_OUT && is_enforcing
    }

    fn record(&mut self, generation: Generation) {
        self.active = generation.number;
        self.generations.push(generation);
    }

    /// Brings back what was in force before a policy that was not confirmed.
    pub fn bring_back(&mut self) {
        let Some(Waiting { what: What::Policy { previous, .. }, .. }) = self.waiting.take() else {
            panic!("no policy waits");
        };
        self.revision += 1;
        let back = self.generation(previous).unwrap().clone();
        self.record(Generation { number: self.revision, is_confirmed: true, ..back });
        self.prune();
    }

    pub fn confirm(&mut self) {
        self.waits = None;
        if let Some(revision) = self.takes_back.take() {
            self.pushes.remove(&revision);
            self.undone.insert(revision);
        }
        if let Some(Waiting { what: What::Policy { generation, .. }, .. }) = self.waiting.take() {
            self.generations.iter_mut().filter(|one| one.number == generation).for_each(|one| one.is_confirmed = true);
        }
    }

    /// The generation that a rollback without a number goes to.
    pub fn previous(&self) -> Option<&Generation> {
        let active = self.active();
        let differs = |one: &&Generation| (one.bundle, one.mode) != (active.bundle, active.mode);
        let before = self.generations.iter().rev().filter(|one| one.number < active.number);
        before.filter(|one| one.is_confirmed).find(differs)
    }

    fn prune(&mut self) {
        let back = match &self.waiting {
            Some(Waiting { what: What::Policy { previous, .. }, .. }) => Some(*previous),
            _ => None,
        };
        // A configuration counts by its newest generation, the others of those that are kept among themselves.
        let all = self.generations.clone();
        let newer = |one: &Generation| all.iter().filter(|other| other.number > one.number).collect::<Vec<_>>();
        let is_repeat = |one: &Generation| newer(one).iter().any(|other| other.bundle == one.bundle);
        let newest = |bundle| all.iter().rev().find(|one| one.bundle == bundle).unwrap();
        let is_kept =
            |one: &Generation| newer(newest(one.bundle)).into_iter().filter(|other| !is_repeat(other)).count() < KEEP;
        let active = self.active;
        self.generations.retain(|one| {
            let repeats = newer(one).into_iter().filter(|other| is_repeat(other) && is_kept(other)).count();
            let is_in = is_kept(one) && (!is_repeat(one) || repeats < KEEP);
            is_in || one.number == active || Some(one.number) == back
        });
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

    /// Another daemon starts, and the configuration file says `file`; with it, an interface would refuse.
    pub fn restart(&mut self, file: usize, meets_unwilling: bool, now: Now) {
        if let Some(waiting) = &mut self.waiting {
            waiting.resume(now);
            let is_over = waiting.is_over(now);
            match waiting.what {
                What::Push { .. } if is_over => self.undo_push(now),
                What::Policy { .. } if is_over => {
                    self.revision = self.generations.last().unwrap().number;
                    self.end_quietly(now);
                    self.is_file_refused = world::load(file).is_err();
                    return self.bring_back();
                }
                _ => {}
            }
        }
        self.end_quietly(now);
        self.revision = self.generations.last().unwrap().number;
        let own = world::load(file).ok().map(|loaded| loaded.policy.mode);
        self.is_file_refused = own.is_none();
        let is_policy_waiting = matches!(&self.waiting, Some(Waiting { what: What::Policy { .. }, .. }));
        let (Some(own), false, true) = (own, is_policy_waiting, self.read.1 != file) else { return };
        let (active, mode) = (self.active().clone(), self.kept_mode(own));
        if self.locks_out(file, mode) || meets_unwilling {
            self.is_file_refused = true;
        } else if (active.config, active.mode) == (file, mode) {
            self.read = (active.bundle, active.config);
        } else {
            self.revision += 1;
            let bundle = if active.config == file { active.bundle } else { self.revision };
            self.record(Generation { number: self.revision, config: file, mode, bundle, is_confirmed: true });
            self.read = (bundle, file);
            self.prune();
        }
    }

    /// What a daemon that starts makes of the entries.
    pub fn restarted(mut self, now: Now) -> Self {
        if let Some(waiting) = &mut self.waiting {
            waiting.resume(now);
            if matches!(waiting.what, What::Push { .. }) && waiting.is_over(now) {
                self.undo_push(now);
            }
        }
        self.end_quietly(now);
        self
    }

    /// A daemon that starts does not know yet who is denied.
    fn end_quietly(&mut self, now: Now) {
        let ended = self.over(now, |_| true);
        self.entries.retain(|key, _| !ended.contains(key));
    }
}
