//! Keeps the layers that are pushed over restarts, crashes and losses of power.
//!
//! ```text
//! journal-1  Journal, Changes, Changes, ...      one frame a write, each on disk before anyone is told
//! snapshot-2 Snapshot, Changes, ..., End         all entries before the first record of journal-2
//! journal-2  Journal, Changes, ...
//! ```
//!
//! What is acknowledged is on disk. Since a write is one frame, a loss of power leaves at most one frame that is not whole,
//! the last one, and nobody was told about it. Anything else that is not whole is damage, and refused: [`salvage`] is for
//! an operator who accepts the loss. The snapshot before the last one stays, with the journals since, in case the last one
//! cannot be read.

mod keeper;
mod mark;
mod note;
mod parts;
mod provisional;
mod reckoned;
mod record;
mod recover;
mod repair;
mod snapshot;
mod stored;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

pub use keeper::{Keeper, StoreCounters};
pub use note::Note;
pub use provisional::Provisional;
pub use record::VERSION;
pub use repair::{Repaired, salvage};
pub use snapshot::{Job, Written};

use self::{
    reckoned::Marks,
    record::Record,
    recover::{Found, Journal, Strictness, journal_name},
};
use crate::{
    clock::{
        Now,
        reckoning::{KeptReckoning, Reckoning, Turn},
    },
    lists::{change::Change, entry::Holding, pushed::Runtime},
    policy::Name,
    state::{
        disk::{Disk, DiskFile},
        error::{StoreError, Strayed},
    },
};

/// Where changes go before they happen.
pub struct Store<D: Disk> {
    disk: D,
    /// The journal; `None` when it has to be opened before it is written.
    file: Option<D::File>,
    journal: Journal,
    /// The journal must not be written any more: the next one has been begun, or may have been.
    is_closed: bool,
    /// The push that waits for a confirmation.
    provisional: Option<Provisional>,
    /// Records that are true already and not on disk yet.
    owed: Vec<Record>,
    /// Journals longer than this want a snapshot.
    snapshot_after: u64,
    snapshot: Option<Written>,
    is_writing: bool,
    /// Why nothing is written: what is there could not be read, and is left alone.
    refusal: Option<String>,
    clock: Reckoning,
    /// What is on disk of it.
    kept: Option<KeptReckoning>,
    /// Somebody else has changed what is there.
    astray: Option<Astray>,
    /// The sync whose parts are being written: its number, and how many there are.
    sync: Option<(u64, u64)>,
}

/// What is on disk is not what was written: pushes are refused until everything is written anew.
struct Astray {
    /// What was found, with a hint.
    why: String,
    /// The journal that begins anew, once it is begun; its snapshot is not written yet.
    begun: Option<u64>,
    /// That of the last attempt, which stays until the next one has begun its own: without either, a start might take what else is
    /// there for whole.
    attempt: Option<u64>,
}

/// A store and what was in it.
pub struct Opened<D: Disk> {
    /// The store.
    pub store: Store<D>,
    /// The entries that live.
    pub runtime: Runtime,
    /// What an operator should know.
    pub notes: Vec<Note>,
}

/// Entries of one record that says what became of them by the clock.
const RETOLD: usize = 1 << 15;

/// A clock that is behind by less is not worth a word.
const NOTICEABLE: SignedDuration = SignedDuration::from_secs(1);

impl<D: Disk> Store<D> {
    /// Reads what is there, and ends what should have ended by `now`. Snapshots are due when a journal has
    /// `snapshot_after` octets.
    ///
    /// A folder that has entries and cannot be written is no failure: they are enforced, and changes are refused.
    ///
    /// # Errors
    /// When anything that was acknowledged is lost, a newer daemon was here, or a new folder cannot be written.
    pub fn open(disk: D, now: impl Into<Now>, snapshot_after: u64) -> Result<Opened<D>, StoreError> {
        Self::open_with(disk, Strictness::Strict, now.into(), snapshot_after)
    }

