//! What the controller is doing, and since when: its heartbeat.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::{
    Now,
    durations::{Durations, Timings},
};

/// How long one job of the controller may take. The longest known are a reload of 2 million prefixes on a slow machine, which takes
/// minutes, and a disk that answers again: ten minutes are neither.
pub const LONGEST_JOB: Duration = Duration::from_secs(600);

/// What the controller does without a pause; nobody else is answered by it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// What is due by itself: ends of entries and of waits, the disk, a look at the kernel.
    Tend,
    /// Pushes.
    Push,
    /// A push that is taken back.
    Undo,
    /// A question about a packet.
    Explain,
    /// The configuration file, anew.
    Reload,
    /// Another configuration.
    Apply,
    /// A generation from before.
    Rollback,
    /// Another mode.
    SetMode,
    /// A confirmation.
    Confirm,
    /// A question about a generation that is kept.
    Generation,
    /// New addresses of this host.
    OwnAddresses,
    /// Interfaces that came, went or changed.
    Interfaces,
    /// The end.
    Stop,
}

impl Activity {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Tend,
        Self::Push,
        Self::Undo,
        Self::Explain,
        Self::Reload,
        Self::Apply,
        Self::Rollback,
        Self::SetMode,
        Self::Confirm,
        Self::Generation,
        Self::OwnAddresses,
        Self::Interfaces,
        Self::Stop,
    ];

    /// Its name in the status and in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tend => "chores",
            Self::Push => "push",
            Self::Undo => "undo",
            Self::Explain => "explain",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::SetMode => "mode",
            Self::Confirm => "confirm",
            Self::Generation => "history",
            Self::OwnAddresses => "addresses",
            Self::Interfaces => "interfaces",
            Self::Stop => "stop",
        }
    }
}

/// A job that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doing {
    /// Which.
    pub job: Activity,
    /// For how long.
    pub age: Duration,
}

impl Doing {
    /// Whether it takes longer than any job may.
    pub fn is_stuck(&self) -> bool {
        self.age > LONGEST_JOB
    }
}

/// Since when the controller is at work on something that readers are not told yet, and what it is; how long such work took before.
#[derive(Debug, Default)]
pub struct Work {
    /// Milliseconds since boot in the upper 56 bits, the number of the job below; 0 while nothing is under way.
    since: AtomicU64,
    /// How long jobs took, by their numbers.
    took: [Durations; Activity::ALL.len()],
}

/// Bits of the number of a job.
const JOB_BITS: u32 = 8;

impl Work {
    /// `job` is under way.
    pub fn begin(&self, job: Activity, now: Now) {
        self.since.store(milliseconds(now.boot).max(1) << JOB_BITS | job as u64, Ordering::Relaxed);
    }

    /// `job` is over, and told; it took so long.
    pub fn end(&self, job: Activity, took: Duration) {
        self.since.store(0, Ordering::Relaxed);
        if let Some(durations) = self.took.get(job as usize) {
            durations.note(took);
        }
    }

    /// How long jobs took that are over.
    pub fn timings(&self) -> [(Activity, Timings); Activity::ALL.len()] {
        Activity::ALL.map(|job| (job, self.took.get(job as usize).map(Durations::read).unwrap_or_default()))
    }

    /// What is under way; `None` when nothing is.
    pub fn doing(&self, now: Now) -> Option<Doing> {
        let (since, job) = match self.since.load(Ordering::Relaxed) {
            0 => return None,
            both => (both >> JOB_BITS, both & ((1 << JOB_BITS) - 1)),
        };
        let job = usize::try_from(job).ok().and_then(|job| Activity::ALL.get(job).copied())?;
        Some(Doing { job, age: now.boot.saturating_sub(Duration::from_millis(since)) })
    }
}

/// Whole milliseconds.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(boot: Duration) -> Now {
        Now::new(Timestamp::UNIX_EPOCH, boot)
    }

    #[test]
    fn every_job_is_told_with_its_age_until_it_is_over() {
        let work = Work::default();
        for (number, job) in Activity::ALL.into_iter().enumerate() {
            assert_eq!(job as usize, number, "{job:?}");
            assert_eq!(work.doing(at(Duration::ZERO)), None);
            let since = Duration::from_millis(number as u64);
            work.begin(job, at(since));
            let age = Duration::from_millis(70_000);
            assert_eq!(work.doing(at(since.max(Duration::from_millis(1)) + age)), Some(Doing { job, age }));
            work.end(job, age);
        }
        for (job, timings) in work.timings() {
            assert_eq!((timings.count, timings.sum), (1, Duration::from_secs(70)), "{job:?}");
        }
    }

    #[test]
    fn only_a_job_that_takes_longer_than_any_may_is_stuck() {
        let work = Work::default();
        work.begin(Activity::Reload, at(Duration::from_secs(1)));
        for (age, is_stuck) in [(Duration::ZERO, false), (LONGEST_JOB, false), (LONGEST_JOB * 2, true)] {
            let doing = work.doing(at(Duration::from_secs(1) + age)).unwrap();
            assert_eq!(doing.is_stuck(), is_stuck, "{doing:?}");
        }
    }
}
