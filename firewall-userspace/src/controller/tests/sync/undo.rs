//! Pushes that are taken back: piece by piece where they are very many, and beside a confirmation.

use super::*;

/// The push of `revision` is taken back as a sync.
fn begin_undo(world: &mut World, owner: &str, revision: u64) -> Result<Sync, Refusal> {
    let syncs = Syncs::default();
    let (ticket, turn) = (syncs.begin("ada").unwrap(), syncs.turn().now_or_never().unwrap());
    let kind = SyncKind { is_dry: false, undoes: Some(revision) };
    let open = |reply| Message::SyncOpen(caller(owner), (Arc::clone(&ticket), turn), kind, reply);
    let mut base: SyncBase = world.ask(open)?;
    let set = SyncSet::undoing(&mut base, &Undo::of(revision))?;
    let comparison = Comparison::new(base, set)?;
    let survey = comparison.survey(&ticket)?;
    run(world, ticket, SyncOrder { comparison: Arc::new(comparison), survey })
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
