//! The clock of operators and the clock of the kernel.
//!
//! In: both clocks, read at one place. Out: [`Now`], which everybody below the daemon is given, deadlines by both clocks, and what
//! is known of the right time while nobody keeps the wall clock. Whoever waits owns its deadline.

pub mod deadline;
pub mod durations;
pub mod reckoning;
mod synchronised;

use std::{sync::LazyLock, time::Duration};

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// Both clocks, read one after the other, and how far the wall clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock of operators, which can be set.
    pub wall: Timestamp,
    /// Time since boot, which only grows.
    pub boot: Duration,
    /// Whether something keeps the wall clock right.
    pub is_synchronised: bool,
    /// Which boot it is, as a number (`/proc/sys/kernel/random/boot_id`, random(4)); 0 when nobody knows.
    pub boot_id: u128,
}

impl Now {
    /// Reads them.
    pub fn read() -> Self {
        // Cannot fail: Linux has had the clock since 2.6.39. At 0 an entry would end now, which its owner would see.
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or(SignedDuration::ZERO, |now| SignedDuration::new(now.tv_sec(), now.tv_nsec() as i32));
        Self {
            is_synchronised: synchronised::is_synchronised(),
            boot_id: *BOOT_ID,
            ..Self::new(Timestamp::now(), boot.unsigned_abs())
        }
    }

    /// These times on a host whose clock is kept right, in a boot that nobody knows.
    pub fn new(wall: Timestamp, boot: Duration) -> Self {
        Self { wall, boot, is_synchronised: true, boot_id: 0 }
    }

    /// How far the wall clock is ahead of the boot clock, in nanoseconds.
    fn ahead_ns(&self) -> i128 {
        self.wall.as_nanosecond() - self.boot_ns()
    }

    /// Time since boot, in nanoseconds.
    fn boot_ns(&self) -> i128 {
        i128::try_from(self.boot.as_nanos()).unwrap_or(i128::MAX)
    }
}

/// A wall clock that is kept right, on a host that was booted in 1970.
impl From<Timestamp> for Now {
    fn from(wall: Timestamp) -> Self {
        Self::new(wall, Duration::try_from(wall.as_duration()).unwrap_or_default())
    }
}

static BOOT_ID: LazyLock<u128> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_a_number() {
        assert_ne!(Now::read().boot_id, 0);
    }
}
