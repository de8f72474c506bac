//! Changes of the whole policy: from the configuration file, from a caller, or from a generation that is kept.

use std::sync::Arc;

use super::{
    Core, ReadConfig,
    asked::Asked,
    prepare::{Candidate, require_memory},
    temporary,
    waiting::{Awaited, Waiting},
};
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    config::{self, Loaded, Report},
    control::{Caller, Force, KeptGeneration, Refusal, Reload, Reloaded, Rollback, SetMode, Terms, Way},
    datapath::Filter,
    logging,
    policy::{Mode, Policy},
    preview::diff::Difference,
    state::{
        disk::Disk,
        history::{Care, Content, Generation, How, Provision, Standing, TemporaryMode},
    },
};

/// What the policy is to be.
pub(super) enum Wanted {
    /// What the configuration file says.
    File(ReadConfig),
    /// What a caller sent.
    Sent(ReadConfig),
    /// A generation that is kept.
    Kept(Generation),
    /// What it is, in another mode.
    Mode {
        /// The mode.
        mode: Mode,
        /// The mode that is noted as set by hand.
        set: Option<Mode>,
        /// When it ends, where it does.
        temporary: Option<TemporaryMode>,
    },
}

/// A policy and where it comes from.
struct Fresh {
    policy: Arc<Policy>,
    warnings: Report,
    content: Content,
    mode: SetByHand,
    how: How,
    of: Option<u64>,
    source: String,
    /// The configuration file says the same.
    is_read: bool,
}

/// A mode that was set by hand, and when it ends, where it does.
type SetByHand = (Option<Mode>, Option<TemporaryMode>);

