//! Several holders of a prefix, and journals of daemons that knew one.

use super::{super::record::push_of_sole, *};

/// Of entry 1.
fn held_by(owner: &str, expires: Option<i64>) -> Change {
    Change { holding: Holding { owner: owner.into(), ..holding(1) }, ..add(1, expires, "why") }
}

fn owners(runtime: &Runtime) -> Vec<String> {
    runtime.at(&list(), prefix(1)).map(|(holding, _)| holding.owner.to_string()).collect()
}

#[test]
fn every_holder_is_there_again_with_its_own_end() {
    for with_snapshot in [false, true] {
        let disk = FakeDisk::default();
        let Opened { mut store, mut runtime, .. } = open(&disk);
        let batch = [held_by("root", Some(60)), held_by("agent", None), held_by("zeek", Some(30))];
        store.append(at(0), batch.to_vec()).unwrap();
        change(&mut runtime, &batch);
        if with_snapshot {
            snapshot(&mut store, &runtime);
        }
        let gone = Change { entry: None, ..held_by("agent", None) };
        store.append(at(0), vec![gone.clone()]).unwrap();
        change(&mut runtime, &[gone]);
        assert_eq!(open(&disk.after_kill()).runtime, runtime);
        let late = Store::open(disk, at(30), NEVER).unwrap().runtime;
        assert_eq!((owners(&runtime), owners(&late)), (vec!["root".into(), "zeek".into()], vec!["root".into()]));
    }
}

/// A journal of a daemon of versions 1 and 2.
fn of_sole(records: impl FnOnce(&mut Vec<u8>)) -> FakeDisk {
    let disk = FakeDisk::default();
    drop(open(&disk));
    let mut octets = disk.get(&journal_name(1));
    records(&mut octets);
    disk.put(&journal_name(1), &octets);
    disk
}

#[test]
fn a_change_of_a_daemon_that_knew_one_holder_is_of_whoever_that_was() {
    let disk = of_sole(|octets| {
        push_of_sole(at(0), &[held_by("root", None)], None, octets);
        push_of_sole(at(0), &[held_by("agent", Some(60))], None, octets);
    });
    let opened = open(&disk);
    assert_eq!(owners(&opened.runtime), ["agent"]);
    let entry = opened.runtime.entry(&list(), &held_by("agent", None).holding).unwrap();
    assert_eq!((entry.expires, entry.comment.as_deref()), (Some(at(60)), Some("why")));
    let disk = of_sole(|octets| {
        push_of_sole(at(0), &[held_by("root", None)], None, octets);
        push_of_sole(at(0), &[Change { entry: None, ..held_by("agent", None) }], None, octets);
    });
    assert_eq!(owners(&open(&disk).runtime), [""; 0]);
}

#[test]
fn a_push_that_waits_since_such_a_daemon_gives_back_to_whoever_held_it() {
    let until = Until { at: at(60), length_ms: 60_000 };
    for before in [Some("root"), None] {
        let disk = of_sole(|octets| {
            before.iter().for_each(|owner| push_of_sole(at(0), &[held_by(owner, None)], None, octets));
            let was = before.map_or(Change { entry: None, ..held_by("", None) }, |owner| held_by(owner, None));
            push_of_sole(at(0), &[held_by("agent", None)], Some(("agent", &[was], until)), octets);
        });
        assert_eq!(owners(&open(&disk).runtime), ["agent"]);
        let undone = Store::open(disk.clone(), at(61), NEVER).unwrap();
        assert_eq!(owners(&undone.runtime), before.into_iter().map(str::to_owned).collect::<Vec<_>>());
        // A later push of such a daemon is its own.
        let mut octets = of_sole(|octets| {
            push_of_sole(at(0), &[held_by("agent", None)], Some(("agent", &[], until)), octets);
            push_of_sole(at(1), &[held_by("zeek", None)], None, octets);
        });
        octets = octets.after_kill();
        assert_eq!(owners(&Store::open(octets, at(61), NEVER).unwrap().runtime), ["zeek"]);
    }
}
