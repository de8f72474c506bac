//! Generations on a disk that fails, and which of them a start uses.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    config::BundledFile,
    policy::Mode,
    state::fake::{FakeDisk, Fault},
};

fn now(second: i64) -> Now {
    let boot = Duration::from_secs(1000 + second.unsigned_abs());
    Now::new(Timestamp::from_second(1_800_000_000 + second).unwrap(), boot)
}

fn bundle(config: &str, list: &str) -> Bundle {
    let files = vec![BundledFile { path: "/etc/portcullis/list".into(), text: list.into() }];
    Bundle { name: "/etc/portcullis/portcullis.toml".into(), config: config.into(), files, ..Bundle::default() }
}

fn generation(number: u64, how: How) -> Generation {
    Generation {
        number,
        at: now(0).wall,
        owner: "root".into(),
        how,
        of: None,
        source: "x.toml".into(),
        summary: String::new(),
        standing: Standing::Confirmed,
        mode: None,
        bundle: 0,
        confirmed_by: None,
    }
}

fn open(disk: &FakeDisk) -> History<FakeDisk> {
    History::open(disk.clone(), 10).unwrap()
}

/// A history that began with the configuration file, which says `a` and `1`.
fn begun(disk: &FakeDisk) -> History<FakeDisk> {
    let mut history = open(disk);
    let content = Content::Sent(bundle("a", "1"));
    history.record(generation(1, How::Start), content, true, None, Care::Must).unwrap();
    history
}

/// `begun`, then something else from elsewhere, which is confirmed or waits for 60 s.
fn applied(disk: &FakeDisk, is_read: bool, waits: bool) -> History<FakeDisk> {
    let mut history = begun(disk);
    let pending =
        waits.then(|| Provision { generation: 2, previous: 1, until: Until::after(Duration::from_secs(60), now(0)) });
    let standing = if waits { Standing::Pending } else { Standing::Confirmed };
    let applied = Generation { standing, ..generation(2, How::Apply) };
    history.record(applied, Content::Sent(bundle("b", "1")), is_read, pending, Care::Must).unwrap();
    history
}

