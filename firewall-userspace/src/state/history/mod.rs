//! The generations of the policy that were in force, so that one can be gone back to, also after a crash.
//!
//! ```text
//! policy-0000000003   a configuration with what it includes and its list files, written once
//! history             the generations, which is live, what the configuration file was last read as, what waits for a confirmation
//! ```
//!
//! Each file is one frame of JSON, written under another name, synced and renamed. `history` says what is true: a change is on
//! disk when it is, and other files that it does not name are left over.

mod choice;
mod document;
mod error;
mod file;
mod held;
mod peek;
mod repair;
pub mod start;

#[cfg(test)]
mod tests;

pub use choice::{Choice, Why, choose};
pub use document::{Generation, How, Provision, Standing, TemporaryMode};
pub use error::HistoryError;
pub use peek::configurations;
pub use repair::repair;

use std::time::Duration;

use self::{
    document::{HistoryDocument, Keep, VERSION, Versioned},
    held::HeldGenerations,
};
use super::{disk::Disk, error::StoreError};
use crate::{
    clock::Now,
    config::{Basics, Bundle},
    policy::Mode,
};

/// The generations, on disk and in memory.
pub struct History<D: Disk> {
    disk: D,
    document: HistoryDocument,
    keep: Keep,
    /// Configurations that are not on disk yet.
    unwritten: Vec<(u64, Bundle)>,
    is_owing: bool,
    /// Changes that the disk refused.
    failures: u64,
    /// Changes of what is known.
    changes: u64,
    /// Time since boot before which what is owed is not written again.
    retry: Duration,
    /// Why nothing is written: what is there could not be read, and is left alone.
    refusal: Option<Withheld>,
    held: HeldGenerations<D>,
}

/// A history that leaves alone what is on disk.
#[derive(Debug)]
struct Withheld {
    why: String,
    /// Numbers up to this one may be given already.
    last: u64,
}

/// What a history knew at a time.
#[derive(Clone, Debug)]
pub struct Known(HistoryDocument);

/// What to do when a change cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Leave everything as it was.
    Must,
    /// It has happened all the same: write it later.
    Owe,
}

/// What a generation is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A configuration.
    Sent(Bundle),
    /// That of a generation that is kept.
    Of(u64),
}

/// Between two attempts to write what is owed.
const RETRY: Duration = Duration::from_secs(1);

/// Most octets of all configurations that are kept, but for those that are needed.
const MOST_OCTETS: u64 = 256 << 20;

/// File of the generations.
const NAME: &str = "history";

impl<D: Disk> History<D> {
    /// Reads what is there. `keep` configurations are kept, of at most 256 MiB, and those that are needed.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or of a newer daemon.
    pub fn open(disk: D, keep: usize) -> Result<Self, HistoryError> {
        let document = Self::read_document(&disk)?;
        Ok(Self::of(disk, document, keep, None))
    }

    /// The same where what is there cannot be read: then nothing is known of the generations before, what is on disk stays as it
    /// is, and the history [refuses](Self::refuses) what has to be kept.
    pub fn open_tolerant(disk: D, keep: usize) -> Self {
        let (document, refusal) = match Self::read_document(&disk) {
            Ok(document) => (document, None),
            Err(error) => {
                let last = file::last_bundle(&disk);
                (HistoryDocument::default(), Some(Withheld { why: error.to_string(), last }))
            }
        };
        Self::of(disk, document, keep, refusal)
    }

    fn read_document(disk: &D) -> Result<HistoryDocument, HistoryError> {
        // A newer one may say anything else.
        match file::read(disk, NAME)? {
            Some(Versioned { version }) if version > VERSION => {
                Err(HistoryError::Newer { path: disk.path(NAME), version })
            }
            _ => Ok(file::read(disk, NAME)?.unwrap_or_default()),
        }
    }

