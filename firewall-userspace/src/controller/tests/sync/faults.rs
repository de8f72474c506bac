//! What ends a sync: a kill, a stop, its caller, a disk or a kernel that refuses.

use super::*;

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
fn a_disk_that_refuses_a_part_or_the_promise_leaves_everything_as_it_was() {
    for after in 0..30 {
        let mut world = World::new(0);
        sync(&mut world, "ada", &replacing(0..100)).unwrap();
        let before = entries(&world);
        let under_way = begin(&mut world, "ada", &replacing(50..9_000)).unwrap();
        world.set_fault(Some(BadDisk { is_full: after % 2 == 0, after, count: None }));
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
