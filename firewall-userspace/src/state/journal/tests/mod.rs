//! What an operator finds after everything that can happen to a disk.

mod astray;
mod clock;
mod holders;
mod parts;
mod provisional;
mod steps;
mod tolerant;

use jiff::{SignedDuration, Timestamp};

use super::{
    recover::{journal_name, snapshot_name},
    *,
};
use crate::{
    clock::deadline::Until,
    lists::{
        change::Change,
        entry::{Holding, Layer},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::{Name, Prefix},
    state::{
        error::Flaw,
        fake::{FakeDisk, Fault},
        frame,
    },
};

const NEVER: u64 = u64::MAX;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn list() -> Name {
    Name::parse("foes").unwrap()
}

fn prefix(number: u8) -> Prefix {
    format!("192.0.2.{number}").parse().unwrap()
}

fn layer(number: u8) -> Layer {
    if number.is_multiple_of(2) { Layer::Runtime } else { Layer::Ban }
}

fn holding(number: u8) -> Holding {
    Holding { prefix: prefix(number), layer: layer(number), owner: "uid:0".into() }
}

fn add(number: u8, expires: Option<i64>, comment: &str) -> Change {
    let comment = Some(comment.into());
    let entry = RuntimeEntry { person: None, comment, created: at(0), expires: expires.map(at), era: 0 };
    Change { list: list(), holding: holding(number), entry: Some(entry.into()) }
}

fn remove(number: u8) -> Change {
    Change { list: list(), holding: holding(number), entry: None }
}

fn change(runtime: &mut Runtime, changes: &[Change]) {
    for Change { list, holding, entry } in changes.iter().cloned() {
        runtime.set(&list, &holding, entry);
    }
}

fn open(disk: &FakeDisk) -> Opened<FakeDisk> {
    Store::open(disk.clone(), at(0), NEVER).unwrap()
}

/// A store in which these batches were kept, and what it holds.
fn kept(disk: &FakeDisk, batches: &[Vec<Change>]) -> Runtime {
    let Opened { mut store, mut runtime, .. } = open(disk);
    for batch in batches {
        store.append(at(0), batch.clone()).unwrap();
        change(&mut runtime, batch);
    }
    runtime
}

fn refused(disk: &FakeDisk) -> String {
    Store::open(disk.clone(), at(0), NEVER).map(drop).unwrap_err().to_string()
}

fn snapshot(store: &mut Store<FakeDisk>, runtime: &Runtime) {
    let written = store.rotate(runtime, at(0)).unwrap().run().unwrap();
    store.rotated(Some(written));
}

#[test]
fn what_was_kept_is_there_again() {
    let disk = FakeDisk::default();
    let runtime = kept(&disk, &[vec![add(1, Some(60), "a"), add(2, None, "b")], vec![add(1, None, "c"), remove(2)]]);
    let opened = open(&disk.after_kill());
    assert_eq!(opened.runtime, runtime);
    assert_eq!(opened.notes, []);
    assert_eq!(runtime.entry(&list(), &holding(1)).unwrap().comment.as_deref(), Some("c"));
}

#[test]
fn a_torn_tail_loses_only_what_was_never_acknowledged() {
    let disk = FakeDisk::default();
    let runtime = kept(&disk, &[vec![add(1, None, "a")]]);
    let whole = disk.get(&journal_name(1));
    kept(&disk, &[vec![add(2, None, "b")]]);
    let more = disk.get(&journal_name(1));
    for length in whole.len() + 1..more.len() {
        disk.put(&journal_name(1), &more[..length]);
        let mut opened = open(&disk);
        assert_eq!(opened.runtime, runtime, "{length}");
        let dropped = (length - whole.len()) as u64;
        let note = Note::TornTail { path: "/state/journal-0000000001".into(), octets: dropped };
        assert_eq!(opened.notes, [note], "{length}");
        assert_eq!(disk.get(&journal_name(1)), whole, "the tail is cut off before anything is written behind it");
        opened.store.append(at(0), vec![add(3, None, "c")]).unwrap();
        assert_eq!(open(&disk).runtime.len(), 2);
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place_and_a_way_on() {
    let disk = FakeDisk::default();
    kept(&disk, &[vec![add(1, None, "a")], vec![add(2, None, "b")]]);
    let octets = disk.get(&journal_name(1));
    let first = frame::next(&octets, 0).unwrap();
    let second = frame::next(&octets, first).unwrap();
    for index in first..second {
        let mut damaged = octets.clone();
        damaged[index] ^= 0x40;
        disk.put(&journal_name(1), &damaged);
        assert_eq!(
            refused(&disk),
            format!(
                "cannot read pushed entries from /state/journal-0000000001: it is damaged at octet {first} of {}, and what \
                 comes behind cannot be understood without it\nhint: what a daemon left attached goes on filtering; stop the \
                 daemon, then restore the folder from a copy, or run `portcullis state repair /state`, which keeps all that can be read and says what cannot; then start it",
                octets.len()
            )
        );
        assert_eq!(disk.get(&journal_name(1)), damaged, "nothing was changed");
    }
    let repaired = salvage(&disk, at(0)).unwrap();
    assert_eq!((repaired.entries, &*repaired.set_aside), (1, &["journal-0000000001.damaged".to_owned()][..]));
    let lost = Note::Lost { path: "/state/journal-0000000001".into(), why: format!("damaged at octet {first}") };
    assert_eq!(repaired.notes, [lost]);
    let opened = open(&disk);
    assert!(opened.runtime.entry(&list(), &holding(2)).is_some(), "what comes behind the damage is kept");
    assert_eq!(opened.notes, []);
}

#[test]
fn nothing_is_repaired_where_nothing_is_damaged() {
    let disk = FakeDisk::default();
    kept(&disk, &[vec![add(1, None, "a")]]);
    let before = (disk.names().unwrap(), disk.get(&journal_name(1)));
    let repaired = salvage(&disk, at(0)).unwrap();
    assert_eq!((repaired.entries, repaired.set_aside, repaired.notes), (1, vec![], vec![]));
    assert_eq!((disk.names().unwrap(), disk.get(&journal_name(1))), before);
}

#[test]
fn a_repair_for_which_there_is_no_room_changes_nothing() {
    let disk = FakeDisk::default();
    kept(&disk, &[vec![add(1, None, "a")], vec![add(2, None, "b")]]);
    let mut octets = disk.get(&journal_name(1));
    octets[50] ^= 0x40;
    disk.put(&journal_name(1), &octets);
    let before = disk.names().unwrap();
    for room in 1..10 {
        disk.set_fault(Some(Fault::Full(disk.operations() + room, NEVER)));
        salvage(&disk, at(0)).unwrap_err();
        disk.set_fault(None);
        assert_eq!(disk.names().unwrap(), before, "{room}");
    }
    assert_eq!(salvage(&disk, at(0)).unwrap().set_aside, ["journal-0000000001.damaged"]);
}

#[test]
fn a_damaged_snapshot_falls_back_on_the_one_before_and_loses_nothing() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    for number in 1..=3 {
        let batch = vec![add(number, None, "a"), add(100 + number, None, "b"), remove(99 + number)];
        store.append(at(0), batch.clone()).unwrap();
        change(&mut runtime, &batch);
        snapshot(&mut store, &runtime);
    }
    let batch = vec![add(9, None, "z")];
    store.append(at(0), batch.clone()).unwrap();
    change(&mut runtime, &batch);
    assert_eq!(
        disk.names().unwrap(),
        ["journal-0000000003", "journal-0000000004", "snapshot-0000000003", "snapshot-0000000004"]
    );
    assert_eq!(open(&disk).runtime, runtime);

    let whole = disk.get(&snapshot_name(4));
    for length in 0..whole.len() {
        disk.put(&snapshot_name(4), &whole[..length]);
        let opened = open(&disk.after_kill());
        assert_eq!(opened.runtime, runtime, "{length}");
        let path = "/state/snapshot-0000000004".into();
        assert_eq!(opened.notes, [Note::SkippedSnapshot { path, flaw: Flaw::Truncated }], "{length}");
    }
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 1;
        disk.put(&snapshot_name(4), &damaged);
        assert_eq!(open(&disk.after_kill()).runtime, runtime, "{index}");
    }
    // The one before as well: nothing is left to begin with.
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    disk.put(&snapshot_name(4), &damaged);
    disk.put(&snapshot_name(3), &whole[..10]);
    assert!(refused(&disk).contains("snapshot-0000000004: it is damaged at octet"), "{}", refused(&disk));
    assert!(refused(&disk).contains("there is no older snapshot"), "{}", refused(&disk));
}

#[test]
fn a_snapshot_that_was_skipped_is_replaced_by_the_next_one() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    for number in 1..=2 {
        let batch = vec![add(number, None, "a")];
        store.append(at(0), batch.clone()).unwrap();
        change(&mut runtime, &batch);
        snapshot(&mut store, &runtime);
    }
    disk.put(&snapshot_name(3), b"nothing");
    let mut opened = open(&disk);
    snapshot(&mut opened.store, &runtime);
    disk.put(&snapshot_name(4), b"nothing");
    assert_eq!(open(&disk).runtime, runtime, "snapshot 2 and journals 2, 3 and 4");
}

