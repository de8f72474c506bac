//! Pushes that are taken back.

use super::world::{EMPTY, World};
use crate::{
    control::{Addition, Caller, Confirm, EntriesQuery, KeptEntry, NotUndoable, Push, Pushed, Refusal, Removal, Undo},
    controller::Message,
    lists::entry::{Entry, Layer},
    preview::guard::Harm,
};

fn caller(name: &str) -> Caller {
    Caller::local(name)
}

fn ask(world: &mut World, owner: &str, push: Push) -> Pushed {
    world.ask(|reply| Message::Push(caller(owner), push, reply)).unwrap()
}

fn undo(world: &mut World, revision: u64) -> Result<Pushed, Refusal> {
    undo_on(world, Undo::of(revision))
}

fn undo_on(world: &mut World, undo: Undo) -> Result<Pushed, Refusal> {
    world.ask(|reply| Message::Undo(caller("eve"), undo, reply))
}

fn add(list: &str, prefixes: &[&str], ttl: Option<&str>) -> Push {
    let addition = |prefix: &&str| Addition {
        list: list.into(),
        prefix: (*prefix).into(),
        ttl: ttl.map(str::to_owned),
        comment: Some(format!("ticket {}", ttl.unwrap_or("7"))),
    };
    Push { add: prefixes.iter().map(addition).collect(), person: Some("grace".into()), ..Push::default() }
}

fn remove(list: &str, prefixes: &[&str]) -> Push {
    let removal = |prefix: &&str| Removal { list: list.into(), prefix: (*prefix).into() };
    Push { remove: prefixes.iter().map(removal).collect(), ..Push::default() }
}

fn listed(world: &World) -> Vec<Entry> {
    world.told.borrow().entries(&EntriesQuery::default()).unwrap().entries
}

/// Added, refreshed, removed, kept.
fn counts(pushed: &Pushed) -> [usize; 4] {
    [pushed.added, pushed.refreshed, pushed.removed, pushed.kept_count]
}

