//! What is known of the right time, also while nobody keeps the wall clock: a host whose clock is behind at boot, and steps later.
//!
//! Times are offsets from the boot clock, which nobody sets. Between the *earliest* and the *latest* time that can be believed lies
//! the right one. What ends may be written by a clock that is found out to be wrong later: an *era* is a stretch in which that was
//! so, and everything that ends knows its era (decision 13).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Now;

/// What is known of the right time in this boot. It changes in steps only.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reckoning {
    /// The first one is of ends that were written by a right clock. The last one is that of now, unless the time is settled.
    eras: Vec<Era>,
    /// How far the latest time is ahead of the boot clock, in nanoseconds. New ends are written by it.
    latest_ns: i128,
    /// The same for the wall clock, when a step of it was last noticed.
    wall_ns: i128,
    /// The wall clock was synchronised in this boot, and has not been set since.
    is_settled: bool,
    /// Why the time of ends of other eras is in doubt.
    doubt: Option<Doubt>,
}

/// A stretch in which ends were written by one clock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Era {
    /// When it began, by the latest time of then. When it is the only one: all that was written before it was settled, and stays, was
    /// written by then.
    since: Timestamp,
    /// How far the earliest time by its clock is ahead of the boot clock, in nanoseconds.
    offset_ns: i128,
}

/// Why nobody knows the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Doubt {
    /// The clock has not been synchronised since boot.
    Boot,
    /// The clock was set while it was not synchronised.
    Step,
}

/// The reckoning changed: what ends has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// By how many nanoseconds the ends of each era are later; negative when they are earlier.
    shifts_ns: Vec<i128>,
    /// The era of this boot, whose ends are exact by the boot clock.
    current: Option<usize>,
    /// The time is settled: what ends is of the first era.
    pub is_settled: bool,
    /// The latest time is an earlier one than it was.
    pub is_back: bool,
}

/// A reckoning as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct KeptReckoning {
    boot_id: String,
    /// When it was kept, by the boot clock.
    boot_ns: i128,
    /// Where the next record of the journal comes: number of the journal, octets of it.
    journal: (u64, u64),
    reckoning: Reckoning,
}

/// What ends: its time, and the era whose clock that is of.
pub type End = (Timestamp, u32);

const SECOND_NS: i128 = 1_000_000_000;

/// Less is what two clocks that are read one after the other may differ by, and what nobody notices.
const NOTICEABLE_NS: i128 = SECOND_NS;

/// Eras that are told apart. Boots without a synchronised clock after that are taken together, as the earliest of them.
const MOST_ERAS: usize = 16;

