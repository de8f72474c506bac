//! Changes in parts: all of them, or none.

use super::*;

#[test]
fn parts_count_when_all_of_them_are_there_and_promised() {
    let disk = FakeDisk::default();
    let Opened { mut store, .. } = open(&disk);
    let given_up = store.begin_sync().unwrap();
    store.append_part(at(0), given_up, vec![add(1, None, "a")]).unwrap();
    store.end_sync();
    let number = store.begin_sync().unwrap();
    for numbers in [[2, 3], [4, 5]] {
        store.append_part(at(0), number, numbers.map(|number| add(number, None, "b")).to_vec()).unwrap();
        store.append(at(0), vec![add(numbers[0], None, "of somebody else before")]).unwrap();
    }
    assert!(!store.is_due(), "no snapshot is taken meanwhile");
    let there = |disk: &FakeDisk| -> Vec<String> {
        let opened = open(&disk.after_kill());
        opened.runtime.iter().map(|(_, _, entry)| entry.comment.as_deref().unwrap().to_owned()).collect()
    };
    assert_eq!(there(&disk), ["of somebody else before"; 2]);
    assert!(
        store.append_part(at(0), given_up, vec![add(9, None, "c")]).unwrap_err().to_string().contains("hint: push it")
    );
    store.promise_sync(at(0), number).unwrap();
    assert_eq!(there(&disk), ["b"; 4], "the sync comes after what was there when it was promised");
    assert!(store.promise_sync(at(0), number).is_err(), "once");
}

#[test]
fn a_part_that_is_damaged_is_missed() {
    let disk = FakeDisk::default();
    let Opened { mut store, .. } = open(&disk);
    let number = store.begin_sync().unwrap();
    let (mut before, mut second) = (0, 0);
    for one in [1, 2, 3] {
        (second, before) = (before, disk.get(&journal_name(1)).len());
        store.append_part(at(0), number, vec![add(one, None, "a")]).unwrap();
    }
    store.promise_sync(at(0), number).unwrap();
    let whole = disk.get(&journal_name(1));
    // One that is not there at all is missed when they are counted.
    disk.put(&journal_name(1), &[&whole[..second], &whole[before..]].concat());
    assert!(refused(&disk).contains("damaged at octet"), "{}", refused(&disk));
    let opened = Store::open_tolerant(disk.after_kill(), at(0), NEVER).unwrap();
    assert_eq!((opened.runtime.len(), opened.store.refuses().is_some()), (2, true), "what can be read filters");

    let mut octets = whole;
    octets[before + 20] ^= 1;
    disk.put(&journal_name(1), &octets);
    assert!(refused(&disk).contains(&format!("damaged at octet {before}")), "{}", refused(&disk));
    let opened = Store::open_tolerant(disk, at(0), NEVER).unwrap();
    assert_eq!((opened.runtime.len(), opened.store.refuses().is_some()), (2, true), "what can be read filters");
}