/// What is said of settings that are taken by a start only; `None` without one.
fn told_of_start(settings: &[&str]) -> Option<String> {
    (!settings.is_empty()).then(|| format!("{} takes effect at the next start of the daemon only", settings.join(", ")))
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Loads the configuration file anew.
    pub(super) fn reload(
        &mut self,
        caller: &Caller,
        reload: &Reload,
        read: ReadConfig,
        now: Now,
    ) -> Result<Reloaded, Refusal> {
        let wanted = Wanted::File(read);
        let result = Asked::on(reload.terms()).and_then(|asked| self.change_policy(caller, wanted, &asked, now));
        // While something waits for a confirmation the file was not looked at.
        let is_about_file =
            !reload.dry_run && !matches!(result, Err(Refusal::Pending(_) | Refusal::Precondition { .. }));
        if let (Err(refusal), true) = (&result, is_about_file) {
            self.in_force.reloads.tally.count(caller.way, false);
            let reason = refusal.to_string();
            if logging::admits("configurations that were refused") {
                let (config, reason) = (self.in_force.config.display(), refusal.brief());
                let (owner, way) = (&caller.name, caller.way.label());
                tracing::error!(%config, owner, way, "refused the configuration, the old policy goes on: {reason}");
            }
            self.in_force.reloads.error = Some(reason);
        }
        result
    }

    /// Makes another configuration the policy.
    pub(super) fn apply(
        &mut self,
        caller: &Caller,
        terms: Terms,
        sent: ReadConfig,
        now: Now,
    ) -> Result<Reloaded, Refusal> {
        self.change_policy(caller, Wanted::Sent(sent), &Asked::on(terms)?, now)
    }

    /// Brings a generation back, or undoes what waits for a confirmation.
    pub(super) fn rollback(&mut self, caller: &Caller, rollback: &Rollback, now: Now) -> Result<Reloaded, Refusal> {
        let (generation, mut asked) = (rollback.generation, Asked::on(rollback.terms())?);
        self.expect_policy(asked.expect)?;
        if generation.is_none() && self.waits_for_push() && asked.confirm.is_none() {
            let (push_undone, dry_run) = (true, asked.dry_run);
            if !dry_run {
                let push = self.undo_push(now)?;
                let (owner, way) = (&caller.name, caller.way.label());
                tracing::info!(owner, way, "undid the push of revision {push}, which was not confirmed");
            }
            return Ok(Reloaded { push_undone, dry_run, ..self.answered() });
        }
        let waits = self.history.pending().map(|pending| pending.previous);
        if generation.is_none() && waits.is_some() {
            // What would happen by itself needs no insisting.
            asked.force = Force::All;
        }
        let wanted = match generation.or(waits) {
            Some(number) => self.history.generation(number),
            None => self.history.previous(),
        };
        let wanted = wanted.cloned().ok_or_else(|| self.no_generation(generation))?;
        self.change_policy(caller, Wanted::Kept(wanted), &asked, now)
    }

    /// A generation that is kept, as it is on disk.
    pub(super) fn kept_generation(&self, number: u64) -> Result<KeptGeneration, Refusal> {
        let generation = self.history.generation(number).cloned();
        let generation = generation.ok_or_else(|| self.no_generation(Some(number)))?;
        let bundle = self.history.bundle_of(&generation);
        let bundle = bundle.map_err(|error| Refusal::NotKept { message: error.to_string() })?;
        Ok(KeptGeneration { is_active: self.policy_generation() == number, generation, bundle })
    }

    fn no_generation(&self, wanted: Option<u64>) -> Refusal {
        let kept = self.history.generations().iter().map(|generation| generation.number).collect();
        Refusal::NoGeneration { wanted, kept }
    }

    /// Gives the policy another mode.
    pub(super) fn set_mode(&mut self, caller: &Caller, set: &SetMode, now: Now) -> Result<Reloaded, Refusal> {
        let temporary = temporary::asked(set)?.map(|asked| self.temporary(asked, now));
        let wanted = Wanted::Mode { mode: set.mode, set: Some(set.mode), temporary };
        self.change_policy(caller, wanted, &Asked::on(set.terms())?, now)
    }

    pub(super) fn change_policy(
        &mut self,
        caller: &Caller,
        wanted: Wanted,
        asked: &Asked,
        now: Now,
    ) -> Result<Reloaded, Refusal> {
        self.expect_policy(asked.expect)?;
        let may_be_given_up = matches!(wanted, Wanted::Kept(_)) && asked.confirm.is_none();
        let is_in_the_way = if self.waits_for_push() { asked.confirm.is_some() } else { !may_be_given_up };
        if let Some(pending) = self.pending(now).filter(|_| is_in_the_way && !asked.dry_run) {
            return Err(Refusal::Pending(Box::new(pending)));
        }
        let fresh = self.fresh(wanted)?;
        let difference = self.difference(&fresh.policy);
        // What goes back, or only has another mode, is not kept from it.
        if matches!(fresh.how, How::Reload | How::Apply) {
            require_memory(&fresh.policy, self.lists.pushed(), &*self.outer.host)?;
        }
        let candidate = self.prepare(Arc::clone(&fresh.policy), &difference, asked)?;
        let (mut warnings, of) = (fresh.warnings.render_short(), fresh.of);
        if let Some(words) = told_of_start(&self.in_force.waits_for_start(&fresh.policy)) {
            warnings.push_str(&format!("warning: {words}\n"));
        }
        let (summary, changes) = (difference.changes(), difference.told());
        if asked.dry_run {
            let (difference, target) = (Some(difference), of.and_then(|of| self.history.generation(of)).cloned());
            let answer = Reloaded { warnings, dry_run: true, difference, of, target, ..self.answered() };
            return Ok(Reloaded { summary, changes, ..answer });
        }
        self.carry_out(caller, fresh, candidate, summary.clone(), asked, now)?;
        let pending = self.pending(now).filter(|_| !self.waits_for_push());
        Ok(Reloaded { warnings, of, pending, summary, changes, ..self.answered() })
    }

    /// An answer with the numbers of now.
    pub(super) fn answered(&self) -> Reloaded {
        let revision = self.in_force.revision();
        let policy_generation = self.policy_generation();
        Reloaded { generation: revision, revision, policy_generation, ..Reloaded::default() }
    }

    /// What `wanted` is, without mistakes.
    fn fresh(&self, wanted: Wanted) -> Result<Fresh, Refusal> {
        let refuse =
            |report: Report| Refusal::Config { errors: report.errors().count(), report: report.render_short() };
        let of_loaded = |loaded: Loaded, mode: Option<Mode>, how, is_read| Fresh {
            source: loaded.bundle.name.clone(),
            policy: Arc::new(Policy { mode: mode.unwrap_or(loaded.policy.mode), ..loaded.policy }),
            warnings: loaded.warnings,
            content: Content::Sent(loaded.bundle),
            // It goes on as long as the mode does.
            mode: (mode, mode.and(self.history.active()).and_then(|active| active.temporary.clone())),
            how,
            of: None,
            is_read,
        };
        match wanted {
            Wanted::File(ReadConfig { loaded, is_file }) => {
                let loaded = loaded.map_err(refuse)?;
                let mode = self.history.kept_mode(loaded.policy.mode);
                Ok(of_loaded(loaded, mode, How::Reload, is_file))
            }
            Wanted::Sent(ReadConfig { loaded, is_file }) => {
                Ok(of_loaded(loaded.map_err(refuse)?, None, How::Apply, is_file))
            }
            Wanted::Kept(generation) => {
                let Generation { number, mode, temporary, source, .. } = generation.clone();
                // Of a generation that comes back by hand the mode is that which it was to have in the end; one that would come back
                // by itself is as it was.
                let waits = self.history.pending().is_some_and(|pending| pending.previous == number);
                let (mode, temporary) = match temporary {
                    Some(ended) if !waits => (ended.back, None),
                    temporary => (mode, temporary),
                };
                let bundle = self.history.bundle_of(&generation);
                let bundle = bundle.map_err(|error| Refusal::NotKept { message: error.to_string() })?;
                let loaded = config::load_bundle(&bundle).map_err(refuse)?;
                let mut policy = loaded.policy;
                policy.mode = mode.unwrap_or(policy.mode);
                let (content, of) = (Content::Of(number), Some(number));
                let warnings = loaded.warnings;
                let policy = Arc::new(policy);
                let how = How::Rollback;
                let mode = (mode, temporary);
                Ok(Fresh { policy, warnings, content, mode, how, of, source, is_read: false })
            }
            Wanted::Mode { mode, set, temporary } => {
                let none = || Refusal::NoGeneration { wanted: None, kept: Vec::new() };
                let active = self.history.active().ok_or_else(none)?;
                let policy = Arc::new(Policy { mode, ..Policy::clone(&self.in_force.policy) });
                let (content, source) = (Content::Of(active.number), active.source.clone());
                let (warnings, mode, how) = (Report::default(), (set, temporary), How::Mode);
                Ok(Fresh { policy, warnings, content, mode, how, of: None, source, is_read: false })
            }
        }
    }

    /// Keeps the new generation, then swaps it in.
    fn carry_out(
        &mut self,
        caller: &Caller,
        fresh: Fresh,
        candidate: Candidate,
        summary: String,
        asked: &Asked,
        now: Now,
    ) -> Result<(), Refusal> {
        let (how, of, is_file) = (fresh.how, fresh.of.unwrap_or(0), fresh.is_read);
        let until = asked.confirm.map(|length| Until::after(length, now));
        let before = self.history.known();
        self.keep(caller, fresh, summary.clone(), until, now)?;
        let previous = self.in_force.policy.clone();
        if let Err(refusal) = self.switch_to(candidate, now) {
            self.history.restore(before);
            return Err(refusal);
        }
        self.history.clean();
        match until {
            Some(until) => {
                let deadline = Deadline::resume(until, now);
                self.undoable.waiting = Some(Waiting::new(Awaited::Policy(Some(previous)), deadline));
            }
            // A policy that waited is given up; a push waits on.
            None if !self.waits_for_push() => self.undoable.waiting = None,
            None => {}
        }
        if how == How::Reload {
            self.in_force.reloads.tally.count(caller.way, true);
        }
        // What comes from elsewhere says nothing about a file that was refused.
        if is_file {
            self.in_force.reloads.error = None;
        }
        let (generation, how) = (self.in_force.revision(), how.label());
        let (owner, way) = (&caller.name, caller.way.label());
        tracing::info!(generation, how, of, owner, way, changes = summary, "applied a policy");
        if let Some(pending) = self.pending(now).filter(|_| until.is_some()) {
            tracing::warn!(
                generation = pending.generation,
                seconds = pending.seconds_left,
                "generation {} comes back unless `portcullis confirm` is heard in time",
                pending.previous.unwrap_or(0)
            );
        }
        Ok(())
    }

    /// Keeps the new generation, which is not in force yet.
    fn keep(
        &mut self,
        caller: &Caller,
        fresh: Fresh,
        summary: String,
        until: Option<Until>,
        now: Now,
    ) -> Result<(), Refusal> {
        let Fresh { content, mode: (mode, temporary), how, of, source, is_read, .. } = fresh;
        let number = self.in_force.next();
        let active = self.history.active().map(|active| active.number);
        let pending = until.zip(active).map(|(until, previous)| Provision { generation: number, previous, until });
        // A reload is right after a restart also when it is not kept: the file is read anew then.
        // What happens by itself happens, and a restart brings it about again.
        let is_owed = how == How::Reload || caller.way == Way::Daemon;
        let care = if is_owed && pending.is_none() { Care::Owe } else { Care::Must };
        let is_live = matches!(&content, Content::Sent(bundle) if self.history.is_live(bundle, mode));
        let kept = if is_live && pending.is_none() {
            if is_read { self.history.read_again(care) } else { Ok(()) }
        } else {
            let standing = if pending.is_some() { Standing::Pending } else { Standing::Confirmed };
            let generation = Generation {
                how,
                of,
                source,
                summary,
                standing,
                mode,
                temporary,
                ..Generation::new(number, now.wall, &caller.name)
            };
            self.history.record(generation, content, is_read, pending, care)
        };
        match kept {
            Ok(()) => Ok(()),
            Err(error) if care == Care::Must => Err(Refusal::NotKept { message: error.to_string() }),
            Err(error) => {
                tracing::error!(%error, "cannot keep this generation of the policy; trying again");
                Ok(())
            }
        }
    }

    /// Brings another policy into force.
    pub(super) fn switch_to(&mut self, candidate: Candidate, now: Now) -> Result<(), Refusal> {
        let Candidate { policy, members, forced } = candidate;
        let refuse = |error: crate::datapath::DatapathError| Refusal::Datapath { message: error.to_string() };
        self.filter.switch(&policy, &members).map_err(refuse)?;
        forced.tell();
        self.lists.follow(members);
        self.in_force.switch(policy, now.wall);
        if let Some(words) = told_of_start(&self.in_force.waits_for_start(&self.in_force.policy)) {
            tracing::warn!("{words}");
        }
        for (list, entries) in self.lists.pushed().lists() {
            if self.in_force.policy.list_named(list).is_none() {
                tracing::warn!(%list, entries, "the list is gone from the configuration; its pushed entries wait for its return");
            }
        }
        Ok(())
    }

    /// What `policy` would change.
    pub(super) fn difference(&self, policy: &Policy) -> Difference {
        let (policy_generation, revision) = (self.policy_generation(), self.in_force.revision());
        Difference {
            generation: revision,
            revision,
            policy_generation,
            ..Difference::of(&self.in_force.policy, policy)
        }
    }

    /// Generation of the policy in force.
    pub(super) fn policy_generation(&self) -> u64 {
        self.history.active().map_or(0, |active| active.number)
    }
}