fn why(answer: Result<Pushed, Refusal>) -> NotUndoable {
    match answer {
        Err(Refusal::NotUndoable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_push_has_changed_becomes_what_it_was_whoever_held_it_and_back_again() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", &["192.0.2.9", "192.0.2.10"], Some("1h")));
    ask(&mut world, "ben", Push { layer: Layer::Ban, ..add("b", &["192.0.2.9"], None) });
    world.wait(60);
    let before = listed(&world);
    let all = ask(&mut world, "ben", Push { remove_all: true, ..remove("b", &["192.0.2.9", "192.0.2.10"]) });
    assert_eq!(counts(&all), [0, 0, 3, 0]);
    let gone = listed(&world);
    world.wait(60);

    let undone = undo(&mut world, all.revision).unwrap();
    assert_eq!((counts(&undone), undone.revision), ([3, 0, 0, 0], all.revision + 1));
    assert_eq!(undone.undone.as_ref().map(|push| (push.revision, &*push.owner)), Some((all.revision, "ben")));
    assert_eq!(listed(&world), before, "owner, person, comment, end, and when it was made");
    let member = world.kernel.enforced().unwrap().table[&"192.0.2.10/32".parse().unwrap()].clone();
    assert_eq!(u64::from(member.next().unwrap().0), 100_000 + 3600);

    let again = undo(&mut world, undone.revision).unwrap();
    assert_eq!((counts(&again), listed(&world)), ([0, 0, 3, 0], gone));
    let told: Vec<_> = world.told.borrow().pushes(2).pushes.iter().map(|push| (push.revision, push.undoes)).collect();
    assert_eq!(told, [(again.revision, Some(undone.revision)), (all.revision - 1, None)]);
    world.restart().unwrap();
    assert_eq!(listed(&world).len(), 1, "the configuration has one");
}

#[test]
fn a_refresh_is_undone_to_the_end_and_the_comment_of_before() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", &["192.0.2.9"], Some("1h")));
    let before = listed(&world);
    let shorter = ask(&mut world, "ada", add("b", &["192.0.2.9"], Some("1m")));
    assert_eq!(counts(&undo(&mut world, shorter.revision).unwrap()), [0, 1, 0, 0]);
    assert_eq!(listed(&world), before);
}

#[test]
fn what_somebody_has_touched_since_stays_and_is_named() {
    let mut world = World::new(0);
    let prefixes = ["192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"];
    ask(&mut world, "ada", add("b", &["192.0.2.7"], None));
    let first = Push { remove: remove("b", &["192.0.2.7"]).remove, ..add("b", &prefixes, Some("1h")) };
    let first = ask(&mut world, "ada", first);
    ask(&mut world, "ada", remove("b", &["192.0.2.3"]));
    ask(&mut world, "ada", add("b", &["192.0.2.4", "192.0.2.7"], Some("2h")));
    ask(&mut world, "ben", add("b", &["192.0.2.6"], None));
    let undone = undo(&mut world, first.revision).unwrap();
    assert_eq!(counts(&undone), [0, 0, 2, 3]);
    let told: Vec<String> = undone
        .kept
        .iter()
        .map(|KeptEntry { prefix, owner, detail, .. }| format!("{prefix} of {owner} {detail}"))
        .collect();
    let wanted = [
        "192.0.2.3/32 of ada stays out: it was removed, or has ended, since",
        "192.0.2.4/32 of ada stays as it is: it was pushed again since",
        "192.0.2.7/32 of ada stays: it was added again since",
    ];
    assert_eq!(told, wanted);
    // What another one holds is no entry of the push; what keeps the address in is told as by every push.
    assert_eq!(undone.answers[0].detail, "stays in `b`: `b` has 192.0.2.6/32 (runtime of ben)");
    assert_eq!(why(undo(&mut world, first.revision)), NotUndoable::Undone { by: undone.revision, is_undoable: true });
}

#[test]
fn ten_entries_that_stay_are_named_and_the_others_counted_and_nothing_is_no_revision() {
    let mut world = World::new(0);
    let prefixes: Vec<String> = (1..=30).map(|last| format!("203.0.113.{last}")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let first = ask(&mut world, "ada", add("b", &prefixes, None));
    let last = ask(&mut world, "ada", remove("b", &prefixes));
    let undone = undo(&mut world, first.revision).unwrap();
    assert_eq!((counts(&undone), undone.kept.len(), undone.revision), ([0, 0, 0, 30], 10, last.revision));
    assert_eq!(counts(&undo(&mut world, last.revision).unwrap()), [30, 0, 0, 0]);
    assert_eq!(
        counts(&undo(&mut world, first.revision).unwrap()),
        [0, 0, 30, 0],
        "now they are what it has made of them"
    );
}

#[test]
fn an_entry_whose_time_is_over_does_not_come_back() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", &["192.0.2.9"], Some("10s")));
    let longer = ask(&mut world, "ada", add("b", &["192.0.2.9"], None));
    let short = ask(&mut world, "ada", add("b", &["192.0.2.10"], Some("10s")));
    world.wait(11);
    world.tend();
    let undone = undo(&mut world, longer.revision).unwrap();
    assert_eq!((counts(&undone), &*undone.kept[0].detail), ([0, 0, 1, 1], "does not come back: its time is over"));
    let ended = undo(&mut world, short.revision).unwrap();
    assert_eq!((counts(&ended), &*ended.kept[0].detail), ([0, 0, 0, 1], "stays out: it has ended since"));
}

#[test]
fn a_revision_that_cannot_be_undone_says_why_with_a_hint() {
    let mut world = World::new(0);
    assert_eq!(why(undo(&mut world, 1)), NotUndoable::BeforeStart { began: 1 });
    assert_eq!(why(undo(&mut world, 2)), NotUndoable::Never { last: 1 });
    let ending = ask(&mut world, "ada", add("b", &["192.0.2.9"], Some("1s")));
    world.wait(2);
    world.tend();
    assert_eq!(why(undo(&mut world, ending.revision + 1)), NotUndoable::NoPush, "the end of an entry");
    let waiting = Push { confirm: Some("60s".into()), ..add("b", &["192.0.2.10"], None) };
    let waiting = ask(&mut world, "ada", waiting).revision;
    let other = ask(&mut world, "ada", add("b", &["192.0.2.11"], None)).revision;
    assert!(matches!(why(undo(&mut world, waiting)), NotUndoable::Waits(_)));
    let told =
        |world: &World| world.told.borrow().pushes(100).pushes.iter().map(|push| push.revision).collect::<Vec<_>>();
    assert_eq!(told(&world), [other, ending.revision]);
    let confirm = Undo { confirm: Some("60s".into()), ..Undo::of(other) };
    assert!(matches!(undo_on(&mut world, confirm), Err(Refusal::Pending(_))));
    assert_eq!(counts(&undo(&mut world, other).unwrap()), [0, 0, 1, 0], "others are undone meanwhile");
    world.wait(61);
    world.tend();
    let by = other + 2;
    assert_eq!(why(undo(&mut world, waiting)), NotUndoable::Undone { by, is_undoable: false }, "nobody confirmed it");
    for revision in [waiting, by, 1, by + 1] {
        let words = undo(&mut world, revision).unwrap_err().to_string();
        assert!(
            words.starts_with(&format!("cannot undo revision {revision}: ")) && words.contains("\nhint: "),
            "{words}"
        );
    }
    world.restart().unwrap();
    assert!(matches!(
        why(undo(&mut world, ending.revision)),
        NotUndoable::Never { .. } | NotUndoable::BeforeStart { .. }
    ));
}

#[test]
fn an_undo_that_nobody_confirms_is_undone() {
    let mut world = World::new(0);
    let pushed = ask(&mut world, "ada", add("b", &["192.0.2.9"], None));
    let before = listed(&world);
    let waits = Undo { confirm: Some("60s".into()), ..Undo::of(pushed.revision) };
    let undone = undo_on(&mut world, waits.clone()).unwrap();
    assert_eq!((undone.pending.and_then(|pending| pending.entries), listed(&world).len()), (Some(1), 1));
    world.wait(61);
    world.tend();
    assert_eq!(listed(&world), before);

    let pushed = ask(&mut world, "ada", add("b", &["192.0.2.10"], None));
    let undone = undo_on(&mut world, Undo { revision: pushed.revision, ..waits }).unwrap();
    world.ask(|reply| Message::Confirm(caller("ada"), Confirm::default(), reply)).unwrap();
    assert_eq!(counts(&undo(&mut world, undone.revision).unwrap()), [1, 0, 0, 0]);
}

#[test]
fn a_confirmation_that_names_a_change_confirms_no_other() {
    let mut world = World::new(0);
    let push = Push { confirm: Some("60s".into()), ..add("b", &["192.0.2.9"], None) };
    let pushed = ask(&mut world, "ada", push);
    let named = |number| Confirm { dry_run: false, generation: Some(number) };
    for other in [0, pushed.revision - 1, pushed.revision + 1] {
        let refused = world.ask(|reply| Message::Confirm(caller("ada"), named(other), reply));
        assert!(matches!(refused, Err(Refusal::NothingPending { why: Some(_) })), "{refused:?}");
    }
    let confirmed = world.ask(|reply| Message::Confirm(caller("ada"), named(pushed.revision), reply)).unwrap();
    assert_eq!(confirmed.confirmed.generation, pushed.revision);
    let again = world.ask(|reply| Message::Confirm(caller("ada"), named(pushed.revision), reply));
    assert!(matches!(again, Err(Refusal::NothingPending { .. })), "{again:?}");
}

#[test]
fn guards_are_asked_and_a_dry_run_changes_nothing() {
    let mut world = World::new(EMPTY);
    let pushed = ask(&mut world, "ada", add("a", &["192.0.2.9"], None));
    let before = (listed(&world), world.disk.operations());
    let Err(Refusal::Guarded(harms)) = undo(&mut world, pushed.revision) else { panic!("a list that admits is empty") };
    assert_eq!(harms, [Harm::Empty { list: "a".into(), live: 1 }]);
    let forced = Undo { force: crate::control::Force::All, ..Undo::of(pushed.revision) };
    let dry = undo_on(&mut world, Undo { dry_run: true, ..forced.clone() }).unwrap();
    assert_eq!((counts(&dry), dry.changes.len(), dry.dry_run), ([0, 0, 1, 0], 1, true));
    assert_eq!((listed(&world), world.disk.operations()), before);
    let wrong = Undo { person: Some("\u{7}".into()), ..forced.clone() };
    assert!(matches!(undo_on(&mut world, wrong), Err(Refusal::Invalid(_))));
    assert_eq!(counts(&undo_on(&mut world, forced).unwrap()), [0, 0, 1, 0]);
}

#[test]
fn ends_by_another_clock_come_back_as_they_were_and_stay_so_over_a_restart() {
    let mut world = World::new(0);
    ask(&mut world, "ada", add("b", &["192.0.2.9"], Some("1h")));
    let removed = ask(&mut world, "ada", remove("b", &["192.0.2.9"]));
    let late = ask(&mut world, "ada", add("b", &["192.0.2.10"], None));
    world.now.is_synchronised = false;
    world.set_clock(600);
    world.tend();
    ask(&mut world, "ada", add("b", &["192.0.2.11"], Some("1h")));
    let waits = Undo { confirm: Some("60s".into()), ..Undo::of(removed.revision) };
    let Err(Refusal::Invalid(problems)) = undo_on(&mut world, waits) else { panic!("two clocks wait") };
    assert_eq!(problems.told()[0].pointer, "/confirm");
    assert_eq!(counts(&undo(&mut world, late.revision).unwrap()), [0, 0, 1, 0]);
    assert_eq!(counts(&undo(&mut world, removed.revision).unwrap()), [1, 0, 0, 0]);
    let ends = |world: &World| {
        listed(world).into_iter().map(|one| (one.prefix, one.expires, one.in_doubt)).collect::<Vec<_>>()
    };
    let before = ends(&world);
    assert!(before.iter().any(|(prefix, _, in_doubt)| prefix == "192.0.2.9/32" && *in_doubt), "{before:?}");
    world.restart().unwrap();
    assert_eq!(ends(&world), before);
    world.set_clock(-600);
    world.now.is_synchronised = true;
    world.tend();
    let end = world.now.wall.as_second() + 3600;
    assert!(ends(&world).iter().all(|(_, expires, _)| expires.is_none_or(|expires| expires.as_second() == end)));
}
