//! Carries a script out on a daemon and on the model; `compare.rs` holds the one against the other.
//!
//! A kill loses what the disk had refused so far. What comes back then is what was kept, or what is so, for each entry and for the
//! policy; a script ends there.

mod compare;

use std::{collections::BTreeSet, time::Duration};

use super::{
    model::{Key, Model, Waiting, What, Wish},
    script::{AskedPush, RemovedOf, Step},
    world::{self, PATH, World, is_injected},
};
use crate::{
    config::{Diagnostic, Report},
    control::{
        Addition, Caller, Confirm, NotUndoable, PendingChange, Push, Refusal, Reload, Reloaded, Removal, Rollback,
        SetMode, Terms, Undo, Way,
    },
    controller::{Message, ReadConfig},
    lists::entry::{Holding, Layer},
    policy::{Name, Prefix},
};

pub struct Driver {
    world: World,
    model: Model,
    /// Calls that the kernel may still refuse, and whether the disk does.
    is_refusing: bool,
    is_disk_bad: bool,
    /// What the model was when everything was on disk.
    kept: Model,
    /// What was refused, undone or ended since: the disk may have it, where it also refused to take it back (decision 8).
    refused: BTreeSet<Key>,
    refused_policies: Vec<(usize, Option<crate::policy::Mode>)>,
    /// A kill has lost something: nothing is compared any more.
    pub is_over: bool,
    /// Interfaces that refuse.
    unwilling: BTreeSet<&'static str>,
    /// What was on disk when it was last read.
    read_at: Option<u64>,
}

