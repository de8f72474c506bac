//! Holds a daemon against the model: what it enforces, what it tells, and what the next one would find.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        model::{Entry, Key, Waiting, What},
        world::{self, CONFIGS, KEEP},
    },
    Driver,
};
use crate::{
    control::{Condition, EntriesQuery, PendingChange},
    lists::{entry::Layer, members::Member},
    policy::{Prefix, compile::bit},
    state::{
        history::{History, Standing},
        journal::Store,
    },
};

impl Driver {
    /// Holds everything against the model.
    pub fn check(&mut self) {
        self.check_enforced();
        self.check_interfaces();
        self.check_told();
        self.world.check_tally();
        let operations = self.world.disk.operations();
        let is_owing = self.is_owing();
        if !is_owing {
            self.kept = self.model.clone();
            self.refused.clear();
            self.refused_policies.clear();
        } else {
            // It is on disk already, and that it is undone may not be.
            self.refused.extend(self.model.waiting_keys().cloned());
        }
        if !is_owing && self.read_at != Some(operations) {
            self.read_at = Some(operations);
            self.check_disk();
        }
    }

    fn check_enforced(&self) {
        let enforced = self.world.kernel.enforced().unwrap();
        assert_eq!(*enforced.policy, self.model.policy(), "the policy that is enforced");
        if self.world.core.lists.is_stale() {
            assert!(self.is_refusing, "what filters is stale without a reason");
            return;
        }
        let mut wanted: BTreeMap<Prefix, (Member, Vec<&Entry>)> = BTreeMap::new();
        for prefix in &self.model.own {
            wanted.entry(*prefix).or_default().0.own = true;
        }
        for prefix in &enforced.policy.management {
            wanted.entry(*prefix).or_default().0.management = true;
        }
        for (index, list) in enforced.policy.lists.iter().enumerate() {
            for prefix in &list.entries {
                wanted.entry(*prefix).or_default().0.lists |= bit(index);
            }
            for ((_, prefix, ..), entry) in self.model.entries.iter().filter(|((name, ..), _)| *name == *list.name) {
                let (member, timed) = wanted.entry(*prefix).or_default();
                match entry.expires {
                    None => member.lists |= bit(index),
                    Some(_) => timed.push(entry),
                }
            }
        }
        let prefixes: Vec<&Prefix> = wanted.keys().collect();
        assert_eq!(enforced.table.keys().collect::<Vec<_>>(), prefixes, "prefixes that are in anything");
        for (prefix, (member, timed)) in &wanted {
            let found = &enforced.table[prefix];
            let facts = |member: &Member| (member.lists, member.own, member.management);
            assert_eq!(facts(found), facts(member), "what {prefix} is in");
            let latest = timed.iter().filter_map(|entry| entry.latest).max();
            let last = std::iter::successors(found.next(), |(_, then)| then.next()).last();
            if let Some((second, _)) = last {
                let latest = latest.expect("something ends that has no end");
                assert!(u64::from(second) <= latest.as_secs() + 1, "{prefix} has more time than it was given");
            }
        }
        for (index, list) in enforced.policy.lists.iter().enumerate() {
            for (_, prefix, ..) in self.model.entries.keys().filter(|(name, ..)| *name == *list.name) {
                assert_ne!(enforced.table[prefix].all_lists() & bit(index), 0, "{prefix} is not in `{}`", list.name);
            }
        }
    }

    fn check_interfaces(&self) {
        let filtered = self.world.kernel.filtered();
        for interface in &self.model.policy().interfaces {
            let is_open = self.world.kernel.index_of(&interface.name).is_some_and(|index| !filtered.contains(&index));
            assert!(!is_open || self.has_faults(), "{} is open", interface.name);
        }
        self.check_told_of_interfaces();
    }

