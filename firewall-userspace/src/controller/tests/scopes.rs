//! What an operator with a scope may change, and what the others are told.

use std::sync::Arc;

use super::{sync::compare_as, world::World};
use crate::{
    control::{Addition, Caller, Confirm, EntriesQuery, Force, Push, Pushed, Refusal, Removal, Undo},
    controller::Message,
    lists::entry::Layer,
    policy::{EntryVerb, Grant, Role, Scope},
    preview::guard::GuardName,
};

/// May add single addresses inside 192.0.2.0/24 to the list `a`, which services allow, for an hour, and remove them.
fn partner() -> Caller {
    let scope = Scope {
        lists: Some(["a".to_owned()].into()),
        prefixes: Some(["192.0.2.0/24".parse().unwrap()].into()),
        max_ttl_seconds: Some(3600),
        min_length_v4: Some(32),
        min_length_v6: Some(128),
        layers: Some([Layer::Runtime].into()),
        verbs: Some([EntryVerb::Allow, EntryVerb::Remove].into()),
    };
    operator("partner", scope)
}

fn operator(name: &str, scope: Scope) -> Caller {
    Caller { grant: Arc::new(Grant { role: Role::Operator, scope }), ..Caller::local(name) }
}

fn add(list: &str, prefix: &str, ttl: Option<&str>) -> Push {
    let one = Addition { list: list.into(), prefix: prefix.into(), ttl: ttl.map(str::to_owned), comment: None };
    Push { add: vec![one], ..Push::default() }
}

fn remove(list: &str, prefix: &str) -> Push {
    Push { remove: vec![Removal { list: list.into(), prefix: prefix.into() }], ..Push::default() }
}

fn push(world: &mut World, caller: &Caller, push: Push) -> Result<Pushed, Refusal> {
    world.ask(|reply| Message::Push(caller.clone(), push, reply))
}

