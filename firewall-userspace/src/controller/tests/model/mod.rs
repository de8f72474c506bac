//! What a daemon is to be in, told a second time: plain maps, without disk, kernel, batches or inverses.

mod generations;
mod pushes;
mod time;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::world;
use crate::{
    clock::Now,
    lists::entry::Layer,
    policy::{Mode, Policy, Prefix},
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
}
