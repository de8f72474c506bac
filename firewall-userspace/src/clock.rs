//! The clock of operators and the clock of the kernel.

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

const SECOND_NS: i128 = 1_000_000_000;

/// The second of the boot clock (`CLOCK_BOOTTIME`, which `bpf_ktime_get_boot_ns` reads) that begins at `at` or right after,
/// as the wall clock stands now.
pub fn boot_second(at: Timestamp) -> u32 {
    // Cannot fail: Linux has had the clock since 2.6.39. At 0 an entry would end now, which its owner would see.
    let boot_ns = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |now| i128::from(now.tv_sec()) * SECOND_NS + i128::from(now.tv_nsec()));
    let left_ns = at.as_nanosecond() - Timestamp::now().as_nanosecond();
    let second = (boot_ns + left_ns).max(0).unsigned_abs().div_ceil(SECOND_NS.unsigned_abs());
    // Second 0 means "never" to the kernel; the machine was booted before anything could be pushed.
    u32::try_from(second).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_later_end_is_a_later_second() {
        let now = Timestamp::now();
        let here = boot_second(now);
        let later = boot_second(now.checked_add(Duration::from_secs(60)).unwrap());
        assert!((59..=61).contains(&(later - here)), "{here} {later}");
    }

    #[test]
    fn what_ended_before_boot_has_ended_and_what_never_ends_fits() {
        assert_eq!(boot_second(Timestamp::UNIX_EPOCH), 1);
        assert_eq!(boot_second(Timestamp::MAX), u32::MAX);
    }
}
