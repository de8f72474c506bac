//! What somebody else does to the folder while a daemon runs, and between two.

use super::*;
use crate::clock::Now;

fn now(second: i64) -> Now {
    at(second).into()
}

/// What may happen to the journal of a running daemon.
const MISHAPS: [fn(&FakeDisk); 5] = [
    |disk| disk.unlink(&journal_name(1)),
    |disk| disk.put(&journal_name(1), b"another one"),
    |disk| disk.resize(&journal_name(1), 60),
    |disk| disk.resize(&journal_name(1), 6000),
    |disk| disk.remove_folder(),
];

fn keeper(disk: &FakeDisk) -> (Keeper<FakeDisk>, Runtime) {
    let Opened { store, mut runtime, .. } = open(disk);
    let mut keeper = Keeper::new(store);
    keeper.keep(now(0), vec![add(1, None, "a"), add(2, None, "b")], None).unwrap();
    change(&mut runtime, &[add(1, None, "a"), add(2, None, "b")]);
    assert!(!keeper.tend(&runtime, now(0)), "all is well");
    (keeper, runtime)
}

/// What is to be done until pushes are taken again.
fn recover(keeper: &mut Keeper<FakeDisk>, runtime: &Runtime) {
    assert!(keeper.tend(runtime, now(10)));
    keeper.keep(now(10), vec![add(7, None, "x")], None).unwrap_err();
    keeper.finish();
    assert_eq!((keeper.refuses(), keeper.counters().rewrites), (None, 1));
}

#[test]
fn a_journal_that_somebody_else_changes_refuses_the_next_push_until_everything_is_written_anew() {
    for mishap in MISHAPS {
        let disk = FakeDisk::default();
        let (mut keeper, mut runtime) = keeper(&disk);
        mishap(&disk);
        let refused = keeper.keep(now(1), vec![add(3, None, "c")], None).unwrap_err().to_string();
        assert!(refused.contains("hint: everything is written anew by itself"), "{refused}");
        let again = keeper.keep(now(1), vec![add(3, None, "c")], None).unwrap_err().to_string();
        assert_eq!(again, format!("pushes are refused: {refused}"));
        // What happens by itself meanwhile is true all the same.
        change(&mut runtime, &[remove(2)]);
        keeper.owe(now(1), vec![remove(2)]);
        recover(&mut keeper, &runtime);
        keeper.keep(now(11), vec![add(4, None, "d")], None).unwrap();
        change(&mut runtime, &[add(4, None, "d")]);
        let opened = Store::open(disk.after_kill(), at(11), NEVER).unwrap();
        assert_eq!((opened.runtime, opened.notes), (runtime, vec![]));
    }
}

#[test]
fn a_journal_that_somebody_else_changes_is_noticed_without_a_push() {
    for mishap in MISHAPS {
        let disk = FakeDisk::default();
        let (mut keeper, runtime) = keeper(&disk);
        mishap(&disk);
        assert_eq!(keeper.time_until_look(now(1)), Duration::from_secs(1));
        assert!(!keeper.tend(&runtime, now(1)), "nobody looks all the time");
        recover(&mut keeper, &runtime);
        assert_eq!(open(&disk.after_kill()).runtime, runtime);
    }
}

#[test]
fn until_everything_is_written_anew_a_start_knows_that_something_is_lost() {
    let disk = FakeDisk::default();
    let Opened { mut store, mut runtime, .. } = open(&disk);
    store.append(at(0), vec![add(1, None, "a")]).unwrap();
    change(&mut runtime, &[add(1, None, "a")]);
    disk.remove_folder();
    assert!(store.look() && store.is_astray());
    let job = store.begin_anew(&runtime, now(1)).unwrap();
    store.owe(at(1), vec![remove(1)]);
    store.settle().unwrap();
    store.append(at(1), vec![add(2, None, "b")]).unwrap_err();
    assert!(refused(&disk.after_kill()).contains("there is no older snapshot"), "{}", refused(&disk.after_kill()));
    // The disk refuses the snapshot: the next one is tried.
    store.rotated(None);
    assert!(store.is_astray());
    drop(job);
    runtime.remove(&list(), &holding(1));
    let job = store.begin_anew(&runtime, now(1)).unwrap();
    store.rotated(Some(job.run().unwrap()));
    store.append(at(1), vec![add(2, None, "b")]).unwrap();
    change(&mut runtime, &[add(2, None, "b")]);
    assert_eq!(open(&disk.after_kill()).runtime, runtime);
}