/// What is missing, each with its pointer.
fn missing<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> Vec<(String, String)> {
    match answer {
        Err(Refusal::OutOfScope { who, problems }) => {
            assert_eq!(who, "partner");
            problems.told().into_iter().map(|problem| (problem.pointer, problem.detail)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn lacks(pointer: &str, what: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), format!("the right {what} missing"))]
}

fn listed(world: &World) -> usize {
    world.told.borrow().entries(&EntriesQuery::default()).unwrap().entries.len()
}

#[test]
fn what_is_inside_the_scope_is_done() {
    let (mut world, partner) = (World::new(0), partner());
    assert_eq!(push(&mut world, &partner, add("a", "192.0.2.9", Some("1h"))).unwrap().added, 1);
    assert_eq!(push(&mut world, &partner, remove("a", "192.0.2.9")).unwrap().removed, 1);
}

#[test]
fn what_is_outside_of_it_is_refused_with_the_right_that_is_missing() {
    let (mut world, partner) = (World::new(0), partner());
    let before = listed(&world);
    for (wanted, pointer, what) in [
        (add("b", "192.0.2.9", Some("1h")), "/add/0/list", "to change this list is"),
        (add("a", "198.51.100.9", Some("1h")), "/add/0/prefix", "to touch this prefix is"),
        (add("a", "192.0.2.8/31", Some("1h")), "/add/0/prefix", "to prefixes that are shorter than /32 is"),
        (add("a", "0.0.0.0/0", Some("1h")), "/add/0/prefix", "to touch this prefix is"),
        (add("a", "192.0.2.9", None), "/add/0/prefix", "to entries without an end, or of more than 3600 s, is"),
        (add("a", "192.0.2.9", Some("61m")), "/add/0/prefix", "to entries without an end, or of more than 3600 s, is"),
        (Push { layer: Layer::Ban, ..add("a", "192.0.2.9", Some("1h")) }, "/layer", "to the layer `ban` is"),
        (remove("a", "198.51.100.9"), "/remove/0/prefix", "to touch this prefix is"),
        (Push { remove_all: true, ..remove("a", "192.0.2.9") }, "/remove_all", "to change entries of others is"),
        (
            Push { remove_of: Some("eve".into()), ..remove("a", "192.0.2.9") },
            "/remove_of",
            "to change entries of others is",
        ),
        (
            Push { force: [GuardName::Empty].into_iter().collect(), ..add("a", "192.0.2.9", Some("1h")) },
            "/force",
            "to lift a guard is",
        ),
        (Push { replace: vec!["b".into()], ..Push::default() }, "/replace/0", "to change this list is"),
    ] {
        assert_eq!(missing(push(&mut world, &partner, wanted.clone())), lacks(pointer, what), "{wanted:?}");
        let dry = Push { dry_run: true, ..wanted.clone() };
        assert_eq!(missing(push(&mut world, &partner, dry)), lacks(pointer, what), "dry: {wanted:?}");
    }
    assert_eq!(listed(&world), before);
}

#[test]
fn a_list_outside_of_the_scope_and_one_that_is_not_there_are_refused_alike() {
    let (mut world, partner) = (World::new(0), partner());
    let there = missing(push(&mut world, &partner, add("b", "192.0.2.9", None)));
    assert_eq!(missing(push(&mut world, &partner, add("no-such-list", "192.0.2.9", None))), there);
}

#[test]
fn verbs_are_told_apart_by_what_services_do_with_the_list() {
    let mut world = World::new(0);
    let only = |verb| operator("partner", Scope { verbs: Some([verb].into()), ..Scope::default() });
    let denier = only(EntryVerb::Deny);
    assert_eq!(push(&mut world, &denier, add("b", "198.51.100.9", None)).unwrap().added, 1);
    assert_eq!(missing(push(&mut world, &denier, add("a", "198.51.100.9", None))), lacks("/add/0/list", "to allow is"));
    assert_eq!(
        missing(push(&mut world, &denier, remove("b", "198.51.100.9"))),
        lacks("/remove/0/list", "to remove is")
    );
    assert_eq!(
        missing(push(&mut world, &only(EntryVerb::Allow), add("b", "198.51.100.9", None))),
        lacks("/add/0/list", "to deny is")
    );
}

#[test]
fn what_a_list_that_is_replaced_would_lose_has_to_be_inside_the_scope_too() {
    let mut world = World::new(0);
    // It was pushed when the scope was wider.
    let wide = operator("partner", Scope::default());
    push(&mut world, &wide, add("a", "198.51.100.9", None)).unwrap();
    let replace = Push { replace: vec!["a".into()], ..add("a", "192.0.2.9", Some("1h")) };
    assert_eq!(missing(push(&mut world, &partner(), replace)), lacks("", "to touch this prefix is"));
    let lines = "{\"replace\":[\"a\"]}\n{\"list\":\"a\",\"prefix\":\"192.0.2.9\",\"ttl\":\"1h\"}";
    assert_eq!(missing(compare_as(&mut world, &partner(), lines).map(|_| ())), lacks("", "to touch this prefix is"));
}

#[test]
fn a_sync_has_the_bounds_of_a_push() {
    let (mut world, partner) = (World::new(0), partner());
    let good = "{}\n{\"list\":\"a\",\"prefix\":\"192.0.2.9\",\"ttl\":\"1h\"}";
    let (ticket, _) = compare_as(&mut world, &partner, good).unwrap();
    ticket.cancel();
    for (line, pointer, what) in [
        (r#"{"list":"b","prefix":"192.0.2.9","ttl":"1h"}"#, "/add/0/list", "to change this list is"),
        (r#"{"list":"a","prefix":"198.51.100.9","ttl":"1h"}"#, "/add/0/prefix", "to touch this prefix is"),
        (r#"{"list":"a","prefix":"198.51.100.9","remove":true}"#, "/add/0/prefix", "to touch this prefix is"),
        (
            r#"{"list":"a","prefix":"192.0.2.9"}"#,
            "/add/0/prefix",
            "to entries without an end, or of more than 3600 s, is",
        ),
    ] {
        let compared = compare_as(&mut world, &partner, &format!("{{}}\n{line}"));
        assert_eq!(missing(compared.map(|_| ())), lacks(pointer, what), "{line}");
    }
    let restored = "{\"restore\":true}\n{\"list\":\"a\",\"prefix\":\"192.0.2.9\",\"owner\":\"eve\",\
                    \"created\":\"2026-01-01T00:00:00Z\",\"expires\":\"2026-01-01T00:00:01Z\"}";
    let compared = compare_as(&mut world, &partner, restored);
    assert_eq!(missing(compared.map(|_| ())), lacks("/add/0/owner", "to change entries of others is"));
}

#[test]
fn only_pushes_of_ones_own_are_taken_back() {
    let (mut world, partner) = (World::new(0), partner());
    let of_ada = push(&mut world, &Caller::local("ada"), add("a", "192.0.2.7", None)).unwrap().revision;
    let own = push(&mut world, &partner, add("a", "192.0.2.9", Some("1h"))).unwrap().revision;
    let undo =
        |world: &mut World, revision| world.ask(|reply| Message::Undo(partner.clone(), Undo::of(revision), reply));
    assert!(missing(undo(&mut world, of_ada)).contains(&lacks("/revision", "to change entries of others is")[0]));
    assert_eq!(undo(&mut world, own).unwrap().removed, 1);
}

#[test]
fn only_pushes_of_ones_own_are_confirmed_and_no_policy() {
    let (mut world, partner) = (World::new(0), partner());
    let confirm = |world: &mut World, caller: &Caller| {
        world.ask(|reply| Message::Confirm(caller.clone(), Confirm::default(), reply))
    };
    let waits = |push| Push { confirm: Some("60s".into()), ..push };
    push(&mut world, &Caller::local("ada"), waits(add("a", "192.0.2.7", None))).unwrap();
    assert_eq!(missing(confirm(&mut world, &partner)), lacks("", "to change entries of others is"));
    confirm(&mut world, &operator("eve", Scope::default())).unwrap();
    push(&mut world, &partner, waits(add("a", "192.0.2.9", Some("1h")))).unwrap();
    confirm(&mut world, &partner).unwrap();
    let mode = crate::control::SetMode { mode: crate::policy::Mode::Observe, confirm: Some("60s".into()), ..mode() };
    world.ask(|reply| Message::SetMode(Caller::local("ada"), mode, reply)).unwrap();
    assert_eq!(missing(confirm(&mut world, &partner)), lacks("", "to change the policy is"));
    confirm(&mut world, &Caller::local("ada")).unwrap();
}

fn mode() -> crate::control::SetMode {
    serde_json::from_str("{\"mode\":\"observe\"}").unwrap()
}

#[test]
fn who_is_admin_or_has_no_scope_may_change_every_entry() {
    let mut world = World::new(0);
    let narrow = Scope { lists: Some(["b".to_owned()].into()), ..Scope::default() };
    let admin = Caller { grant: Arc::new(Grant { role: Role::Admin, scope: narrow }), ..Caller::local("root") };
    for caller in [admin, operator("eve", Scope::default())] {
        push(&mut world, &Caller::local("ada"), add("a", "192.0.2.7", None)).unwrap();
        assert_eq!(
            push(&mut world, &caller, Push { remove_all: true, ..remove("a", "192.0.2.7") }).unwrap().removed,
            1
        );
    }
    let forced = Push { force: Force::All, ..add("b", "198.51.100.9", None) };
    assert_eq!(push(&mut world, &operator("eve", Scope::default()), forced).unwrap().added, 1);
}
