//! Who holds an entry, and what an address meets after a push.

use super::world::{TWO_LISTS, World};
use crate::{
    control::{Addition, AddressAnswer, Caller, Push, Pushed, Refusal, Removal},
    controller::Message,
    lists::entry::Layer,
};

fn add(list: &str, prefix: &str, ttl: Option<&str>) -> Push {
    let ttl = ttl.map(str::to_owned);
    let add = vec![Addition { list: list.into(), prefix: prefix.into(), ttl, comment: None }];
    Push { add, ..Push::default() }
}

fn remove(list: &str, prefixes: &[&str]) -> Push {
    let removal = |prefix: &&str| Removal { list: list.into(), prefix: (*prefix).into() };
    Push { remove: prefixes.iter().map(removal).collect(), ..Push::default() }
}

fn ask(world: &mut World, owner: &str, push: Push) -> Result<Pushed, Refusal> {
    let caller = Caller::local(owner);
    world.ask(|reply| Message::Push(caller, push, reply))
}

/// Added, refreshed, removed, unchanged.
fn counts(pushed: &Pushed) -> [usize; 4] {
    [pushed.added, pushed.refreshed, pushed.removed, pushed.unchanged]
}

/// What is said of the one address that meets something else than what was asked.
fn answer(pushed: &Pushed) -> &str {
    let [AddressAnswer { detail, .. }] = &pushed.answers[..] else { panic!("{pushed:?}") };
    assert_eq!(pushed.differing, 1);
    detail
}

/// Seconds until 192.0.2.9 is in no list any more; `None`: without end.
fn left(world: &World) -> Option<u64> {
    let member = world.kernel.enforced().unwrap().table[&"192.0.2.9/32".parse().unwrap()].clone();
    member.next().map(|(second, _)| u64::from(second) - world.now.boot.as_secs())
}

/// crowdsec#1158, #1244, fail2ban#4044.
#[test]
fn each_holder_keeps_its_own_end_and_the_longest_holds() {
    let mut world = World::new(0);
    let first = ask(&mut world, "zeek", add("b", "192.0.2.9", Some("7d"))).unwrap();
    let second = ask(&mut world, "agent", add("b", "192.0.2.9", Some("1m"))).unwrap();
    assert_eq!([counts(&first), counts(&second)], [[1, 0, 0, 0]; 2]);
    assert_eq!(left(&world), Some(7 * 86_400), "the longest of both");

    let shorter = ask(&mut world, "zeek", add("b", "192.0.2.9", Some("1h"))).unwrap();
    assert_eq!((counts(&shorter), left(&world)), ([0, 1, 0, 0], Some(3600)), "its own end is what zeek says last");
    assert_eq!(shorter.revision, second.revision + 1, "a refresh is a revision, by which it is undone");
    let removed = ask(&mut world, "zeek", remove("b", &["192.0.2.9"])).unwrap();
    assert_eq!((counts(&removed), left(&world)), ([0, 0, 1, 0], Some(60)));
    assert_eq!(answer(&removed), "stays in `b`: `b` has 192.0.2.9/32 (runtime of agent, until 2027-01-15T08:01:00Z)");
    let again = ask(&mut world, "zeek", remove("b", &["192.0.2.9"])).unwrap();
    assert_eq!((counts(&again), again.revision), ([0, 0, 0, 1], removed.revision));
    assert!(answer(&again).contains("of agent"));
}

#[test]
fn an_entry_that_is_so_already_is_unchanged_and_written_nowhere() {
    let mut world = World::new(0);
    let first = ask(&mut world, "ada", add("b", "192.0.2.9", None)).unwrap();
    let written = world.disk.operations();
    let again = ask(&mut world, "ada", add("b", "192.0.2.9", None)).unwrap();
    assert_eq!((counts(&again), again.revision, world.disk.operations()), ([0, 0, 0, 1], first.revision, written));
}