#[test]
fn a_newer_daemon_is_named_and_its_files_are_left_alone() {
    let disk = FakeDisk::default();
    kept(&disk, &[vec![add(1, None, "a")]]);
    let mut octets = disk.get(&journal_name(1));
    assert!(frame::push(&mut octets, &[VERSION + 1, 1, 2, 3]));
    disk.put(&journal_name(1), &octets);
    let words = format!(
        "cannot read pushed entries from /state/journal-0000000001: it has format {}, and this daemon knows up to {VERSION}\n\
         hint: start the newer portcullis that wrote it",
        VERSION + 1
    );
    assert_eq!(refused(&disk), words);
    assert_eq!(salvage(&disk, at(0)).unwrap_err().to_string(), words);
    assert_eq!(disk.get(&journal_name(1)), octets);
}

#[test]
fn a_journal_that_is_gone_is_missed() {
    for missing in [2, 3] {
        let disk = FakeDisk::default();
        let Opened { mut store, mut runtime, .. } = open(&disk);
        store.append(at(0), vec![add(1, None, "a")]).unwrap();
        change(&mut runtime, &[add(1, None, "a")]);
        snapshot(&mut store, &runtime);
        drop(store.rotate(&runtime, at(0)).unwrap());
        store.append(at(0), vec![add(2, None, "a")]).unwrap();
        disk.remove(&journal_name(missing)).unwrap();
        if missing == 2 {
            assert!(refused(&disk).contains("journal-0000000002: it is gone"), "{}", refused(&disk));
        }
        disk.remove(&journal_name(2)).unwrap();
        assert!(refused(&disk).contains("journal-0000000002: it is gone"), "{}", refused(&disk));
    }
}