    /// The same where something is damaged, gone or of a newer daemon: all that can be read is there, what is on disk stays as it
    /// is, and the store [refuses](Self::refuses) to keep anything.
    ///
    /// # Errors
    /// When a new folder cannot be written.
    pub fn open_tolerant(disk: D, now: impl Into<Now>, snapshot_after: u64) -> Result<Opened<D>, StoreError> {
        Self::open_with(disk, Strictness::Tolerant, now.into(), snapshot_after)
    }

    fn open_with(disk: D, care: Strictness, now: Now, snapshot_after: u64) -> Result<Opened<D>, StoreError> {
        let kept = reckoned::read(&disk);
        let found = recover::read(&disk, care, Marks::new(kept.as_ref(), now))?;
        let Found { mut runtime, provisional, latest, is_turned, snapshot, snapshot_octets, journal, mut notes, loss } =
            found;
        let kept = kept.filter(|_| !is_turned);
        let is_new = journal.is_none() && loss.is_none();
        let (clock, turn) = Reckoning::begin(kept.as_ref(), latest, now);
        let mut store = Self {
            disk,
            file: None,
            journal: journal.unwrap_or(Journal { number: 0, length: 0 }),
            is_closed: journal.is_none_or(|journal| journal.length == 0),
            provisional,
            owed: Vec::new(),
            snapshot_after,
            snapshot: snapshot.map(|number| Written { number, octets: snapshot_octets }),
            is_writing: false,
            refusal: loss.map(|loss| loss.to_string()),
            clock,
            kept,
            astray: None,
            sync: None,
        };
        if journal.is_some_and(|journal| journal.length == 0) {
            // Begun and lost before its first record: it is begun again.
            store.journal.number = store.journal.number.saturating_sub(1);
        }
        let behind = latest.filter(|_| !store.clock.is_settled()).map(|latest| latest.duration_since(now.wall));
        let set_back = behind.or(turn.as_ref().and_then(Turn::set_back));
        notes.extend(set_back.filter(|by| *by >= NOTICEABLE).map(Note::ClockBack));
        notes.extend(store.catch_up(&mut runtime, turn.as_ref(), now));
        if store.refusal.is_none() {
            let latest = store.clock.written(now);
            match store.clean().and_then(|()| store.prepare(latest)).and_then(|()| store.settle()) {
                Err(error) if is_new => return Err(error),
                Err(error) => notes.push(Note::CannotWrite(error.to_string())),
                Ok(()) => {}
            }
        }
        Ok(Opened { store, runtime, notes })
    }

    /// Why nothing is kept, in words with a hint; `None` as long as the disk is asked.
    pub fn refuses(&self) -> Option<&str> {
        self.refusal.as_deref().or(self.astray.as_ref().map(|astray| &*astray.why))
    }

    /// # Errors
    /// When nothing is kept.
    fn admit(&self) -> Result<(), StoreError> {
        match self.refuses() {
            Some(why) => Err(StoreError::Closed { what: "pushes", why: why.to_owned() }),
            None => Ok(()),
        }
    }

    /// Remembers what is true and not on disk yet. Where nothing is kept it is true for as long as the daemon runs.
    fn remember(&mut self, record: Record) {
        if self.refusal.is_none() {
            self.owed.push(record);
        }
    }

    /// Does what was due while no daemon ran.
    fn catch_up(&mut self, runtime: &mut Runtime, turn: Option<&Turn>, now: Now) -> Vec<Note> {
        let (earliest, latest) = (self.clock.earliest(now), self.clock.written(now));
        let mut notes = Vec::new();
        if let Some(turn) = turn {
            // There are ends by right clocks only.
            let [told, others] = runtime.turned(turn, |_| true);
            self.owe_turn(latest, turn, &told, |_| true);
            set(runtime, told);
            set(runtime, others);
        }
        if let Some(overdue) = self.provisional.clone().filter(|waits| waits.until.left(now.wall).is_zero()) {
            let undo = overdue.undo(runtime, earliest);
            notes.push(Note::Undone(undo.len()));
            set(runtime, undo.clone());
            self.owe_decision(latest, undo);
        }
        // What this ends is over whoever uses its list, and however.
        let ended = runtime.expired(|_, era| self.clock.over(era, true, now));
        let ended: Vec<Change> =
            ended.into_iter().map(|(list, holding)| Change { list, holding, entry: None }).collect();
        if !ended.is_empty() {
            notes.push(Note::Ended(ended.len()));
            set(runtime, ended.clone());
            self.owe(latest, ended);
        }
        notes
    }

