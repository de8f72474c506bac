//! The table "After a start" of docs/policy.md, cell by cell: what a daemon makes of each configuration file, history and journal after
//! a reboot.

use crate::{
    control::{Caller, Condition, Push, Refusal, Status},
    controller::{
        Message, ReadConfig,
        tests::world::{LOCKS_OUT, World, load},
    },
    datapath::fake::FakeKernel,
    policy::Prefix,
    state::{disk::Disk as _, frame},
};

/// The configuration file: the one that was accepted, another one, one with mistakes, one that a guard refuses.
const FILES: [(&str, usize); 4] =
    [("as before", ACCEPTED), ("changed", CHANGED), ("unusable", 3), ("refused", LOCKS_OUT)];
const ACCEPTED: usize = 0;
const CHANGED: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wear {
    None,
    Damaged,
    Newer,
    /// Of a history: the configuration that is in force.
    NoBundle,
}

fn pushes(world: &mut World, prefix: &str) -> Result<(), Refusal> {
    let addition = crate::control::Addition { list: "b".into(), prefix: prefix.into(), ttl: None, comment: None };
    let push = Push { add: vec![addition], ..Push::default() };
    let caller = Caller::local("ada");
    world.ask(|reply| Message::Push(caller, push, reply)).map(drop)
}

/// A host whose daemon took configuration 0, and 1 before it; two addresses were pushed.
fn begun() -> World {
    let mut world = World::new(CHANGED);
    *world.file.lock().unwrap() = ACCEPTED;
    let read = Box::new(ReadConfig { loaded: load(ACCEPTED), is_file: true });
    let caller = Caller::local("ada");
    world.ask(|reply| Message::Reload(caller, crate::control::Reload::default(), read, reply)).unwrap();
    pushes(&mut world, "192.0.2.7").unwrap();
    pushes(&mut world, "192.0.2.8").unwrap();
    world
}

/// What has happened to the state folder since.
fn wear(world: &mut World, history: Wear, journal: Wear) {
    world.disk = world.disk.after_kill();
    let disk = &world.disk;
    let newest = |kind: &str| disk.names().unwrap().into_iter().filter(|name| name.starts_with(kind)).max().unwrap();
    let flip = |name: &str, at: usize| {
        let mut octets = disk.get(name);
        octets[at] ^= 1;
        disk.put(name, &octets);
    };
    match history {
        Wear::None => {}
        Wear::Damaged => flip("history", 20),
        Wear::NoBundle => flip(&newest("policy-"), 20),
        Wear::Newer => {
            let mut octets = Vec::new();
            assert!(frame::push(&mut octets, br#"{"version":9,"what":"nobody knows"}"#));
            disk.put("history", &octets);
        }
    }
    let name = newest("journal-");
    match journal {
        Wear::None => {}
        // The first of the two pushes: what comes behind it can be read.
        Wear::Damaged => {
            let octets = disk.get(&name);
            let (_, second) = frame::at(&octets, 0).unwrap();
            flip(&name, second + 12);
        }
        _ => {
            let mut octets = disk.get(&name);
            assert!(frame::push(&mut octets, &[99, 1, 2, 3]));
            disk.put(&name, &octets);
        }
    }
}

/// Which configuration filters, by the table; `None`: nothing does.
fn wanted(file: usize, history: Wear) -> Option<usize> {
    let is_usable = file != 3;
    match history {
        Wear::None => Some(if file == CHANGED { CHANGED } else { ACCEPTED }),
        // Nothing is known to compare it with, or what was in force cannot be read.
        _ if is_usable => Some(file),
        Wear::NoBundle => Some(CHANGED),
        _ => None,
    }
}

fn says(status: &Status, code: &str) -> bool {
    status.conditions.iter().any(|condition| condition.code == code && !condition.blocks)
}

#[test]
fn every_cell_of_the_boot_table_is_so() {
    for (what, file) in FILES {
        for history in [Wear::None, Wear::Damaged, Wear::Newer, Wear::NoBundle] {
            for journal in [Wear::None, Wear::Damaged, Wear::Newer] {
                cell(&format!("file {what}, history {history:?}, journal {journal:?}"), file, history, journal);
            }
        }
    }
}

fn cell(told: &str, file: usize, history: Wear, journal: Wear) {
    let mut world = begun();
    wear(&mut world, history, journal);
    let before: Vec<_> = world.disk.names().unwrap().into_iter().map(|name| (world.disk.get(&name), name)).collect();
    // After a reboot nothing is attached.
    world.kernel = FakeKernel::default();
    world.kernel.set_interface("eth0", Some(2));
    world.kernel.set_interface("eth1", Some(3));
    *world.file.lock().unwrap() = file;
    let begun = world.restart();
    let Some(config) = wanted(file, history) else {
        let why = begun.expect_err(told);
        assert!(why.contains("nane"), "{told}: {why}");
        assert_eq!(world.kernel.enforced(), None, "{told}");
        return;
    };
    begun.unwrap_or_else(|why| panic!("{told}: {why}"));
    let enforced = world.kernel.enforced().expect(told);
    assert_eq!(*enforced.policy, load(config).unwrap().policy, "{told}");
    assert!(world.kernel.filtered().contains(&2), "{told}");
    let is_in = |address: &str| enforced.table.contains_key(&address.parse::<Prefix>().unwrap());
    let readable = match journal {
        Wear::Damaged => [false, true],
        _ => [true, true],
    };
    assert_eq!([is_in("192.0.2.7"), is_in("192.0.2.8")], readable, "{told}: what was pushed");

    let status = world.told.borrow().status(world.now);
    assert!(status.is_ready(), "{told}: {:?}", status.conditions);
    assert_eq!(says(&status, Condition::NOT_THE_FILE), config != file, "{told}: {:?}", status.conditions);
    let is_unreadable = matches!(history, Wear::Damaged | Wear::Newer);
    assert_eq!(says(&status, Condition::HISTORY_REFUSED), is_unreadable, "{told}: {:?}", status.conditions);
    assert_eq!(says(&status, Condition::PUSHES_REFUSED), journal != Wear::None, "{told}: {:?}", status.conditions);
    match pushes(&mut world, "192.0.2.9") {
        Ok(()) => assert_eq!(journal, Wear::None, "{told}: a push was taken"),
        Err(Refusal::NotKept { message }) => {
            assert!(journal != Wear::None && message.contains("hint: "), "{told}: {message}");
        }
        Err(other) => panic!("{told}: {other}"),
    }
    let is_of = |name: &str| {
        journal != Wear::None && name.starts_with("journal") || is_unreadable && name.starts_with("history")
    };
    for (octets, name) in before.into_iter().filter(|(_, name)| is_of(name)) {
        assert!(world.disk.get(&name) == octets, "{told}: {name} was touched");
    }
}
