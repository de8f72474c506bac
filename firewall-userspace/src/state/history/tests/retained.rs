//! Which generations are kept, and which of them is the one before.

use super::*;

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