#[test]
fn what_others_hold_goes_when_it_is_named_and_only_from_people_and_bans() {
    let mut world = World::new(0);
    for (owner, layer) in [("ada", Layer::Runtime), ("ben", Layer::Ban), ("ben", Layer::Feed)] {
        ask(&mut world, owner, Push { layer, ..add("b", "192.0.2.9", None) }).unwrap();
    }
    let own = ask(&mut world, "eve", remove("b", &["192.0.2.9"])).unwrap();
    assert_eq!(counts(&own), [0, 0, 0, 1]);
    let wanted =
        "stays in `b`: `b` has 192.0.2.9/32 (runtime of ada), 192.0.2.9/32 (feed of ben), 192.0.2.9/32 (ban of ben)";
    assert_eq!(answer(&own), wanted);
    let of_ben = Push { remove_of: Some("ben".into()), ..remove("b", &["192.0.2.9"]) };
    let of_ben = ask(&mut world, "eve", of_ben).unwrap();
    assert_eq!((counts(&of_ben), answer(&of_ben).contains("ban")), ([0, 0, 1, 0], false), "{of_ben:?}");
    let all = ask(&mut world, "eve", Push { remove_all: true, ..remove("b", &["192.0.2.9"]) }).unwrap();
    assert_eq!((counts(&all), answer(&all)), ([0, 0, 1, 0], "stays in `b`: `b` has 192.0.2.9/32 (feed of ben)"));
    for (push, pointer) in [
        (Push { remove_all: true, layer: Layer::Feed, ..remove("b", &["192.0.2.9"]) }, "/remove_all"),
        (Push { remove_of: Some("ben".into()), remove_all: true, ..remove("b", &["192.0.2.9"]) }, "/remove_all"),
        (Push { remove_of: Some("ben".into()), replace: vec!["b".into()], ..Push::default() }, "/remove_of"),
    ] {
        let Err(Refusal::Invalid(problems)) = ask(&mut world, "eve", push) else { panic!("{pointer} was taken") };
        assert_eq!(problems.told()[0].pointer, pointer);
    }
}

/// monero#10325, crowdsec#1156, #3462.
#[test]
fn the_answer_says_what_keeps_an_address_where_it_is() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", "192.0.2.0/24", None)).unwrap();
    ask(&mut world, "ada", add("b", "192.0.2.9", None)).unwrap();
    let shadowed = ask(&mut world, "ada", remove("b", &["192.0.2.9"])).unwrap();
    assert_eq!(answer(&shadowed), "stays in `b`: `b` has 192.0.2.0/24 (runtime of ada)");
    let denied = ask(&mut world, "ada", add("a", "192.0.2.7", None)).unwrap();
    assert_eq!(answer(&denied), "is denied by `s` all the same: `b` has 192.0.2.0/24 (runtime of ada)");
    let management = ask(&mut world, "ada", add("b", "198.51.100.7", None)).unwrap();
    assert_eq!(answer(&management), "passes all the same: `management` has 198.51.100.0/24");
    let around = ask(&mut world, "ada", add("b", "198.51.0.0/16", None)).unwrap();
    assert_eq!(answer(&around), "does not hold for 198.51.100.0/24 inside it, which is in `management`");
    let configured = ask(&mut world, "ada", remove("a", &["192.0.2.1"])).unwrap();
    assert_eq!(answer(&configured), "stays in `a`: `a` has 192.0.2.1/32 (configuration)");
    let out = ask(&mut world, "ada", remove("b", &["192.0.2.0/24"])).unwrap();
    assert_eq!((counts(&out), out.differing), ([0, 0, 1, 0], 0));
}

#[test]
fn what_another_list_admits_is_told_unless_it_is_denied_all_the_same() {
    let mut world = World::new(TWO_LISTS);
    for list in ["a", "c"] {
        ask(&mut world, "ada", add(list, "192.0.2.7", None)).unwrap();
        ask(&mut world, "ada", add(list, "198.51.100.7", None)).unwrap();
    }
    let admitted = ask(&mut world, "ada", Push { dry_run: true, ..remove("a", &["192.0.2.7"]) }).unwrap();
    assert_eq!(answer(&admitted), "is admitted by `s` all the same: `c` has 192.0.2.7/32 (runtime of ada)");
    let denied = ask(&mut world, "ada", add("b", "192.0.2.7", None)).unwrap();
    assert_eq!(denied.differing, 0);
    assert_eq!(
        ask(&mut world, "ada", remove("a", &["192.0.2.7"])).unwrap().differing,
        0,
        "it is denied, and so it is out"
    );
    let management = ask(&mut world, "ada", remove("a", &["198.51.100.7"])).unwrap();
    assert_eq!(answer(&management), "is admitted by `s` all the same: `c` has 198.51.100.7/32 (runtime of ada)");
}

