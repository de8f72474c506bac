//! Identifiers that stay the same over reloads, so that counters and rate state keep their owner.

use std::collections::{BTreeMap, BTreeSet};

/// Identifiers from 1 to a maximum, handed out by name.
#[derive(Clone, Debug)]
pub struct Ids<K> {
    assigned: BTreeMap<K, u16>,
    max: u16,
    /// The last identifier that was new; freed ones are used again only when there is no other.
    last: u16,
}

impl<K: Ord + Clone> Ids<K> {
    /// No identifier handed out yet, `max` to have.
    pub fn new(max: u16) -> Self {
        Self { assigned: BTreeMap::new(), max, last: 0 }
    }

    /// What was handed out before, `last` being the last identifier that was new then. What cannot have been is passed
    /// over.
    pub fn recovered(max: u16, assigned: impl IntoIterator<Item = (K, u16)>, last: u16) -> Self {
        let mut ids = Self { last: last.min(max), ..Self::new(max) };
        for (name, id) in assigned {
            let is_taken = ids.assigned.values().any(|other| *other == id);
            if (1..=max).contains(&id) && !is_taken && !ids.assigned.contains_key(&name) {
                ids.last = ids.last.max(id);
                ids.assigned.insert(name, id);
            }
        }
        ids
    }

    /// The last identifier that was new.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Forgets names that are gone and gives the new ones an identifier. Returns identifiers that change their owner:
    /// what was counted for them belongs to nobody now.
    pub fn assign<'a>(&mut self, names: impl Iterator<Item = &'a K>) -> Vec<u16>
    where
        K: 'a,
    {
        let names: BTreeSet<&K> = names.collect();
        self.assigned.retain(|name, _| names.contains(name));
        let mut in_use: BTreeSet<u16> = self.assigned.values().copied().collect();
        let mut reused = Vec::new();
        for name in names {
            if self.assigned.contains_key(name) {
                continue;
            }
            let fresh = self.last.checked_add(1).filter(|id| *id <= self.max);
            let id = fresh.or_else(|| (1..=self.max).find(|id| !in_use.contains(id)));
            // More names than identifiers: the configuration is checked for that before.
            let Some(id) = id else { continue };
            if fresh.is_some() {
                self.last = id;
            } else {
                reused.push(id);
            }
            in_use.insert(id);
            self.assigned.insert(name.clone(), id);
        }
        reused
    }

    /// The identifier of `name`, 0 for a name that has none.
    pub fn of(&self, name: &K) -> u16 {
        self.assigned.get(name).copied().unwrap_or(0)
    }

    /// Names and their identifiers.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u16)> {
        self.assigned.iter().map(|(name, id)| (name, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Name;

    fn names(text: &[&str]) -> Vec<Name> {
        text.iter().map(|name| Name::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_name_keeps_its_identifier_while_it_lives() {
        let mut ids = Ids::new(10);
        assert!(ids.assign(names(&["b", "c"]).iter()).is_empty());
        let c = ids.of(&names(&["c"])[0]);
        assert!(ids.assign(names(&["a", "c"]).iter()).is_empty());
        assert_eq!(ids.of(&names(&["c"])[0]), c);
        assert_eq!(ids.of(&names(&["b"])[0]), 0);
        assert_eq!(ids.of(&names(&["a"])[0]), 3, "a freed identifier is not used while there are fresh ones");
    }

    #[test]
    fn recovered_names_have_their_identifiers_and_freed_ones_are_reported() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| Name::parse(name).unwrap());
        let mut ids = Ids::recovered(4, [(b.clone(), 2), (a.clone(), 2), (b.clone(), 3), (c.clone(), 9)], 3);
        assert_eq!((ids.of(&b), ids.of(&a), ids.of(&c), ids.last()), (2, 0, 0, 3));
        assert_eq!(ids.assign([&a, &b, &c, &d].into_iter()), [1, 3], "only 4 is new");
        assert_eq!([&a, &b, &c, &d].map(|name| ids.of(name)), [4, 2, 1, 3]);
    }

    #[test]
    fn a_freed_identifier_is_reported_when_it_gets_a_new_owner() {
        let mut ids = Ids::new(2);
        assert!(ids.assign(names(&["a", "b"]).iter()).is_empty());
        assert_eq!(ids.assign(names(&["b", "c"]).iter()), [1]);
        assert_eq!(ids.of(&names(&["c"])[0]), 1);
    }
}
