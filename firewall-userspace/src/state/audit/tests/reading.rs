//! Readers are told what they ask for, the newest first.

use std::{fs, path::PathBuf};

use super::{AuditLimits, event, now};
use crate::state::{
    audit::{
        AuditQuery,
        log::{AuditLog, OpenedLog},
        read_back,
        record::{AuditEvent, AuditWhat},
        verify,
    },
    disk::Folder,
};

/// A log of 100 lines and what a start adds, in several files of a real folder.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("portcullis-audit-{name}-{}", std::process::id()));
    let limits = AuditLimits { segment: 5000, segments: 64, ..super::SMALL };
    let OpenedLog { mut log, events, .. } = AuditLog::open(Folder::open(&path).unwrap(), limits, now()).unwrap();
    log.append(&events).unwrap();
    for number in 0..100_u64 {
        let who = if number % 10 == 0 { "root" } else { "ada" };
        let at = now() + jiff::SignedDuration::from_mins(number.try_into().unwrap());
        let what = if number % 4 == 0 { AuditWhat::Undo } else { AuditWhat::Push };
        log.append([&AuditEvent { who: who.into(), at, what, ..event(number) }]).unwrap();
        log.prepare(at).unwrap();
    }
    log.close().unwrap();
    path
}

#[test]
fn pages_are_of_what_was_asked_for_and_follow_each_other() {
    let path = folder("pages");
    let found = verify(&path, None).unwrap();
    assert!(found.fault.is_none() && found.files > 5, "{found:?}");
    let everything = AuditQuery { limit: 1000, ..AuditQuery::default() };
    let all = read_back(&path, &everything).unwrap();
    assert_eq!((all.records.len() as u64, all.next), (found.lines, None));
    assert!(all.records.iter().rev().map(|record| record.seq).eq(1..=found.lines));
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = read_back(&path, &AuditQuery { limit: 7, before, ..AuditQuery::default() }).unwrap();
        paged.extend(page.records);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.records);
    let of = |query: AuditQuery| read_back(&path, &AuditQuery { limit: 1000, ..query }).unwrap().records.len();
    assert_eq!(of(AuditQuery { who: Some("root".into()), ..AuditQuery::default() }), 10);
    assert_eq!(of(AuditQuery { what: Some(AuditWhat::Undo), ..AuditQuery::default() }), 25);
    let since = Some(now() + jiff::SignedDuration::from_mins(90));
    assert_eq!(of(AuditQuery { since, what: Some(AuditWhat::Push), ..AuditQuery::default() }), 8);
    fs::remove_dir_all(path).unwrap();
}

#[test]
fn room_that_is_set_aside_makes_no_file_longer() {
    let path = folder("room");
    let limits = AuditLimits::OF_DAEMON;
    let OpenedLog { mut log, events, .. } = AuditLog::open(Folder::open(&path).unwrap(), limits, now()).unwrap();
    log.append(&events).unwrap();
    log.prepare(now()).unwrap();
    let blocks = |path: &PathBuf| {
        use std::os::unix::fs::MetadataExt as _;
        let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        files.map(|facts| (facts.blocks() * 512, facts.len())).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let (room, length) = blocks(&path);
    assert!(room >= limits.step && length < 100_000, "{room} {length}");
    assert_eq!(verify(&path, None).unwrap().fault, None);
    log.close().unwrap();
    assert!(blocks(&path).0 < limits.step, "it is given back");
    fs::remove_dir_all(path).unwrap();
}