    /// Keeps `changes`: all of them are on disk when this is `Ok`, and none of them when it is not. (A disk that refuses a
    /// write and to take it back, and a loss of power before the next write that it does not refuse, may bring them back.)
    ///
    /// # Errors
    /// When the disk refuses, or is full. The next call tries again.
    pub fn append(&mut self, at: Timestamp, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        let touched: Vec<(Name, Holding)> = match &self.provisional {
            Some(_) => changes.iter().map(|change| (change.list.clone(), change.holding.clone())).collect(),
            None => Vec::new(),
        };
        let records = self.records(at, changes);
        self.write_all(&records, at)?;
        if let Some(provisional) = &mut self.provisional {
            touched.iter().for_each(|(list, holding)| provisional.leave(list, holding));
        }
        Ok(())
    }

    /// Keeps `changes` until they are [decided](Self::decide) on, in place of a push that was so before.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn append_provisional(
        &mut self,
        at: Timestamp,
        changes: Vec<Change>,
        provisional: Provisional,
    ) -> Result<(), StoreError> {
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        self.write(&Record::Provisional { at, changes, of_sole: false, provisional: provisional.clone() })?;
        self.provisional = Some(provisional);
        Ok(())
    }

    /// The push that waits for a confirmation.
    pub fn provisional(&self) -> Option<&Provisional> {
        self.provisional.as_ref()
    }

    /// The push that waits for a confirmation is confirmed.
    ///
    /// # Errors
    /// As for [`append`](Self::append); it waits on then.
    pub fn decide(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        self.write(&Record::Decided { at, changes: Vec::new(), of_sole: false })?;
        self.provisional = None;
        Ok(())
    }

    /// Remembers that the push that waits for a confirmation has been undone by `changes`.
    pub fn owe_decision(&mut self, at: Timestamp, changes: Vec<Change>) {
        self.provisional = None;
        let mut groups = self.by_mark(at, changes);
        let of_now = groups.pop_if(|(mark, _)| *mark == at).map_or(Vec::new(), |(_, changes)| changes);
        groups.into_iter().for_each(|(mark, changes)| self.remember(Record::of(mark, changes)));
        self.remember(Record::Decided { at, changes: of_now, of_sole: false });
    }

    /// Remembers that what waits for a confirmation is this, whatever was kept of pushes that the kernel refused.
    pub fn owe_provisional(&mut self, at: Timestamp, provisional: Option<Provisional>) {
        if self.provisional == provisional {
            return;
        }
        self.remember(match provisional.clone() {
            Some(provisional) => Record::Provisional { at, changes: Vec::new(), of_sole: false, provisional },
            None => Record::Decided { at, changes: Vec::new(), of_sole: false },
        });
        self.provisional = provisional;
    }

    /// Remembers changes that have happened whether or not they can be kept now; they are kept before anything else is.
    pub fn owe(&mut self, at: Timestamp, changes: Vec<Change>) {
        for (mark, changes) in self.by_mark(at, changes) {
            self.remember(Record::of(mark, changes));
        }
    }

    /// Changes by the time at which they are said to be written: those that make entries what they were in an era before by the mark of
    /// that, then those of now.
    fn by_mark(&self, at: Timestamp, changes: Vec<Change>) -> Vec<(Timestamp, Vec<Change>)> {
        let (mut of_now, mut others) = (Vec::new(), BTreeMap::<_, Vec<Change>>::new());
        let (marks, current) = (self.clock.marks(), self.clock.era());
        for change in changes {
            let era = change.entry.as_ref().and_then(|entry| entry.end()).map_or(current, |(_, era)| era);
            match marks.get(era as usize).filter(|_| era != current) {
                Some(mark) => others.entry(*mark).or_default().push(change),
                None => of_now.push(change),
            }
        }
        let of_now = (!of_now.is_empty()).then_some((at, of_now));
        others.into_iter().chain(of_now).collect()
    }

    /// Remembers that the clock is known better, and what has become by that of entries that another clock was about.
    pub fn owe_turn(&mut self, at: Timestamp, turn: &Turn, told: &[Change], is_denied: impl Fn(&Name) -> bool) {
        let before = self.provisional.clone();
        self.provisional.iter_mut().for_each(|provisional| provisional.follow(turn, &is_denied));
        let by = turn.set_back().unwrap_or_default();
        if turn.is_back || !by.is_zero() {
            self.remember(Record::ClockBack { at, by_ns: u64::try_from(by.as_nanos()).unwrap_or(0) });
        }
        // A reader does that to all entries: what another clock was about is told after it.
        let portions = told.chunks(RETOLD).map(|portion| Record::of(at, portion.to_vec()));
        portions.for_each(|portion| self.remember(portion));
        if let Some(provisional) = self.provisional.clone().filter(|after| Some(after) != before.as_ref()) {
            self.remember(Record::Provisional { at, changes: Vec::new(), of_sole: false, provisional });
        }
    }

    /// What is known of the time.
    pub fn clock(&self) -> &Reckoning {
        &self.clock
    }

    /// Looks at the clocks; what is to be [owed](Self::owe_turn) for it.
    pub fn follow_clock(&mut self, now: Now) -> Option<Turn> {
        self.clock.follow(now)
    }

    /// Whether what is on disk of the clock says something else, or is older than `age`.
    pub fn is_clock_stale(&self, now: Now, age: Duration) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.is_stale(&self.clock.kept(self.place(), now), age))
    }

    /// Where the next record comes.
    fn place(&self) -> (u64, u64) {
        (self.journal.number, self.journal.length)
    }

    /// Keeps what is known of the time.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_clock(&mut self, now: Now) -> Result<(), StoreError> {
        let kept = self.clock.kept(self.place(), now);
        if self.refusal.is_none() {
            reckoned::write(&self.disk, &kept)?;
        }
        self.kept = Some(kept);
        Ok(())
    }

    /// Keeps what is [owed](Self::owe).
    ///
    /// # Errors
    /// When the disk refuses; it is still owed then.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        while let Some(record) = self.owed.first().cloned() {
            self.write(&record)?;
            self.owed.remove(0);
        }
        Ok(())
    }

    /// Whether anything is owed.
    pub fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Whether the journal has an end that does not count and could not be cut off: a daemon that starts now would read it.
    pub fn is_torn(&self) -> bool {
        self.is_closed && self.refusal.is_none()
    }

    /// Begins the next journal, whose head says that the [torn](Self::is_torn) end does not count.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn mend(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.prepare(at)
    }

    /// Octets of the journal.
    pub fn journal_octets(&self) -> u64 {
        self.journal.length
    }

    /// Whether a snapshot should be taken.
    pub fn is_due(&self) -> bool {
        let least = self.snapshot.map_or(0, |snapshot| snapshot.octets).max(self.snapshot_after);
        !self.is_writing && self.sync.is_none() && self.refuses().is_none() && self.journal.length >= least
    }

    /// Begins a new journal, and gives the snapshot to write of `runtime`, which is what was kept so far.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn rotate(&mut self, runtime: &Runtime, at: Timestamp) -> Result<Job<D>, StoreError> {
        self.admit()?;
        self.prepare(at)?;
        self.settle()?;
        self.is_closed = true;
        self.prepare(at)?;
        self.is_writing = true;
        Ok(self.job(self.journal.number, runtime, at, self.snapshot.map_or(0, |snapshot| snapshot.number)))
    }

    /// Tells what became of the job of [`rotate`](Self::rotate).
    pub fn rotated(&mut self, result: Option<Written>) {
        self.is_writing = false;
        self.snapshot = result.or(self.snapshot);
        if let Some(astray) = &mut self.astray {
            // Without its snapshot the new journal says nothing: it is tried again with the next one.
            let begun = astray.begun.take();
            if begun.is_some() && begun == result.map(|written| written.number) {
                self.astray = None;
            }
        }
    }

    /// Looks whether the journal is still what its path leads to, and as long as it was written; whether it was until now.
    pub fn look(&mut self) -> bool {
        if self.refuses().is_some() || self.is_closed {
            return false;
        }
        let name = journal_name(self.journal.number);
        let Some(file) = &mut self.file else { return false };
        match self.disk.look(&name, file, self.journal.length) {
            Err(source) if Strayed::of(&source).is_some() => {
                self.go_astray(&StoreError::Write { path: self.disk.path(&name), attempt: "go on with", source });
                true
            }
            _ => false,
        }
    }

    fn go_astray(&mut self, found: &StoreError) {
        self.astray = Some(Astray { why: found.to_string(), begun: None, attempt: None });
        self.is_closed = true;
        self.file = None;
        self.sync = None;
    }

    /// Whether everything is to be written anew, and nobody does it yet.
    pub fn is_astray(&self) -> bool {
        !self.is_writing && self.astray.as_ref().is_some_and(|astray| astray.begun.is_none())
    }

    /// Begins a journal where the path of the folder leads to now, and gives the snapshot to write of `runtime`, which is all that is
    /// true. Files that are there count no more once it is written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin_anew(&mut self, runtime: &Runtime, now: Now) -> Result<Job<D>, StoreError> {
        let at = self.clock.written(now);
        self.disk.remake()?;
        let folder = |source| StoreError::Folder { path: self.disk.path(""), attempt: "read", source };
        let names = self.disk.names().map_err(folder)?;
        let there = recover::numbers(&names, "snapshot").into_iter().chain(recover::numbers(&names, "journal"));
        let last = self.journal.number;
        let number = there.max().unwrap_or(0).max(last) + 1;
        // Until the snapshot is there, no journal before this one passes for whole.
        let begun = self.begin_or_fail(number, u64::MAX, at);
        self.forget_attempt(number, last, begun.is_ok());
        begun?;
        // What a start finds out from a journal alone would not be in the snapshot.
        self.keep_clock(now)?;
        // All of it is in the snapshot.
        self.owed.clear();
        self.is_writing = true;
        if let Some(astray) = &mut self.astray {
            astray.begun = Some(number);
        }
        Ok(self.job(number, runtime, at, 0))
    }

    /// Journal `number` has been begun anew, or not, after `last`. Each attempt has a number of its own, and a disk that is full must
    /// not get fuller by them: one is left.
    fn forget_attempt(&mut self, number: u64, last: u64, is_begun: bool) {
        let Some(astray) = &mut self.astray else { return };
        let forgotten = match astray.attempt.filter(|before| *before != number) {
            Some(before) if is_begun => before..=last.max(before),
            Some(_) => number..=number,
            None => {
                astray.attempt = Some(number);
                return;
            }
        };
        if is_begun {
            astray.attempt = Some(number);
        }
        forgotten.for_each(|number| drop(self.disk.remove(&journal_name(number))));
    }

    fn job(&self, number: u64, runtime: &Runtime, at: Timestamp, keep: u64) -> Job<D> {
        let (disk, provisional) = (self.disk.beside(), self.provisional.clone());
        let marks = self.clock.snapshot_marks(at);
        Job { disk, number, at, marks, runtime: runtime.clone(), provisional, keep }
    }

    /// The daemon stops: leaves how long the journal is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn stop(&self) -> Result<(), StoreError> {
        if self.refuses().is_some() || self.is_closed || self.is_owing() {
            return Ok(());
        }
        mark::write(&self.disk, self.journal)
    }

    /// Whoever keeps something has to be back within `limit`; see [`Disk::be_back_in`].
    pub fn be_back_in(&self, limit: Option<Duration>) {
        self.disk.be_back_in(limit);
    }

    /// Removes a snapshot that was never finished, and what the daemon before left when it stopped.
    fn clean(&self) -> Result<(), StoreError> {
        let name = snapshot::UNFINISHED;
        let fail = |source| StoreError::Write { path: self.disk.path(name), attempt: "remove", source };
        self.disk.remove(name).and_then(|()| mark::remove(&self.disk)).map_err(fail)
    }

    /// Makes the journal one that can be written at its end: opens it, or begins the next one.
    fn prepare(&mut self, at: Timestamp) -> Result<(), StoreError> {
        if self.file.is_some() && !self.is_closed {
            return Ok(());
        }
        // The next one would be begun where nobody finds it.
        if self.astray.as_ref().is_some_and(|astray| astray.begun.is_none()) {
            return self.admit();
        }
        self.file = None;
        if self.is_closed {
            self.begin_or_fail(self.journal.number + 1, self.journal.length, at)
        } else {
            self.reopen()
        }
    }

    /// Begins journal `number`, of which the one before counts up to `before`. When it fails the file may be there all the same, so
    /// the one before stays closed.
    fn begin_or_fail(&mut self, number: u64, before: u64, at: Timestamp) -> Result<(), StoreError> {
        let mut head = Vec::new();
        Record::Journal { number, before, at }.push(&mut head)?;
        let (name, length) = (journal_name(number), head.len() as u64);
        let begin = || {
            let mut file = self.disk.create(&name)?;
            self.disk.write(&name, &mut file, 0, head)?;
            self.disk.sync()?;
            Ok(file)
        };
        let begun = begin();
        self.file = Some(begun.map_err(|source| self.refused(&name, "begin", source))?);
        self.journal = Journal { number, length };
        self.is_closed = false;
        Ok(())
    }

    /// Opens the journal, without what does not count.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let name = journal_name(self.journal.number);
        let open = || {
            let mut file = self.disk.open(&name)?;
            file.cut(self.journal.length)?;
            // The daemon before may have been killed between writing and this.
            file.sync()?;
            self.disk.sync()?;
            Ok(file)
        };
        let opened = open();
        self.file = Some(opened.map_err(|source| self.refused(&name, "open", source))?);
        Ok(())
    }

    /// The disk has refused to `attempt` something on the file `name`. A folder in which nothing can be found or made has lost its
    /// name.
    fn refused(&mut self, name: &str, attempt: &'static str, source: std::io::Error) -> StoreError {
        let source = match source.kind() {
            std::io::ErrorKind::NotFound if attempt == "begin" => Strayed::Folder.into(),
            std::io::ErrorKind::NotFound => Strayed::Gone.into(),
            _ => source,
        };
        let has_strayed = Strayed::of(&source).is_some();
        let error = StoreError::Write { path: self.disk.path(name), attempt, source };
        if has_strayed {
            self.go_astray(&error);
        }
        error
    }

    /// Writes one record, which is on disk afterwards, or not there.
    fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        self.write_all(std::slice::from_ref(record), record.at())
    }

    /// Writes records by one write, of now, which is `at`. A crash in the middle of it may leave the first of them: all that counts is in
    /// the last one.
    fn write_all(&mut self, records: &[Record], at: Timestamp) -> Result<(), StoreError> {
        let mut octets = Vec::new();
        records.iter().try_for_each(|record| record.push(&mut octets))?;
        self.prepare(at)?;
        let name = journal_name(self.journal.number);
        let path = self.disk.path(&name);
        let fail = |source| StoreError::Write { path, attempt: "write to", source };
        let Some(file) = self.file.as_mut() else { return Err(fail(std::io::ErrorKind::NotFound.into())) };
        let more = octets.len() as u64;
        let Err(source) = self.disk.write(&name, file, self.journal.length, octets) else {
            self.journal.length += more;
            return Ok(());
        };
        if Strayed::of(&source).is_some() {
            return Err(self.refused(&name, "write to", source));
        }
        // What is there of it must not be taken for a record later. If it cannot be cut off, the head of the next journal
        // says that it does not count.
        if file.cut(self.journal.length).and_then(|()| file.sync()).is_err() {
            self.is_closed = true;
        }
        Err(fail(source))
    }
}

/// Makes entries what `changes` say.
fn set(runtime: &mut Runtime, changes: Vec<Change>) {
    for Change { list, holding, entry } in changes {
        runtime.set(&list, &holding, entry);
    }
}
