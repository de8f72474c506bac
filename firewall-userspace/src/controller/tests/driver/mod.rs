//! Carries a script out on a daemon and on the model; `compare.rs` holds the one against the other.

mod compare;
mod kill;
mod policy;
mod push;

use std::{collections::BTreeSet, time::Duration};

use super::{
    model::{Key, Model, Waiting, What},
    script::Step,
    world::{World, is_injected},
};
use crate::{
    control::{Caller, Confirm, Refusal, SetMode},
    controller::Message,
    lists::entry::Holding,
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
    Caller::local(name)
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
            match &self.world.core.undoable.waiting {
                None if matches!(self.model.waiting, Some(Waiting { what: What::Push { .. }, .. })) => {
                    self.model.undo_push(now);
                }
                None => self.model.bring_back(),
                Some(waiting) => {
                    // After an attempt that failed, the next one comes a while later.
                    let is_put_off = waiting.deadline.left(now).is_zero() && !waiting.left(now).is_zero();
                    assert!(self.has_faults() || is_put_off, "what nobody has confirmed is still in force");
                }
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
