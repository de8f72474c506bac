//! What can be undone: the change that waits for a confirmation, and the last pushes. What is not over: the sync that is under way.
//!
//! Of a push is remembered what each of its entries was before, and as what the push left it: in tables of what entries have in
//! common, so that a push of a million entries takes 32 octets for each. It is in memory only.

use std::{collections::BTreeMap, sync::Arc};

use immutable_chunkmap::map::MapM;

use super::{
    footprint::{Footmark, Footprint, FootprintTaker, MOST_OCTETS, Touched},
    sync::Underway,
    temporary::EndingMode,
    waiting::{Outstanding, Waiting},
};
use crate::{
    clock::{Now, reckoning::Turn},
    control::{NotUndoable, PushSummary, Pushes},
    lists::alike::Alike,
    policy::Name,
};

/// What can be undone, or is not over.
#[derive(Default)]
pub(super) struct Undoable {
    /// The change that waits for a confirmation.
    pub(super) waiting: Option<Waiting>,
    /// The mode that ends by itself.
    pub(super) ending: Option<EndingMode>,
    /// The sync that is under way.
    pub(super) sync: Option<Underway>,
    /// The last pushes.
    pub(super) log: UndoLog,
}

/// What can be undone, as readers are told.
#[derive(Clone, Debug)]
pub(super) struct UndoableView {
    /// The change that waits for a confirmation.
    pub(super) outstanding: Option<Outstanding>,
    /// The pushes, by revision.
    pub(super) pushes: MapM<u64, Arc<PushSummary>>,
}

/// The last pushes, with what each has changed.
pub(super) struct UndoLog {
    pushes: BTreeMap<u64, Remembered>,
    /// Those that can be undone.
    told: MapM<u64, Arc<PushSummary>>,
    octets: usize,
    most_octets: usize,
    /// The push of this daemon that waits for a confirmation: it is undone in another way.
    waits: Option<WaitingPush>,
    /// The revision with which the daemon began.
    began: u64,
    /// The last push that is not remembered any more.
    forgotten: u64,
}

/// A push that waits for a confirmation.
#[derive(Clone, Copy)]
struct WaitingPush {
    revision: u64,
    /// The push that it takes back.
    undoes: Option<u64>,
}

/// A push.
enum Remembered {
    /// It can be undone.
    Whole(Arc<PushSummary>, Arc<Footprint>),
    /// It was too large.
    TooLarge,
    /// It was undone, by this revision.
    Undone(u64),
}

impl Default for UndoLog {
    fn default() -> Self {
        Self::within(MOST_OCTETS)
    }
}

impl UndoLog {
    /// No push yet; remembers so many octets.
    fn within(most_octets: usize) -> Self {
        Self { pushes: BTreeMap::new(), told: MapM::new(), octets: 0, most_octets, waits: None, began: 0, forgotten: 0 }
    }

    /// The daemon has begun with `revision`: of what was before nothing is known.
    pub(super) fn begin(&mut self, revision: u64) {
        self.began = revision;
    }

    /// The pushes that can be undone, as readers are told.
    pub(super) fn told(&self) -> MapM<u64, Arc<PushSummary>> {
        self.told.clone()
    }

