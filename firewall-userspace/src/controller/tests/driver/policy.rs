//! Changes of the whole policy: reload, apply, rollback, mode.

use super::{
    super::{
        model::What,
        world::{self, PATH, is_injected},
    },
    Driver, caller, seconds, text,
};
use crate::{
    config::{Diagnostic, Report},
    control::{PendingChange, Refusal, Reload, Reloaded, Rollback, Terms},
    controller::{Message, ReadConfig},
};

impl Driver {
    pub(super) fn reload(&mut self, confirm: Option<u32>, dry_run: bool) {
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
    pub(super) fn hung_reload(&mut self) {
        let report = Report::new(vec![Diagnostic::of_file(PATH.as_ref(), "", "it does not answer".into())], &[]);
        let read = Box::new(ReadConfig { loaded: Err(report), is_file: true });
        let answer = self.world.ask(|reply| Message::Reload(caller("SIGHUP"), Reload::default(), read, reply));
        let refusal = answer.expect_err("a file that cannot be read was loaded");
        assert!(matches!(refusal, Refusal::Config { .. } | Refusal::Pending(_)), "{refusal:?}");
        self.model.is_file_refused |= matches!(refusal, Refusal::Config { .. });
    }

    pub(super) fn apply(&mut self, config: usize, confirm: Option<u32>) {
        let is_read = *self.world.file.lock().unwrap() == config;
        let terms = Terms { confirm: text(confirm), ..Terms::default() };
        let sent = Box::new(ReadConfig { loaded: world::load(config), is_file: is_read });
        let answer = self.world.ask(|reply| Message::Apply(caller("ben"), terms, sent, reply));
        self.changed(answer, config, None, None, is_read, confirm);
    }

    pub(super) fn rollback(&mut self, back: Option<u64>, confirm: Option<u32>) {
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
    pub(super) fn changed(
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
}
