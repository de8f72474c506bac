//! What is told and enforced while nobody keeps the clock.

use std::time::Duration;

use jiff::Timestamp;

use super::world::World;
use crate::{
    clock::Now,
    control::{Addition, Caller, EntriesQuery, Push},
    controller::Message,
    lists::entry::{Entry, Layer},
};

const BEGIN: i64 = 1_800_000_000;

fn push(world: &mut World, list: &str, last: u8) {
    let addition = |ttl: &str| Addition {
        list: list.into(),
        prefix: format!("192.0.2.{last}"),
        ttl: Some(ttl.into()),
        comment: None,
    };
    let push = Push { add: vec![addition("1h")], ..Push::default() };
    let caller = Caller::local("ada");
    world.ask(|reply| Message::Push(caller, push, reply)).unwrap();
    world.tend();
}

/// Seconds until it ends in the kernel, whether that is in doubt, and what is told of it as seconds from the beginning.
fn end(world: &World, last: u8) -> (u64, bool, i64) {
    let prefix = format!("192.0.2.{last}/32");
    let entries = world.told.borrow().entries(&EntriesQuery::default()).unwrap().entries;
    let Entry { expires, in_doubt, .. } =
        entries.into_iter().find(|entry| entry.layer == Layer::Runtime && entry.prefix == prefix).unwrap();
    let member = world.kernel.enforced().unwrap().table[&prefix.parse().unwrap()].clone();
    let second = u64::from(member.next().unwrap().0);
    (second - world.now.boot.as_secs(), in_doubt, expires.unwrap().as_second() - BEGIN)
}

#[test]
fn ends_in_doubt_are_told_and_settled_when_the_clock_is_synchronised() {
    let mut world = World::new(0);
    push(&mut world, "b", 7);
    push(&mut world, "a", 8);
    assert_eq!([end(&world, 7), end(&world, 8)], [(3600, false, 3600); 2]);
    let status = world.told.borrow().status(world.now);
    assert_eq!((status.clock.synchronised, status.clock.in_doubt), (true, false));

    // Booted again after 500 s. The clock of the host has lost an hour.
    let wall = Timestamp::from_second(BEGIN + 500 - 3600).unwrap();
    world.now = Now { wall, boot: Duration::from_secs(20), is_synchronised: false, boot_id: 2 };
    world.restart().unwrap();
    world.tend();
    assert_eq!([end(&world, 7), end(&world, 8)], [(3600, true, 500); 2], "by the clock as it stands");
    push(&mut world, "b", 9);
    assert_eq!(end(&world, 9), (3600, false, 500));
    let status = world.told.borrow().status(world.now);
    assert!(status.clock.in_doubt && status.clock.why.is_some(), "{:?}", status.clock);

    // Set to a time between the two, and not synchronised: what is denied ends later, and what is allowed earlier.
    world.now.wall = Timestamp::from_second(BEGIN + 400).unwrap();
    world.tend();
    assert_eq!([end(&world, 7), end(&world, 8), end(&world, 9)].map(|end| end.0), [3600, 3200, 3600]);

    world.now.wall = Timestamp::from_second(BEGIN + 500).unwrap();
    world.now.is_synchronised = true;
    world.tend();
    assert_eq!([end(&world, 7), end(&world, 8)], [(3100, false, 3600); 2]);
    assert_eq!(end(&world, 9), (3600, false, 4100));
    let status = world.told.borrow().status(world.now);
    assert_eq!((status.clock.synchronised, status.clock.in_doubt), (true, false));
}
