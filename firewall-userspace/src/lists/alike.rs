//! Entries that are alike are in memory once.

use std::{collections::HashSet, sync::Arc};

use super::pushed::RuntimeEntry;

/// Makes one of entries that are alike: those of a push, of a file, of a turn of the clock.
#[derive(Debug, Default)]
pub struct Alike {
    known: HashSet<Arc<RuntimeEntry>>,
    /// Neighbours are alike more often than not.
    last: Option<Arc<RuntimeEntry>>,
}

/// Kinds that are told apart at a time. Entries of more kinds share less.
const KINDS: usize = 1024;

impl Alike {
    /// `entry`, which is shared with those before that are like it.
    pub fn one(&mut self, entry: RuntimeEntry) -> Arc<RuntimeEntry> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == entry) {
            return Arc::clone(last);
        }
        let one = match self.known.get(&entry) {
            Some(known) => Arc::clone(known),
            None => self.remember(Arc::new(entry)),
        };
        self.last = Some(Arc::clone(&one));
        one
    }

    fn remember(&mut self, entry: Arc<RuntimeEntry>) -> Arc<RuntimeEntry> {
        if self.known.len() >= KINDS {
            self.known.clear();
        }
        self.known.insert(Arc::clone(&entry));
        entry
    }

    /// Makes of an entry what `change` does; it is shared on with those that become the same.
    pub fn change(&mut self, entry: &mut Arc<RuntimeEntry>, change: impl FnOnce(&mut RuntimeEntry)) {
        let mut changed = RuntimeEntry::clone(entry);
        change(&mut changed);
        if changed != **entry {
            *entry = self.one(changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(second: i64) -> RuntimeEntry {
        let created = Timestamp::from_second(second).unwrap();
        RuntimeEntry { person: None, comment: Some("scanner".into()), created, expires: None, era: 0 }
    }

    #[test]
    fn entries_that_are_alike_are_one() {
        let mut alike = Alike::default();
        let [first, other, again] = [1, 2, 1].map(|second| alike.one(entry(second)));
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
        let mut changed = [first.clone(), again];
        changed.iter_mut().for_each(|entry| alike.change(entry, |entry| entry.era = 3));
        assert!(Arc::ptr_eq(&changed[0], &changed[1]) && changed[0].era == 3 && first.era == 0);
    }

    #[test]
    fn however_many_kinds_there_are_few_are_remembered() {
        let mut alike = Alike::default();
        for second in 0..10 * KINDS as i64 {
            assert_eq!(*alike.one(entry(second)), entry(second));
            assert!(alike.known.len() <= KINDS);
        }
    }
}