    fn check_told_of_interfaces(&self) {
        let filtered = self.world.kernel.filtered();
        let told = self.told();
        let is_missed = told.interfaces.iter().any(|one| !matches!(&*one.state, "attached" | "renamed"));
        let is_said = told.conditions.iter().any(|condition| condition.code == Condition::INTERFACE);
        assert_eq!(is_said, is_missed, "{:?}", told.conditions);
        for interface in &told.interfaces {
            let index = self.world.kernel.index_of(&interface.name);
            let is_filtered = index.is_some_and(|index| filtered.contains(&index));
            if interface.was.is_some() {
                assert!(interface.state == "renamed" && is_filtered, "what is told of {interface:?}");
                continue;
            }
            assert_eq!(interface.state == "attached", is_filtered, "what is told of {interface:?}");
            assert!(index.is_none() || is_filtered || self.has_faults(), "{interface:?} is open");
        }
    }

    fn told(&self) -> crate::control::Status {
        self.world.told.borrow().status(self.world.now)
    }

    fn check_told(&self) {
        let (told, active) = (self.told(), self.model.active());
        assert_eq!((told.revision, told.policy_generation), (self.model.revision, self.model.active), "numbers");
        assert_eq!(told.mode, crate::policy::mode_label(self.model.policy().mode));
        let (bundle, config) = self.model.read;
        let own = || world::load(config).unwrap().policy.mode;
        let differs = active.mode.is_some_and(|mode| mode != own()) || active.bundle != bundle;
        assert_eq!(told.differs_from_file, differs);
        let is_refused = told.conditions.iter().any(|one| one.code == Condition::NOT_THE_FILE);
        assert_eq!(is_refused, self.model.is_file_refused, "whether the file was refused");
        let pending = told.pending.map(|pending| (pending.change, pending.generation, pending.previous));
        let wanted = self.model.waiting.as_ref().map(|waiting| match &waiting.what {
            What::Policy { generation, previous } => (PendingChange::Policy, *generation, Some(*previous)),
            What::Push { revision, .. } => (PendingChange::Push, *revision, None),
        });
        assert_eq!(pending, wanted, "what waits");
        let pushes = self.world.told.borrow().pushes(usize::MAX);
        let wanted = self.model.pushes.keys().rev().filter(|push| self.model.waits != Some(**push));
        let found: Vec<u64> = pushes.pushes.iter().map(|push| push.revision).collect();
        assert_eq!(found, wanted.copied().collect::<Vec<_>>(), "pushes that can be undone");
        for list in &told.lists {
            for layer in Layer::ALL.into_iter().filter(|layer| *layer != Layer::Config) {
                let counted = list.entries.iter().filter(|entries| entries.layer == layer).map(|entries| entries.count);
                let is_its = |key: &&Key| key.0 == list.name && key.2 == layer;
                let wanted = self.model.entries.keys().filter(is_its).count();
                assert_eq!(
                    counted.sum::<u64>(),
                    wanted as u64,
                    "how many entries layer {layer:?} of {} has",
                    list.name
                );
            }
        }
        let page = self.world.told.borrow().entries(&EntriesQuery::default()).unwrap();
        let told: Vec<Key> = page
            .entries
            .iter()
            .filter(|entry| entry.layer != Layer::Config)
            .map(|entry| (entry.list.clone(), entry.prefix.parse().unwrap(), entry.layer, entry.owner.clone()))
            .collect();
        let lists = self.model.policy().lists;
        let configured = |key: &&Key| lists.iter().any(|list| *list.name == *key.0);
        let wanted: Vec<Key> = self.model.entries.keys().filter(configured).cloned().collect();
        assert_eq!(told, wanted, "entries");
    }

