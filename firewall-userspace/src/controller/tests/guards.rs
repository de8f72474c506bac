//! What guards refuse, what they ask this host for that, and what lifts them.

use super::world::{EMPTY, World};
use crate::{
    config::Loaded,
    control::{Addition, Apply, Caller, Force, Push, Pushed, Refusal, Reload, Reloaded, Removal},
    controller::{Message, ReadConfig},
    host::{
        connections::{Established, of_ssh},
        memory::MemoryRoom,
    },
    preview::guard::GuardName,
};

/// Admitted by configuration 0 to its port 443.
const FRIEND: &str = "192.0.2.1";

fn caller() -> Caller {
    Caller::local("ada")
}

fn add(list: &str, prefixes: &[&str]) -> Push {
    let addition =
        |prefix: &&str| Addition { list: list.into(), prefix: (*prefix).to_owned(), ttl: None, comment: None };
    Push { add: prefixes.iter().map(addition).collect(), ..Push::default() }
}

fn remove(list: &str, prefix: &str) -> Push {
    Push { remove: vec![Removal { list: list.into(), prefix: prefix.into() }], ..Push::default() }
}

fn forced(push: Push, guards: &[GuardName]) -> Push {
    Push { force: guards.iter().copied().collect(), ..push }
}

fn push(world: &mut World, push: Push) -> Result<Pushed, Refusal> {
    world.ask(|reply| Message::Push(caller(), push, reply))
}

fn reload(world: &mut World, config: usize, force: Force) -> Result<Reloaded, Refusal> {
    let loaded: Loaded = super::world::load(config).unwrap();
    let read = Box::new(ReadConfig { loaded: Ok(loaded), is_file: true });
    world.ask(|reply| Message::Reload(caller(), Reload { force, ..Reload::default() }, read, reply))
}

/// What was refused, each by which guard.
fn harms<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> Vec<(GuardName, String)> {
    match answer.unwrap_err() {
        Refusal::Guarded(harms) => harms.iter().map(|harm| (harm.guard(), harm.to_string())).collect(),
        other => panic!("{other:?}"),
    }
}

fn guards<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> Vec<GuardName> {
    harms(answer).into_iter().map(|(guard, _)| guard).collect()
}

fn connect(world: &World, source: &str, count: u16) {
    let connection = |port: u16| Established {
        connection: of_ssh(&format!("{source} {port} 198.18.0.1 443")).unwrap(),
        is_outgoing: false,
    };
    world.host.outside().connections.extend((1..=count).map(connection));
}

/// This host has opened a connection to port 443 of `server`, at its own port 443: the only one that is judged here.
fn connect_out(world: &World, server: &str) {
    let connection = of_ssh(&format!("{server} 443 198.18.0.1 443")).unwrap();
    world.host.outside().connections.push(Established { connection, is_outgoing: true });
}

#[test]
fn a_connection_that_this_host_opened_is_told_of_by_a_ban_and_not_cut_off_by_what_admits_no_more() {
    let mut world = World::new(0);
    world.host.outside().sshd = [443].into();
    push(&mut world, add("a", &["192.0.2.3"])).unwrap();
    connect_out(&world, "192.0.2.3");
    connect_out(&world, "198.51.100.7");
    let harm = "a connection that this host opened to 192.0.2.3:443 would be cut off: its replies come to port 443, \
                drop (not_allowed) by service `s` (guard `cut-off`)";
    assert_eq!(harms(push(&mut world, remove("a", "192.0.2.3"))), [(GuardName::CutOff, harm.to_owned())]);
    push(&mut world, add("b", &["198.51.100.7"])).unwrap();
    let note = "cuts off a connection that this host opened to 192.0.2.3:443: its replies come to port 443, \
                drop (denied) by service `s`";
    assert_eq!(push(&mut world, add("b", &["192.0.2.3"])).unwrap().notes, [note]);
}

#[test]
fn somebody_who_is_connected_can_be_banned_and_the_answer_says_whom_that_cuts() {
    let mut world = World::new(0);
    connect(&world, FRIEND, 12);
    connect(&world, "192.0.2.77", 5);
    let pushed = push(&mut world, add("b", &[FRIEND])).unwrap();
    assert_eq!(pushed.notes.len(), 11, "{pushed:?}");
    assert_eq!(pushed.notes[0], "cuts off 192.0.2.1:1 -> 198.18.0.1:443: drop (denied) by service `s`");
    assert_eq!(pushed.notes[10], "cuts off 2 more connections");
}