/// What a start uses when the configuration file says this.
fn chosen(disk: &FakeDisk, config: &str, list: &str) -> String {
    match choose(&open(&disk.after_kill()), Some((&bundle(config, list), Mode::Enforce)), now(1)) {
        Choice::File(mode, why) => format!("file {mode:?} {why:?}"),
        Choice::Kept(generation, why) => format!("{} {why:?}", generation.number),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_first_start_uses_the_file_and_the_next_goes_on() {
    let disk = FakeDisk::default();
    assert_eq!(chosen(&disk, "a", "1"), "file None First");
    begun(&disk);
    assert_eq!(chosen(&disk, "a", "1"), "1 Same");
}

#[test]
fn an_applied_policy_stays_until_the_file_changes() {
    let disk = FakeDisk::default();
    applied(&disk, false, false);
    assert_eq!(chosen(&disk, "a", "1"), "2 Unchanged");
    assert_eq!(chosen(&disk, "c", "1"), "file None Changed");
}

#[test]
fn a_file_that_was_rolled_back_is_not_loaded_again() {
    let disk = FakeDisk::default();
    // The file was changed to `b`, applied and rolled back.
    let mut history = applied(&disk, true, true);
    let back = Generation { of: Some(1), ..generation(3, How::AutomaticRollback) };
    history.record(back, Content::Of(1), false, None, Care::Owe).unwrap();
    assert!(history.differs_from_file());
    assert_eq!(chosen(&disk, "b", "1"), "3 Unchanged");
    // Not when a list that it names changes either; a new file is what its operator wants.
    assert_eq!(chosen(&disk, "b", "2"), "3 Unchanged");
    assert_eq!(chosen(&disk, "a", "1"), "file None Changed");
    assert_eq!(history.generation(2).unwrap().standing, Standing::RolledBack);
    assert_eq!(history.generation(3).unwrap().bundle, 1);
}

#[test]
fn list_files_that_have_changed_are_read_anew_and_a_mode_that_was_set_stays() {
    let disk = FakeDisk::default();
    let mut history = begun(&disk);
    assert_eq!(chosen(&disk, "a", "2"), "file None ListsChanged");
    let observe = Generation { mode: Some(Mode::Observe), ..generation(2, How::Mode) };
    history.record(observe, Content::Of(1), false, None, Care::Must).unwrap();
    assert_eq!(chosen(&disk, "a", "1"), "2 Same");
    assert_eq!(chosen(&disk, "a", "2"), "file Some(Observe) ListsChanged");
    assert_eq!(chosen(&disk, "b", "1"), "file Some(Observe) Changed");
    let observing = bundle("[policy]\nmode = \"observe\"\n", "1");
    let choice = choose(&open(&disk), Some((&observing, Mode::Observe)), now(1));
    assert_eq!(choice, Choice::File(None, Why::Changed), "the file's own mode has changed");
}

#[test]
fn a_start_sees_that_an_included_file_has_changed_is_new_or_is_gone() {
    let with = |texts: &[&str]| {
        let file =
            |(number, text): (usize, &&str)| BundledFile { path: format!("/d/{number}.toml"), text: (*text).into() };
        Bundle { included: texts.iter().enumerate().map(file).collect(), ..bundle("a", "1") }
    };
    let disk = FakeDisk::default();
    let content = Content::Sent(with(&["x", "y"]));
    open(&disk).record(generation(1, How::Start), content, true, None, Care::Must).unwrap();
    let chosen = |texts: &[&str]| choose(&open(&disk.after_kill()), Some((&with(texts), Mode::Enforce)), now(1));
    assert!(matches!(chosen(&["x", "y"]), Choice::Kept(_, Why::Same)));
    for changed in [&["x", "z"][..], &["x", "y", ""], &["x"], &[], &["y", "x"], &["xy"]] {
        assert_eq!(chosen(changed), Choice::File(None, Why::Changed), "{changed:?}");
    }
    let list = Bundle { files: bundle("a", "2").files, ..with(&["x", "y"]) };
    let choice = choose(&open(&disk.after_kill()), Some((&list, Mode::Enforce)), now(1));
    assert_eq!(choice, Choice::File(None, Why::ListsChanged));
}

#[test]
fn what_waits_goes_on_until_its_deadline_and_then_the_one_before_comes_back_whatever_the_file_says() {
    let disk = FakeDisk::default();
    applied(&disk, true, true);
    let choice = |second: i64| choose(&open(&disk.after_kill()), Some((&bundle("c", "9"), Mode::Enforce)), now(second));
    let left = |deadline: Deadline, second| deadline.left(now(second)).as_secs();
    assert!(matches!(choice(20), Choice::Waiting(two, _, deadline) if two.number == 2 && left(deadline, 20) == 40));
    assert!(matches!(choice(60), Choice::Back(one, _) if one.number == 1));
    assert!(matches!(choice(-30), Choice::Back(one, _) if one.number == 1), "the clock was set back");
}

#[test]
fn what_was_confirmed_stays() {
    let disk = FakeDisk::default();
    let mut history = applied(&disk, true, true);
    history.confirm("root").unwrap();
    assert_eq!(chosen(&disk, "b", "1"), "2 Same");
    assert_eq!(open(&disk.after_kill()).generation(2).unwrap().standing, Standing::Confirmed);
}

#[test]
fn the_previous_generation_is_one_that_was_in_force_for_good_and_says_something_else() {
    let disk = FakeDisk::default();
    let mut history = applied(&disk, false, true);
    assert_eq!(history.previous().map(|one| one.number), Some(1));
    let mut record = |number, how, content| {
        history.record(generation(number, how), content, false, None, Care::Must).unwrap();
        history.previous().map(|one| one.number)
    };
    assert_eq!(record(3, How::AutomaticRollback, Content::Of(1)), None, "2 was rolled back, 1 says the same");
    assert_eq!(record(4, How::Apply, Content::Sent(bundle("c", ""))), Some(3));
    assert_eq!(record(5, How::Rollback, Content::Of(3)), Some(4), "and back");
}

#[test]
fn so_many_are_kept_and_what_is_needed() {
    let disk = FakeDisk::default();
    let mut history = History::open(disk.clone(), 3).unwrap();
    for number in 1..=6_u64 {
        let content = Content::Sent(bundle(&number.to_string(), ""));
        history.record(generation(number, How::Apply), content, number == 1, None, Care::Must).unwrap();
        history.clean();
    }
    let numbers: Vec<u64> = history.generations().iter().map(|generation| generation.number).collect();
    assert_eq!(numbers, [4, 5, 6]);
    let mut names = disk.names().unwrap();
    names.sort();
    // The first is what the configuration file was read as.
    assert_eq!(names, ["history", "policy-0000000001", "policy-0000000004", "policy-0000000005", "policy-0000000006"]);
}

#[test]
fn a_mode_that_is_set_to_and_fro_pushes_no_other_policy_out() {
    let disk = FakeDisk::default();
    let mut history = History::open(disk.clone(), 3).unwrap();
    for number in 1..=3_u64 {
        let content = Content::Sent(bundle(&number.to_string(), ""));
        history.record(generation(number, How::Apply), content, number == 1, None, Care::Must).unwrap();
    }
    for number in 4..=40_u64 {
        let mode = Some(if number % 2 == 0 { Mode::Observe } else { Mode::Enforce });
        let (how, of) = if number % 3 == 0 { (How::Rollback, Some(number - 2)) } else { (How::Mode, None) };
        let toggled = Generation { mode, of, ..generation(number, how) };
        history.record(toggled, Content::Of(number - 1), false, None, Care::Must).unwrap();
        history.clean();
    }
    let numbers: Vec<u64> = history.generations().iter().map(|generation| generation.number).collect();
    // The newest of each configuration, and three more of the last one.
    assert_eq!(numbers, [1, 2, 37, 38, 39, 40]);
    let config = |number| history.bundle_of(history.generation(number).unwrap()).unwrap().config;
    assert_eq!([1, 2, 40].map(config), ["1", "2", "3"]);
    // Another policy does.
    history.record(generation(41, How::Apply), Content::Sent(bundle("4", "")), false, None, Care::Must).unwrap();
    let numbers: Vec<u64> = history.generations().iter().map(|generation| generation.number).collect();
    assert_eq!(numbers, [2, 37, 38, 39, 40, 41]);
}

#[test]
fn generations_have_a_cap_in_octets_and_the_live_one_and_what_may_come_back_stay() {
    let disk = FakeDisk::default();
    let mut history = open(&disk);
    history.keep.octets = 100;
    let numbers =
        |history: &History<FakeDisk>| history.generations().iter().map(|one| one.number).collect::<Vec<u64>>();
    let long = |number: u64, octets: usize| Content::Sent(bundle(&number.to_string(), &"x".repeat(octets - 1)));
    for number in 1..=4 {
        history.record(generation(number, How::Apply), long(number, 40), false, None, Care::Must).unwrap();
    }
    assert_eq!(numbers(&history), [3, 4]);
    history.clean();
    assert!(disk.read("policy-0000000002").is_err() && disk.read("policy-0000000003").is_ok());
    // Larger than all that may be kept, and waiting: what comes back without a confirmation stays, too.
    let pending = Provision { generation: 5, previous: 4, until: Until::after(Duration::from_secs(60), now(0)) };
    let waiting = Generation { standing: Standing::Pending, ..generation(5, How::Apply) };
    history.record(waiting, long(5, 400), false, Some(pending), Care::Must).unwrap();
    assert_eq!(numbers(&history), [4, 5]);
    history.confirm("root").unwrap();
    assert_eq!(numbers(&history), [5]);
    // A daemon of before has not noted how large they are.
    history.document.octets.clear();
    history.record(generation(6, How::Apply), long(6, 40), false, None, Care::Must).unwrap();
    assert_eq!(numbers(&history), [6]);
    assert_eq!(open(&disk.after_kill()).document.octets.into_iter().collect::<Vec<_>>(), [(6, 40)]);
}

#[test]
fn a_full_disk_changes_nothing_unless_it_has_happened() {
    let disk = FakeDisk::default();
    let mut history = begun(&disk);
    disk.set_fault(Some(Fault::Full(0, u64::MAX)));
    let record = |history: &mut History<_>, care| {
        history.record(generation(2, How::Apply), Content::Sent(bundle("b", "1")), false, None, care)
    };
    let error = record(&mut history, Care::Must).unwrap_err().to_string();
    assert!(error.starts_with("cannot write /state/policy-0000000002: "), "{error}");
    assert_eq!(history.active().unwrap().number, 1);
    record(&mut history, Care::Owe).unwrap_err();
    assert_eq!(history.active().unwrap().number, 2);
    assert_eq!(history.bundle_of(history.active().unwrap()).unwrap(), bundle("b", "1"));
    assert_eq!(chosen(&disk, "a", "1"), "1 Same", "nothing of it is there");
    disk.set_fault(None);
    history.settle().unwrap();
    assert!(!history.is_owing());
    assert_eq!(chosen(&disk, "a", "1"), "2 Unchanged");
}

#[test]
fn a_refused_generation_that_lands_late_does_not_come_back_under_the_number_of_the_next() {
    for (lands, after) in [false, true].into_iter().flat_map(|lands| (1..11).map(move |after| (lands, after))) {
        // A configuration and the history: each is made, written, synced, renamed, and its name synced.
        for more in 1..16 {
            let disk = FakeDisk::default();
            let mut history = begun(&disk);
            let from = disk.operations() + after;
            disk.set_fault(Some(Fault::Hang { from, to: from + 30, lands }));
            let content = Content::Sent(bundle("refused", ""));
            let Err(error) = history.record(generation(2, How::Apply), content, false, None, Care::Must) else {
                continue;
            };
            assert!(error.to_string().contains("the disk does not answer\nhint: look for"), "{error}");
            assert_eq!(history.active().unwrap().number, 1);
            // The disk answers again, and the power goes during what comes next.
            disk.set_fault(None);
            disk.set_fault(Some(Fault::PowerLoss(disk.operations() + more)));
            let content = Content::Sent(bundle("next", ""));
            let kept = history.record(generation(2, How::Rollback), content, false, None, Care::Must).is_ok();
            let found = open(&disk.after_kill());
            let active = found.active().unwrap();
            let says = found.bundle_of(active).unwrap().config;
            let is_one = match (active.number, active.how) {
                (1, _) => says == "a" && !kept,
                (_, How::Apply) => says == "refused" && !kept,
                _ => says == "next",
            };
            assert!(is_one, "{says} as {active:?} when {lands} {after} {more}");
        }
    }
}

#[test]
fn what_did_not_come_into_force_is_struck() {
    let disk = FakeDisk::default();
    let mut history = begun(&disk);
    let before = history.known();
    history.record(generation(2, How::Apply), Content::Sent(bundle("b", "1")), false, None, Care::Must).unwrap();
    history.restore(before);
    assert_eq!(chosen(&disk, "a", "1"), "1 Same");
    assert_eq!(open(&disk).last(), 1);
}

#[test]
fn after_a_loss_of_power_the_one_before_or_the_new_one_is_there_as_a_whole() {
    let mut outcomes = [0, 0];
    for at in 1..40 {
        for seed in 0..8_usize {
            let disk = FakeDisk::default();
            let mut history = begun(&disk);
            disk.set_fault(Some(Fault::PowerLoss(disk.operations() + at)));
            let content = Content::Sent(bundle("b", "2"));
            let kept = history.record(generation(2, How::Apply), content, false, None, Care::Must).is_ok();
            let mut state = seed;
            let mut choose = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let found = open(&disk.after_power_loss(&mut choose));
            let active = found.active().unwrap();
            let says = found.bundle_of(active).unwrap();
            let is_new = active.number == 2;
            assert_eq!(says, if is_new { bundle("b", "2") } else { bundle("a", "1") });
            assert!(is_new || !kept, "what was acknowledged is there");
            outcomes[usize::from(is_new)] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

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

#[test]
fn a_look_finds_the_configurations_that_a_start_may_go_back_to_and_locks_nothing() {
    let path = std::env::temp_dir().join(format!("portcullis-peek-{}", std::process::id()));
    let disk = crate::state::disk::Folder::open(&path).unwrap();
    let looked = || configurations(&path).into_iter().map(|bundle| bundle.config).collect::<Vec<_>>();
    assert_eq!(looked(), [""; 0], "nothing is there");
    let numbered = |number| Generation { bundle: number, ..generation(number, How::Reload) };
    let mut document = HistoryDocument::default();
    (document.generations, document.active) = ((1..=7).map(numbered).collect(), Some(2));
    document.generations[6].standing = Standing::RolledBack;
    crate::state::whole::write(&disk, NAME, "history.tmp", &document).unwrap();
    for number in 1..=7 {
        let name = file::bundle_name(number);
        crate::state::whole::write(&disk, &name, "history.tmp", &bundle(&number.to_string(), "192.0.2.1")).unwrap();
    }
    // Of the live one and the three newest that were confirmed; the lock of a daemon is no obstacle.
    assert_eq!(looked(), ["2", "4", "5", "6"]);
    disk.remove(&file::bundle_name(2)).unwrap();
    assert_eq!(looked(), ["4", "5", "6"], "what cannot be read is left out");
    drop(disk);
    std::fs::remove_dir_all(path).unwrap();
}
