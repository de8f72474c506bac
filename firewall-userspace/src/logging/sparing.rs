//! Lines that others cause, by the thousand if they want: of each kind ten a minute are logged, then their number.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Most lines of a kind that are logged within [`WINDOW`].
const MOST: usize = 10;

/// How long lines of a kind are counted together, from the first one on.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts of lines by kind.
#[derive(Debug)]
pub(super) struct Sparing(Mutex<BTreeMap<&'static str, KindOfLines>>);

#[derive(Debug)]
struct KindOfLines {
    begin: Instant,
    /// Since then, those that were logged included.
    count: usize,
    /// Not logged before that, and not told yet.
    untold: usize,
}

impl Sparing {
    /// Nothing was logged.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts a line of a kind; whether it is to be logged.
    pub(super) fn admits(&self, kind: &'static str, now: Instant) -> bool {
        let mut kinds = self.lock();
        let of_kind = kinds.entry(kind).or_insert(KindOfLines { begin: now, count: 0, untold: 0 });
        if of_kind.is_over(now) {
            *of_kind = KindOfLines { begin: now, count: 0, untold: of_kind.surplus() };
        }
        of_kind.count += 1;
        of_kind.count <= MOST
    }

    /// Words for what was not logged and is not told, of kinds whose time is over; of all with `at_once`.
    pub(super) fn sums(&self, now: Instant, at_once: bool) -> Vec<String> {
        let mut kinds = self.lock();
        let mut sums = Vec::new();
        kinds.retain(|kind, of_kind| {
            let is_over = at_once || of_kind.is_over(now);
            let untold = if is_over { of_kind.surplus() } else { std::mem::take(&mut of_kind.untold) };
            if untold > 0 {
                sums.push(format!("{untold} more not logged within a minute: {kind}"));
            }
            !is_over
        });
        sums
    }

    /// How long until there may be something to tell; `None` as long as nothing is left out. Asked after a line was logged, because it
    /// wakes nobody.
    pub(super) fn time_until_sums(&self, now: Instant) -> Option<Duration> {
        let kinds = self.lock();
        let left = |of_kind: &KindOfLines| WINDOW.saturating_sub(now.saturating_duration_since(of_kind.begin));
        kinds.values().filter(|of_kind| of_kind.count >= MOST || of_kind.untold > 0).map(left).min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, KindOfLines>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KindOfLines {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begin) >= WINDOW
    }

    /// All that were not logged.
    fn surplus(&self) -> usize {
        self.untold + self.count.saturating_sub(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_of_a_kind_a_minute_are_logged_and_the_others_counted_once() {
        let (sparing, start) = (Sparing::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let logged = |kind, count: u32, now| (0..count).filter(|_| sparing.admits(kind, now)).count();
        assert_eq!((logged("reloads", 9, start), sparing.time_until_sums(start)), (9, None));
        assert_eq!((logged("reloads", 2991, at(5)), logged("pushes", 3, at(5))), (1, 3));
        assert_eq!(sparing.time_until_sums(at(20)), Some(Duration::from_secs(40)));
        assert_eq!(sparing.sums(at(59), false), [""; 0]);
        assert_eq!(sparing.sums(at(60), false), ["2990 more not logged within a minute: reloads"]);
        assert_eq!((sparing.sums(at(200), false), sparing.time_until_sums(at(200))), (Vec::new(), None));
        assert_eq!(logged("reloads", 11, at(200)), 10, "a new minute");
    }

    #[test]
    fn a_sum_that_nobody_asked_for_in_time_is_told_later_and_at_the_end_at_once() {
        let (sparing, start) = (Sparing::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!((0..15).filter(|_| sparing.admits("reloads", start)).count(), 10);
        assert!(sparing.admits("reloads", at(70)));
        assert_eq!(sparing.sums(at(71), false), ["5 more not logged within a minute: reloads"]);
        assert_eq!(sparing.sums(at(72), false), [""; 0]);
        assert_eq!((0..10).filter(|_| sparing.admits("reloads", at(72))).count(), 9);
        assert_eq!(sparing.sums(at(73), true), ["1 more not logged within a minute: reloads"]);
    }
}
