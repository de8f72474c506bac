//! The moment at which a change that nobody has confirmed is undone.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Now;

/// A deadline as it is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Until {
    /// By the wall clock.
    pub at: Timestamp,
    /// How long it was in the beginning, in milliseconds.
    pub length_ms: u64,
}

/// A deadline that a daemon waits for: by both clocks, and the earlier one counts, so that a wall clock that is set forward ends
/// it early and one that is set back does not put it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    wall: Timestamp,
    boot: Duration,
}

impl Until {
    /// `length` from `now`.
    pub fn after(length: Duration, now: Now) -> Self {
        let at = now.wall.checked_add(length).unwrap_or(Timestamp::MAX);
        Self { at, length_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Time left for a daemon that starts at `now`. More than there was in the beginning means that the clock was set back,
    /// nobody knows by how much: it has passed.
    pub fn left(self, now: Timestamp) -> Duration {
        let left = Duration::try_from(self.at.duration_since(now)).unwrap_or_default();
        if left > Duration::from_millis(self.length_ms) { Duration::ZERO } else { left }
    }
}

impl Deadline {
    /// What is [left](Until::left) of a deadline that may be of another daemon.
    pub fn resume(until: Until, now: Now) -> Self {
        let left = until.left(now.wall);
        Self { wall: now.wall.checked_add(left).unwrap_or(Timestamp::MAX), boot: now.boot.saturating_add(left) }
    }

    /// Time left.
    pub fn left(&self, now: Now) -> Duration {
        let by_wall = Duration::try_from(self.wall.duration_since(now.wall)).unwrap_or_default();
        by_wall.min(self.boot.saturating_sub(now.boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    /// `wall` and `boot` seconds after the beginning.
    fn at(wall: i64, boot: u64) -> Now {
        Now::new(Timestamp::from_second(1_800_000_000 + wall).unwrap(), Duration::from_secs(1000 + boot))
    }

    fn left(deadline: &Deadline, wall: i64, boot: u64) -> u64 {
        deadline.left(at(wall, boot)).as_secs()
    }

    #[test]
    fn a_deadline_passes_at_its_time_by_the_earlier_clock() {
        let deadline = Deadline::resume(Until::after(LENGTH, at(0, 0)), at(0, 0));
        assert_eq!([left(&deadline, 0, 0), left(&deadline, 59, 59), left(&deadline, 60, 60)], [60, 1, 0]);
        assert_eq!(left(&deadline, 3600, 10), 0, "the wall clock was set forward");
        assert_eq!(left(&deadline, -3600, 10), 50, "it was set back");
        assert_eq!(left(&deadline, -3600, 60), 0);
    }

    #[test]
    fn the_next_daemon_waits_for_the_rest_by_the_wall_clock() {
        let until = Until::after(LENGTH, at(0, 0));
        // The machine was booted meanwhile.
        let deadline = Deadline::resume(until, at(20, 0));
        assert_eq!(left(&deadline, 20, 0), 40);
        assert_eq!(left(&deadline, 60, 40), 0);
        assert_eq!(left(&Deadline::resume(until, at(61, 0)), 61, 0), 0);
    }

    #[test]
    fn more_time_than_there_was_in_the_beginning_has_passed() {
        let until = Until::after(LENGTH, at(0, 0));
        assert_eq!(left(&Deadline::resume(until, at(-1, 0)), -1, 0), 0);
        assert_eq!(left(&Deadline::resume(until, at(0, 0)), 0, 0), 60);
    }
}
