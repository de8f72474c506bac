//! How long things took: how many took no longer than each of a few bounds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The bounds. What takes longer than the last one is only in the number of all.
pub const BOUNDS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// Counts what took how long. Whoever reads waits for nobody who counts.
#[derive(Debug, Default)]
pub struct Durations {
    /// By the first bound that is no shorter; the last one counts what is longer than all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

/// What was counted, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// How many took no longer than each bound.
    pub within: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// How long all took.
    pub sum: Duration,
}

impl Durations {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum_ns: AtomicU64::new(0) }
    }

    /// Something took so long.
    pub fn note(&self, took: Duration) {
        let place = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Timings {
        let mut timings =
            Timings { sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)), ..Timings::default() };
        for (place, count) in self.counts.iter().enumerate() {
            timings.count += count.load(Ordering::Relaxed);
            if let Some(within) = timings.within.get_mut(place) {
                *within = timings.count;
            }
        }
        timings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it_and_in_all_longer_ones() {
        let durations = Durations::new();
        let [least, .., most] = BOUNDS;
        for took in [Duration::ZERO, least, least + Duration::from_nanos(1), most, most + Duration::from_nanos(1)] {
            durations.note(took);
        }
        let timings = durations.read();
        assert_eq!(timings.within, [2, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!((timings.count, timings.sum), (5, 2 * least + 2 * most + Duration::from_nanos(2)));
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS.is_sorted_by(|less, more| less < more));
    }
}
