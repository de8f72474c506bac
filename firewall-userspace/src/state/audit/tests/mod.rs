//! Logs on a disk that fails, and in hands that change them.

mod crashes;
mod reading;
mod tampered;
mod writing;

use std::io::{self, Cursor, Read};

use jiff::Timestamp;

use super::{
    log::{AuditLimits, AuditLog, OpenedLog},
    record::{AuditEvent, AuditWhat},
    verify::{LogSource, VerifiedLog, verify_source},
};
use crate::state::{disk::Disk as _, fake::FakeDisk};

/// Files so small that a few lines fill one.
pub(super) const SMALL: AuditLimits = AuditLimits { segment: 2000, segments: 4, step: 8000, least: 4000 };

impl LogSource for FakeDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        crate::state::disk::Disk::names(self)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(Cursor::new(self.read(name)?)))
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn event(number: u64) -> AuditEvent {
    let who = "ada".to_owned();
    AuditEvent { who, ..AuditEvent::of_daemon(now(), AuditWhat::Push, format!("+1 in partners: {number}")) }
}

/// A log on `disk` that was just opened; what that found.
pub(super) fn open(disk: &FakeDisk, limits: AuditLimits) -> (AuditLog<FakeDisk>, Option<String>) {
    let OpenedLog { mut log, events, flaw } = AuditLog::open(disk.clone(), limits, now()).unwrap();
    log.append(&events).unwrap();
    log.prepare(now()).unwrap();
    log.settle().unwrap();
    (log, flaw)
}

pub(super) fn push(log: &mut AuditLog<FakeDisk>, count: u64) {
    for number in 0..count {
        log.append([&event(number)]).unwrap();
        log.prepare(now()).unwrap();
    }
}

pub(super) fn verified(disk: &FakeDisk) -> VerifiedLog {
    verify_source(disk, None).unwrap()
}
