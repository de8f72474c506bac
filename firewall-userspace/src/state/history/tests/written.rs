//! What is there after a generation was written to a disk that fails, and after one was struck.

use super::*;
use crate::state::fake::Fault;

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
