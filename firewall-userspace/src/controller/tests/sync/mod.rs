//! Syncs: what comes of them, alone, beside other changes, and when something ends them.

mod faults;
mod lines;
mod undo;

use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::{
    script::BadDisk,
    world::{EMPTY, World},
};
use crate::{
    control::{Addition, Caller, Confirm, NotUndoable, Push, Pushed, Refusal, Removal, Rollback, SyncStage, Undo},
    controller::{Comparison, Message, SyncBase, SyncCollector, SyncKind, SyncOrder, SyncSet, SyncTicket, Syncs},
    lists::{entry::Holding, pushed::RuntimeEntry},
    policy::{Name, Prefix},
};

fn caller(name: &str) -> Caller {
    Caller::local(name)
}

/// A sync that is carried out piece by piece.
struct Sync {
    ticket: Arc<SyncTicket>,
    answer: oneshot::Receiver<Result<Pushed, Refusal>>,
}

/// The lines of `text` come from `owner`, and are compared.
fn compare(world: &mut World, owner: &str, text: &str) -> Result<(Arc<SyncTicket>, SyncOrder), Refusal> {
    compare_as(world, &caller(owner), text)
}

/// The lines of `text` come from `caller`, and are compared.
pub(super) fn compare_as(
    world: &mut World,
    caller: &Caller,
    text: &str,
) -> Result<(Arc<SyncTicket>, SyncOrder), Refusal> {
    let owner = &*caller.name;
    let mut lines = text.lines().map(str::as_bytes);
    let mut collector = SyncCollector::begin(lines.next().unwrap(), owner)?;
    lines.try_for_each(|line| collector.line(line))?;
    let set = collector.finish()?;
    let syncs = Syncs::default();
    let (ticket, turn) = (syncs.begin("ada").unwrap(), syncs.turn().now_or_never().unwrap());
    let kind = SyncKind { is_dry: set.is_dry(), undoes: None };
    let base: SyncBase =
        world.ask(|reply| Message::SyncOpen(caller.clone(), (Arc::clone(&ticket), turn), kind, reply))?;
    let compared = Comparison::new(base, set).and_then(|comparison| {
        let survey = comparison.survey(&ticket)?;
        Ok(SyncOrder { comparison: Arc::new(comparison), survey })
    });
    match compared {
        Ok(order) => Ok((ticket, order)),
        Err(refusal) => {
            ticket.cancel();
            Err(refusal)
        }
    }
}

fn begin(world: &mut World, owner: &str, text: &str) -> Result<Sync, Refusal> {
    let (ticket, order) = compare(world, owner, text)?;
    run(world, ticket, order)
}

fn run(world: &mut World, ticket: Arc<SyncTicket>, order: SyncOrder) -> Result<Sync, Refusal> {
    let (reply, answer) = oneshot::channel();
    world.core.handle(Message::SyncRun(Arc::clone(&ticket), Box::new(order), reply.into()), world.now);
    Ok(Sync { ticket, answer })
}

impl Sync {
    /// One piece more; the answer after the last one.
    fn step(&mut self, world: &mut World) -> Option<Result<Pushed, Refusal>> {
        world.core.step_sync(world.now);
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => panic!("nobody answers"),
        }
    }

    fn is_at(&self, stage: SyncStage) -> bool {
        let progress = *self.ticket.progress().borrow();
        progress.stage == stage && progress.done > 0
    }

    /// All pieces until something is done at `stage`.
    fn until(&mut self, world: &mut World, stage: SyncStage) {
        for _ in 0..1000 {
            if self.is_at(stage) {
                return;
            }
            assert_eq!(self.step(world).map(|answer| answer.map(drop)), None);
        }
        panic!("it does not come to {stage:?}");
    }

    /// All pieces until it is promised, and nothing of it is in what filters.
    fn until_promised(&mut self, world: &mut World) {
        for _ in 0..1000 {
            if self.ticket.progress().borrow().stage == SyncStage::Enforcing {
                return;
            }
            assert_eq!(self.step(world).map(|answer| answer.map(drop)), None);
        }
        panic!("it is not promised");
    }

    fn end(mut self, world: &mut World) -> Result<Pushed, Refusal> {
        let answer = (0..100_000).find_map(|_| self.step(world)).expect("a sync ends");
        world.check_tally();
        answer
    }
}

fn sync(world: &mut World, owner: &str, text: &str) -> Result<Pushed, Refusal> {
    begin(world, owner, text)?.end(world)
}

fn push(world: &mut World, owner: &str, push: Push) -> Result<Pushed, Refusal> {
    world.ask(|reply| Message::Push(caller(owner), push, reply))
}

/// Added, refreshed, removed, unchanged.
fn counts(pushed: &Pushed) -> [usize; 4] {
    [pushed.added, pushed.refreshed, pushed.removed, pushed.unchanged]
}

type Entries = Vec<(Name, Holding, RuntimeEntry)>;

