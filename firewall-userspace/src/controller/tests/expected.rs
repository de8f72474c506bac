//! What is asked for on top of something that is not so any more.

use super::world::World;
use crate::{
    control::{Addition, Caller, Expected, Push, Pushed, Refusal, Reload, Rollback, SetMode, Terms, Undo},
    controller::{Message, ReadConfig},
    policy::Mode,
};

fn lists(world: &World, revision: u64) -> Expected {
    Expected::lists(revision, world.core.in_force.started())
}

fn push(world: &mut World, prefix: &str, expect: Option<Expected>) -> Result<Pushed, Refusal> {
    let add = vec![Addition { list: "a".into(), prefix: prefix.into(), ttl: None, comment: None }];
    world.ask(|reply| Message::Push(Caller::local("ada"), Push { add, expect, ..Push::default() }, reply))
}

#[test]
fn a_push_on_top_of_lists_that_have_changed_is_refused_and_told_of_those_of_now() {
    let mut world = World::new(0);
    let first = push(&mut world, "198.51.100.1", None).unwrap().revision;
    let expected = Some(lists(&world, first));
    let second = push(&mut world, "198.51.100.2", expected).unwrap().revision;
    assert_eq!(second, first + 1);
    let refused = push(&mut world, "198.51.100.3", expected);
    assert_eq!(refused, Err(Refusal::Precondition { current: lists(&world, second) }));
    let of_another_start = Some(Expected::Revision { revision: second, started: 7 });
    assert!(matches!(push(&mut world, "198.51.100.3", of_another_start), Err(Refusal::Precondition { .. })));
    let undo = Undo { expect: expected, ..Undo::of(second) };
    let refused = world.ask(|reply| Message::Undo(Caller::local("ada"), undo.clone(), reply));
    assert_eq!(refused, Err(Refusal::Precondition { current: lists(&world, second) }));
    let undo = Undo { expect: Some(lists(&world, second)), ..undo };
    world.ask(|reply| Message::Undo(Caller::local("ada"), undo, reply)).unwrap();
}

#[test]
fn of_pushes_that_wait_together_for_one_revision_one_happens() {
    let mut world = World::new(0);
    let begun = push(&mut world, "198.51.100.1", None).unwrap().revision;
    let expect = Some(lists(&world, begun));
    let one = |number: u8| {
        let prefix = format!("198.51.100.{number}");
        let add = vec![Addition { list: "a".into(), prefix, ttl: None, comment: None }];
        (Caller::local("ada"), Push { add, expect, ..Push::default() })
    };
    let answers = world.core.push_all((10..20).map(one).collect(), world.now);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers[0].is_ok());
}

#[test]
fn a_change_of_the_policy_on_top_of_another_generation_is_refused() {
    let mut world = World::new(0);
    let old = world.core.policy_generation();
    let mode = |mode, generation| SetMode { expect: Some(Expected::Generation(generation)), ..SetMode::to(mode) };
    let ask =
        |world: &mut World, asked: SetMode| world.ask(|reply| Message::SetMode(Caller::local("ada"), asked, reply));
    let new = ask(&mut world, mode(Mode::Observe, old)).unwrap().policy_generation;
    assert!(new > old);
    let refused = Err(Refusal::Precondition { current: Expected::Generation(new) });
    assert_eq!(ask(&mut world, mode(Mode::Enforce, old)), refused);
    let expect = Some(Expected::Generation(old));
    let rollback = Rollback { expect, ..Rollback::default() };
    assert_eq!(world.ask(|reply| Message::Rollback(Caller::local("ada"), rollback, reply)), refused);
    let read = |config| Box::new(ReadConfig { loaded: Ok(super::world::load(config).unwrap()), is_file: true });
    let reload = Reload { expect, ..Reload::default() };
    assert_eq!(world.ask(|reply| Message::Reload(Caller::local("ada"), reload, read(0), reply)), refused);
    assert_eq!(world.core.in_force.reloads.error, None, "the file was not refused");
    let terms = Terms { expect, ..Terms::default() };
    assert_eq!(world.ask(|reply| Message::Apply(Caller::local("ada"), terms, read(0), reply)), refused);
    // A tag of the lists is none of the policy.
    let of_lists = SetMode { expect: Some(lists(&world, new)), ..SetMode::to(Mode::Enforce) };
    assert_eq!(ask(&mut world, of_lists), refused);
    assert_eq!(world.core.policy_generation(), new);
}
