//! The whole controller on a fake filter and a fake disk: after each step of any script what is enforced, the journal, the
//! history, what waits and what readers are told agree with a model.
//!
//! In: scripts of pushes, changes of the policy, time, interfaces, refusals, kills. Out: the shortest script that does not hold.
//! `PORTCULLIS_SEQUENCES` says how many scripts are tried.

mod audit;
mod boot;
mod clock;
mod driver;
mod expected;
mod explain;
mod guards;
mod holders;
mod included;
mod inverse;
mod model;
mod scopes;
mod script;
mod sync;
mod tally;
mod temporary;
mod undo;
mod world;

use std::io;

use proptest::{prelude::*, test_runner::TestRunner};

use self::{
    driver::Driver,
    script::{AskedPush, BadDisk, RemovedOf, Step},
};
use crate::lists::entry::Layer;

/// Scripts of each of the two tests, which run side by side.
const SEQUENCES: u32 = 10_000;

/// A log that cannot be written.
struct NoLog;

impl io::Write for NoLog {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn run(file: usize, steps: &[Step]) {
    // Nothing depends on the log, in no script.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_writer(|| NoLog).finish();
    let _guard = tracing::subscriber::set_default(log);
    let mut driver = Driver::new(file);
    for step in steps {
        driver.step(step);
        if driver.is_over {
            return;
        }
        driver.check();
    }
    driver.heal();
    driver.check();
}

fn any_script_holds() {
    let cases = std::env::var("PORTCULLIS_SEQUENCES").ok().map_or(SEQUENCES, |number| number.parse().unwrap());
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&script::script(), |(file, steps)| {
        // Not with `prop_assert`, so that what is wrong is told by `assert`, where it is found.
        std::panic::catch_unwind(|| run(file, &steps)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            TestCaseError::fail(
                text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default(),
            )
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn whatever_happens_all_agree_with_the_model() {
    any_script_holds();
}

#[test]
fn whatever_else_happens_all_agree_with_the_model() {
    any_script_holds();
}

fn push(prefixes: &[u8]) -> Step {
    let add = prefixes.iter().map(|last| ("a", *last, None)).collect();
    let (layer, replace, remove, of) = (Layer::Runtime, None, Vec::new(), RemovedOf::Own);
    Step::Push(AskedPush { owner: "ada", layer, replace, add, remove, of, confirm: None, dry_run: false })
}

fn bad_disk(after: u64) -> Step {
    Step::Disk(Some(BadDisk { is_full: false, after, count: None }))
}

#[test]
fn a_change_that_is_refused_halfway_and_whose_undoing_is_refused_too_does_not_stay() {
    run(0, &[Step::RefuseCalls { after: 1, count: 2 }, push(&[1, 2])]);
}

#[test]
fn what_could_not_be_rolled_back_is_tried_again_a_while_after_the_fault_is_gone() {
    let unwilling = |is_unwilling| Step::Unwilling { name: "eth1", is_unwilling };
    let apply = Step::Apply { config: 2, confirm: Some(2) };
    run(1, &[apply, unwilling(true), Step::Wait(1), Step::Wait(1), unwilling(false)]);
}

#[test]
fn what_is_asked_for_again_stays_when_the_push_is_undone_that_asked_for_it_before() {
    let Step::Push(asked) = push(&[1]) else { unreachable!("a push") };
    for ttl in [None, Some(13)] {
        let again = AskedPush { add: vec![("a", 3, ttl)], ..asked.clone() };
        let first = AskedPush { confirm: Some(2), ..again.clone() };
        run(0, &[Step::Push(first), Step::Push(again), Step::Wait(1), Step::Wait(1), Step::Wait(1), Step::Kill]);
    }
}

#[test]
fn a_push_that_waits_since_another_daemon_is_not_taken_for_one_of_this_daemon() {
    let Step::Push(asked) = push(&[1]) else { unreachable!("a push") };
    let waits = Step::Push(AskedPush { confirm: Some(3), ..asked });
    let undo = |back| Step::Undo { back, confirm: None };
    run(0, &[waits.clone(), Step::Kill, push(&[2]), undo(0), push(&[3]), Step::Wait(4), undo(1), undo(2), undo(3)]);
    run(0, &[waits, Step::Kill, push(&[2]), Step::Wait(4), undo(1), undo(0)]);
}

#[test]
fn a_write_that_is_refused_and_cannot_be_cut_off_does_not_come_back() {
    run(0, &[push(&[]), bad_disk(1), push(&[1]), Step::Disk(None), Step::Wait(1), Step::Kill]);
}

#[test]
fn an_apply_that_is_refused_by_the_disk_says_nothing_about_the_file() {
    let apply = || Step::Apply { config: 2, confirm: None };
    run(0, &[apply(), bad_disk(0), Step::Edit(2), apply()]);
}

#[test]
fn a_clock_that_is_set_back_while_the_disk_refuses_is_lost_by_a_kill() {
    let (layer, replace, remove, of) = (Layer::Runtime, None, Vec::new(), RemovedOf::Own);
    let add = vec![("a", 2, Some(1))];
    let push = Step::Push(AskedPush { owner: "ada", layer, replace, add, remove, of, confirm: None, dry_run: false });
    let refuse = Step::RefuseCalls { after: 0, count: 2 };
    run(0, &[bad_disk(7), push, refuse, Step::SetClock(2), Step::SetClock(-3), Step::Kill]);
}

#[test]
fn what_was_pushed_before_the_clock_was_set_back_does_not_end_by_a_clock_that_nobody_keeps_right() {
    let Step::Push(asked) = push(&[1]) else { unreachable!("a push") };
    for confirm in [None, Some(12)] {
        let first = AskedPush { add: vec![("b", 1, Some(7))], confirm, ..asked.clone() };
        run(0, &[Step::Push(first), Step::SetClock(-3), Step::Synchronised(false), Step::SetClock(2)]);
    }
}