fn entries(world: &World) -> Entries {
    let pushed = world.core.lists.pushed();
    pushed.iter().map(|(list, holding, entry)| (list.clone(), holding.clone(), RuntimeEntry::clone(entry))).collect()
}

/// What filters is what all entries mean.
fn check_enforced(world: &World) {
    let policy = &world.core.in_force.policy;
    let members = world.core.lists.members_with(policy);
    let wanted: Vec<_> = members.prefixes().map(|prefix| (prefix, members.own_value(prefix))).collect();
    let table = world.kernel.enforced().unwrap().table;
    assert_eq!(table.into_iter().collect::<Vec<_>>(), wanted);
}

fn address(number: u32) -> String {
    std::net::Ipv4Addr::from(0x0a00_0000 + number * 3).to_string()
}

/// A sync that makes list `b` these addresses.
fn replacing(numbers: impl Iterator<Item = u32>) -> String {
    let mut text = String::from("{\"verb\":\"deny\",\"replace\":[\"b\"],\"force\":true}\n");
    for number in numbers {
        text.push_str(&format!("{{\"list\":\"b\",\"prefix\":\"{}\"}}\n", address(number)));
    }
    text
}

fn deny(number: u32) -> Push {
    let addition = Addition { list: "b".into(), prefix: address(number), ttl: None, comment: Some("mine".into()) };
    Push { add: vec![addition], ..Push::default() }
}

fn undeny(number: u32) -> Push {
    Push { remove: vec![Removal { list: "b".into(), prefix: address(number) }], ..Push::default() }
}

#[test]
fn a_list_is_made_what_the_lines_say_and_is_so_after_a_kill() {
    let mut world = World::new(0);
    let first = sync(&mut world, "ada", &replacing(0..10_000)).unwrap();
    assert_eq!(counts(&first), [10_000, 0, 0, 0]);
    let second = sync(&mut world, "ada", &replacing(5_000..20_000)).unwrap();
    assert_eq!(counts(&second), [10_000, 0, 5_000, 5_000]);
    assert!(second.revision > first.revision);
    check_enforced(&world);
    let before = entries(&world);
    assert_eq!(before.len(), 15_000);
    world.restart().unwrap();
    assert_eq!(entries(&world), before);
    check_enforced(&world);
    let again = sync(&mut world, "ada", &replacing(5_000..20_000)).unwrap();
    assert_eq!((counts(&again), again.revision), ([0, 0, 0, 15_000], world.core.in_force.revision()));
}

#[test]
fn what_others_change_meanwhile_comes_before_it_and_what_they_hold_stays() {
    let mut world = World::new(0);
    sync(&mut world, "ada", &replacing(0..10)).unwrap();
    let mut under_way = begin(&mut world, "ada", &replacing(5..20_000)).unwrap();
    under_way.until(&mut world, SyncStage::Writing);
    push(&mut world, "eve", deny(7)).unwrap();
    push(&mut world, "ada", deny(3)).unwrap();
    push(&mut world, "ada", deny(100_000)).unwrap();
    push(&mut world, "ada", undeny(8)).unwrap();
    push(&mut world, "ada", deny(9)).unwrap();
    under_way.until(&mut world, SyncStage::Enforcing);
    push(&mut world, "ada", undeny(6)).unwrap();
    push(&mut world, "eve", deny(200_000)).unwrap();
    under_way.end(&mut world).unwrap();
    check_enforced(&world);
    let before = entries(&world);
    world.restart().unwrap();
    assert_eq!(entries(&world), before);
    check_enforced(&world);
    let has = |owner: &str, number: u32| {
        let prefix: Prefix = address(number).parse().unwrap();
        before.iter().any(|(_, holding, _)| holding.prefix == prefix && *holding.owner == *owner)
    };
    let ada: Vec<u32> =
        [3, 4, 5, 6, 7, 8, 9, 19_999, 100_000].into_iter().filter(|number| has("ada", *number)).collect();
    assert_eq!(ada, [5, 7, 8, 9, 19_999]);
    assert!(has("eve", 7) && has("eve", 200_000));
    assert_eq!(before.len(), 19_995 - 1 + 2);
}

#[test]
fn many_changes_come_into_force_at_once_or_not_at_all() {
    let mut world = World::new(0);
    push(&mut world, "eve", deny(7)).unwrap();
    let mut under_way = begin(&mut world, "ada", &replacing(0..70_000)).unwrap();
    under_way.until_promised(&mut world);
    assert_eq!(world.kernel.enforced().unwrap().table.len(), 3, "nothing before all of it");
    push(&mut world, "eve", deny(100_000)).unwrap();
    under_way.end(&mut world).unwrap();
    check_enforced(&world);
    let before = entries(&world);
    assert_eq!(before.len(), 70_002);
    let mut under_way = begin(&mut world, "ada", &replacing(60_000..140_000)).unwrap();
    under_way.until_promised(&mut world);
    world.kernel.refuse(0, 1);
    let refused = under_way.end(&mut world).unwrap_err();
    assert!(matches!(refused, Refusal::Datapath { .. }), "{refused:?}");
    assert_eq!(entries(&world), before);
    check_enforced(&world);
    world.restart().unwrap();
    assert_eq!(entries(&world), before);
}

