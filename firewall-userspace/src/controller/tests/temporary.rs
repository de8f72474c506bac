//! A mode that was set for a time.

use super::{
    script::BadDisk,
    world::{World, load},
};
use crate::{
    control::{Caller, Condition, Refusal, Reload, Reloaded, Rollback, SetMode},
    controller::{Message, ReadConfig},
    policy::Mode,
};

fn set(world: &mut World, set: SetMode) -> Result<Reloaded, Refusal> {
    world.ask(|reply| Message::SetMode(Caller::local("ada"), set, reply))
}

fn observe(length: &str) -> SetMode {
    let (length, reason) = (Some(length.into()), Some("a new partner".into()));
    SetMode { length, reason, ..SetMode::to(Mode::Observe) }
}

fn mode(world: &World) -> Mode {
    world.core.in_force.policy.mode
}

/// What is told of it.
fn told(world: &World) -> Option<String> {
    let status = world.told.borrow().status(world.now);
    status.conditions.into_iter().find(|one| one.code == Condition::TEMPORARY_MODE).map(|one| one.message)
}

#[test]
fn it_ends_at_its_time_and_what_was_there_before_comes_back() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    assert_eq!(mode(&world), Mode::Observe);
    let words = "observe until 2027-01-15T08:10:00Z, then enforce: ada says: a new partner";
    assert_eq!(told(&world).as_deref(), Some(words));
    world.wait(599);
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    assert!(world.core.time_until_work(world.now).as_secs() <= 1);
    world.wait(1);
    world.tend();
    assert_eq!((mode(&world), told(&world)), (Mode::Enforce, None));
    let active = world.core.history.active().unwrap();
    assert_eq!((&*active.owner, active.mode, active.temporary.as_ref()), ("daemon", None, None));
    world.tend();
    assert_eq!(world.core.history.active().unwrap().number, world.core.in_force.revision(), "once");
}

#[test]
fn it_ends_after_a_restart_and_while_the_daemon_was_down() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    world.wait(300);
    world.restart().unwrap();
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    world.wait(300);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);

    set(&mut world, observe("10m")).unwrap();
    world.wait(3600);
    world.restart().unwrap();
    world.tend();
    assert_eq!((mode(&world), told(&world)), (Mode::Enforce, None));
}

#[test]
fn a_clock_that_is_set_back_does_not_put_it_off() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    world.tend();
    world.set_clock(-86_400);
    world.wait(600);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);
}

#[test]
fn a_reload_leaves_it_and_another_policy_or_mode_ends_it() {
    let mut world = World::new(0);
    let reload = |world: &mut World, config| {
        let read = Box::new(ReadConfig { loaded: load(config), is_file: true });
        world.ask(|reply| Message::Reload(Caller::local("ada"), Reload::default(), read, reply)).unwrap();
    };
    set(&mut world, observe("10m")).unwrap();
    reload(&mut world, 1);
    assert!(told(&world).is_some());
    world.wait(600);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);

    set(&mut world, observe("10m")).unwrap();
    set(&mut world, SetMode::to(Mode::Observe)).unwrap();
    assert_eq!(told(&world), None, "it stays");
    world.wait(600);
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    // A mode that the file itself has now.
    set(&mut world, SetMode::to(Mode::Enforce)).unwrap();
    set(&mut world, observe("10m")).unwrap();
    reload(&mut world, 4);
    assert_eq!((mode(&world), told(&world)), (Mode::Observe, None));
}

#[test]
fn one_that_is_prolonged_ends_where_the_first_began() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    world.wait(500);
    set(&mut world, observe("10m")).unwrap();
    world.wait(500);
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    world.wait(100);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);
}

#[test]
fn going_back_to_it_does_not_make_it_last() {
    let mut world = World::new(0);
    let of = set(&mut world, observe("10m")).unwrap().policy_generation;
    set(&mut world, SetMode::to(Mode::Enforce)).unwrap();
    let back = Rollback { generation: Some(of), ..Rollback::default() };
    world.ask(|reply| Message::Rollback(Caller::local("ada"), back, reply)).unwrap();
    assert_eq!((mode(&world), told(&world)), (Mode::Enforce, None));
}

#[test]
fn a_policy_that_is_not_confirmed_gives_it_back_for_the_rest_of_its_time() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    set(&mut world, SetMode { confirm: Some("60s".into()), ..SetMode::to(Mode::Enforce) }).unwrap();
    assert_eq!(mode(&world), Mode::Enforce);
    world.wait(60);
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    assert!(told(&world).is_some());
    world.wait(540);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);
}

#[test]
fn it_ends_although_the_disk_refuses_and_again_after_a_restart() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    world.tend();
    world.wait(600);
    world.set_fault(Some(BadDisk { is_full: true, after: 0, count: None }));
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);
    world.restart().unwrap();
    world.tend();
    assert_eq!((mode(&world), told(&world)), (Mode::Enforce, None));
}

#[test]
fn one_that_the_kernel_refuses_to_end_is_tried_again() {
    let mut world = World::new(0);
    set(&mut world, observe("10m")).unwrap();
    world.tend();
    world.wait(600);
    world.kernel.refuse(0, 1);
    world.tend();
    assert_eq!(mode(&world), Mode::Observe);
    world.wait(1);
    world.tend();
    assert_eq!(mode(&world), Mode::Enforce);
}

#[test]
fn what_is_asked_has_to_make_sense() {
    let mut world = World::new(0);
    let wrong = |world: &mut World, wanted: SetMode| match set(world, wanted) {
        Err(Refusal::Invalid(problems)) => problems.told().into_iter().map(|one| one.pointer).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let reason = |text: &str| SetMode { reason: Some(text.into()), ..observe("10m") };
    assert_eq!(wrong(&mut world, observe("500ms")), ["/for"]);
    assert_eq!(wrong(&mut world, observe("8d")), ["/for"]);
    assert_eq!(wrong(&mut world, observe("soon")), ["/for"]);
    assert_eq!(wrong(&mut world, SetMode { reason: None, ..observe("10m") }), ["/reason"]);
    assert_eq!(wrong(&mut world, SetMode { length: None, ..observe("10m") }), ["/reason"]);
    assert_eq!(wrong(&mut world, SetMode { confirm: Some("60s".into()), ..observe("10m") }), ["/confirm"]);
    for text in [" ", "a\nb", &"x".repeat(257)] {
        assert_eq!(wrong(&mut world, reason(text)), ["/reason"], "{text:?}");
    }
    assert_eq!(mode(&world), Mode::Enforce);
}
