//! The clock of operators and the clock of the kernel.
//!
//! In: both clocks, read at one place. Out: [`Now`], which everybody below the daemon is given, and deadlines by both clocks. Whoever
//! waits owns its deadline.

pub mod deadline;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

const SECOND_NS: u128 = 1_000_000_000;

/// Both clocks, read one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock of operators, which can be set.
    pub wall: Timestamp,
    /// Time since boot, which only grows.
    pub boot: Duration,
}

impl Now {
    /// Reads them.
    pub fn read() -> Self {
        // Cannot fail: Linux has had the clock since 2.6.39. At 0 an entry would end now, which its owner would see.
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or(SignedDuration::ZERO, |now| SignedDuration::new(now.tv_sec(), now.tv_nsec() as i32));
        Self { wall: Timestamp::now(), boot: boot.unsigned_abs() }
    }

    /// The second of the boot clock (`CLOCK_BOOTTIME`, which `bpf_ktime_get_boot_ns` reads) that begins at `at` or right
    /// after, as the wall clock stands now.
    pub fn boot_second(&self, at: Timestamp) -> u32 {
        let boot_ns = i128::try_from(self.boot.as_nanos()).unwrap_or(i128::MAX);
        let left_ns = at.as_nanosecond() - self.wall.as_nanosecond();
        let second = boot_ns.saturating_add(left_ns).max(0).unsigned_abs().div_ceil(SECOND_NS);
        // Second 0 means "never" to the kernel; the machine was booted before anything could be pushed.
        u32::try_from(second).unwrap_or(u32::MAX).max(1)
    }

    /// How far the wall clock is ahead of the boot clock.
    fn ahead(&self) -> SignedDuration {
        self.wall.as_duration() - SignedDuration::try_from(self.boot).unwrap_or(SignedDuration::MAX)
    }
}

/// Notices when the wall clock is set back.
#[derive(Debug)]
pub struct Watch {
    /// How far the wall clock is ahead of the boot clock.
    ahead: SignedDuration,
}

/// Less is what two clocks that are read one after the other may differ by, and what nobody notices.
const NOTICEABLE: SignedDuration = SignedDuration::from_secs(1);

impl Watch {
    /// Begins to watch at `now`.
    pub fn new(now: Now) -> Self {
        Self { ahead: now.ahead() }
    }

    /// By how much the wall clock was set back since the last look.
    pub fn set_back(&mut self, now: Now) -> Option<SignedDuration> {
        self.moved_to(now.ahead())
    }

    fn moved_to(&mut self, ahead: SignedDuration) -> Option<SignedDuration> {
        let by = self.ahead - ahead;
        // Small steps back add up; a step forward is forgotten, since what ended by it has ended.
        let is_noticeable = by >= NOTICEABLE;
        if is_noticeable || by.is_negative() {
            self.ahead = ahead;
        }
        is_noticeable.then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_end_is_a_later_second() {
        let now = Now { wall: Timestamp::from_second(1_800_000_000).unwrap(), boot: Duration::from_millis(10_500) };
        let after = |milliseconds| now.boot_second(now.wall.checked_add(Duration::from_millis(milliseconds)).unwrap());
        assert_eq!([after(0), after(500), after(501), after(60_000)], [11, 11, 12, 71]);
    }

    #[test]
    fn a_clock_that_is_set_back_is_noticed_once_also_in_small_steps() {
        let ahead = |milliseconds| SignedDuration::from_millis(milliseconds);
        let mut watch = Watch { ahead: ahead(100_000) };
        assert_eq!(watch.moved_to(ahead(99_500)), None);
        assert_eq!(watch.moved_to(ahead(98_900)), Some(ahead(1_100)));
        assert_eq!(watch.moved_to(ahead(98_900)), None);
        assert_eq!(watch.moved_to(ahead(200_000)), None, "forward");
        assert_eq!(watch.moved_to(ahead(100_000)), Some(ahead(100_000)));
        let now = Now::read();
        assert_eq!(Watch::new(now).set_back(now), None);
    }

    #[test]
    fn what_ended_before_boot_has_ended_and_what_never_ends_fits() {
        let now = Now::read();
        assert_eq!(now.boot_second(Timestamp::UNIX_EPOCH), 1);
        assert_eq!(now.boot_second(Timestamp::MAX), u32::MAX);
    }
}