#[test]
fn narrower_entries_that_stay_inside_of_what_was_removed_are_told_and_counted_to_a_bound() {
    let mut world = World::new(TWO_LISTS);
    for (list, wide) in [("a", "10.0.0.0/8"), ("b", "2001:db8::/32")] {
        ask(&mut world, "ada", add(list, wide, None)).unwrap();
        ask(&mut world, "eve", add(list, wide, None)).unwrap();
    }
    for (list, narrow) in [("a", "10.0.0.0/16"), ("a", "10.255.255.255"), ("b", "2001:db8::/64"), ("a", "11.0.0.0/8")] {
        ask(&mut world, "ada", add(list, narrow, None)).unwrap();
    }
    ask(&mut world, "ben", Push { layer: Layer::Ban, ..add("a", "10.0.0.0/16", Some("1h")) }).unwrap();
    let held = ask(&mut world, "eve", remove("a", &["10.0.0.0/8"])).unwrap();
    assert_eq!(answer(&held), "stays in `a`: `a` has 10.0.0.0/8 (runtime of ada)", "all of it is in");
    let part = ask(&mut world, "ada", remove("a", &["10.0.0.0/8"])).unwrap();
    let wanted = "stays in `a` in part, for 3 entries inside it: 10.0.0.0/16 (runtime of ada), \
                  10.0.0.0/16 (ban of ben, until 2027-01-15T09:00:00Z), 10.255.255.255/32 (runtime of ada)";
    assert_eq!(answer(&part), wanted);
    ask(&mut world, "eve", remove("b", &["2001:db8::/32"])).unwrap();
    let denied = ask(&mut world, "ada", remove("b", &["2001:db8::/32"])).unwrap();
    assert_eq!(answer(&denied), "stays in `b` in part, for 1 entry inside it: 2001:db8::/64 (runtime of ada)");
    let configured = ask(&mut world, "ada", remove("a", &["192.0.2.0/24"])).unwrap();
    assert_eq!(answer(&configured), "stays in `a` in part, for 1 entry inside it: 192.0.2.1/32 (configuration)");
    // What goes with it is no longer inside.
    ask(&mut world, "ada", add("b", "172.16.0.0/12", None)).unwrap();
    ask(&mut world, "ada", add("b", "172.16.0.7", None)).unwrap();
    assert_eq!(ask(&mut world, "ada", remove("b", &["172.16.0.0/12", "172.16.0.7"])).unwrap().differing, 0);

    let many =
        (0..2000_u32).flat_map(|one| add("b", &format!("172.16.{}.{}", one >> 8, one & 255), None).add).collect();
    ask(&mut world, "ada", Push { add: many, ..Push::default() }).unwrap();
    let many = ask(&mut world, "ada", remove("b", &["172.16.0.0/12"])).unwrap();
    let (wanted, said) =
        ("stays in `b` in part, for more than 1,000 entries inside it: 172.16.0.0/32 (", answer(&many));
    assert!(said.starts_with(wanted) && said.ends_with("172.16.0.2/32 (runtime of ada), ..."), "{said}");
}

#[test]
fn ten_answers_of_a_kind_are_told_and_the_others_counted() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", "192.0.2.0/24", None)).unwrap();
    let prefixes: Vec<String> = (1..=200).map(|last| format!("192.0.2.{last}")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let answered = ask(&mut world, "ada", Push { dry_run: true, ..remove("b", &prefixes) }).unwrap();
    assert_eq!((answered.differing, answered.answers.len(), answered.unchanged), (200, 10, 200));
    let added = prefixes.iter().flat_map(|prefix| add("b", prefix, None).add).collect();
    let dry = ask(&mut world, "ada", Push { dry_run: true, add: added, ..Push::default() }).unwrap();
    assert_eq!((dry.added, dry.changes.len()), (200, 10));
}
