//! Pushes that wait for a confirmation.

use super::*;

/// Pushes `changes`, which are undone 60 s after `at(second)`.
fn push_provisionally(store: &mut Store<FakeDisk>, runtime: &mut Runtime, second: i64, changes: &[Change]) {
    let before = changes.iter().map(|Change { list, holding, .. }| {
        let entry = runtime.entry(list, holding).cloned();
        Change { list: list.clone(), holding: holding.clone(), entry }
    });
    let until = Until { at: at(second + 60), length_ms: 60_000 };
    let provisional = Provisional::new(7, "root".into(), until, before);
    store.append_provisional(at(second), changes.to_vec(), provisional).unwrap();
    change(runtime, changes);
}

#[test]
fn a_push_that_nobody_confirms_is_undone_by_the_next_start_also_after_a_snapshot() {
    for with_snapshot in [false, true] {
        let disk = FakeDisk::default();
        let Opened { mut store, mut runtime, .. } = open(&disk);
        let batch = [add(1, None, "a"), add(2, Some(3600), "b"), add(5, Some(30), "e")];
        store.append(at(0), batch.to_vec()).unwrap();
        change(&mut runtime, &batch);
        let before = runtime.clone();
        let changes = [add(1, Some(10), "new"), remove(2), add(3, None, "c"), remove(5)];
        push_provisionally(&mut store, &mut runtime, 0, &changes);
        if with_snapshot {
            snapshot(&mut store, &runtime);
        }
        let waiting = Store::open(disk.after_kill(), at(9), NEVER).unwrap();
        assert_eq!(waiting.runtime, runtime);
        assert_eq!(waiting.store.provisional().map(Provisional::len), Some(4));
        // What ends meanwhile by itself is put back too, unless it had ended before anyway.
        drop(Store::open(disk.clone(), at(20), NEVER).unwrap());
        let late = Store::open(disk.clone(), at(60), NEVER).unwrap();
        let mut wanted = before;
        change(&mut wanted, &[remove(5)]);
        assert_eq!(late.runtime, wanted);
        assert!(late.notes.contains(&Note::Undone(3)), "{:?}", late.notes);
        assert_eq!(late.store.provisional(), None);
        assert_eq!(Store::open(disk, at(60), NEVER).unwrap().notes, [], "once");
    }
}

#[test]
fn a_confirmed_push_stays_and_what_a_later_push_touched_is_not_put_back() {
    for is_confirmed in [true, false] {
        let disk = FakeDisk::default();
        let Opened { mut store, mut runtime, .. } = open(&disk);
        push_provisionally(&mut store, &mut runtime, 0, &[add(1, None, "a"), add(2, None, "b"), add(3, None, "c")]);
        let later = [add(2, None, "kept"), remove(3), add(4, None, "d")];
        store.append(at(1), later.to_vec()).unwrap();
        change(&mut runtime, &later);
        assert_eq!(store.provisional().map(Provisional::len), Some(1));
        if is_confirmed {
            store.decide(at(2)).unwrap();
        } else {
            change(&mut runtime, &[remove(1)]);
        }
        assert_eq!(Store::open(disk, at(99), NEVER).unwrap().runtime, runtime, "{is_confirmed}");
    }
}

#[test]
fn a_clock_that_was_set_back_ends_the_wait_and_gives_nothing_more_time() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    store.append(at(0), vec![add(1, Some(3600), "a")]).unwrap();
    change(&mut runtime, &[add(1, Some(3600), "a")]);
    push_provisionally(&mut store, &mut runtime, 0, &[remove(1)]);
    let opened = Store::open(disk, at(-600), NEVER).unwrap();
    assert_eq!(opened.runtime.entry(&list(), &holding(1)).and_then(|entry| entry.expires), Some(at(3000)));
    assert_eq!(opened.store.provisional(), None);
}