#[test]
fn a_ban_does_not_cut_off_sshd_nor_the_caller_nor_name_the_management() {
    let mut world = World::new(0);
    connect(&world, FRIEND, 1);
    world.host.outside().sshd = [443].into();
    assert_eq!(guards(push(&mut world, add("b", &[FRIEND]))), [GuardName::CutOff]);
    world.host.outside().sshd = [2222].into();
    let caller = of_ssh("192.0.2.1 1 198.18.0.1 443");
    assert_eq!(guards(push(&mut world, Push { caller, ..add("b", &[FRIEND]) })), [GuardName::Caller]);
    push(&mut world, add("b", &["198.51.100.8"])).unwrap();
    connect(&world, "198.51.100.7", 1);
    assert_eq!(guards(push(&mut world, add("b", &["198.51.100.7"]))), [GuardName::Management]);
    // Who is in management is not cut off by what covers it with others.
    push(&mut world, add("b", &["198.51.0.0/16"])).unwrap();
    let names = [GuardName::Shrink, GuardName::Empty];
    let other = forced(add("b", &["198.51.100.7"]), &names);
    assert_eq!(guards(push(&mut world, other)), [GuardName::Management], "what is not named stays refused");
    push(&mut world, forced(add("b", &["198.51.100.7"]), &[GuardName::Management])).unwrap();
    push(&mut world, add("b", &[FRIEND])).unwrap();
}

#[test]
fn taking_away_what_admits_a_connection_is_refused_whatever_its_port() {
    let mut world = World::new(0);
    world.host.outside().sshd = [22].into();
    push(&mut world, add("a", &["192.0.2.3"])).unwrap();
    connect(&world, "192.0.2.3", 1);
    assert_eq!(guards(push(&mut world, remove("a", "192.0.2.3"))), [GuardName::CutOff]);
}

#[test]
fn a_batch_of_pushes_asks_the_host_once_and_for_its_own_sources() {
    let mut world = World::new(0);
    for last in 1..=30 {
        connect(&world, &format!("192.0.2.{last}"), 3);
    }
    push(&mut world, add("a", &["192.0.2.0/27"])).unwrap();
    world.host.outside().asked.clear();
    let pushes = (1..=30).map(|last| (caller(), add("b", &[&format!("192.0.2.{last}")])));
    let answers = world.core.push_all(pushes.collect(), world.now);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|pushed| pushed.notes.len() == 3)), "{answers:?}");
    let outside = world.host.outside();
    let asked: Vec<usize> = outside.asked.iter().map(|sources| sources.as_ref().unwrap().len()).collect();
    assert_eq!((asked, outside.asked_more), (vec![30], [1, 1]));
}

#[test]
fn a_push_that_can_harm_nobody_asks_the_host_for_nothing() {
    let mut world = World::new(0);
    world.host.outside().asked.clear();
    world.host.outside().asked_more = [0, 0];
    push(&mut world, add("a", &["192.0.2.5"])).unwrap();
    push(&mut world, remove("b", "192.0.2.5")).unwrap();
    let outside = world.host.outside();
    assert_eq!((&*outside.asked, outside.asked_more), (&[][..], [0, 0]));
}

#[test]
fn a_list_that_admits_is_not_emptied_by_a_push_unless_that_guard_is_named() {
    let mut world = World::new(EMPTY);
    push(&mut world, add("a", &["192.0.2.3", "192.0.2.4"])).unwrap();
    push(&mut world, remove("a", "192.0.2.4")).unwrap();
    let last = || remove("a", "192.0.2.3");
    let wanted = "list `a` would lose its only entry and admit nobody (guard `empty`)";
    assert_eq!(harms(push(&mut world, last())), [(GuardName::Empty, wanted.to_owned())]);
    assert_eq!(guards(push(&mut world, Push { dry_run: true, ..last() })), [GuardName::Empty]);
    let sync = Push { replace: vec!["a".into()], ..Push::default() };
    assert_eq!(guards(push(&mut world, sync)), [GuardName::Empty]);
    assert_eq!(guards(push(&mut world, forced(last(), &[GuardName::Shrink]))), [GuardName::Empty]);
    push(&mut world, forced(last(), &[GuardName::Empty])).unwrap();
    push(&mut world, add("b", &["192.0.2.3"])).unwrap();
    push(&mut world, remove("b", "192.0.2.3")).unwrap();
}