#[test]
fn nothing_waits_for_a_confirmation_beside_it() {
    let mut world = World::new(0);
    let mut first = begin(&mut world, "ada", &replacing(0..20_000)).unwrap();
    first.until(&mut world, SyncStage::Writing);
    let waits = Push { confirm: Some("60s".into()), ..deny(1) };
    assert_eq!(push(&mut world, "eve", waits.clone()).map(drop), Err(Refusal::SyncUnderway));
    first.ticket.cancel();
    push(&mut world, "eve", deny(2)).unwrap();
    assert_eq!(first.step(&mut world), Some(Err(Refusal::Cancelled)));
    sync(&mut world, "ada", &replacing(0..1)).unwrap();
    push(&mut world, "eve", waits).unwrap();
    let third = begin(&mut world, "ada", &replacing(0..2)).map(drop);
    assert!(matches!(third, Err(Refusal::Pending(_))), "{third:?}");
}

#[test]
fn another_policy_or_another_time_overtakes_what_is_not_promised() {
    let mut world = World::new(0);
    let mut under_way = begin(&mut world, "ada", &replacing(0..20_000)).unwrap();
    under_way.until(&mut world, SyncStage::Writing);
    world.set_clock(-100);
    world.tend();
    assert_eq!(under_way.end(&mut world), Err(Refusal::Overtaken { what: "the clock" }));
    assert_eq!(entries(&world), []);
}

fn operations() -> impl Strategy<Value = Vec<(bool, u8, Option<u8>, bool)>> {
    prop::collection::vec((any::<bool>(), 0..12u8, prop::option::of(1..5u8), any::<bool>()), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A sync is a push.
    #[test]
    fn a_sync_and_a_push_that_say_the_same_do_the_same(
        before in operations(), now in operations(), replaces in any::<bool>(), of in 0..3u8,
    ) {
        let mut pushed = World::new(0);
        let lists = ["a", "b"];
        for (in_b, last, ttl, of_eve) in &before {
            let (list, prefix) = (lists[usize::from(*in_b)].to_owned(), format!("192.0.2.{last}"));
            let ttl = ttl.map(|ttl| format!("{ttl}h"));
            let add = vec![Addition { list, prefix, ttl, comment: None }];
            push(&mut pushed, if *of_eve { "eve" } else { "ada" }, Push { add, ..Push::default() }).unwrap();
        }
        let mut synced = World::new(0);
        for (in_b, last, ttl, of_eve) in &before {
            let (list, ttl) = (lists[usize::from(*in_b)], ttl.map(|ttl| format!(",\"ttl\":\"{ttl}h\"")).unwrap_or_default());
            let text = format!("{{}}\n{{\"list\":\"{list}\",\"prefix\":\"192.0.2.{last}\"{ttl}}}\n");
            sync(&mut synced, if *of_eve { "eve" } else { "ada" }, &text).unwrap();
        }
        let mut asked = Push { force: crate::control::Force::All, ..Push::default() };
        if replaces {
            asked.replace = vec!["b".into()];
        } else {
            (asked.remove_all, asked.remove_of) = (of == 1, (of == 2).then(|| "eve".to_owned()));
        }
        let mut text = serde_json::to_string(&asked).unwrap().replace(",\"add\":[],\"remove\":[]", "").replace("\"add\":[],\"remove\":[],", "") + "\n";
        let mut known = std::collections::BTreeSet::new();
        for (in_b, last, ttl, removes) in &now {
            if !known.insert((in_b, last)) {
                continue;
            }
            let (list, prefix) = (lists[usize::from(*in_b)].to_owned(), format!("192.0.2.{last}"));
            let ttl = ttl.filter(|_| !removes).map(|ttl| format!("{ttl}h"));
            let told = ttl.as_ref().map(|ttl| format!(",\"ttl\":\"{ttl}\"")).unwrap_or_default();
            text.push_str(&format!("{{\"list\":\"{list}\",\"prefix\":\"{prefix}\",\"remove\":{removes}{told}}}\n"));
            if *removes {
                asked.remove.push(Removal { list, prefix });
            } else {
                asked.add.push(Addition { list, prefix, ttl, comment: None });
            }
        }
        let (by_push, by_sync) = (push(&mut pushed, "ada", asked).unwrap(), sync(&mut synced, "ada", &text).unwrap());
        prop_assert_eq!(counts(&by_push), counts(&by_sync));
        prop_assert_eq!((by_push.differing, &by_push.notes), (by_sync.differing, &by_sync.notes));
        prop_assert_eq!(entries(&pushed), entries(&synced));
        check_enforced(&synced);
    }
}