fn caller(name: &str) -> Caller {
    Caller { name: name.into(), way: Way::Socket }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn text(confirm: Option<u32>) -> Option<String> {
    confirm.map(|seconds| format!("{seconds}s"))
}

fn key(list: &Name, Holding { prefix, layer, owner }: &Holding) -> Key {
    (list.to_string(), *prefix, *layer, owner.to_string())
}

fn prefix(last: u8) -> Prefix {
    format!("192.0.2.{last}").parse().unwrap()
}

impl Driver {
    pub fn new(file: usize) -> Self {
        let world = World::new(file);
        let model = Model::new(file, world.now);
        let kept = model.clone();
        Self {
            world,
            model,
            kept,
            refused: BTreeSet::new(),
            refused_policies: Vec::new(),
            is_over: false,
            is_refusing: false,
            is_disk_bad: false,
            unwilling: BTreeSet::new(),
            read_at: None,
        }
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Push(push) => self.push(push),
            Step::Undo { back, confirm } => self.undo(*back, *confirm),
            Step::Edit(file) => *self.world.file.lock().unwrap() = *file,
            Step::Reload { confirm, dry_run } => self.reload(*confirm, *dry_run),
            Step::HungReload => self.hung_reload(),
            Step::Apply { config, confirm } => self.apply(*config, *confirm),
            Step::Rollback { back, confirm } => self.rollback(*back, *confirm),
            Step::SetMode { mode, confirm } => {
                let (mode, asked) = (*mode, SetMode { confirm: text(*confirm), ..SetMode::to(*mode) });
                let answer = self.world.ask(|reply| Message::SetMode(caller("ada"), asked, reply));
                let active = self.model.active().clone();
                self.changed(answer, active.config, Some(mode), Some(active.number), false, *confirm);
            }
            Step::Confirm => self.confirm(),
            Step::Wait(seconds) => self.world.wait(*seconds),
            Step::SetClock(by) => self.world.set_clock(*by),
            Step::Synchronised(is) => self.world.now.is_synchronised = *is,
            Step::Interface { name, index } => {
                let taken = index.is_some_and(|index| self.world.kernel.has_index(index));
                self.world.kernel.set_interface(name, index.filter(|_| !taken));
                self.world.core.handle(Message::Interfaces, self.world.now);
            }
            Step::Rename => {
                self.world.kernel.rename("eth0", "wan0");
                self.world.core.handle(Message::Interfaces, self.world.now);
            }
            Step::Own(count) => {
                let own: Vec<Prefix> = (0..*count).map(|last| prefix(4 + last)).collect();
                if self.world.ask(|reply| Message::OwnAddresses(own.clone(), reply)) {
                    self.model.own = own.iter().copied().collect();
                    self.world.own = own;
                } else {
                    assert!(self.is_refusing, "refused addresses without a reason");
                }
            }
            Step::RefuseCalls { after, count } => {
                self.world.kernel.refuse(*after, *count);
                self.is_refusing = true;
            }
            Step::Disk(fault) => {
                self.world.set_fault(*fault);
                self.is_disk_bad = fault.is_some();
            }
            Step::SwapNames => {
                self.world.kernel.swap_names("eth0", "eth1");
                self.world.core.handle(Message::Interfaces, self.world.now);
            }
            Step::Unwilling { name, is_unwilling } => {
                self.world.kernel.refuse_interface(name, *is_unwilling);
                if *is_unwilling {
                    self.unwilling.insert(name)
                } else {
                    self.unwilling.remove(name)
                };
                self.world.core.handle(Message::Interfaces, self.world.now);
            }
            Step::LosePins => self.world.kernel.lose_pins(),
            Step::Bpffs(is_mounted) => self.world.kernel.set_bpffs(*is_mounted),
            Step::Kill => self.kill(false),
            Step::Reboot => self.kill(true),
        }
        if !self.is_over {
            self.tend();
        }
    }

    /// Everything works again, and what could not be done is done.
    pub fn heal(&mut self) {
        self.world.kernel.refuse(0, 0);
        self.world.set_fault(None);
        (self.is_refusing, self.is_disk_bad) = (false, false);
        self.give_in();
        self.world.core.handle(Message::Interfaces, self.world.now);
        self.world.wait(6);
        self.tend();
    }

    fn push(&mut self, asked: &AskedPush) {
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

    fn undo(&mut self, back: u64, confirm: Option<u32>) {
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

    fn reload(&mut self, confirm: Option<u32>, dry_run: bool) {
        let file = *self.world.file.lock().unwrap();
        let reload = Reload { confirm: text(confirm), dry_run, ..Reload::default() };
        let read = Box::new(ReadConfig { loaded: world::load(file), is_file: true });
        let answer = self.world.ask(|reply| Message::Reload(caller("SIGHUP"), reload, read, reply));
        let mode = world::load(file).ok().and_then(|loaded| self.model.kept_mode(loaded.policy.mode));
        if dry_run {
            let may_be_refused = self.may_be_refused(file) || self.model.locks_out(file, mode);
            assert!(answer.is_ok_and(|answer| answer.dry_run) || may_be_refused);
            return;
        }
        self.model.is_file_refused |= answer.as_ref().is_err_and(|refusal| !matches!(refusal, Refusal::Pending(_)));
        self.changed(answer, file, mode, None, true, confirm);
    }

    /// Whatever the file says, it could not be read in time.
    fn hung_reload(&mut self) {
        let report = Report::new(vec![Diagnostic::of_file(PATH.as_ref(), "", "it does not answer".into())], &[]);
        let read = Box::new(ReadConfig { loaded: Err(report), is_file: true });
        let answer = self.world.ask(|reply| Message::Reload(caller("SIGHUP"), Reload::default(), read, reply));
        let refusal = answer.expect_err("a file that cannot be read was loaded");
        assert!(matches!(refusal, Refusal::Config { .. } | Refusal::Pending(_)), "{refusal:?}");
        self.model.is_file_refused |= matches!(refusal, Refusal::Config { .. });
    }

    fn apply(&mut self, config: usize, confirm: Option<u32>) {
        let is_read = *self.world.file.lock().unwrap() == config;
        let terms = Terms { confirm: text(confirm), ..Terms::default() };
        let sent = Box::new(ReadConfig { loaded: world::load(config), is_file: is_read });
        let answer = self.world.ask(|reply| Message::Apply(caller("ben"), terms, sent, reply));
        self.changed(answer, config, None, None, is_read, confirm);
    }

    fn rollback(&mut self, back: Option<u64>, confirm: Option<u32>) {
        let last = self.model.generations.last().unwrap().number;
        let generation = back.map(|back| last.saturating_sub(back));
        let rollback = Rollback { generation, confirm: text(confirm), ..Rollback::default() };
        let answer = self.world.ask(|reply| Message::Rollback(caller("ada"), rollback, reply));
        let waits = self.model.waiting.as_ref().map(|waiting| waiting.what.clone());
        if generation.is_none() && confirm.is_none() && matches!(waits, Some(What::Push { .. })) {
            match answer {
                Ok(answer) => {
                    assert!(answer.push_undone, "{answer:?}");
                    self.model.undo_push(self.world.now);
                }
                Err(refusal) => self.expect_injected(&refusal),
            }
            return;
        }
        let wanted = match (generation, waits) {
            (Some(number), _) | (None, Some(What::Policy { previous: number, .. })) => self.model.generation(number),
            _ => self.model.previous(),
        };
        let Some(wanted) = wanted.cloned() else {
            let refusal = answer.expect_err("there is nothing to go back to");
            assert!(matches!(refusal, Refusal::NoGeneration { .. }), "{refusal:?}");
            return;
        };
        self.changed(answer, wanted.config, wanted.mode, Some(wanted.number), false, confirm);
    }

    /// A change of the policy was asked for, to this one.
    fn changed(
        &mut self,
        answer: Result<Reloaded, Refusal>,
        config: usize,
        mode: Option<crate::policy::Mode>,
        of: Option<u64>,
        is_read: bool,
        confirm: Option<u32>,
    ) {
        match answer {
            Ok(answer) => {
                assert!(world::load(config).is_ok(), "a configuration with mistakes was taken");
                let undoes = of.is_some() && self.model.waiting.is_some() && confirm.is_none();
                assert!(undoes || !self.model.locks_out(config, mode), "the way in was taken from the management");
                self.model.switch(config, mode, of, is_read, confirm.map(seconds), self.world.now);
                assert_eq!((answer.revision, answer.policy_generation), (self.model.revision, self.model.active));
            }
            Err(Refusal::Pending(pending)) => {
                let is_push = pending.change == PendingChange::Push;
                assert!(self.model.waiting.is_some() && (!is_push || confirm.is_some()), "{pending:?}");
            }
            // It may be on disk, and the disk may not let it be struck.
            Err(Refusal::NotKept { .. } | Refusal::Datapath { .. }) if self.has_faults() => {
                self.refused_policies.push((config, mode));
            }
            Err(Refusal::Guarded(harms)) => assert!(self.model.locks_out(config, mode), "{harms:?}"),
            Err(refusal) => {
                assert!(is_injected(&refusal) && self.has_faults() || self.may_be_refused(config), "{refusal:?}");
            }
        }
    }

    /// Whether a configuration is refused without a fault: it has mistakes, or a new interface that is not there.
    fn may_be_refused(&self, config: usize) -> bool {
        let Ok(loaded) = world::load(config) else { return true };
        loaded.policy.interfaces.iter().any(|interface| !self.world.kernel.has_interface(&interface.name))
    }

    fn confirm(&mut self) {
        let answer = self.world.ask(|reply| Message::Confirm(caller("ada"), Confirm::default(), reply));
        match answer {
            Ok(_) => {
                assert!(self.model.waiting.is_some(), "nothing waits, and it was confirmed");
                self.model.confirm();
            }
            Err(Refusal::NothingPending { .. }) => assert!(self.model.waiting.is_none(), "what waits is not known"),
            Err(refusal) => self.expect_injected(&refusal),
        }
    }

    /// What happens by itself.
    fn tend(&mut self) {
        let now = self.world.now;
        self.world.tend();
        self.model.follow_clock(now);
        if self.model.waiting.as_ref().is_some_and(|waiting| waiting.is_over(now)) {
            match self.world.core.undoable.waiting {
                None if matches!(self.model.waiting, Some(Waiting { what: What::Push { .. }, .. })) => {
                    self.model.undo_push(now);
                }
                None => self.model.bring_back(),
                Some(_) => assert!(self.has_faults(), "what nobody has confirmed is still in force"),
            }
        }
        let ended = self.model.ended(now);
        let pushed = self.world.core.lists.pushed();
        let is_there = |known: &Key| pushed.iter().any(|(list, holding, _)| key(list, holding) == *known);
        match ended.first() {
            Some(first) if is_there(first) => assert!(self.has_faults(), "what has ended is still there"),
            _ => {
                self.model.end(&ended);
                // By what is known of the time, which a kill may lose.
                self.refused.extend(ended);
            }
        }
    }

    /// Interfaces refuse no more, and pins can be made.
    fn give_in(&mut self) {
        for name in std::mem::take(&mut self.unwilling) {
            self.world.kernel.refuse_interface(name, false);
        }
        self.world.kernel.set_bpffs(true);
    }

    /// Whether a start with this configuration meets an interface that refuses, or a new one that is not there.
    fn meets_unwilling(&self, config: usize) -> bool {
        let filtered = self.world.kernel.filtered();
        let Ok(loaded) = world::load(config) else { return false };
        let before = self.model.policy().interfaces;
        loaded.policy.interfaces.iter().any(|interface| {
            let is_new = before.iter().all(|known| known.name != interface.name);
            if is_new && !self.world.kernel.has_interface(&interface.name) {
                return true;
            }
            let index = self.world.kernel.index_of(&interface.name);
            self.unwilling.contains(&*interface.name) && index.is_some_and(|index| !filtered.contains(&index))
        })
    }

    fn kill(&mut self, is_reboot: bool) {
        let is_owing = self.is_owing();
        // The new daemon's file system is there, and the kernel works, or it does not start.
        self.world.kernel.refuse(0, 0);
        (self.is_refusing, self.is_disk_bad) = (false, false);
        // Nor does a daemon start without a place for its pins.
        self.world.kernel.set_bpffs(true);
        if is_reboot {
            self.world.kernel.reboot();
        } else {
            self.world.kernel.drop_unpinned();
        }
        let file = *self.world.file.lock().unwrap();
        let mut is_met = self.meets_unwilling(file);
        if let Err(why) = self.world.restart() {
            assert!(why.contains("refused as told: attach"), "{why}");
            self.give_in();
            is_met = self.meets_unwilling(file);
            self.world.restart().unwrap();
        }
        if is_owing {
            return self.check_what_came_back(file);
        }
        self.model.restart(file, is_met, self.world.now);
        self.model.forget_pushes();
        self.read_at = None;
    }

    /// Whether the disk has refused something that is so.
    fn is_owing(&self) -> bool {
        self.world.core.keeper.has_chores() || self.world.core.history.is_owing()
    }

    fn has_faults(&self) -> bool {
        self.is_refusing || self.is_disk_bad || !self.unwilling.is_empty()
    }

    fn expect_injected(&self, refusal: &Refusal) {
        assert!(is_injected(refusal) && self.has_faults(), "{refusal:?}");
    }
}
