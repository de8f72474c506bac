//! Whoever records is told, within a time, whether the log can be written; nothing that happened is lost by it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{event, verified};
use crate::{
    clock::Now,
    state::{
        audit::{
            AuditEvent, AuditHandle, AuditWriter,
            files::{HeadFile, segment_name, segments},
            record::{AuditRecord, AuditWhat, read_record},
        },
        disk::Disk as _,
        fake::{FakeDisk, Fault},
    },
};

const SHORT: Duration = Duration::from_millis(200);

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn start(disk: &FakeDisk) -> AuditWriter {
    let disk = disk.clone();
    AuditWriter::start_with(Path::new("/state/audit"), Now::read, SHORT, move |_| Ok(disk.clone())).unwrap()
}

fn records(disk: &FakeDisk) -> Vec<AuditRecord> {
    let files = segments(&disk.names().unwrap());
    let of = |first: &u64| {
        let octets = disk.get(&segment_name(*first));
        octets.split_inclusive(|octet| *octet == b'\n').map(|line| read_record(line).unwrap()).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

/// Numbers of what was recorded with [`event`].
fn numbers(disk: &FakeDisk) -> Vec<u64> {
    let pushes = records(disk).into_iter().filter(|record| record.what == AuditWhat::Push);
    pushes.map(|record| record.summary.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn until_admitted(handle: &AuditHandle) {
    until("changes are admitted again", || handle.admit().is_ok());
}

#[test]
fn what_is_recorded_is_in_the_file_when_that_returns_and_the_head_says_so_at_the_end() {
    let disk = FakeDisk::default();
    let writer = start(&disk);
    let handle = writer.handle();
    handle.admit().unwrap();
    for number in 0..100 {
        handle.record(vec![event(number), AuditEvent { result: "guarded".into(), ..event(1000 + number) }]);
        assert_eq!(numbers(&disk).last(), Some(&(1000 + number)));
    }
    let view = handle.view();
    assert_eq!((view.done, view.refused, view.refusing, view.waiting), (100, 100, None, 0));
    assert!(writer.stop());
    let last = records(&disk).last().cloned().unwrap();
    assert_eq!(last.what, AuditWhat::Stop);
    let head = HeadFile::read(&disk).unwrap().link().unwrap();
    assert_eq!((head.seq, Some(head.hash)), (last.seq, last.hash));
    assert_eq!(verified(&disk).fault, None);
    // Nobody waits for a log that has ended.
    handle.record(vec![event(7)]);
    assert_eq!(handle.view().lost, 1);
}

#[test]
fn nobody_waits_for_a_hung_disk_and_what_happened_meanwhile_is_recorded_when_it_answers() {
    let disk = FakeDisk::default();
    let writer = start(&disk);
    let handle = writer.handle();
    disk.freeze(true);
    let begun = Instant::now();
    handle.record(vec![event(1)]);
    assert!(begun.elapsed() >= SHORT);
    let why = handle.admit().unwrap_err();
    let begin = "cannot write the audit log in /state/audit: the disk does not answer\nhint: ";
    assert!(why.starts_with(begin), "{why}");
    let begun = Instant::now();
    (2..1000).for_each(|number| handle.record(vec![event(number)]));
    assert!(begun.elapsed() < LONG, "nobody waits for a disk that is known to hang");
    assert_eq!(handle.view().waiting, 999);
    disk.freeze(false);
    until_admitted(&handle);
    assert_eq!(numbers(&disk), (1..1000).collect::<Vec<_>>());
    assert!(writer.stop());
    assert_eq!(verified(&disk).fault, None);
}

#[test]
fn a_full_disk_refuses_until_there_is_room_and_loses_nothing_that_fits_into_memory() {
    let disk = FakeDisk::default();
    let writer = start(&disk);
    let handle = writer.handle();
    disk.set_fault(Some(Fault::Full(0, u64::MAX)));
    handle.record(vec![event(1)]);
    assert!(handle.admit().unwrap_err().contains("hint: make room on its file system"));
    (2..6000).for_each(|number| handle.record(vec![event(number)]));
    let view = handle.view();
    assert_eq!((view.waiting, view.lost), (4096, 1903));
    disk.set_fault(None);
    until_admitted(&handle);
    assert_eq!(numbers(&disk), (1..4097).collect::<Vec<_>>());
    until("what is lost is told", || records(&disk).iter().any(|record| record.result == "lost"));
    assert!(writer.stop());
    assert_eq!(verified(&disk).fault, None);
}

#[test]
fn a_log_that_is_moved_away_goes_on_in_another_file_at_once() {
    let disk = FakeDisk::default();
    let writer = start(&disk);
    let handle = writer.handle();
    handle.record(vec![event(1)]);
    disk.unlink(&segment_name(1));
    handle.record(vec![event(2)]);
    handle.admit().unwrap();
    assert_eq!(numbers(&disk), [2]);
    let found = records(&disk);
    let words = "goes on in another file: cannot write the audit log in /state/audit: it was removed or renamed while the daemon ran";
    assert_eq!((&*found[0].summary, &*found[0].result), (words, "moved"));
    // Also when nothing happens.
    let last = segments(&disk.names().unwrap()).pop().unwrap();
    disk.unlink(&segment_name(last));
    until("it is noticed", || records(&disk).iter().any(|record| record.result == "moved"));
    assert!(writer.stop());
}

#[test]
fn a_log_that_cannot_be_opened_is_opened_as_soon_as_it_can_be() {
    let disk = FakeDisk::default();
    disk.set_fault(Some(Fault::Broken(0, u64::MAX)));
    let writer = start(&disk);
    let handle = writer.handle();
    assert!(handle.admit().unwrap_err().contains("it is broken"));
    handle.record(vec![event(1)]);
    disk.set_fault(None);
    until_admitted(&handle);
    assert_eq!(numbers(&disk), [1]);
    assert!(writer.stop());
    assert_eq!(verified(&disk).fault, None);
}

#[test]
fn what_others_cause_is_summed_up() {
    let disk = FakeDisk::default();
    let writer = start(&disk);
    let handle = writer.handle();
    for _ in 0..10_000 {
        let event = AuditEvent { what: AuditWhat::FailedAuthentication, peer: Some("192.0.2.1".into()), ..event(1) };
        handle.note_failure(AuditEvent { result: "unknown_token".into(), ..event });
    }
    assert!(writer.stop());
    let failures: Vec<_> =
        records(&disk).into_iter().filter(|record| record.what == AuditWhat::FailedAuthentication).collect();
    assert_eq!(failures.len(), 61);
    let words = "9,940 attempts more within a minute: 9940 unknown_token from 192.0.2.1";
    assert_eq!(failures.last().unwrap().summary, words);
}

#[test]
fn a_log_moves_to_another_folder_when_it_is_told_to() {
    let (one, other) = (FakeDisk::default(), FakeDisk::default());
    let disks = [one.clone(), other.clone()];
    let open = move |folder: &Path| Ok(disks[usize::from(folder.ends_with("other"))].clone());
    let writer = AuditWriter::start_with(Path::new("/one"), Now::read, SHORT, open).unwrap();
    let handle = writer.handle();
    handle.record(vec![event(1)]);
    writer.move_to(Path::new("/other"));
    handle.admit().unwrap();
    handle.record(vec![event(2)]);
    assert!(writer.stop());
    assert_eq!((numbers(&one), numbers(&other)), (vec![1], vec![2]));
    assert_eq!([verified(&one).fault, verified(&other).fault], [None, None]);
}
