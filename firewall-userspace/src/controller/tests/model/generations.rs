//! The generations of the policy: which is in force, which are kept, and which one a rollback goes to.

use std::time::Duration;

use super::{
    super::world::{self, KEEP},
    Generation, Model, Waiting, What,
};
use crate::{clock::Now, policy::Mode};

impl Model {
    /// A policy that is in force. `sent` is a configuration, or one that is kept is brought back.
    pub fn switch(
        &mut self,
        config: usize,
        mode: Option<Mode>,
        of: Option<u64>,
        is_read: bool,
        confirm: Option<Duration>,
        now: Now,
    ) {
        self.revision += 1;
        self.is_file_refused &= !is_read;
        let active = self.active().clone();
        let is_live = of.is_none() && (active.config, active.mode) == (config, mode);
        if is_live && confirm.is_none() {
            if is_read {
                self.read = (active.bundle, active.config);
            }
            if matches!(&self.waiting, Some(Waiting { what: What::Policy { .. }, .. })) {
                panic!("a policy waits");
            }
            return;
        }
        let bundle = match of {
            Some(kept) => self.generation(kept).map_or(kept, |kept| kept.bundle),
            None if active.config == config => active.bundle,
            None if self.read.1 == config => self.read.0,
            None => self.revision,
        };
        self.record(Generation { number: self.revision, config, mode, bundle, is_confirmed: confirm.is_none() });
        if is_read {
            self.read = (bundle, config);
        }
        match confirm {
            Some(length) => {
                let what = What::Policy { generation: self.revision, previous: active.number };
                self.waiting = Some(Waiting::new(what, length, now));
            }
            None if matches!(&self.waiting, Some(Waiting { what: What::Policy { .. }, .. })) => self.waiting = None,
            None => {}
        }
        self.prune();
    }

    /// The mode that was set by hand and stays, since the file's own mode is what it was when it was last read.
    pub fn kept_mode(&self, own: Mode) -> Option<Mode> {
        let read = world::load(self.read.1).unwrap().policy.mode;
        self.active().mode.filter(|_| read == own)
    }

    /// Whether the guard refuses this policy in place of the one in force: it drops what was management.
    pub fn locks_out(&self, config: usize, mode: Option<Mode>) -> bool {
        let is_enforcing = mode.is_none_or(|mode| mode == Mode::Enforce);
        config == world::LOCKS_OUT && self.active().config != world::LOCKS_OUT && is_enforcing
    }

    pub(super) fn record(&mut self, generation: Generation) {
        self.active = generation.number;
        self.generations.push(generation);
    }

    /// Brings back what was in force before a policy that was not confirmed.
    pub fn bring_back(&mut self) {
        let Some(Waiting { what: What::Policy { previous, .. }, .. }) = self.waiting.take() else {
            panic!("no policy waits");
        };
        self.revision += 1;
        let back = self.generation(previous).unwrap().clone();
        self.record(Generation { number: self.revision, is_confirmed: true, ..back });
        self.prune();
    }

    /// The generation that a rollback without a number goes to.
    pub fn previous(&self) -> Option<&Generation> {
        let active = self.active();
        let differs = |one: &&Generation| (one.bundle, one.mode) != (active.bundle, active.mode);
        let before = self.generations.iter().rev().filter(|one| one.number < active.number);
        before.filter(|one| one.is_confirmed).find(differs)
    }

    pub(super) fn prune(&mut self) {
        let back = match &self.waiting {
            Some(Waiting { what: What::Policy { previous, .. }, .. }) => Some(*previous),
            _ => None,
        };
        // A configuration counts by its newest generation, the others of those that are kept among themselves.
        let all = self.generations.clone();
        let newer = |one: &Generation| all.iter().filter(|other| other.number > one.number).collect::<Vec<_>>();
        let is_repeat = |one: &Generation| newer(one).iter().any(|other| other.bundle == one.bundle);
        let newest = |bundle| all.iter().rev().find(|one| one.bundle == bundle).unwrap();
        let is_kept =
            |one: &Generation| newer(newest(one.bundle)).into_iter().filter(|other| !is_repeat(other)).count() < KEEP;
        let active = self.active;
        self.generations.retain(|one| {
            let repeats = newer(one).into_iter().filter(|other| is_repeat(other) && is_kept(other)).count();
            let is_in = is_kept(one) && (!is_repeat(one) || repeats < KEEP);
            is_in || one.number == active || Some(one.number) == back
        });
    }
}
