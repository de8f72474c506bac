//! What a daemon filters with that must not refuse to start, and that nothing on disk is touched meanwhile.

use super::*;

/// Opens what a strict start refuses, and holds it to what it says: pushes are refused, and the files stay as they are.
fn tolerated(disk: &FakeDisk, words: &str) -> Opened<FakeDisk> {
    let files = || disk.names().unwrap().into_iter().map(|name| (disk.get(&name), name)).collect::<Vec<_>>();
    let before = files();
    let strict = refused(disk);
    assert!(strict.contains(words), "{strict}");
    let mut opened = Store::open_tolerant(disk.clone(), at(20), 1).unwrap();
    let store = &mut opened.store;
    assert_eq!(store.refuses(), Some(&*strict));
    let said = store.append(at(0), vec![add(9, None, "z")]).unwrap_err().to_string();
    assert_eq!(said, format!("pushes are refused: {strict}"));
    store.decide(at(0)).unwrap_err();
    store.rotate(&opened.runtime, at(0)).map(drop).unwrap_err();
    store.owe(at(0), vec![remove(1)]);
    store.settle().unwrap();
    assert!(!store.is_owing() && !store.is_torn() && !store.is_due(), "nothing is to be written");
    assert_eq!(files(), before, "nothing was touched");
    opened
}

/// What is said of the format after ours.
fn newer() -> String {
    format!("it has format {}, and this daemon knows up to {VERSION}\nhint: start the newer portcullis", VERSION + 1)
}

fn there(opened: &Opened<FakeDisk>) -> Vec<u8> {
    (0..20).filter(|number| opened.runtime.entry(&list(), &holding(*number)).is_some()).collect()
}

/// Three pushes, one of which ends at 10.
fn three(disk: &FakeDisk) {
    kept(disk, &[vec![add(1, None, "a")], vec![add(2, Some(10), "b")], vec![add(3, None, "c")]]);
}

#[test]
fn what_can_be_read_of_a_damaged_journal_is_there_and_pushes_are_refused_until_it_is_repaired() {
    let disk = FakeDisk::default();
    three(&disk);
    let mut octets = disk.get(&journal_name(1));
    let first = frame::next(&octets, 0).unwrap();
    octets[first + 20] ^= 1;
    disk.put(&journal_name(1), &octets);
    let opened = tolerated(&disk, "journal-0000000001: it is damaged at octet");
    assert_eq!(there(&opened), [3], "2 has ended");
    assert!(opened.notes.contains(&Note::Ended(1)) && matches!(opened.notes[0], Note::Lost { .. }));
    salvage(&disk, at(20)).unwrap();
    let mut opened = Store::open_tolerant(disk.clone(), at(20), NEVER).unwrap();
    assert_eq!((there(&opened), opened.store.refuses()), (vec![3], None));
    opened.store.append(at(20), vec![add(4, None, "d")]).unwrap();
    assert_eq!(there(&Store::open(disk, at(20), NEVER).unwrap()), [3, 4]);
}

#[test]
fn a_journal_of_a_newer_daemon_is_read_up_to_what_is_new() {
    let disk = FakeDisk::default();
    three(&disk);
    let mut octets = disk.get(&journal_name(1));
    assert!(frame::push(&mut octets, &[VERSION + 1, 1, 2, 3]));
    disk.put(&journal_name(1), &octets);
    kept_behind(&disk);
    let opened = tolerated(&disk, &newer());
    assert_eq!(there(&opened), [1, 3], "what comes behind may mean anything");
}

/// A record that this daemon knows, behind what it does not.
fn kept_behind(disk: &FakeDisk) {
    let mut octets = disk.get(&journal_name(1));
    Record::of(at(0), vec![add(5, None, "e")]).push(&mut octets).unwrap();
    disk.put(&journal_name(1), &octets);
}

#[test]
fn a_snapshot_of_a_newer_daemon_leaves_the_one_before_and_the_journals_since() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    for number in 1..=2 {
        store.append(at(0), vec![add(number, None, "a")]).unwrap();
        change(&mut runtime, &[add(number, None, "a")]);
        snapshot(&mut store, &runtime);
    }
    let mut octets = Vec::new();
    assert!(frame::push(&mut octets, &[VERSION + 1, 1, 2, 3]));
    disk.put(&snapshot_name(3), &octets);
    assert_eq!(there(&tolerated(&disk, &format!("snapshot-0000000003: {}", newer()))), [1, 2]);
    disk.remove(&snapshot_name(2)).unwrap();
    disk.remove(&journal_name(2)).unwrap();
    assert_eq!(there(&tolerated(&disk, &newer())), Vec::<u8>::new(), "nothing is left, and it starts");
}

#[test]
fn what_is_gone_is_missed_and_the_rest_is_there() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    for number in 1..=3 {
        store.append(at(0), vec![add(number, None, "a")]).unwrap();
        change(&mut runtime, &[add(number, None, "a")]);
        snapshot(&mut store, &runtime);
    }
    store.append(at(0), vec![add(4, None, "a")]).unwrap();
    disk.remove(&snapshot_name(4)).unwrap();
    disk.remove(&journal_name(3)).unwrap();
    assert_eq!(there(&tolerated(&disk, "journal-0000000003: it is gone")), [1, 2, 4]);
    disk.remove(&snapshot_name(3)).unwrap();
    assert_eq!(there(&tolerated(&disk, "it is not there, and there is no older snapshot")), [4]);
}

#[test]
fn a_push_that_waits_for_a_confirmation_is_undone_in_memory() {
    let disk = FakeDisk::default();
    let Opened { mut store, .. } = open(&disk);
    let until = Until { at: at(10), length_ms: 10_000 };
    let before = [remove(2)];
    let waits = Provisional::new(7, "root".into(), until, before);
    store.append_provisional(at(0), vec![add(2, None, "b")], waits).unwrap();
    store.append(at(0), vec![add(3, None, "c")]).unwrap();
    let mut octets = disk.get(&journal_name(1));
    let last = octets.len() - 1;
    octets[last] ^= 1;
    Record::of(at(0), vec![add(5, None, "e")]).push(&mut octets).unwrap();
    disk.put(&journal_name(1), &octets);
    let opened = tolerated(&disk, "it is damaged");
    assert_eq!(there(&opened), [5]);
    assert!(opened.notes.contains(&Note::Undone(1)) && opened.store.provisional().is_none());
}

#[test]
fn a_whole_folder_opens_as_ever_and_a_new_one_has_to_take_a_write() {
    let disk = FakeDisk::default();
    three(&disk);
    let opened = Store::open_tolerant(disk.clone(), at(0), NEVER).unwrap();
    assert_eq!((there(&opened), opened.store.refuses()), (vec![1, 2, 3], None));
    let disk = FakeDisk::default();
    disk.set_fault(Some(Fault::Broken(0, NEVER)));
    assert!(Store::open_tolerant(disk, at(0), NEVER).is_err());
}
