//! Changes of the whole policy: from the configuration file, from a caller, or from a generation that is kept.

use std::{fs, time::Duration};

use jiff::Timestamp;

use super::{State, Waiting, prepare::Candidate};
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    config::{self, Bundle, Loaded, Report},
    control::{Apply, Refusal, Reload, Reloaded, Rollback, SetMode, Terms},
    host::connections::Connection,
    policy::{Mode, Policy},
    preview::{
        diff::{Difference, PolicyDocument},
        packet_tests,
    },
    state::history::{Care, Content, Generation, How, Pending, Standing},
    text::{duration, problem::Problem},
};

/// What the policy is to be.
pub(super) enum Wanted {
    /// What the configuration file says.
    File,
    /// What a caller sent.
    Sent(Bundle),
    /// A generation that is kept.
    Kept(Generation),
    /// What it is, in another mode.
    Mode(Mode),
}

/// On what terms.
pub(super) struct Asked {
    pub(super) dry_run: bool,
    pub(super) force: bool,
    pub(super) caller: Option<Connection>,
    pub(super) owner: String,
    confirm: Option<Duration>,
}

/// A policy and where it comes from.
struct Fresh {
    policy: Policy,
    warnings: Report,
    content: Content,
    mode: Option<Mode>,
    how: How,
    of: Option<u64>,
    source: String,
    /// The configuration file says the same.
    is_read: bool,
}

/// How long a confirmation may be waited for.
const CONFIRM: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

impl Asked {
    fn on(Terms { dry_run, force, confirm, caller, owner }: Terms) -> Result<Self, Refusal> {
        Ok(Self { dry_run, force, caller, owner, confirm: confirm_within(confirm.as_deref())? })
    }
}

/// How long a confirmation is to be waited for.
pub(super) fn confirm_within(text: Option<&str>) -> Result<Option<Duration>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let invalid = |detail| Refusal::Invalid(vec![Problem { pointer: "/confirm".into(), detail }]);
    let length = duration::parse(text).map_err(|error| invalid(error.to_string()))?;
    if CONFIRM.contains(&length) {
        return Ok(Some(length));
    }
    let (least, most) = (duration::show(*CONFIRM.start()), duration::show(*CONFIRM.end()));
    Err(invalid(format!("a confirmation can be waited for from {least} to {most}, not {}", duration::show(length))))
}

impl State {
    pub(super) fn reload(&mut self, reload: &Reload) -> Result<Reloaded, Refusal> {
        let result = Asked::on(reload.terms()).and_then(|asked| self.change_policy(Wanted::File, &asked));
        if let (Err(refusal), false) = (&result, reload.dry_run) {
            self.reloads.failures += 1;
            let reason = refusal.to_string();
            tracing::error!(config = %self.config.display(), "refused the configuration, the old policy goes on: {reason}");
            self.reloads.error = Some(reason);
        }
        result
    }

    pub(super) fn apply(&mut self, apply: Apply) -> Result<Reloaded, Refusal> {
        let asked = Asked::on(apply.terms())?;
        let Apply { name, config, files, .. } = apply;
        self.change_policy(Wanted::Sent(Bundle { name, config, files }), &asked)
    }

    pub(super) fn rollback(&mut self, rollback: &Rollback) -> Result<Reloaded, Refusal> {
        let (generation, mut asked) = (rollback.generation, Asked::on(rollback.terms())?);
        if generation.is_none() && self.pending_push().is_some() && asked.confirm.is_none() {
            let (push_undone, dry_run) = (true, asked.dry_run);
            if !dry_run {
                let push = self.undo_push()?;
                tracing::info!(owner = asked.owner, "undid the push of generation {push}, which was not confirmed");
            }
            return Ok(Reloaded { generation: self.number, push_undone, dry_run, ..Reloaded::default() });
        }
        let waits = self.history.pending().map(|pending| pending.previous);
        // What would happen by itself needs no insisting.
        asked.force |= generation.is_none() && waits.is_some();
        let wanted = match generation.or(waits) {
            Some(number) => self.history.generation(number),
            None => self.history.previous(),
        };
        let kept = || self.history.generations().iter().map(|generation| generation.number).collect();
        let wanted = wanted.cloned().ok_or_else(|| Refusal::NoGeneration { wanted: generation, kept: kept() })?;
        self.change_policy(Wanted::Kept(wanted), &asked)
    }

    pub(super) fn set_mode(&mut self, set: &SetMode) -> Result<Reloaded, Refusal> {
        self.change_policy(Wanted::Mode(set.mode), &Asked::on(set.terms())?)
    }

    fn change_policy(&mut self, wanted: Wanted, asked: &Asked) -> Result<Reloaded, Refusal> {
        let may_be_given_up = matches!(wanted, Wanted::Kept(_)) && asked.confirm.is_none();
        let push = self.pending_push().filter(|_| asked.confirm.is_some());
        let pending = self.pending_policy().filter(|_| !may_be_given_up).or(push);
        if let Some(pending) = pending.filter(|_| !asked.dry_run) {
            return Err(Refusal::Pending(Box::new(pending)));
        }
        let fresh = self.fresh(wanted)?;
        let difference = self.difference(&fresh.policy);
        let candidate = self.prepare(fresh.policy.clone(), &difference, asked)?;
        let warnings = fresh.warnings.render(false);
        if asked.dry_run {
            let (generation, difference, of) = (self.number, Some(difference), fresh.of);
            return Ok(Reloaded { generation, warnings, dry_run: true, difference, of, ..Reloaded::default() });
        }
        let of = fresh.of;
        self.carry_out(fresh, candidate, &difference, asked)?;
        let (generation, pending) = (self.number, self.pending_policy());
        Ok(Reloaded { generation, warnings, of, pending, ..Reloaded::default() })
    }