#[test]
fn an_emptied_journal_is_not_taken_for_a_new_one() {
    let disk = FakeDisk::default();
    let Opened { mut store, runtime, .. } = open(&disk);
    snapshot(&mut store, &runtime);
    store.append(at(0), vec![add(2, None, "a")]).unwrap();
    disk.put(&journal_name(2), &[]);
    assert!(refused(&disk).contains("journal-0000000002: it is damaged at octet 0 of 0"), "{}", refused(&disk));
}

#[test]
fn a_full_disk_refuses_a_push_changes_nothing_and_goes_on_when_there_is_room() {
    let disk = FakeDisk::default();
    let Opened { mut store, .. } = open(&disk);
    store.append(at(0), vec![add(1, None, "a")]).unwrap();
    let before = disk.get(&journal_name(1));
    disk.set_fault(Some(Fault::Full(0, NEVER)));
    let error = store.append(at(0), vec![add(2, None, "b")]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write to /state/journal-0000000001: "), "{error}");
    assert!(
        error.ends_with("hint: make room on its file system; pushes work again as soon as there is some"),
        "{error}"
    );
    assert_eq!(disk.get(&journal_name(1)), before, "what was written of it is taken back");
    assert!(store.rotate(&Runtime::default(), at(0)).is_err());
    disk.set_fault(None);
    store.append(at(0), vec![add(3, None, "c")]).unwrap();
    let runtime = open(&disk).runtime;
    let there: Vec<bool> = (1..=3).map(|number| runtime.entry(&list(), &holding(number)).is_some()).collect();
    assert_eq!(there, [true, false, true]);
}

#[test]
fn entries_are_enforced_from_a_folder_that_cannot_be_written() {
    let disk = FakeDisk::default();
    let runtime = kept(&disk, &[vec![add(1, None, "a")]]);
    disk.set_fault(Some(Fault::Broken(0, NEVER)));
    let mut opened = open(&disk);
    assert_eq!(opened.runtime, runtime);
    assert!(matches!(&*opened.notes, [Note::CannotWrite(_)]), "{:?}", opened.notes);
    assert!(opened.store.append(at(0), vec![add(2, None, "b")]).is_err());
    disk.set_fault(None);
    opened.store.append(at(0), vec![add(2, None, "b")]).unwrap();
    assert_eq!(open(&disk).runtime.len(), 2);
}

#[test]
fn a_new_folder_that_cannot_be_written_is_refused() {
    let disk = FakeDisk::default();
    disk.set_fault(Some(Fault::Full(0, NEVER)));
    assert!(refused(&disk).starts_with("cannot begin /state/journal-0000000001: "), "{}", refused(&disk));
    disk.set_fault(None);
    assert!(open(&disk).runtime.is_empty());
}

#[test]
fn what_ended_in_the_meantime_is_gone_and_does_not_come_back() {
    let disk = FakeDisk::default();
    kept(&disk, &[vec![add(1, Some(10), "a"), add(2, Some(11), "b"), add(3, None, "c")]]);
    let opened = Store::open(disk.clone(), at(10), NEVER).unwrap();
    assert_eq!(opened.notes, [Note::Ended(1)]);
    assert_eq!(opened.runtime.len(), 2);
    // Also when the clock is set back afterwards: its end was kept.
    let again = Store::open(disk, at(5), NEVER).unwrap();
    assert_eq!(again.runtime.len(), 2);
}

#[test]
fn a_clock_that_was_set_back_gives_no_entry_more_time_than_it_had_left() {
    let disk = FakeDisk::default();
    let Opened { mut store, .. } = Store::open(disk.clone(), at(0), NEVER).unwrap();
    store.append(at(0), vec![add(1, Some(3600), "a"), add(2, None, "b")]).unwrap();
    store.append(at(600), vec![add(3, Some(601), "c")]).unwrap();
    let day = 86_400;
    let opened = Store::open(disk.clone(), at(600 - day), NEVER).unwrap();
    assert_eq!(opened.notes, [Note::ClockBack(SignedDuration::from_secs(day))]);
    assert_eq!(
        opened.notes[0].to_string(),
        "the clock is 24h behind the last change: entries keep the time that they had left, none comes back"
    );
    let expires = |runtime: &Runtime, number| runtime.entry(&list(), &holding(number)).and_then(|entry| entry.expires);
    assert_eq!(expires(&opened.runtime, 1), Some(at(3600 - day)), "50 minutes are left as before");
    assert_eq!(expires(&opened.runtime, 2), None);
    // It is said, and done, once.
    let again = Store::open(disk.clone(), at(602 - day), NEVER).unwrap();
    assert_eq!(again.notes, [Note::Ended(1)]);
    assert_eq!(expires(&again.runtime, 1), Some(at(3600 - day)));
    let later = Store::open(disk, at(3600 - day), NEVER).unwrap();
    assert_eq!(later.notes, [Note::Ended(1)]);
}

#[test]
fn a_snapshot_is_due_when_the_journal_is_longer_than_it_and_than_it_should_be() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = Store::open(disk, at(0), 500).unwrap();
    let mut due = 0;
    for number in 0..=255 {
        let batch = vec![add(number, None, "a")];
        store.append(at(0), batch.clone()).unwrap();
        change(&mut runtime, &batch);
        if store.is_due() {
            due += 1;
            let job = store.rotate(&runtime, at(0)).unwrap();
            assert!(!store.is_due(), "one at a time");
            store.rotated(Some(job.run().unwrap()));
        }
    }
    assert!((3..20).contains(&due), "{due}: each doubles what the one before had");
}
