//! Files that are damaged, of another format or gone.

use super::*;

#[test]
fn damage_is_refused_and_a_repair_sets_it_aside() {
    let disk = FakeDisk::default();
    applied(&disk, false, false);
    let mut octets = disk.get("policy-0000000002");
    octets[20] ^= 1;
    disk.put("policy-0000000002", &octets);
    let history = open(&disk);
    let refused = history.bundle_of(history.active().unwrap()).unwrap_err().to_string();
    assert!(
        refused.contains("/state/policy-0000000002: it is damaged\nhint: what a daemon left attached"),
        "{refused}"
    );
    assert_eq!(repair(&disk).map_err(|error| error.to_string()), Ok(vec!["policy-0000000002".into()]));
    assert_eq!(chosen(&disk, "a", "1"), "file None First");
    assert_eq!(open(&disk).last(), 1);

    disk.put("history", b"nothing of this kind");
    let refused = History::open(disk.clone(), 10).map(drop).unwrap_err().to_string();
    assert!(refused.contains("/state/history: it is damaged"), "{refused}");
    assert_eq!(repair(&disk).map_err(|error| error.to_string()), Ok(vec!["history".into()]));
    assert_eq!(repair(&disk).map_err(|error| error.to_string()), Ok(Vec::new()));
    assert_eq!(chosen(&disk, "a", "1"), "file None First");
}

#[test]
fn a_history_that_cannot_be_read_is_left_alone_and_refuses_what_has_to_be_kept() {
    let mut newer = Vec::new();
    assert!(crate::state::frame::push(&mut newer, br#"{"version":2,"anything":"else"}"#));
    let newer_words =
        "/state/history: it has format 2, and this daemon knows up to 1\nhint: start the newer portcullis";
    for (octets, words) in [(&b"nothing"[..], "/state/history: it is damaged\nhint: "), (&newer, newer_words)] {
        let disk = FakeDisk::default();
        applied(&disk, false, false);
        disk.put("history", octets);
        let files = || disk.names().unwrap().into_iter().map(|name| (disk.get(&name), name)).collect::<Vec<_>>();
        let before = files();
        assert!(History::open(disk.clone(), 10).is_err());
        let mut history = History::open_tolerant(disk.clone(), 10);
        assert!(history.refuses().unwrap().contains(words), "{:?}", history.refuses());
        assert_eq!((history.last(), history.active()), (2, None), "no number is given twice");
        assert!(matches!(
            choose(&history, Some((&bundle("a", "1"), Mode::Enforce)), now(1)),
            Choice::File(None, Why::First)
        ));
        history.record(generation(3, How::Start), Content::Sent(bundle("c", "1")), true, None, Care::Owe).unwrap();
        let must = history.record(generation(4, How::Apply), Content::Sent(bundle("d", "1")), false, None, Care::Must);
        let refused = must.unwrap_err().to_string();
        assert!(refused.starts_with("changes of the policy are refused: cannot read the generations"), "{refused}");
        assert_eq!(history.active().unwrap().number, 3, "the daemon knows what it does");
        assert_eq!(history.bundle_of(history.active().unwrap()).unwrap(), bundle("c", "1"));
        history.clean();
        history.settle().unwrap();
        assert!(!history.is_owing() && history.failures() == 1);
        assert_eq!(files(), before, "nothing was touched");
    }
}

#[test]
fn what_somebody_else_removes_is_written_anew() {
    let disk = FakeDisk::default();
    let mut history = applied(&disk, false, true);
    for (at, name) in [(10, "history"), (20, "policy-0000000001"), (30, "policy-0000000002")] {
        disk.unlink(name);
        assert!(history.tend(now(at)), "{name}");
        assert!(!history.tend(now(at + 5)), "{name}: all is there");
    }
    disk.remove_folder();
    let refused = history.record(generation(3, How::Apply), Content::Sent(bundle("c", "")), false, None, Care::Must);
    assert!(refused.is_err(), "it would be kept where nobody finds it");
    disk.remake().unwrap();
    history.record(generation(3, How::Apply), Content::Sent(bundle("c", "")), false, None, Care::Must).unwrap();
    let found = open(&disk.after_kill());
    let says = |number| found.bundle_of(found.generation(number).unwrap()).unwrap();
    assert_eq!([says(1), says(2), says(3)], [bundle("a", "1"), bundle("b", "1"), bundle("c", "")]);
}

#[test]
fn what_nobody_can_write_anew_is_missed_once() {
    let disk = FakeDisk::default();
    let mut history = applied(&disk, false, false);
    history.record(generation(3, How::Apply), Content::Sent(bundle("c", "1")), false, None, Care::Must).unwrap();
    // It is neither live nor what the file was read as, so that nothing of it is held.
    let name = "policy-0000000002";
    let octets = disk.get(name);
    for second in [10, 40] {
        disk.unlink(name);
        assert!(history.tend(now(second)));
        let operations = disk.operations();
        for second in [second + 5, second + 10] {
            assert!(!history.tend(now(second)) && !history.is_owing(), "{second}");
        }
        assert_eq!(disk.operations(), operations, "nothing is written");
        // What somebody brings back can be lost again.
        disk.put(name, &octets);
        assert!(!history.tend(now(second + 20)));
    }
    disk.unlink("policy-0000000001");
    assert!(history.tend(now(80)), "what is held is written anew all the same");
    assert!(disk.names().unwrap().contains(&"policy-0000000001".into()));
}