#[test]
fn a_list_that_admits_is_not_emptied_by_a_reload_nor_by_a_start_and_ends_may_empty_it() {
    let mut world = World::new(0);
    let wanted = "list `a` would lose its only entry and admit nobody (guard `empty`)";
    assert_eq!(harms(reload(&mut world, EMPTY, Force::Nothing)), [(GuardName::Empty, wanted.to_owned())]);
    *world.file.lock().unwrap() = EMPTY;
    world.restart().unwrap();
    let status = world.told.borrow().status(world.now);
    assert!(status.reload.error.as_ref().is_some_and(|error| error.contains(wanted)), "{:?}", status.reload);

    let ttl = |push: Push| {
        let add = push.add.into_iter().map(|one| Addition { ttl: Some("5s".into()), ..one }).collect();
        Push { add, ..push }
    };
    push(&mut world, ttl(add("a", &["192.0.2.3"]))).unwrap();
    reload(&mut world, EMPTY, Force::Nothing).unwrap();
    world.wait(6);
    world.tend();
    let of_a = |world: &World| world.told.borrow().status(world.now).lists[0].entries.len();
    assert_eq!(of_a(&world), 0, "its time is over");
}

#[test]
fn what_this_host_needs_is_not_denied_by_a_push() {
    let mut world = World::new(0);
    world.host.outside().around.networks = ["192.0.2.0/24".parse().unwrap()].into();
    world.host.outside().around.gateways = ["203.0.113.1".parse().unwrap()].into();
    world.host.outside().around.resolvers = ["203.0.113.53".parse().unwrap()].into();
    let all = ["192.0.0.0/8", "203.0.113.0/24", "::/0"];
    let wanted = [GuardName::Everything, GuardName::OwnNetwork, GuardName::Gateway, GuardName::Resolver];
    assert_eq!(guards(push(&mut world, add("b", &all))), wanted);
    assert_eq!(guards(push(&mut world, forced(add("b", &all), &wanted[..3]))), wanted[3..]);
    push(&mut world, add("a", &all)).unwrap();
    push(&mut world, add("b", &["192.0.2.7", "203.0.113.7"])).unwrap();
    push(&mut world, forced(add("b", &all), &wanted)).unwrap();
    push(&mut world, add("b", &all)).unwrap();
}

#[test]
fn what_this_host_needs_is_not_denied_by_a_reload_and_a_start_goes_on() {
    let mut world = World::new(0);
    // What configuration 1 denies.
    world.host.outside().around.resolvers = ["192.0.2.2".parse().unwrap()].into();
    assert_eq!(guards(reload(&mut world, 1, Force::Nothing)), [GuardName::Resolver]);
    let text = super::world::CONFIGS[1].to_owned();
    let sent = ReadConfig { loaded: super::world::load(1), is_file: false };
    let terms = Apply { name: "x".into(), config: text, ..Apply::default() }.terms();
    let applied = world.ask(|reply| Message::Apply(caller(), terms, Box::new(sent), reply));
    assert_eq!(guards(applied), [GuardName::Resolver]);
    *world.file.lock().unwrap() = 1;
    world.restart().unwrap();
    let entries = world.told.borrow().document().lists;
    assert_eq!(entries["b"].len(), 1, "a start only warns");
    reload(&mut world, 1, Force::Nothing).unwrap();
}

#[test]
fn a_list_that_begins_to_deny_is_looked_at_as_a_whole() {
    let mut world = World::new(4);
    world.host.outside().around.gateways = ["203.0.113.1".parse().unwrap()].into();
    push(&mut world, add("b", &["203.0.113.0/24"])).unwrap();
    assert_eq!(guards(reload(&mut world, 0, Force::Nothing)), [GuardName::Gateway]);
    reload(&mut world, 0, [GuardName::Gateway].into_iter().collect()).unwrap();
    reload(&mut world, 1, Force::Nothing).unwrap();
}

#[test]
fn a_configuration_without_room_in_the_memory_is_refused_by_name_and_nothing_lifts_that() {
    let mut world = World::new(1);
    let set_in = "/sys/fs/cgroup/x/memory.max".into();
    world.host.outside().memory = Some(MemoryRoom { limit: 20 << 20, used: 10 << 20, set_in });
    let before = world.core.in_force.policy.clone();
    let Err(Refusal::NoMemory { message }) = reload(&mut world, 0, Force::All) else { panic!("there is no room") };
    assert!(
        message.contains("10 MiB are left of the 20 MiB that /sys/fs/cgroup/x/memory.max allows\nhint: "),
        "{message}"
    );
    assert!(std::sync::Arc::ptr_eq(&world.core.in_force.policy, &before));
    world.host.outside().memory = None;
    reload(&mut world, 0, Force::All).unwrap();
}
