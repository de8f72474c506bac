//! What happened to entries, as it is counted.

use super::{script::BadDisk, world::World};
use crate::{
    control::{Addition, Caller, Push, Pushed, Refusal, Removal, Undo},
    controller::Message,
    lists::{entry::Layer, tally::Happening},
};

fn push(world: &mut World, push: Push) -> Result<Pushed, Refusal> {
    let caller = Caller::local("ada");
    world.ask(|reply| Message::Push(caller, push, reply))
}

fn add(prefixes: &[&str], ttl: Option<&str>) -> Push {
    let addition = |prefix: &&str| Addition {
        list: "b".into(),
        prefix: (*prefix).into(),
        ttl: ttl.map(str::to_owned),
        comment: None,
    };
    Push { add: prefixes.iter().map(addition).collect(), ..Push::default() }
}

fn remove(prefix: &str) -> Push {
    Push { remove: vec![Removal { list: "b".into(), prefix: prefix.into() }], ..Push::default() }
}

/// Added, refreshed, removed, expired, as readers are told.
fn counted(world: &World, layer: Layer) -> [u64; 4] {
    let counters = world.told.borrow().counters().unwrap();
    Happening::ALL.map(|what| counters.list_changes[&("b".to_owned(), layer, what)])
}

#[test]
fn every_change_of_an_entry_is_counted_by_what_happened_to_it() {
    let mut world = World::new(0);
    assert_eq!(counted(&world, Layer::Runtime), [0; 4], "each count is there before the first change");
    push(&mut world, add(&["192.0.2.9", "192.0.2.10", "192.0.2.11"], Some("60s"))).unwrap();
    push(&mut world, add(&["192.0.2.9"], Some("1h"))).unwrap();
    let removed = push(&mut world, remove("192.0.2.10")).unwrap();
    assert_eq!(counted(&world, Layer::Runtime), [3, 1, 1, 0]);
    let caller = Caller::local("ada");
    world.ask(|reply| Message::Undo(caller, Undo::of(removed.revision), reply)).unwrap();
    assert_eq!(counted(&world, Layer::Runtime), [4, 1, 1, 0], "what is taken back has come again");
    push(&mut world, Push { layer: Layer::Ban, ..add(&["192.0.2.9"], None) }).unwrap();
    world.wait(61);
    world.tend();
    assert_eq!((counted(&world, Layer::Runtime), counted(&world, Layer::Ban)), ([4, 1, 1, 2], [1, 0, 0, 0]));
    world.check_tally();
}

#[test]
fn what_comes_to_nothing_is_not_counted() {
    let mut world = World::new(0);
    push(&mut world, Push { dry_run: true, ..add(&["192.0.2.9"], None) }).unwrap();
    world.set_fault(Some(BadDisk { is_full: true, after: 0, count: None }));
    assert!(matches!(push(&mut world, add(&["192.0.2.9"], None)), Err(Refusal::NotKept { .. })));
    world.set_fault(None);
    world.kernel.refuse(0, 1);
    assert!(matches!(push(&mut world, add(&["192.0.2.9"], None)), Err(Refusal::Datapath { .. })));
    assert_eq!(counted(&world, Layer::Runtime), [0; 4]);
}

#[test]
fn a_push_that_nobody_confirms_is_counted_both_ways() {
    let mut world = World::new(0);
    push(&mut world, Push { confirm: Some("60s".into()), ..add(&["192.0.2.9", "192.0.2.10"], None) }).unwrap();
    assert_eq!(counted(&world, Layer::Runtime), [2, 0, 0, 0]);
    world.wait(61);
    world.tend();
    assert_eq!(counted(&world, Layer::Runtime), [2, 0, 2, 0]);
    world.check_tally();
}