fn timestamp(nanoseconds: i128) -> Timestamp {
    let bounded = nanoseconds.clamp(Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    Timestamp::from_nanosecond(bounded).unwrap_or(Timestamp::MAX)
}

/// `time`, later by so many nanoseconds.
pub fn shifted(time: Timestamp, by_ns: i128) -> Timestamp {
    timestamp(time.as_nanosecond().saturating_add(by_ns))
}

impl Reckoning {
    /// What a daemon that starts `now` knows: what was kept, and the latest time that was written down. What depends on who is denied
    /// comes with the first look at the clocks.
    pub fn begin(kept: Option<&KeptReckoning>, latest: Option<Timestamp>, now: Now) -> (Self, Option<Turn>) {
        if let Some(kept) = kept.filter(|kept| kept.is_of(now)) {
            return (kept.reckoning.clone(), None);
        }
        let mut reckoning = Self::of_another_boot(kept, latest, now);
        if now.is_synchronised && reckoning.eras.len() == 1 {
            let turn = reckoning.settle(now.ahead_ns(), None);
            return (reckoning, Some(turn));
        }
        reckoning.open_era(now);
        (reckoning, None)
    }

    /// Without an era of its own.
    fn of_another_boot(kept: Option<&KeptReckoning>, latest: Option<Timestamp>, now: Now) -> Self {
        let wall_ns = now.ahead_ns();
        let (mut eras, before_ns) = match (kept, latest) {
            (Some(kept), _) => {
                let old = &kept.reckoning;
                let last = latest.map(|latest| latest.as_nanosecond() - old.latest_ns);
                // The boot clock begins anew at the last moment that is known to have passed.
                let by_ns = kept.boot_ns.max(last.unwrap_or(kept.boot_ns)) - now.boot_ns();
                let moved = |era: &Era| Era { offset_ns: era.offset_ns + by_ns, ..*era };
                (old.eras.iter().map(moved).collect(), Some(old.latest_ns + by_ns))
            }
            (None, Some(latest)) => (Vec::new(), Some(latest.as_nanosecond() - now.boot_ns())),
            (None, None) => (Vec::new(), None),
        };
        if eras.is_empty() {
            eras.push(Era { since: Timestamp::MIN, offset_ns: before_ns.unwrap_or(wall_ns) });
        }
        let latest_ns = before_ns.map_or(wall_ns, |before| before.max(wall_ns));
        Self { eras, latest_ns, wall_ns, is_settled: false, doubt: before_ns.map(|_| Doubt::Boot) }
    }

    /// Looks at the clocks; what changed by that.
    pub fn follow(&mut self, now: Now) -> Option<Turn> {
        let wall_ns = now.ahead_ns();
        let is_far = |from_ns: i128| (wall_ns - from_ns).abs() >= NOTICEABLE_NS;
        if now.is_synchronised {
            let current = self.current();
            return (!self.is_settled || is_far(self.latest_ns)).then(|| self.settle(wall_ns, current));
        }
        if !is_far(self.wall_ns) {
            return None;
        }
        if self.is_settled {
            self.open_era(now);
            self.doubt = Some(Doubt::Step);
        }
        self.wall_ns = wall_ns;
        let by_ns = (wall_ns - self.latest_ns).max(0);
        self.latest_ns += by_ns;
        let mut shifts_ns = vec![0; self.eras.len()];
        if let (Some(era), Some(shift_ns)) = (self.eras.last_mut(), shifts_ns.last_mut()) {
            (era.offset_ns, *shift_ns) = (self.latest_ns, by_ns);
        }
        Some(Turn { shifts_ns, current: self.current(), is_settled: false, is_back: false })
    }

    /// The wall clock is right. What was written by a clock that nobody kept right keeps the time that it had left. What was written by
    /// a right clock stays, unless that was ahead: then it does so too.
    fn settle(&mut self, wall_ns: i128, current: Option<usize>) -> Turn {
        let is_near = (wall_ns - self.latest_ns).abs() < NOTICEABLE_NS;
        let right_ns = if is_near { self.latest_ns } else { wall_ns };
        let shift = |(index, era): (usize, &Era)| {
            let by_ns = right_ns - era.offset_ns;
            if index > 0 { by_ns } else { by_ns.min(0) }
        };
        let shifts_ns = self.eras.iter().enumerate().map(shift).collect();
        let is_back = right_ns < self.latest_ns;
        let last = self.eras.last().filter(|_| is_near).map_or(Timestamp::MIN, |era| era.since);
        let eras = vec![Era { since: last, offset_ns: right_ns }];
        *self = Self { eras, latest_ns: right_ns, wall_ns: right_ns, is_settled: true, doubt: None };
        Turn { shifts_ns, current, is_settled: true, is_back }
    }

    fn open_era(&mut self, now: Now) {
        // Later than all that was written before: by that they are told apart.
        let last = self.eras.last().map_or(Timestamp::MIN, |era| era.since).max(self.latest(now));
        self.eras.push(Era { since: shifted(last, 1), offset_ns: self.latest_ns });
        self.is_settled = false;
    }

    fn current(&self) -> Option<usize> {
        (!self.is_settled).then(|| self.eras.len() - 1)
    }

    /// The era of what is written now.
    pub fn era(&self) -> u32 {
        self.current().map_or(0, |index| index as u32)
    }

    /// How far the time that the ends of `era` are to be held against is ahead of the boot clock, in nanoseconds: the latest one, but
    /// the earliest for what `is_denied`. What this boot wrote is held against the clock that it was written by.
    fn offset_ns(&self, era: u32, is_denied: bool) -> i128 {
        match self.eras.get(era as usize) {
            Some(its) if is_denied => its.offset_ns,
            _ => self.latest_ns,
        }
    }

    /// The latest time that can be believed. Ends are written by it.
    pub fn latest(&self, now: Now) -> Timestamp {
        timestamp(now.boot_ns().saturating_add(self.latest_ns))
    }

    /// When what is written down now is said to be written.
    pub fn written(&self, now: Now) -> Timestamp {
        let since = self.eras.last().filter(|_| !self.is_settled).map_or(Timestamp::MIN, |era| era.since);
        self.latest(now).max(since)
    }

    /// The earliest time that can be believed, by whichever era.
    pub fn earliest(&self, now: Now) -> Timestamp {
        let earliest = self.eras.iter().map(|era| era.offset_ns).fold(self.latest_ns, i128::min);
        timestamp(now.boot_ns().saturating_add(earliest))
    }

    /// Ends of `era` up to this time are over.
    pub fn over(&self, era: u32, is_denied: bool, now: Now) -> Timestamp {
        timestamp(now.boot_ns().saturating_add(self.offset_ns(era, is_denied)))
    }

    /// How long until an end.
    pub fn left(&self, (at, era): End, is_denied: bool, now: Now) -> Duration {
        let left = at.as_nanosecond() - self.offset_ns(era, is_denied) - now.boot_ns();
        Duration::from_nanos(u64::try_from(left.max(0)).unwrap_or(u64::MAX))
    }

    /// The second of the boot clock (`CLOCK_BOOTTIME`, which `bpf_ktime_get_boot_ns` reads) that begins at an end or right after.
    pub fn boot_second(&self, (at, era): End, is_denied: bool) -> u32 {
        let boot_ns = at.as_nanosecond().saturating_sub(self.offset_ns(era, is_denied));
        let second = boot_ns.max(0).unsigned_abs().div_ceil(SECOND_NS.unsigned_abs());
        // Second 0 means "never" to the kernel; the machine was booted before anything could be pushed.
        u32::try_from(second).unwrap_or(u32::MAX).max(1)
    }

    /// An end by the wall clock as it stands, which is what operators compare it with.
    pub fn shown(&self, (at, era): End, is_denied: bool) -> Timestamp {
        if self.is_settled { at } else { shifted(at, self.wall_ns - self.offset_ns(era, is_denied)) }
    }

    /// Whether nobody knows when an end of this era is.
    pub fn doubts(&self, era: u32) -> bool {
        self.doubt.is_some() && self.current() != Some(era as usize)
    }

    /// Why ends of other eras are in doubt; `None` when they are not.
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// Whether the wall clock was synchronised in this boot, and not set since.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// What is kept of it, behind so much of a journal.
    pub fn kept(&self, journal: (u64, u64), now: Now) -> KeptReckoning {
        let boot_id = format!("{:032x}", now.boot_id);
        KeptReckoning { boot_id, boot_ns: now.boot_ns(), journal, reckoning: self.clone() }
    }

    /// When what is written down of each era is said to be written, but for that of now: so an era is told by a reader.
    pub fn marks(&self) -> Vec<Timestamp> {
        (0..self.eras.len() as u32).map(|era| self.since(era)).collect()
    }

    /// The same for a snapshot that is taken `at`.
    pub fn snapshot_marks(&self, at: Timestamp) -> Vec<Timestamp> {
        let mut marks = self.marks();
        if let Some(current) = marks.last_mut() {
            *current = at;
        }
        marks
    }

    fn since(&self, era: u32) -> Timestamp {
        self.eras.get(era as usize).filter(|_| era > 0).map_or(Timestamp::UNIX_EPOCH, |era| era.since)
    }
}

impl Turn {
    /// By how many nanoseconds ends of `era` are later. What another boot wrote may have ended meanwhile: only what `is_denied` gets
    /// the time back.
    fn shift_ns(&self, era: u32, is_denied: bool) -> i128 {
        let by_ns = self.shifts_ns.get(era as usize).copied().unwrap_or(0);
        if is_denied || self.current == Some(era as usize) { by_ns } else { by_ns.min(0) }
    }

    /// By how much ends that were written by a right clock are earlier: it was not right.
    pub fn set_back(&self) -> Option<SignedDuration> {
        let by_ns = -self.shift_ns(0, true);
        (by_ns > 0).then(|| SignedDuration::from_nanos_i128(by_ns))
    }

    /// Whether what becomes of ends of `era` is something else than setting all ends back.
    pub fn retells(&self, era: u32) -> bool {
        era != 0 && (self.shift_ns(era, true) != 0 || self.set_back().is_some())
    }

    /// What becomes of an end.
    pub fn end(&self, (at, era): End, is_denied: bool) -> End {
        (shifted(at, self.shift_ns(era, is_denied)), if self.is_settled { 0 } else { era })
    }

    /// Whether it changes any end of `era`.
    pub fn changes(&self, era: u32) -> bool {
        self.shift_ns(era, true) != 0 || self.is_settled && era != 0
    }
}

impl KeptReckoning {
    /// Whether it is of the boot that is now.
    fn is_of(&self, now: Now) -> bool {
        now.boot_id != 0 && self.boot_id == format!("{:032x}", now.boot_id) && self.boot_ns <= now.boot_ns()
    }

    /// Whether a record at this place of the journals came after it.
    pub fn is_before(&self, journal: (u64, u64)) -> bool {
        self.journal <= journal
    }

    /// With no more eras than are told apart.
    pub fn bounded(mut self) -> Self {
        let eras = &mut self.reckoning.eras;
        while eras.len() > MOST_ERAS {
            let second = eras.remove(2);
            if let Some(first) = eras.get_mut(1) {
                first.offset_ns = first.offset_ns.min(second.offset_ns);
            }
        }
        self
    }

    /// When what is written down of each era is said to be written.
    pub fn marks(&self) -> Vec<Timestamp> {
        self.reckoning.marks()
    }

    /// The era of what is said to be written at `at`.
    pub fn era_of(&self, at: Timestamp, now: Now) -> u32 {
        let eras = &self.reckoning.eras;
        let is_later = || at.as_nanosecond() - self.reckoning.latest_ns - now.boot_ns() >= NOTICEABLE_NS;
        // By a clock that was set forward: it is of the turn that this was, and a daemon was killed before it kept that.
        if self.is_of(now) && is_later() {
            return 0;
        }
        eras.iter().rposition(|era| era.since <= at).unwrap_or(0) as u32
    }

    /// Whether it says something else than `other`, or is older than `age`.
    pub fn is_stale(&self, other: &Self, age: Duration) -> bool {
        let is_old = other.boot_ns - self.boot_ns >= i128::try_from(age.as_nanos()).unwrap_or(i128::MAX);
        is_old || (&self.boot_id, &self.reckoning) != (&other.boot_id, &other.reckoning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall_ms: i64, boot_ms: u64, is_synchronised: bool) -> Now {
        let wall = Timestamp::from_millisecond(1_800_000_000_000 + wall_ms).unwrap();
        Now { is_synchronised, boot_id: 1, ..Now::new(wall, Duration::from_millis(boot_ms)) }
    }

    #[test]
    fn a_later_end_is_a_later_second() {
        let now = now(0, 10_500, true);
        let (clock, _) = Reckoning::begin(None, None, now);
        let after = |milliseconds| clock.boot_second((now.wall + Duration::from_millis(milliseconds), 0), false);
        assert_eq!([after(0), after(500), after(501), after(60_000)], [11, 11, 12, 71]);
        assert_eq!(clock.boot_second((Timestamp::UNIX_EPOCH, 0), true), 1, "what ended before boot has ended");
        assert_eq!(clock.boot_second((Timestamp::MAX, 0), false), u32::MAX, "what never ends fits");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once_also_in_small_steps() {
        for is_synchronised in [true, false] {
            let (mut clock, _) = Reckoning::begin(None, None, now(0, 1000, true));
            assert_eq!(clock.follow(now(500, 2000, is_synchronised)), None, "less than a second");
            let turn = clock.follow(now(-100, 2000, is_synchronised)).unwrap();
            assert_eq!(turn.set_back(), is_synchronised.then(|| SignedDuration::from_millis(1100)));
            assert_eq!(clock.follow(now(-100, 2000, is_synchronised)), None);
        }
    }

    #[test]
    fn boots_without_a_clock_are_told_apart_and_taken_together_when_they_are_many() {
        let (mut clock, _) = Reckoning::begin(None, None, now(0, 1000, true));
        for boot in 2..50_u32 {
            let later = Now { boot_id: boot.into(), ..now(i64::from(boot) * 1000, 1000, false) };
            let before = Now { boot_id: (boot - 1).into(), ..now(0, 2000, false) };
            let kept = clock.kept((1, 0), before).bounded();
            assert_eq!(kept.reckoning.earliest(before), clock.earliest(before), "{boot}");
            (clock, _) = Reckoning::begin(Some(&kept), None, later);
            assert!(clock.eras.len() <= MOST_ERAS + 1, "{boot}");
            assert!(clock.eras.is_sorted_by_key(|era| era.since));
            assert_eq!(clock.doubt(), Some(Doubt::Boot));
        }
    }

    #[test]
    fn boots_that_are_taken_together_are_the_earliest_of_them() {
        let now = now(0, 1000, true);
        let mut kept = Reckoning::begin(None, None, now).0.kept((1, 0), now);
        let era = |number: i64| Era {
            since: Timestamp::from_second(number).unwrap(),
            offset_ns: 100 * SECOND_NS + i128::from(number - 3).abs() * SECOND_NS,
        };
        kept.reckoning.eras = (0..MOST_ERAS as i64 + 4).map(era).collect();
        let earliest = kept.reckoning.earliest(now);
        let kept = kept.bounded();
        let eras = &kept.reckoning.eras;
        assert_eq!((eras.len(), &eras[0], &eras[2]), (MOST_ERAS, &era(0), &era(6)));
        assert_eq!((eras[1].since, eras[1].offset_ns), (era(1).since, era(3).offset_ns));
        assert_eq!(kept.reckoning.earliest(now), earliest);
    }
}
