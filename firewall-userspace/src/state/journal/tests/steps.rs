//! Whatever happens to a disk, in any order: what was acknowledged is there.

use proptest::prelude::*;

use super::*;

/// What may happen to a store.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<(u8, bool)>),
    /// To be confirmed.
    Provisional(Vec<(u8, bool)>),
    Confirm,
    Undo,
    Rotate,
    WriteSnapshot,
    Owe(u8),
    /// The disk works again.
    Heal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || prop::collection::vec((0..20u8, prop::bool::weighted(0.7)), 1..12);
    let step = prop_oneof![
        6 => some().prop_map(Step::Push),
        2 => some().prop_map(Step::Provisional),
        1 => Just(Step::Confirm),
        1 => Just(Step::Undo),
        2 => Just(Step::Rotate),
        2 => Just(Step::WriteSnapshot),
        1 => (0..20u8).prop_map(Step::Owe),
    ];
    prop::collection::vec(step, 1..40)
}

/// Does `steps` until power is off: the states that may be there afterwards. More than one only for what is owed, and for a
/// push that was not answered.
fn play(disk: &FakeDisk, steps: &[Step]) -> Vec<Known> {
    let Ok(Opened { mut store, mut runtime, .. }) = Store::open(disk.clone(), at(0), NEVER) else {
        return vec![Known::default()];
    };
    // What waits for a confirmation, as it should be.
    let mut waits: Option<Provisional> = None;
    let mut possible = vec![(runtime.clone(), None)];
    let mut job = None;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Push(changes) => {
                let changes = changes_of(changes, number);
                let mut with = (runtime.clone(), waits.clone());
                change(&mut with.0, &changes);
                for Change { list, holding, .. } in &changes {
                    with.1.iter_mut().for_each(|waits| waits.leave(list, holding));
                }
                match store.append(at(0), changes) {
                    Ok(()) => {
                        possible = vec![with.clone()];
                        (runtime, waits) = with;
                    }
                    Err(_) if disk.is_off() => possible.push(with),
                    Err(_) => {}
                }
            }
            Step::Provisional(changes) => {
                let changes = changes_of(changes, number);
                let before = changes.iter().map(|Change { list, holding, .. }| {
                    let entry = runtime.entry(list, holding).cloned();
                    Change { list: list.clone(), holding: holding.clone(), entry }
                });
                let until = Until { at: at(60), length_ms: 60_000 };
                let provisional = Provisional::new(number as u64, "root".into(), until, before);
                let mut with = (runtime.clone(), Some(provisional.clone()));
                change(&mut with.0, &changes);
                match store.append_provisional(at(0), changes, provisional) {
                    Ok(()) => {
                        possible = vec![with.clone()];
                        (runtime, waits) = with;
                    }
                    Err(_) if disk.is_off() => possible.push(with),
                    Err(_) => {}
                }
            }
            Step::Confirm => match store.decide(at(0)) {
                Ok(()) => {
                    waits = None;
                    possible = vec![(runtime.clone(), None)];
                }
                Err(_) if disk.is_off() => possible.push((runtime.clone(), None)),
                Err(_) => {}
            },
            Step::Undo => {
                if let Some(undone) = waits.take() {
                    let changes = undone.undo(&runtime, at(0));
                    change(&mut runtime, &changes);
                    store.owe_decision(at(0), changes);
                    possible.push((runtime.clone(), None));
                }
            }
            Step::Rotate => {
                if let Ok(new) = store.rotate(&runtime, at(0)) {
                    possible = vec![(runtime.clone(), waits.clone())];
                    job = Some(new);
                }
            }
            Step::WriteSnapshot => {
                if let Some(job) = job.take() {
                    store.rotated(job.run().ok());
                }
            }
            Step::Owe(number) => {
                change(&mut runtime, &[remove(*number)]);
                store.owe(at(0), vec![remove(*number)]);
                // Nobody removes an entry like this that has not ended, so it is left to the push that removes it.
                waits.iter_mut().for_each(|waits| waits.leave(&list(), &holding(*number)));
                store.owe_provisional(at(0), waits.clone());
                possible.push((runtime.clone(), waits.clone()));
            }
            Step::Heal => disk.set_fault(None),
        }
        if disk.is_off() {
            break;
        }
    }
    possible
}