#[test]
fn a_journal_that_was_cut_after_a_stop_is_told_and_after_a_kill_only_its_tail_is_dropped() {
    let disk = FakeDisk::default();
    let (mut keeper, runtime) = keeper(&disk);
    keeper.keep(now(0), vec![add(3, None, "c")], None).unwrap();
    let killed = disk.after_kill();
    keeper.settle_now(now(20));
    let whole = disk.get(&journal_name(1)).len();
    let lengths = |step: usize| (1..whole).step_by(step);
    for length in lengths(7) {
        let cut = disk.after_kill();
        cut.resize(&journal_name(1), length);
        let files = cut.names().unwrap();
        assert!(refused(&cut).contains(&format!("it had {whole} when its daemon stopped")) || length < 40, "{length}");
        assert!(Store::open_tolerant(cut.clone(), at(0), NEVER).unwrap().store.refuses().is_some(), "{length}");
        assert_eq!(cut.names().unwrap(), files);
        salvage(&cut, at(0)).unwrap();
        assert!(Store::open(cut, at(0), NEVER).is_ok());
    }
    let gone = disk.after_kill();
    gone.unlink(&journal_name(1));
    assert!(refused(&gone).contains("journal-0000000001: it is gone"), "{}", refused(&gone));
    killed.resize(&journal_name(1), whole - 1);
    let opened = open(&killed);
    assert_eq!((opened.runtime, opened.notes.len()), (runtime, 1), "a tail that is torn is dropped, as ever");
    // The mark goes when the next daemon writes.
    assert!(disk.names().unwrap().contains(&"stopped".into()));
    assert_eq!(open(&disk).runtime.len(), 3);
    assert!(!disk.names().unwrap().contains(&"stopped".into()));
}

#[test]
fn a_full_disk_gets_no_fuller_however_often_everything_is_tried_anew() {
    let mut refusals = 0;
    for mishap in MISHAPS {
        for room in 1..30 {
            let disk = FakeDisk::default();
            let (mut keeper, runtime) = keeper(&disk);
            mishap(&disk);
            keeper.keep(now(1), vec![add(3, None, "c")], None).unwrap_err();
            let files = || disk.names().unwrap().iter().filter(|name| name.starts_with("journal-")).count();
            let before = files();
            // There is room for so many steps of each attempt.
            for attempt in 0..5 {
                disk.set_fault(Some(Fault::Full(disk.operations() + room, NEVER)));
                keeper.tend(&runtime, now(10 + 2 * attempt));
                keeper.finish();
                disk.set_fault(None);
                assert!(files() <= before + 1, "{room}: {:?}", disk.names());
                let is_whole = keeper.refuses().is_none();
                refusals += usize::from(!is_whole);
                assert_eq!(keeper.counters().rewrites, u64::from(is_whole), "{room}");
            }
            keeper.tend(&runtime, now(30));
            keeper.finish();
            assert_eq!((keeper.refuses(), keeper.counters().rewrites), (None, 1), "{room}");
            assert_eq!(open(&disk.after_kill()).runtime, runtime, "{room}");
        }
    }
    assert!(refusals > 100, "{refusals}");
}

#[test]
fn a_start_knows_that_something_is_lost_however_often_writing_anew_has_failed() {
    let disk = FakeDisk::default();
    let (mut keeper, runtime) = keeper(&disk);
    disk.remove_folder();
    // The journal is there, it is begun, it is begun again, is there and is not.
    for (second, room) in [(10, 2), (12, 5), (14, 5), (16, 2), (18, 1)] {
        disk.set_fault(None);
        disk.set_fault(Some(Fault::Full(disk.operations() + room, NEVER)));
        keeper.tend(&runtime, now(second));
        keeper.finish();
        assert!(refused(&disk.after_kill()).contains("there is no older snapshot"), "{second}");
    }
    assert_eq!(disk.names().unwrap().iter().filter(|name| name.starts_with("journal")).count(), 1);
}

#[test]
fn a_push_that_was_refused_and_could_not_be_taken_back_does_not_outlive_a_stop() {
    for owes in [false, true] {
        let disk = FakeDisk::default();
        let (mut keeper, mut runtime) = keeper(&disk);
        // It is written, and neither synced nor cut off.
        let written = disk.operations() + 1;
        disk.set_fault(Some(Fault::Broken(written + 1, NEVER)));
        keeper.keep(now(1), vec![add(3, None, "c")], None).unwrap_err();
        assert_eq!(open(&disk.after_kill()).runtime.len(), 3, "it would come back");
        if owes {
            keeper.owe(now(1), vec![remove(2)]);
            change(&mut runtime, &[remove(2)]);
        }
        disk.set_fault(None);
        keeper.settle_now(now(2));
        assert_eq!(open(&disk.after_kill()).runtime, runtime);
    }
}