    fn of(disk: D, document: HistoryDocument, keep: usize, refusal: Option<Withheld>) -> Self {
        let (unwritten, retry) = (Vec::new(), Duration::ZERO);
        let held = HeldGenerations::new(&disk);
        let (is_owing, failures, changes) = (false, 0, 1);
        let keep = Keep { configurations: keep, octets: MOST_OCTETS };
        let mut history = Self { disk, document, keep, unwritten, is_owing, failures, changes, retry, refusal, held };
        history.hold();
        history
    }

    /// Why no change of the policy is kept, in words with a hint; `None` as long as the disk is asked.
    pub fn refuses(&self) -> Option<&str> {
        self.refusal.as_ref().map(|refusal| &*refusal.why)
    }

    /// All generations, the oldest first.
    pub fn generations(&self) -> &[Generation] {
        &self.document.generations
    }

    /// The one with this number.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.document.generations.iter().find(|generation| generation.number == number)
    }

    /// The one in force; `None` before the first.
    pub fn active(&self) -> Option<&Generation> {
        self.generation(self.document.active?)
    }

    /// The one that was in force before the live one and says something else, and was not rolled back.
    pub fn previous(&self) -> Option<&Generation> {
        let active = self.active()?;
        let differs = |one: &&Generation| (one.bundle, one.mode) != (active.bundle, active.mode);
        let before = self.document.generations.iter().rev().skip_while(|one| one.number >= active.number);
        before.filter(|one| one.standing == Standing::Confirmed).find(differs)
    }

    /// What waits for a confirmation.
    pub fn pending(&self) -> Option<&Provision> {
        self.document.pending.as_ref()
    }

    /// The largest number so far; 0 before the first generation.
    pub fn last(&self) -> u64 {
        let given = self.refusal.as_ref().map_or(0, |refusal| refusal.last);
        self.document.generations.last().map_or(given, |last| last.number)
    }

    /// The configuration of a generation.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn bundle_of(&self, generation: &Generation) -> Result<Bundle, HistoryError> {
        self.bundle(generation.bundle)
    }

    fn bundle(&self, number: u64) -> Result<Bundle, HistoryError> {
        if let Some((_, bundle)) = self.unwritten.iter().find(|(unwritten, _)| *unwritten == number) {
            return Ok(bundle.clone());
        }
        let name = file::bundle_name(number);
        file::read(&self.disk, &name)?.ok_or_else(|| HistoryError::Gone { path: self.disk.path(&name) })
    }

    /// What the configuration file was last read as; `None` when nobody knows.
    fn read_as(&self) -> Result<Option<Bundle>, HistoryError> {
        self.document.read.map(|number| self.bundle(number)).transpose()
    }

    /// Makes `generation`, whose `bundle` is found out here, the live one; with `pending`, it waits for a confirmation, without
    /// it nothing does any more. `is_read`: the configuration file says the same now.
    ///
    /// # Errors
    /// When the disk refuses: nothing has changed then, or it is owed, as `care` says.
    pub fn record(
        &mut self,
        mut generation: Generation,
        content: Content,
        is_read: bool,
        pending: Option<Provision>,
        care: Care,
    ) -> Result<(), StoreError> {
        let number = generation.number;
        let mut new = None;
        generation.bundle = match content {
            Content::Of(kept) => self.generation(kept).map_or(kept, |kept| kept.bundle),
            Content::Sent(bundle) => self.same_as(&bundle).unwrap_or_else(|| {
                new = Some((number, bundle));
                number
            }),
        };
        self.change(new, care, |document| {
            if is_read {
                document.read = Some(generation.bundle);
            }
            document.active = Some(number);
            if let Some(before) = std::mem::replace(&mut document.pending, pending) {
                document.set_standing(before.generation, Standing::RolledBack, None);
            }
            document.generations.push(generation);
        })
    }

    /// The configuration file was read and says what the live generation says.
    ///
    /// # Errors
    /// As for [`record`](Self::record).
    pub fn read_again(&mut self, care: Care) -> Result<(), StoreError> {
        let bundle = self.active().map(|active| active.bundle);
        if self.document.read == bundle {
            return Ok(());
        }
        self.change(None, care, |document| document.read = bundle)
    }

    /// Whether the configuration file, as it was last read, says something else than the live generation.
    pub fn differs_from_file(&self) -> bool {
        let is_other = |mode| self.read_mode() != Some(mode);
        self.active()
            .is_some_and(|active| active.mode.is_some_and(is_other) || self.document.read != Some(active.bundle))
    }

    /// The mode that the configuration file says, as it was last read.
    fn read_mode(&self) -> Option<Mode> {
        Some(Basics::of(&self.read_as().ok()??).mode)
    }

    /// Whether `bundle` in this mode, or in its own, is the live generation.
    pub fn is_live(&self, bundle: &Bundle, mode: Option<Mode>) -> bool {
        self.active().is_some_and(|active| active.mode == mode && self.same_as(bundle) == Some(active.bundle))
    }

    /// The mode that was set by hand and stays although the configuration file is read anew, which now says `own`: it goes when
    /// the file's own mode changes.
    pub fn kept_mode(&self, own: Mode) -> Option<Mode> {
        let set = self.active()?.mode?;
        (self.read_mode()? == own).then_some(set)
    }

    /// What waits for a confirmation was confirmed by `who`.
    ///
    /// # Errors
    /// When the disk refuses; it waits on then.
    pub fn confirm(&mut self, who: &str) -> Result<(), StoreError> {
        self.change(None, Care::Must, |document| {
            if let Some(pending) = document.pending.take() {
                document.set_standing(pending.generation, Standing::Confirmed, Some(who));
            }
        })
    }

    /// What is known now, for [`restore`](Self::restore).
    pub fn known(&self) -> Known {
        Known(self.document.clone())
    }

    /// What was recorded since did not come into force. [`clean`](Self::clean) must not have been called meanwhile.
    pub fn restore(&mut self, Known(before): Known) {
        let restored = self.change(None, Care::Owe, |document| *document = before);
        // Nothing more can be done about it here.
        if let Err(error) = restored {
            tracing::error!(%error, "cannot strike a generation that was refused; trying again");
        }
    }

    /// Removes configurations that are not needed any more.
    pub fn clean(&self) {
        if !self.is_owing && self.refusal.is_none() {
            file::remove_others(&self.disk, &self.document.bundles());
        }
    }

    /// Writes what is owed.
    ///
    /// # Errors
    /// When the disk refuses; it is still owed then.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        if self.is_owing { self.write() } else { Ok(()) }
    }

    /// Changes that the disk refused, since it was opened.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// How often what is known has changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Writes what is owed, and what somebody else has removed, when it is time to try that; whether it did.
    pub fn tend(&mut self, now: Now) -> bool {
        // While something is owed, nobody knows what should be on disk.
        if self.held.is_due(now) && (!self.is_owing || self.held.is_elsewhere(&self.disk)) {
            self.find_again();
        }
        if !self.is_owing || now.boot < self.retry {
            return false;
        }
        self.retry = now.boot.saturating_add(RETRY);
        let is_settled = self.settle().is_ok();
        if is_settled {
            tracing::info!("kept the generations of the policy that could not be kept before");
        }
        is_settled
    }

    /// Whether anything is owed.
    pub fn is_owing(&self) -> bool {
        self.is_owing
    }

    /// The number of a configuration that is kept and says the same as `bundle`: the live one, or that of the file.
    fn same_as(&self, bundle: &Bundle) -> Option<u64> {
        let active = self.active().map(|active| active.bundle);
        let candidates = [active, self.document.read.filter(|read| Some(*read) != active)];
        // One of another size is not read: it may be long.
        let octets = bundle.octets();
        let may_be_same = |number: &u64| self.document.octets.get(number).is_none_or(|known| *known == octets);
        let is_same = |number: &u64| self.bundle(*number).is_ok_and(|kept| kept.says_the_same_as(bundle));
        candidates.into_iter().flatten().filter(may_be_same).find(is_same)
    }

    fn change(
        &mut self,
        new: Option<(u64, Bundle)>,
        care: Care,
        change: impl FnOnce(&mut HistoryDocument),
    ) -> Result<(), StoreError> {
        if let Some(Withheld { why, .. }) = &self.refusal
            && care == Care::Must
        {
            self.failures += 1;
            return Err(StoreError::Closed { what: "changes of the policy", why: why.clone() });
        }
        if self.held.is_elsewhere(&self.disk) {
            self.find_again();
        }
        // What is on disk may be what was refused before. The number of its generation is given again: its name is not to stand for
        // this one, not even if this is as far as it gets.
        if let Err(error) = self.settle()
            && care == Care::Must
        {
            self.failures += 1;
            return Err(error);
        }
        let before = self.document.clone();
        let has_new = new.is_some();
        self.measure(new.as_ref());
        self.unwritten.extend(new);
        change(&mut self.document);
        let struck = self.document.prune(self.keep);
        let needed = self.document.bundles();
        self.unwritten.retain(|(number, _)| needed.contains(number));
        let result = self.write();
        self.changes += 1;
        self.failures += u64::from(result.is_err());
        if result.is_err() && care == Care::Must {
            self.document = before;
            if has_new {
                self.unwritten.pop();
            }
        } else if !struck.is_empty() {
            let octets = self.keep.octets;
            tracing::warn!(
                generations = ?struck,
                "kept no longer: with them the configurations of all generations would have more than {octets} octets"
            );
        }
        result
    }

    /// Notes how large configurations are: that of a change, and those that a daemon of before has left.
    fn measure(&mut self, new: Option<&(u64, Bundle)>) {
        if let Some((number, bundle)) = new {
            self.document.octets.insert(*number, bundle.octets());
        }
        for number in self.document.bundles() {
            if !self.document.octets.contains_key(&number)
                && let Ok(bundle) = self.bundle(number)
            {
                self.document.octets.insert(number, bundle.octets());
            }
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if self.refusal.is_some() {
            // True for as long as the daemon runs.
            return Ok(());
        }
        // What is on disk after a failure is anybody's guess, so the truth is owed in any case.
        self.is_owing = true;
        while let Some((number, bundle)) = self.unwritten.first() {
            file::write(&self.disk, &file::bundle_name(*number), bundle)?;
            self.unwritten.remove(0);
        }
        file::write(&self.disk, NAME, &self.document)?;
        self.is_owing = false;
        self.hold();
        Ok(())
    }

    /// Holds on to the configurations without which nothing can be gone on with or gone back to.
    fn hold(&mut self) {
        if self.refusal.is_none() {
            let pending = self.document.pending.as_ref().and_then(|pending| self.generation(pending.previous));
            let needed = [self.active(), pending].into_iter().flatten().map(|one| one.bundle).chain(self.document.read);
            let needed = needed.collect();
            self.held.hold(&self.disk, needed);
        }
    }

    /// Owes what is not on disk any more: because somebody else removed files, or the whole folder.
    fn find_again(&mut self) {
        if self.refusal.is_some() || self.document.generations.is_empty() {
            return;
        }
        let needed = self.document.bundles();
        let Some(lost) = self.held.lost(&self.disk, &needed) else { return };
        if !std::mem::replace(&mut self.is_owing, true) {
            tracing::error!(
                "somebody else has removed generations of the policy from {}: writing them anew",
                self.disk.path("").display()
            );
        }
        for number in lost {
            if self.unwritten.iter().any(|(unwritten, _)| *unwritten == number) {
                continue;
            }
            match self.held.bundle(number) {
                Ok(Some(bundle)) => self.unwritten.push((number, bundle)),
                Ok(None) => {
                    tracing::error!("the configuration of generation {number} is lost: nobody can go back to it");
                }
                // Once the rest is written, it is found missing again.
                Err(error) => tracing::debug!(%error, "cannot read the configuration of generation {number} now"),
            }
        }
    }
}