    /// What `wanted` is, without mistakes.
    fn fresh(&self, wanted: Wanted) -> Result<Fresh, Refusal> {
        let refuse = |report: Report| Refusal::Config { errors: report.errors().count(), report: report.render(false) };
        let of_loaded = |loaded: Loaded, how, is_read| Fresh {
            source: loaded.bundle.name.clone(),
            policy: loaded.policy,
            warnings: loaded.warnings,
            content: Content::Sent(loaded.bundle),
            mode: None,
            how,
            of: None,
            is_read,
        };
        match wanted {
            Wanted::File => {
                let loaded = config::load(&self.config).and_then(packet_tests::require).map_err(refuse)?;
                Ok(of_loaded(loaded, How::Reload, true))
            }
            Wanted::Sent(bundle) => {
                let loaded = config::load_bundle(&bundle).and_then(packet_tests::require).map_err(refuse)?;
                Ok(of_loaded(loaded, How::Apply, self.file_says(&bundle)))
            }
            Wanted::Kept(generation) => {
                let Generation { number, mode, source, .. } = generation.clone();
                let bundle = self.history.bundle_of(&generation);
                let bundle = bundle.map_err(|error| Refusal::NotKept { message: error.to_string() })?;
                let loaded = config::load_bundle(&bundle).map_err(refuse)?;
                let mut policy = loaded.policy;
                policy.mode = mode.unwrap_or(policy.mode);
                let (content, of) = (Content::Of(number), Some(number));
                let warnings = loaded.warnings;
                Ok(Fresh { policy, warnings, content, mode, how: How::Rollback, of, source, is_read: false })
            }
            Wanted::Mode(mode) => {
                let none = || Refusal::NoGeneration { wanted: None, kept: Vec::new() };
                let active = self.history.active().ok_or_else(none)?;
                let policy = Policy { mode, ..self.policy.clone() };
                let (content, source) = (Content::Of(active.number), active.source.clone());
                let (warnings, mode) = (Report::default(), Some(mode));
                Ok(Fresh { policy, warnings, content, mode, how: How::Mode, of: None, source, is_read: false })
            }
        }
    }

    /// Whether the configuration file says what `bundle` says.
    fn file_says(&self, bundle: &Bundle) -> bool {
        // Most are not that file, and list files may be long.
        fs::read_to_string(&self.config).is_ok_and(|text| text == bundle.config)
            && config::load(&self.config).is_ok_and(|loaded| loaded.bundle.says_the_same_as(bundle))
    }

    /// Keeps the new generation, then swaps it in.
    fn carry_out(
        &mut self,
        fresh: Fresh,
        candidate: Candidate,
        difference: &Difference,
        asked: &Asked,
    ) -> Result<(), Refusal> {
        let Fresh { content, mode, how, of, source, is_read, .. } = fresh;
        let (now, number) = (Now::read(), self.number + 1);
        let active = self.history.active().map(|active| active.number);
        let until = asked.confirm.map(|length| Until::after(length, now));
        let pending = until.zip(active).map(|(until, previous)| Pending { generation: number, previous, until });
        // A reload is right after a restart also when it is not kept: the file is read anew then.
        let care = if how == How::Reload && pending.is_none() { Care::Owe } else { Care::Must };
        let is_live = matches!(&content, Content::Sent(bundle) if self.history.is_live(bundle));
        let waiting = until.map(|until| Waiting::new(Deadline::resume(until, now), self.policy.clone()));
        let before = self.history.known();
        let kept = if is_live && pending.is_none() {
            if is_read { self.history.read_again() } else { Ok(()) }
        } else {
            let standing = if pending.is_some() { Standing::Pending } else { Standing::Confirmed };
            let (at, owner, summary) = (now.wall, asked.owner.clone(), difference.changes());
            let generation = Generation { number, at, owner, how, of, source, summary, standing, mode, bundle: number };
            self.history.record(generation, content, is_read, pending, care)
        };
        if let Err(error) = kept {
            self.snapshots.counters.failures += 1;
            if care == Care::Must {
                return Err(Refusal::NotKept { message: error.to_string() });
            }
            tracing::error!(%error, "cannot keep this generation of the policy; trying again");
        }
        if let Err(error) = self.switch_to(candidate) {
            self.history.restore(before);
            return Err(Refusal::Datapath { message: error.to_string() });
        }
        self.history.clean();
        self.waiting = waiting;
        self.number = number;
        self.loaded = Timestamp::now();
        if how == How::Reload {
            self.reloads.successes += 1;
        }
        self.reloads.error = None;
        let (how, of, owner) = (how.label(), of.unwrap_or(0), &asked.owner);
        tracing::info!(generation = number, how, of, owner, changes = difference.changes(), "applied a policy");
        if let Some(pending) = self.pending_policy() {
            tracing::warn!(
                generation = pending.generation,
                seconds = pending.seconds_left,
                "generation {} comes back unless `portcullis confirm` is heard in time",
                pending.previous.unwrap_or(0)
            );
        }
        self.log_interfaces();
        Ok(())
    }

    /// What `policy` would change.
    pub(super) fn difference(&self, policy: &Policy) -> Difference {
        let live = PolicyDocument::of(&self.policy, self.number);
        Difference::between(&live, &PolicyDocument::of(policy, 0))
    }
}
