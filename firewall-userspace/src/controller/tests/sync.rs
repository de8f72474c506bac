//! Syncs: what comes of them, alone, beside other changes, and when something ends them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::world::{EMPTY, World};
use crate::{
    control::{Addition, Caller, Confirm, NotUndoable, Push, Pushed, Refusal, Removal, Rollback, SyncStage, Undo, Way},
    controller::{Comparison, Message, SyncBase, SyncCollector, SyncKind, SyncOrder, SyncSet, SyncTicket, Syncs},
    lists::{entry::Holding, pushed::RuntimeEntry},
    policy::{Name, Prefix},
};

fn caller(name: &str) -> Caller {
    Caller { name: name.into(), way: Way::Socket }
}

/// A sync that is carried out piece by piece.
struct Sync {
    ticket: Arc<SyncTicket>,
    answer: oneshot::Receiver<Result<Pushed, Refusal>>,
}

/// The lines of `text` come from `owner`, and are compared.
fn compare(world: &mut World, owner: &str, text: &str) -> Result<(Arc<SyncTicket>, SyncOrder), Refusal> {
    let mut lines = text.lines().map(str::as_bytes);
    let mut collector = SyncCollector::begin(lines.next().unwrap(), owner)?;
    lines.try_for_each(|line| collector.line(line))?;
    let set = collector.finish()?;
    let syncs = Syncs::default();
    let (ticket, turn) = (syncs.begin().unwrap(), syncs.turn().now_or_never().unwrap());
    let kind = SyncKind { is_dry: set.is_dry(), undoes: None };
    let base: SyncBase =
        world.ask(|reply| Message::SyncOpen(caller(owner), (Arc::clone(&ticket), turn), kind, reply))?;
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

/// The push of `revision` is taken back as a sync.
fn begin_undo(world: &mut World, owner: &str, revision: u64) -> Result<Sync, Refusal> {
    let syncs = Syncs::default();
    let (ticket, turn) = (syncs.begin().unwrap(), syncs.turn().now_or_never().unwrap());
    let kind = SyncKind { is_dry: false, undoes: Some(revision) };
    let open = |reply| Message::SyncOpen(caller(owner), (Arc::clone(&ticket), turn), kind, reply);
    let mut base: SyncBase = world.ask(open)?;
    let set = SyncSet::undoing(&mut base, &Undo::of(revision))?;
    let comparison = Comparison::new(base, set)?;
    let survey = comparison.survey(&ticket)?;
    run(world, ticket, SyncOrder { comparison: Arc::new(comparison), survey })
}

fn run(world: &mut World, ticket: Arc<SyncTicket>, order: SyncOrder) -> Result<Sync, Refusal> {
    let (reply, answer) = oneshot::channel();
    world.core.handle(Message::SyncRun(Arc::clone(&ticket), Box::new(order), reply), world.now);
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
        (0..100_000).find_map(|_| self.step(world)).expect("a sync ends")
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
fn before_it_is_promised_a_kill_or_its_caller_ends_it_and_afterwards_nothing_does() {
    for stage in [SyncStage::Writing, SyncStage::Enforcing] {
        let mut world = World::new(0);
        sync(&mut world, "ada", &replacing(0..100)).unwrap();
        let before = entries(&world);
        let mut under_way = begin(&mut world, "ada", &replacing(50..20_000)).unwrap();
        under_way.until(&mut world, stage);
        assert_eq!(under_way.ticket.cancel(), stage == SyncStage::Writing);
        if stage == SyncStage::Writing {
            assert_eq!(under_way.step(&mut world), Some(Err(Refusal::Cancelled)));
            assert_eq!(entries(&world), before);
            check_enforced(&world);
        }
        world.restart().unwrap();
        let count = if stage == SyncStage::Writing { 100 } else { 19_950 };
        assert_eq!(entries(&world).len(), count, "{stage:?}");
        check_enforced(&world);
        assert_eq!(counts(&sync(&mut world, "ada", &replacing(50..100)).unwrap()), [0, 0, count - 50, 50]);
    }
}

#[test]
fn a_kill_while_it_is_written_leaves_nothing_of_it_whatever_is_written_afterwards() {
    let mut world = World::new(0);
    let mut under_way = begin(&mut world, "ada", &replacing(0..20_000)).unwrap();
    under_way.until(&mut world, SyncStage::Writing);
    world.restart().unwrap();
    sync(&mut world, "ada", &replacing(7..8)).unwrap();
    push(&mut world, "eve", deny(9)).unwrap();
    world.restart().unwrap();
    assert_eq!(entries(&world).len(), 2);
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
fn what_the_kernel_refuses_midway_is_taken_back_also_on_disk() {
    let mut world = World::new(0);
    sync(&mut world, "ada", &replacing(0..5_000)).unwrap();
    let before = entries(&world);
    let mut under_way = begin(&mut world, "ada", &replacing(2_000..20_000)).unwrap();
    under_way.until(&mut world, SyncStage::Enforcing);
    push(&mut world, "eve", deny(19_999)).unwrap();
    world.kernel.refuse(0, 1);
    let refused = under_way.end(&mut world).unwrap_err();
    assert!(matches!(refused, Refusal::Datapath { .. }), "{refused:?}");
    let stays = |entries: Entries| entries.into_iter().filter(|(_, holding, _)| *holding.owner == *"ada").collect();
    let left: Entries = stays(entries(&world));
    assert_eq!(left, before);
    assert_eq!(entries(&world).len(), 5_001);
    check_enforced(&world);
    world.restart().unwrap();
    let left: Entries = stays(entries(&world));
    assert_eq!(left, before);
    check_enforced(&world);
}

#[test]
fn a_stop_carries_out_what_is_promised_and_answers_everybody() {
    for stage in [SyncStage::Writing, SyncStage::Enforcing] {
        let mut world = World::new(0);
        let mut under_way = begin(&mut world, "ada", &replacing(0..20_000)).unwrap();
        under_way.until(&mut world, stage);
        world.ask(Message::Stop);
        let is_promised = stage == SyncStage::Enforcing;
        assert_eq!(under_way.answer.try_recv().unwrap().is_ok(), is_promised, "{stage:?}");
        check_enforced(&world);
        world.restart().unwrap();
        assert_eq!(entries(&world).len(), if is_promised { 20_000 } else { 0 });
    }
    let mut world = World::new(0);
    let (ticket, _) = compare(&mut world, "ada", &replacing(0..10)).unwrap();
    world.ask(Message::Stop);
    assert!(ticket.is_cancelled(), "it was only compared");
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
fn a_push_is_taken_back_piece_by_piece_and_what_others_touch_meanwhile_stays() {
    let mut world = World::new(0);
    let first = sync(&mut world, "ada", &replacing(0..20_000)).unwrap();
    push(&mut world, "eve", deny(30_000)).unwrap();
    let before = entries(&world);
    let pushed = sync(&mut world, "ada", &replacing(10_000..25_000)).unwrap();
    assert_eq!(counts(&pushed), [5_000, 0, 10_000, 10_000]);
    push(&mut world, "ada", deny(3)).unwrap();
    let mut under_way = begin_undo(&mut world, "bob", pushed.revision).unwrap();
    under_way.until(&mut world, SyncStage::Writing);
    push(&mut world, "ada", deny(4)).unwrap();
    let undone = under_way.end(&mut world).unwrap();
    assert_eq!((counts(&undone), undone.kept_count), ([9_998, 0, 5_000, 0], 2));
    let touched = [3, 4].map(|number| format!("{}/32", address(number)));
    assert_eq!(undone.kept.iter().map(|kept| kept.prefix.to_string()).collect::<Vec<_>>(), touched);
    assert_eq!(undone.undone.as_ref().map(|summary| summary.revision), Some(pushed.revision));
    let is_theirs = |holding: &Holding| touched.contains(&holding.prefix.to_string());
    let others =
        |entries: Entries| -> Entries { entries.into_iter().filter(|(_, holding, _)| !is_theirs(holding)).collect() };
    assert_eq!(others(entries(&world)), others(before));
    check_enforced(&world);
    let again = begin_undo(&mut world, "bob", pushed.revision).map(drop).unwrap_err();
    let by = undone.revision;
    let Refusal::NotUndoable { why: NotUndoable::Undone { by: last, .. }, .. } = again else { panic!("{again:?}") };
    assert_eq!(last, by);
    begin_undo(&mut world, "bob", by).unwrap().end(&mut world).unwrap();
    assert_eq!(entries(&world).len(), 15_000 + 1 + 2);
    check_enforced(&world);
    begin_undo(&mut world, "bob", first.revision).unwrap().end(&mut world).unwrap();
    check_enforced(&world);
    let left = entries(&world);
    world.restart().unwrap();
    assert_eq!(entries(&world), left);
}

#[test]
fn an_undo_brings_back_what_others_touched_while_the_sync_was_compared() {
    let mut world = World::new(0);
    push(&mut world, "ada", deny(1)).unwrap();
    push(&mut world, "ada", deny(2)).unwrap();
    let under_way = begin(&mut world, "ada", &replacing(2..10_000)).unwrap();
    push(&mut world, "ada", undeny(2)).unwrap();
    push(&mut world, "ada", deny(10_001)).unwrap();
    let before = entries(&world);
    let pushed = under_way.end(&mut world).unwrap();
    assert_eq!(counts(&pushed)[..3], [9_998, 0, 2], "as it came after what others did");
    let undone = begin_undo(&mut world, "bob", pushed.revision).unwrap().end(&mut world).unwrap();
    assert_eq!((counts(&undone), undone.kept_count), ([2, 0, 9_998, 0], 0));
    assert_eq!(entries(&world), before);
    check_enforced(&world);
}

#[test]
fn an_undo_that_nobody_confirms_can_be_asked_for_again() {
    for is_confirmed in [false, true] {
        let mut world = World::new(0);
        let pushed = push(&mut world, "ada", deny(1)).unwrap();
        let waits = Undo { confirm: Some("60s".into()), ..Undo::of(pushed.revision) };
        let undone = world.ask(|reply| Message::Undo(caller("bob"), waits, reply)).unwrap();
        assert!(entries(&world).is_empty());
        if is_confirmed {
            world.ask(|reply| Message::Confirm(caller("bob"), Confirm::default(), reply)).unwrap();
        } else {
            world.ask(|reply| Message::Rollback(caller("bob"), Rollback::default(), reply)).unwrap();
            assert_eq!(entries(&world).len(), 1);
        }
        let again = world.ask(|reply| Message::Undo(caller("bob"), Undo::of(pushed.revision), reply));
        match again {
            Ok(again) => assert!(!is_confirmed && again.removed == 1 && entries(&world).is_empty(), "{again:?}"),
            Err(Refusal::NotUndoable { why: NotUndoable::Undone { by, .. }, .. }) => {
                assert_eq!((is_confirmed, by), (true, undone.revision));
            }
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
}

#[test]
fn a_push_of_very_many_that_nobody_confirms_is_gone_at_once() {
    let mut world = World::new(0);
    let add = (0..70_000).map(|number| deny(number).add.remove(0)).collect();
    let many = Push { add, confirm: Some("60s".into()), ..Push::default() };
    // What is told prefix by prefix asks the kernel twice, fresh tables ask it once.
    world.kernel.refuse(1, 1);
    push(&mut world, "ada", many).unwrap();
    assert_eq!(world.kernel.enforced().unwrap().table.len(), 70_002);
    check_enforced(&world);
    world.kernel.refuse(1, 1);
    world.ask(|reply| Message::Rollback(caller("bob"), Rollback::default(), reply)).unwrap();
    world.kernel.refuse(0, 0);
    assert!(entries(&world).is_empty());
    check_enforced(&world);
}

#[test]
fn what_a_line_cannot_say_is_named() {
    let restored = |owner: &str| {
        format!(
            "{{\"restore\":true}}\n{{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"layer\":\"runtime\",\"owner\":\"{owner}\",\"created\":\"2020-01-01T00:00:00Z\"}}"
        )
    };
    let push = |lines: &str| format!("{{\"verb\":\"deny\"}}\n{lines}");
    for (text, wanted) in [
        (restored(&"x".repeat(300)), "the owner is too long"),
        (restored("a\\u0000"), "has control characters"),
        (restored(""), "held by nobody"),
        (push("{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"remove\":true,\"ttl\":\"1h\"}"), "no `ttl` and no `comment`"),
        (
            push(
                "{\"list\":\"b\",\"prefix\":\"192.0.2.1\"}\n{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"remove\":true}",
            ),
            "192.0.2.1/32 is both added to `b` and removed from it",
        ),
    ] {
        let refused = compare(&mut World::new(0), "ada", &text).map(drop).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
}

#[test]
fn what_is_restored_does_not_shorten_what_is_there() {
    let mut world = World::new(0);
    push(&mut world, "ada", deny(1)).unwrap();
    let there = entries(&world);
    let line = |address: u32, expires: &str| {
        let address = self::address(address);
        format!(
            "{{\"list\":\"b\",\"prefix\":\"{address}\",\"layer\":\"runtime\",\"owner\":\"ada\",\"created\":\"2020-01-01T00:00:00Z\"{expires}}}\n"
        )
    };
    let ends = ",\"expires\":\"2200-01-01T00:00:00Z\"";
    let restore = |lines: String| format!("{{\"restore\":true}}\n{lines}");
    let pushed = sync(&mut world, "root", &restore(line(1, ends) + &line(2, ends))).unwrap();
    assert_eq!((counts(&pushed), &entries(&world)[..1]), ([1, 0, 0, 1], &there[..]));
    let pushed = sync(&mut world, "root", &restore(line(2, ""))).unwrap();
    assert_eq!((counts(&pushed), entries(&world)[1].2.expires), ([0, 1, 0, 0], None));
}

#[test]
fn an_undo_that_is_not_promised_changes_nothing_over_a_kill() {
    let mut world = World::new(0);
    let pushed = sync(&mut world, "ada", &replacing(0..20_000)).unwrap();
    let before = entries(&world);
    let mut under_way = begin_undo(&mut world, "bob", pushed.revision).unwrap();
    under_way.until(&mut world, SyncStage::Writing);
    world.restart().unwrap();
    assert_eq!(entries(&world), before);
    check_enforced(&world);
}

#[test]
fn a_disk_that_refuses_a_part_or_the_promise_leaves_everything_as_it_was() {
    for after in 0..30 {
        let mut world = World::new(0);
        sync(&mut world, "ada", &replacing(0..100)).unwrap();
        let before = entries(&world);
        let under_way = begin(&mut world, "ada", &replacing(50..9_000)).unwrap();
        world.set_fault(Some(super::script::BadDisk { is_full: after % 2 == 0, after, count: None }));
        let answer = under_way.end(&mut world);
        world.set_fault(None);
        match &answer {
            Ok(_) => assert_eq!(entries(&world).len(), 8_950),
            Err(Refusal::NotKept { .. }) => assert_eq!(entries(&world), before),
            Err(other) => panic!("{other:?}"),
        }
        assert!(answer.is_err() || after > 3, "{after}: {answer:?}");
        check_enforced(&world);
        let there = entries(&world);
        world.wait(2);
        world.tend();
        world.restart().unwrap();
        assert_eq!(entries(&world), there, "{after}");
    }
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

#[test]
fn guards_hold_syncs_up_as_they_do_pushes() {
    let mut world = World::new(EMPTY);
    let add = "{\"verb\":\"allow\",\"layer\":\"feed\"}\n{\"list\":\"a\",\"prefix\":\"192.0.2.7\"}\n";
    sync(&mut world, "ada", add).unwrap();
    let empty = "{\"verb\":\"allow\",\"layer\":\"feed\",\"replace\":[\"a\"]}\n";
    let Err(Refusal::Guarded(harms)) = sync(&mut world, "ada", empty) else { panic!("it is emptied") };
    assert_eq!(harms.len(), 1, "{harms:?}");
    assert!(harms[0].to_string().contains("`a`"), "{harms:?}");
    let wrong = sync(&mut world, "ada", "{\"verb\":\"deny\"}\n{\"list\":\"a\",\"prefix\":\"192.0.2.7\"}\n");
    assert!(matches!(wrong, Err(Refusal::WrongVerb { .. })), "{wrong:?}");
    let everything = "{\"verb\":\"deny\"}\n{\"list\":\"b\",\"prefix\":\"0.0.0.0/0\"}\n";
    assert!(matches!(sync(&mut world, "ada", everything), Err(Refusal::Guarded(_))));
    let forced = everything.replace("\"deny\"}", "\"deny\",\"force\":true}");
    assert_eq!(counts(&sync(&mut world, "ada", &forced).unwrap()), [1, 0, 0, 0]);
}

#[test]
fn an_export_is_restored_with_owner_end_and_comment() {
    let mut world = World::new(0);
    let lines = "{\"restore\":true}\n\
        {\"list\":\"b\",\"prefix\":\"192.0.2.9\",\"layer\":\"ban\",\"owner\":\"zeek\",\"person\":\"eve\",\"comment\":\"why\",\
         \"created\":\"2026-01-01T00:00:00Z\",\"expires\":\"2099-01-01T00:00:00Z\"}\n\
        {\"list\":\"b\",\"prefix\":\"192.0.2.10\",\"layer\":\"ban\",\"owner\":\"zeek\",\
         \"created\":\"2020-01-01T00:00:00Z\",\"expires\":\"2021-01-01T00:00:00Z\"}\n";
    let pushed = sync(&mut world, "ada", lines).unwrap();
    assert_eq!(counts(&pushed), [1, 0, 0, 1]);
    assert_eq!(pushed.notes, ["1 entry that is not restored: their time is over"]);
    let [(list, holding, entry)] = &entries(&world)[..] else { panic!("one entry") };
    let told = format!(
        "{list} {} {:?} {} {:?} {:?}",
        holding.prefix, holding.layer, holding.owner, entry.person, entry.comment
    );
    assert_eq!(told, "b 192.0.2.9/32 Ban zeek Some(\"eve\") Some(\"why\")");
    let times = (entry.created.to_string(), entry.expires.unwrap().to_string());
    assert_eq!(times, ("2026-01-01T00:00:00Z".to_owned(), "2099-01-01T00:00:00Z".to_owned()));
    assert_eq!(counts(&sync(&mut world, "ada", lines).unwrap()), [0, 0, 0, 2]);
    let owner = "{}\n{\"list\":\"b\",\"prefix\":\"192.0.2.9\",\"owner\":\"zeek\"}\n";
    assert!(matches!(sync(&mut world, "ada", owner), Err(Refusal::Invalid(_))), "an owner without `restore`");
}

#[test]
fn ten_mistakes_of_a_kind_are_told_with_the_number_of_their_entry() {
    let mut world = World::new(0);
    let mut text = String::from("{}\n{\"list\":\"b\",\"prefix\":\"192.0.2.1\"}\n");
    text.push_str(&"{\"list\":\"b\",\"prefix\":\"192.0.2.1/33\"}\n".repeat(50_000));
    text.push_str(&"[1,2]\n".repeat(50_000));
    let Err(Refusal::Invalid(problems)) = sync(&mut world, "ada", &text) else { panic!("it is wrong") };
    let told = problems.told();
    assert_eq!((problems.len(), told[0].pointer.as_str()), (100_000, "/add/1/prefix"));
    assert!(told.len() < 40 && told.iter().all(|problem| problem.detail.len() < 600), "{told:?}");
    let unknown = "{}\n".to_owned() + &"{\"list\":\"x\",\"prefix\":\"192.0.2.1\"}\n".repeat(9);
    let Err(Refusal::Invalid(problems)) = sync(&mut world, "ada", &unknown) else { panic!("there is no `x`") };
    assert_eq!(problems.told()[0].detail, "there is no list `x`; there are `a`, `b`; 1 entry names it");
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