    /// What the next daemon would find.
    fn check_disk(&self) {
        let disk = self.world.disk.after_kill();
        let opened = Store::open(disk.clone(), self.world.now, u64::MAX).unwrap();
        let found: Vec<(Key, Option<jiff::Timestamp>)> =
            opened.runtime.iter().map(|(list, holding, entry)| (super::key(list, holding), entry.expires)).collect();
        let model = self.model.clone().restarted(self.world.now);
        let wanted: Vec<_> = model.entries.iter().map(|(key, entry)| (key.clone(), entry.expires)).collect();
        assert_eq!(found, wanted, "the journal");
        let provisional = opened.store.provisional().map(|push| push.generation);
        let wanted = match &model.waiting {
            Some(Waiting { what: What::Push { revision, .. }, .. }) => Some(*revision),
            _ => None,
        };
        assert_eq!(provisional, wanted, "the push that waits, in the journal");
        let history = History::open(disk, KEEP).unwrap();
        let facts = |one: &crate::state::history::Generation| (one.number, one.mode, one.bundle);
        let found: Vec<_> = history.generations().iter().map(facts).collect();
        let wanted: Vec<_> = self.model.generations.iter().map(|one| (one.number, one.mode, one.bundle)).collect();
        assert_eq!(found, wanted, "the history");
        let active = history.active().unwrap();
        assert_eq!(active.number, self.model.active, "the generation in force");
        assert_eq!(history.bundle_of(active).unwrap().config, CONFIGS[self.model.active().config]);
        for (found, wanted) in history.generations().iter().zip(&self.model.generations) {
            assert_eq!(found.standing == Standing::Confirmed, wanted.is_confirmed, "{found:?}");
        }
    }

    /// After a kill that lost what the disk had refused: nothing is there that was never so, and nothing is gone that was kept and
    /// is so.
    pub(super) fn check_what_came_back(&mut self, file: usize) {
        self.is_over = true;
        // What has ended for those who use its list goes by the first look.
        self.world.tend();
        let now = self.world.now;
        let (kept, current) = (self.kept.clone().restarted(now), self.model.clone().restarted(now));
        let there: BTreeSet<Key> =
            self.world.core.lists.pushed().iter().map(|(list, holding, _)| super::key(list, holding)).collect();
        let is_refused = |key: &Key| self.refused.contains(key);
        // A clock that was set is lost with the rest: what ended by it may be there.
        let was_kept = |key: &Key| kept.entries.contains_key(key) || self.kept.entries.contains_key(key);
        let known = |key: &Key| was_kept(key) || current.entries.contains_key(key) || is_refused(key);
        // A push that is undone by the start puts back what was there before it.
        let waits = [&self.kept, &self.model].iter().any(|model| model.waiting.is_some());
        assert!(waits || there.iter().all(known), "something came back that was never there: {there:?}");
        // What is not denied ends by the latest time that can be believed; what was known of that is lost.
        let enforced = self.world.kernel.enforced().unwrap();
        let is_known = self.kept.knows_the_time_of(&self.model);
        let may_be_over = |key: &Key| !is_known && self.model.may_end_early(key, &enforced.policy);
        let is_excused = |key: &Key| waits || is_refused(key) || may_be_over(key);
        let both = kept.entries.keys().filter(|key| current.entries.contains_key(*key));
        both.for_each(|key| assert!(there.contains(key) || is_excused(key), "{key:?} was kept and is gone"));
        let policies = [&self.kept, &self.model].into_iter().flat_map(|model| {
            let back = model.generations.iter().map(|one| (one.config, one.mode));
            back.chain([(file, None), (file, model.active().mode)])
        });
        // A mode that was refused goes with the file, too.
        let refused = self.refused_policies.iter().flat_map(|(config, mode)| [(*config, *mode), (file, *mode)]);
        let is_one = policies.chain(refused).any(|(config, mode)| {
            world::load(config).is_ok_and(|loaded| {
                let mode = mode.unwrap_or(loaded.policy.mode);
                crate::policy::Policy { mode, ..loaded.policy } == *enforced.policy
            })
        });
        assert!(is_one, "a policy is enforced that was never accepted");
        self.check_told_of_interfaces();
    }
}