/// What is there, and what waits for a confirmation.
type Known = (Runtime, Option<Provisional>);

/// Additions and removals of step `number`, each of another entry.
fn changes_of(changes: &[(u8, bool)], number: usize) -> Vec<Change> {
    let comment = number.to_string();
    let of = |(number, adds): &(u8, bool)| if *adds { add(*number, None, &comment) } else { remove(*number) };
    let each: BTreeMap<u8, bool> = changes.iter().copied().collect();
    each.iter().map(|(number, adds)| of(&(*number, *adds))).collect()
}

/// Opens it: one of `possible` has to be there, and has to stay there.
fn check(disk: &FakeDisk, possible: &[Known], choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
    let open = |disk: &FakeDisk| {
        Store::open(disk.clone(), at(0), NEVER).map_err(|error| TestCaseError::fail(error.to_string()))
    };
    let known = |opened: Opened<FakeDisk>| (opened.runtime, opened.store.provisional);
    let opened = known(open(disk)?);
    prop_assert!(possible.contains(&opened), "{opened:?} is none of {possible:?}");
    prop_assert_eq!(known(open(&disk.after_power_loss(choose))?), opened);
    Ok(())
}

/// Numbers below its argument, the same for the same seed.
fn chooser(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    }
}

/// What is on the disk after a loss of power now, and after a kill.
fn check_both(disk: &FakeDisk, possible: &[Known], seed: u64) -> Result<(), TestCaseError> {
    let mut choose = chooser(seed);
    check(&disk.after_power_loss(&mut choose), possible, &mut choose)?;
    check(&disk.after_kill(), possible, &mut choose)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn after_a_loss_of_power_exactly_what_was_acknowledged_is_there(
        steps in steps(),
        when in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let rehearsal = FakeDisk::default();
        play(&rehearsal, &steps);
        let disk = FakeDisk::default();
        disk.set_fault(Some(Fault::PowerLoss(1 + when.index(rehearsal.operations() as usize + 1) as u64)));
        let possible = play(&disk, &steps);
        check_both(&disk, &possible, seed)?;
    }

    #[test]
    fn a_disk_that_is_full_for_a_while_keeps_exactly_what_was_acknowledged(
        steps in steps(),
        from in 0..120u64,
        length in 0..20u64,
        seed in any::<u64>(),
    ) {
        let disk = FakeDisk::default();
        drop(open(&disk));
        disk.set_fault(Some(Fault::Full(from, from + length)));
        let possible = play(&disk, &steps);
        disk.set_fault(None);
        check_both(&disk, &possible, seed)?;
    }

    #[test]
    fn a_disk_that_refuses_everything_for_a_while_loses_nothing_that_was_acknowledged(
        steps in steps(),
        from in 0..120u64,
        length in 0..20u64,
        seed in any::<u64>(),
    ) {
        let disk = FakeDisk::default();
        drop(open(&disk));
        disk.set_fault(Some(Fault::Broken(from, from + length)));
        let steps: Vec<Step> = steps.into_iter().chain([Step::Heal, Step::Push(vec![(200, true)])]).collect();
        let possible = play(&disk, &steps);
        // A push that was refused while the disk also refused to take it back counts no more after the next one.
        prop_assert_eq!(possible.len(), 1);
        check_both(&disk, &possible, seed)?;
    }

    #[test]
    fn a_disk_that_hangs_for_a_while_loses_nothing_that_was_acknowledged_and_brings_nothing_back(
        steps in steps(),
        from in 0..120u64,
        length in 0..20u64,
        lands in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let disk = FakeDisk::default();
        drop(open(&disk));
        disk.set_fault(Some(Fault::Hang { from, to: from + length, lands }));
        let steps: Vec<Step> = steps.into_iter().chain([Step::Heal, Step::Push(vec![(200, true)])]).collect();
        let possible = play(&disk, &steps);
        prop_assert_eq!(possible.len(), 1);
        check_both(&disk, &possible, seed)?;
    }
}
