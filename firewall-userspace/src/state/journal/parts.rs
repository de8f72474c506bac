//! Changes in parts: all of them are true from the record on that says how many there are, and none before.

use jiff::Timestamp;

use super::{Store, record::Record};
use crate::{
    lists::change::Change,
    state::{disk::Disk, error::StoreError},
};

impl<D: Disk> Store<D> {
    /// Parts of a sync may come from now on; its number. No snapshot is taken meanwhile.
    ///
    /// # Errors
    /// When nothing is kept.
    pub fn begin_sync(&mut self) -> Result<u64, StoreError> {
        self.admit()?;
        let number = self.number_of_place();
        self.sync = Some((number, 0));
        Ok(number)
    }

    /// Where parts begin tells them from all others in the journals.
    fn number_of_place(&self) -> u64 {
        (self.journal.number << 32) | (self.journal.length & u64::from(u32::MAX))
    }

    /// Keeps a part of the sync `number`, which does not count before the sync is [promised](Self::promise_sync).
    ///
    /// # Errors
    /// As for [`append`](Self::append). The sync cannot go on then.
    pub fn append_part(&mut self, at: Timestamp, number: u64, changes: Vec<Change>) -> Result<(), StoreError> {
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        for (mark, changes) in self.by_mark(at, changes) {
            self.parts_of(number)?;
            self.write(&Record::Part { at: mark, sync: number, changes })?;
            *self.parts_of(number)? += 1;
        }
        Ok(())
    }

    /// All parts of the sync `number` count from now on.
    ///
    /// # Errors
    /// As for [`append`](Self::append): then none does.
    pub fn promise_sync(&mut self, at: Timestamp, number: u64) -> Result<(), StoreError> {
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        let parts = *self.parts_of(number)?;
        self.write(&Record::Synced { at, sync: number, parts })?;
        self.sync = None;
        Ok(())
    }

    /// No more parts come: those that are there and are not promised never count.
    pub fn end_sync(&mut self) {
        self.sync = None;
    }

    /// How many parts of the sync `number` there are.
    fn parts_of(&mut self, number: u64) -> Result<&mut u64, StoreError> {
        let parts = self.sync.as_mut().filter(|(own, _)| *own == number).map(|(_, parts)| parts);
        let why = "what is on disk was written anew meanwhile\nhint: push it again";
        parts.ok_or_else(|| StoreError::Closed { what: "more parts of this sync", why: why.to_owned() })
    }

    /// Records of `changes`, which are true together: one, or parts where ends are by several clocks.
    pub(super) fn records(&self, at: Timestamp, changes: Vec<Change>) -> Vec<Record> {
        let mut groups = self.by_mark(at, changes);
        if groups.len() <= 1 {
            return groups.pop().map(|(mark, changes)| Record::of(mark, changes)).into_iter().collect();
        }
        let (sync, parts) = (self.number_of_place(), groups.len() as u64);
        let part = |(at, changes)| Record::Part { at, sync, changes };
        groups.into_iter().map(part).chain([Record::Synced { at, sync, parts }]).collect()
    }
}