    /// Remembers the push that has made `revision`; whether it can be undone. The oldest make room.
    pub(super) fn record<'a>(
        &mut self,
        revision: u64,
        owner: &str,
        person: Option<&str>,
        now: Now,
        changes: impl Iterator<Item = Touched<'a>>,
    ) -> bool {
        let least = changes.size_hint().0.saturating_mul(size_of::<Footmark>());
        if least <= self.most_octets {
            self.make_room(least);
        }
        let mut taker = FootprintTaker::new(self.most_octets, changes.size_hint().0);
        changes.for_each(|change| taker.add(change));
        self.remember(revision, owner, person, now, taker)
    }

    /// The same with what was taken already.
    pub(super) fn remember(
        &mut self,
        revision: u64,
        owner: &str,
        person: Option<&str>,
        now: Now,
        taker: FootprintTaker,
    ) -> bool {
        let [added, refreshed, removed] = taker.counts();
        let (lists, footprint) = taker.finish();
        let lists = lists.iter().map(Name::to_string).collect();
        let (owner, person) = (owner.to_owned(), person.map(str::to_owned));
        let summary =
            PushSummary { revision, at: now.wall, owner, person, lists, added, refreshed, removed, undoes: None };
        let remembered = match footprint {
            Some(footprint) => {
                self.make_room(footprint.octets);
                self.octets += footprint.octets;
                let summary = Arc::new(summary);
                self.told.insert_cow(revision, Arc::clone(&summary));
                Remembered::Whole(summary, Arc::new(footprint))
            }
            None => Remembered::TooLarge,
        };
        let is_whole = matches!(remembered, Remembered::Whole(..));
        self.pushes.insert(revision, remembered);
        while self.pushes.len() > Pushes::MOST {
            self.forget_oldest();
        }
        is_whole
    }

    /// Forgets the oldest until there is room for so many octets.
    fn make_room(&mut self, octets: usize) {
        while self.octets.saturating_add(octets) > self.most_octets && self.octets > 0 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((revision, oldest)) = self.pushes.pop_first() else { return };
        self.told.remove_cow(&revision);
        self.forgotten = revision;
        if let Remembered::Whole(_, footprint) = oldest {
            self.octets -= footprint.octets;
        }
    }

    /// What the push of `revision` has changed, where `last` is the revision of now.
    pub(super) fn find(&self, revision: u64, last: u64) -> Result<(&PushSummary, &Arc<Footprint>), NotUndoable> {
        match self.pushes.get(&revision) {
            Some(Remembered::Whole(summary, footprint)) => Ok((summary, footprint)),
            Some(Remembered::TooLarge) => Err(NotUndoable::TooLarge),
            Some(Remembered::Undone(by)) => {
                let is_undoable = matches!(self.pushes.get(by), Some(Remembered::Whole(..)));
                Err(NotUndoable::Undone { by: *by, is_undoable })
            }
            None if revision > last => Err(NotUndoable::Never { last }),
            None if revision <= self.began => Err(NotUndoable::BeforeStart { began: self.began }),
            None if revision <= self.forgotten => {
                Err(NotUndoable::TooOld { oldest: self.pushes.first_key_value().map(|(oldest, _)| *oldest) })
            }
            None => Err(NotUndoable::NoPush),
        }
    }

    /// The push of `revision` waits for a confirmation from now on.
    pub(super) fn wait(&mut self, revision: u64) {
        self.waits = Some(WaitingPush { revision, undoes: None });
        self.told.remove_cow(&revision);
    }

    /// Whether the push of `revision` waits for a confirmation. One that waits since before the daemon started is none of these.
    pub(super) fn waits(&self, revision: u64) -> bool {
        self.waits.is_some_and(|waits| waits.revision == revision)
    }

    /// What waits for a confirmation is confirmed.
    pub(super) fn confirmed(&mut self) {
        let Some(WaitingPush { revision, undoes }) = self.waits.take() else { return };
        if let Some(Remembered::Whole(summary, _)) = self.pushes.get(&revision) {
            self.told.insert_cow(revision, Arc::clone(summary));
        }
        if let Some(undone) = undoes {
            self.undone(undone, revision);
        }
    }

    /// The push that waits for a confirmation was undone, by the revision `by`.
    pub(super) fn lapsed(&mut self, by: u64) {
        if let Some(WaitingPush { revision, .. }) = self.waits.take() {
            self.undone(revision, by);
        }
    }

    /// The push of `revision` was undone, by the revision `by`; where that waits for a confirmation, it is so when that comes.
    pub(super) fn undone(&mut self, revision: u64, by: u64) {
        if let Some(waits) = self.waits.as_mut().filter(|waits| waits.revision == by) {
            waits.undoes = Some(revision);
            return;
        }
        if let Some(known) = self.pushes.get_mut(&revision)
            && let Remembered::Whole(_, footprint) = std::mem::replace(known, Remembered::Undone(by))
        {
            self.octets -= footprint.octets;
        }
        self.told.remove_cow(&revision);
        if let Some(Remembered::Whole(summary, _)) = self.pushes.get_mut(&by) {
            Arc::make_mut(summary).undoes = Some(revision);
            self.told.insert_cow(by, Arc::clone(summary));
        }
    }

    /// The clock is known better, and the ends of entries follow it.
    pub(super) fn follow(&mut self, turn: &Turn, is_denied: impl Fn(&Name) -> bool) {
        let mut alike = Alike::default();
        for remembered in self.pushes.values_mut() {
            let Remembered::Whole(_, footprint) = remembered else { continue };
            let Footprint { lists, values, .. } = Arc::make_mut(footprint);
            let denied: Vec<bool> = lists.iter().map(&is_denied).collect();
            for (list, value) in values {
                let is_denied = denied.get(usize::from(*list)).copied().unwrap_or(true);
                alike.change(value, |value| {
                    value.follow(turn, is_denied);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        lists::{
            entry::{Holding, Layer},
            pushed::RuntimeEntry,
        },
        policy::Prefix,
    };

    fn name(list: &str) -> Name {
        Name::parse(list).unwrap()
    }

    fn now() -> Now {
        Timestamp::from_second(1_800_000_000).unwrap().into()
    }

    fn entry(comment: &str) -> Arc<RuntimeEntry> {
        let comment = Some(comment.into());
        Arc::new(RuntimeEntry { person: None, comment, created: now().wall, expires: None, era: 0 })
    }

    fn holding(number: u32) -> Holding {
        let prefix = Prefix::host(std::net::Ipv4Addr::from(number).into());
        Holding { prefix, layer: Layer::Ban, owner: if number.is_multiple_of(2) { "ada" } else { "ben" }.into() }
    }

    /// Remembers a push that adds `count` entries with so many different comments.
    fn add(log: &mut UndoLog, revision: u64, count: u32, comments: u32) -> bool {
        let all: Vec<_> = (0..count).map(|one| (holding(one), entry(&(one % comments).to_string()))).collect();
        let list = name("foes");
        log.record(revision, "ada", None, now(), all.iter().map(|(holding, entry)| (&list, holding, None, Some(entry))))
    }

    #[test]
    fn an_entry_of_a_push_takes_at_most_48_octets() {
        assert_eq!(size_of::<Footmark>(), 32);
        let mut log = UndoLog::default();
        assert!(add(&mut log, 2, 100_000, 10));
        assert!(log.octets / 100_000 < 48, "{}", log.octets);
        let (summary, footprint) = log.find(2, 2).unwrap();
        assert_eq!((summary.added, footprint.len(), footprint.values.len()), (100_000, 100_000, 10));
        let (list, held, before, after) = footprint.entries().nth(77_777).unwrap();
        assert_eq!((&**list, held, before, after), ("foes", holding(77_777), None, Some(&entry("7"))));
    }

    #[test]
    fn what_does_not_change_is_not_remembered_and_everything_else_is_counted() {
        let mut log = UndoLog::default();
        let (foes, friends, held) = (name("foes"), name("friends"), holding(7));
        let (one, other) = (entry("one"), entry("other"));
        let changes = [
            (&foes, &held, Some(&one), Some(&one)),
            (&foes, &held, Some(&one), Some(&other)),
            (&friends, &held, Some(&one), None),
            (&friends, &held, None, None),
        ];
        assert!(log.record(5, "ada", Some("eve"), now(), changes.into_iter()));
        let (summary, footprint) = log.find(5, 5).unwrap();
        assert_eq!((summary.added, summary.refreshed, summary.removed, footprint.len()), (0, 1, 1, 2));
        assert_eq!(
            (&summary.lists[..], summary.person.as_deref()),
            (&["foes".into(), "friends".into()][..], Some("eve"))
        );
    }

    #[test]
    fn the_oldest_of_a_thousand_pushes_goes_and_each_other_revision_has_its_reason() {
        let mut log = UndoLog::default();
        log.begin(10);
        for revision in 11..11 + 1001 {
            assert!(add(&mut log, revision * 2, 1, 1));
        }
        assert_eq!((log.pushes.len(), log.told.len()), (1000, 1000));
        let last = 11 * 2 + 2000;
        let why = |revision| log.find(revision, last).map(|_| ()).unwrap_err();
        assert_eq!(why(22), NotUndoable::TooOld { oldest: Some(24) });
        assert_eq!(why(10), NotUndoable::BeforeStart { began: 10 });
        assert_eq!(why(25), NotUndoable::NoPush);
        assert_eq!(why(last + 1), NotUndoable::Never { last });
        log.undone(30, last);
        assert_eq!(log.find(30, last).map(|_| ()), Err(NotUndoable::Undone { by: last, is_undoable: true }));
        assert_eq!((log.find(last, last).unwrap().0.undoes, log.told.len()), (Some(30), 999));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_push_that_is_larger_is_not_remembered() {
        let mut log = UndoLog::within(40_000);
        for revision in 2..12 {
            assert!(add(&mut log, revision, 300, 1));
            assert!(log.octets <= 40_000, "{}", log.octets);
        }
        assert_eq!(log.pushes.keys().copied().collect::<Vec<_>>(), [8, 9, 10, 11]);
        assert!(!add(&mut log, 12, 2000, 1) && !add(&mut log, 13, 800, 800), "many entries, and many values");
        assert_eq!(log.find(12, 13).map(|_| ()), Err(NotUndoable::TooLarge));
        assert!(log.find(2, 13).is_err_and(|why| matches!(why, NotUndoable::TooOld { oldest: Some(_) })));
        for revision in 8..12 {
            log.undone(revision, 20);
        }
        assert_eq!(log.octets, 0);
    }
}
