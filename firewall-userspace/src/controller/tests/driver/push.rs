//! Pushes, and that they are taken back.

use super::{
    super::{
        model::{Key, Wish},
        script::{AskedPush, RemovedOf},
        world,
    },
    Driver, caller, prefix, seconds, text,
};
use crate::{
    control::{Addition, NotUndoable, Push, Refusal, Removal, Undo},
    controller::Message,
    lists::entry::Layer,
};

impl Driver {
    pub(super) fn push(&mut self, asked: &AskedPush) {
        let AskedPush { owner, layer, replace, add, remove, of, confirm, dry_run } = asked;
        let addition = |(list, last, ttl): &(&str, u8, Option<u32>)| Addition {
            list: (*list).into(),
            prefix: prefix(*last).to_string(),
            ttl: text(*ttl),
            comment: None,
        };
        let removal = |(list, last): &(&str, u8)| Removal { list: (*list).into(), prefix: prefix(*last).to_string() };
        let push = Push {
            layer: *layer,
            replace: replace.iter().map(|list| (*list).into()).collect(),
            add: add.iter().map(addition).collect(),
            remove: remove.iter().map(removal).collect(),
            remove_of: of.owner().map(str::to_owned),
            remove_all: matches!(of, RemovedOf::Anybody),
            confirm: text(*confirm),
            dry_run: *dry_run,
            ..Push::default()
        };
        let answer = self.world.ask(|reply| Message::Push(caller(owner), push, reply));
        let key = |list: &str, last: u8| -> Key { (list.into(), prefix(last), *layer, (*owner).into()) };
        let mut wishes: Vec<Wish> = Vec::new();
        for (list, last, ttl) in add {
            let (key, ttl) = (key(list, *last), ttl.map(seconds));
            match wishes.iter_mut().find(|(known, _)| *known == key) {
                // The longest counts.
                Some((_, Some(known))) => *known = known.zip(ttl).map(|(one, other)| one.max(other)),
                _ => wishes.push((key, Some(ttl))),
            }
        }
        let added: Vec<Key> = wishes.iter().map(|(key, _)| key.clone()).collect();
        let contradicts = remove.iter().any(|(list, last)| added.contains(&key(list, *last)));
        for (list, last) in remove {
            let wanted = key(list, *last);
            let held = self.model.entries.keys().filter(|key| (&key.0, &key.1) == (&wanted.0, &wanted.1));
            let held = held.filter(|key| match of {
                RemovedOf::Own => **key == wanted,
                RemovedOf::Owner(owner) => Layer::OF_PEOPLE.contains(&key.2) && key.3 == *owner,
                RemovedOf::Anybody => Layer::OF_PEOPLE.contains(&key.2),
            });
            // What is not there is a wish all the same: its list has to be known.
            let held: Vec<Key> =
                held.cloned().chain([wanted.clone()].into_iter().filter(|_| matches!(of, RemovedOf::Own))).collect();
            wishes.extend(held.into_iter().map(|key| (key, None)));
        }
        let replaced = self.model.entries.keys().filter(|(list, _, of, by)| {
            replace.is_some_and(|replaced| *list == replaced) && of == layer && by == owner
        });
        let replaced: Vec<Key> = replaced.filter(|key| !added.contains(key)).cloned().collect();
        wishes.extend(replaced.into_iter().map(|key| (key, None)));

        let lists = world::load(self.model.active().config).unwrap().policy.lists;
        let is_known = |list: &str| lists.iter().any(|known| *known.name == *list);
        let is_of_others = !matches!(of, RemovedOf::Own);
        let is_invalid = contradicts
            || is_of_others && (*layer != Layer::Runtime || replace.is_some())
            || remove.iter().any(|(list, _)| !is_known(list))
            || wishes.iter().any(|((list, ..), _)| !is_known(list))
            || replace.is_some_and(|list| !is_known(list));
        match answer {
            Ok(pushed) => {
                assert!(!is_invalid, "a push with mistakes was taken: {pushed:?}");
                assert!(confirm.is_none() || self.model.waiting.is_none() || *dry_run, "two things wait: {pushed:?}");
                if !dry_run {
                    self.model.push(&wishes, confirm.map(seconds), self.world.now);
                }
                assert_eq!(
                    (pushed.revision, pushed.generation),
                    (self.model.revision, self.model.revision),
                    "the answer"
                );
            }
            Err(Refusal::Pending(_)) => assert!(confirm.is_some() && self.model.waiting.is_some()),
            Err(Refusal::Invalid(problems)) => assert!(is_invalid, "{problems:?}"),
            Err(refusal) => {
                self.refused.extend(wishes.into_iter().map(|(key, _)| key));
                self.expect_injected(&refusal);
            }
        }
    }

    pub(super) fn undo(&mut self, back: u64, confirm: Option<u32>) {
        let revision = self.model.revision.saturating_sub(back);
        let undo = Undo { confirm: text(confirm), ..Undo::of(revision) };
        let answer = self.world.ask(|reply| Message::Undo(caller("eve"), undo, reply));
        let is_known = self.model.pushes.contains_key(&revision);
        let waits = self.model.waits;
        match answer {
            Ok(pushed) => {
                assert!(is_known && waits != Some(revision), "{revision} was undone: {pushed:?}");
                assert!(confirm.is_none() || self.model.waiting.is_none(), "two things wait: {pushed:?}");
                let kept = self.model.undo(revision, confirm.map(seconds), self.world.now);
                assert_eq!((pushed.kept_count, pushed.revision), (kept, self.model.revision), "the answer: {pushed:?}");
            }
            Err(Refusal::NotUndoable { why: NotUndoable::Waits(_), .. }) => assert_eq!(waits, Some(revision)),
            Err(Refusal::NotUndoable { why: NotUndoable::Undone { .. }, .. }) => {
                assert!(self.model.undone.contains(&revision), "{revision} was not undone");
            }
            Err(Refusal::NotUndoable { why, .. }) => {
                assert!(!is_known && !self.model.undone.contains(&revision), "{why:?}");
            }
            Err(Refusal::Pending(_)) => assert!(confirm.is_some() && self.model.waiting.is_some()),
            Err(Refusal::Invalid(problems)) => {
                assert!(confirm.is_some() && !self.model.is_settled(), "{problems:?}");
            }
            Err(refusal) => {
                self.refused.extend(self.model.pushes[&revision].keys().cloned());
                self.expect_injected(&refusal);
            }
        }
    }
}
