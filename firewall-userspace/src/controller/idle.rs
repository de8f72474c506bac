//! A daemon that has nothing to enforce: no configuration file that can be used, and no generation that can be read.
//!
//! In: messages. Out: refusals that say why, until a reload finds something. It owns nothing that filters: what a daemon before it left
//! attached filters on.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::{
    Core, Counters, Message, ReadConfig, Readings, Setup, StartFilter,
    asked::expect,
    audit::{AskedChange, admit_idle, record_idle},
    published::Publisher,
    reply::answer,
};
use crate::{
    clock::Now,
    config::{Basics, Loaded},
    control::{
        ClockStatus, Condition, EntriesQuery, Expected, Generations, Page, Pushes, Refusal, ReloadStatus, ReloadTally,
        Reloaded, Status, Undo, Way,
    },
    datapath::{Filter, FrameCounters},
    logging, made,
    policy::Prefix,
    preview::{diff::PolicyDocument, explain::Membership},
    state::{
        audit::{AuditHandle, AuditWhat},
        disk::Disk,
    },
};

/// A daemon that waits for a policy.
pub struct WithoutPolicy<D: Disk> {
    /// What it tells meanwhile.
    pub told: NoPolicy,
    /// Makes a start of what the configuration file says now.
    pub begin: Begin<D>,
    /// Where changes are recorded.
    pub audit: AuditHandle,
}

/// Makes a start of what the configuration file says, or says why there is none.
pub type Begin<D> = Box<BeginCall<D>>;

/// See [`Begin`].
pub type BeginCall<D> = dyn FnMut(Result<Loaded, String>, Now) -> Result<Setup<D>, String> + Send;

/// What a daemon without a policy tells.
#[derive(Clone, Debug)]
pub struct NoPolicy {
    /// Why there is none.
    pub why: String,
    /// The configuration file.
    pub config: PathBuf,
    /// What is known without one.
    pub basics: Basics,
    /// When the daemon started.
    pub started: Timestamp,
    /// Attempts to begin; all of them failed.
    pub attempts: ReloadTally,
}

/// Answers messages until there is a policy; `None` when the daemon is to end.
pub(super) async fn until_policy<F: Filter, D: Disk>(
    WithoutPolicy { mut told, mut begin, audit }: WithoutPolicy<D>,
    messages: &mut mpsc::Receiver<Message>,
    readings: watch::Sender<Arc<dyn Readings>>,
    filter: &mut StartFilter<'_, F>,
    clock: fn() -> Now,
) -> Option<Core<F, D>> {
    let mut own = None;
    while let Some(message) = messages.recv().await {
        match message {
            // It would be a surprise to whoever does not wait for it any more.
            message if !message.begin() => drop(message),
            Message::Reload(caller, reload, read, reply) if !reload.dry_run => {
                if let Err(refusal) = expect(reload.expect, Expected::Generation(0)) {
                    answer::<Result<Reloaded, _>>(reply, Err(refusal));
                    continue;
                }
                let (now, asked) = (clock(), AskedChange::of(AuditWhat::Reload, false, ""));
                let asked = (&caller, &asked);
                if let Err(refusal) = admit_idle(&audit, asked, now) {
                    answer(reply, Err(refusal));
                    continue;
                }
                let begun = begin_core((begin.as_mut(), filter), *read, own.as_ref(), now);
                match begun {
                    Ok(mut core) => {
                        told.attempts.count(caller.way, true);
                        core.in_force.reloads.tally = told.attempts;
                        core.publisher = Publisher::telling(readings);
                        core.publish();
                        record_idle(&audit, asked, Ok(&core.answered()), now);
                        answer(reply, Ok(core.answered()));
                        return Some(core);
                    }
                    Err(why) => {
                        let refusal = told.refused(why, &audit, asked, now);
                        readings.send_replace(Arc::new(told.clone()));
                        answer::<Result<Reloaded, _>>(reply, Err(refusal));
                    }
                }
            }
            Message::OwnAddresses(addresses, reply) => {
                own = Some(addresses.into_iter().collect());
                answer(reply, true);
            }
            Message::Stop(reply) => {
                answer(reply, ());
                return None;
            }
            other => other.refuse(Refusal::NoPolicy { why: told.why.clone() }),
        }
    }
    None
}

/// A controller of what the configuration file says now, or why there is none.
fn begin_core<F: Filter, D: Disk>(
    (begin, filter): (&mut BeginCall<D>, &mut StartFilter<'_, F>),
    read: ReadConfig,
    own: Option<&BTreeSet<Prefix>>,
    now: Now,
) -> Result<Core<F, D>, String> {
    let loaded = read.loaded.map_err(|report| report.render_short());
    begin(loaded, now)
        .map(|setup| Setup { own: own.cloned().unwrap_or(setup.own), ..setup })
        .and_then(|setup| Core::start(setup, filter, now).map_err(|error| error.to_string()))
}

impl NoPolicy {
    /// Nothing can be enforced still, and why; what is answered.
    fn refused(
        &mut self,
        why: String,
        audit: &AuditHandle,
        asked: (&crate::control::Caller, &AskedChange),
        now: Now,
    ) -> Refusal {
        let (is_new, refusal) = (why != self.why, Refusal::NoPolicy { why: why.clone() });
        if is_new && logging::admits("configurations that were refused") {
            tracing::error!("still nothing to enforce: {}", refusal.brief());
        }
        let (caller, _) = asked;
        self.attempts.count(caller.way, false);
        // What the daemon tries again and again is told when it comes to something else.
        if caller.way != Way::Daemon || is_new {
            record_idle::<Reloaded>(audit, asked, Err(&refusal), now);
        }
        self.why = why;
        refusal
    }
}

impl Readings for NoPolicy {
    fn api(&self) -> Option<&crate::policy::ApiSettings> {
        Some(&self.basics.api)
    }

    fn status(&self, _: Now) -> Status {
        let message = format!("NOTHING IS ENFORCED by this daemon: {}", self.why);
        Status {
            schema: "portcullis.status/v1".into(),
            version: made::VERSION.into(),
            source_revision: made::REVISION.into(),
            started: self.started,
            generation: 0,
            revision: 0,
            policy_generation: 0,
            age_ms: 0,
            doing: None,
            clock: ClockStatus::default(),
            log_lines_lost: 0,
            sandbox: None,
            pin_failure: None,
            mode: "none".into(),
            config: self.config.clone(),
            admin_listen: self.basics.admin_listen,
            reload: ReloadStatus {
                successful: false,
                last_success: None,
                successes: 0,
                failures: self.attempts.total().failures,
                triggers: self.attempts.clone(),
                error: Some(self.why.clone()),
            },
            policy: None,
            differs_from_file: false,
            pending: None,
            automatic_rollbacks: 0,
            interfaces: Vec::new(),
            lists: Vec::new(),
            services: Vec::new(),
            conditions: vec![Condition { code: Condition::NO_POLICY.into(), blocks: true, message }],
            traffic: None,
            traffic_failure: None,
        }
    }

    fn entries(&self, _: &EntriesQuery) -> Result<Page, Refusal> {
        Err(Refusal::NoPolicy { why: self.why.clone() })
    }

    fn membership(&self, _: IpAddr) -> Result<Membership, Refusal> {
        Err(Refusal::NoPolicy { why: self.why.clone() })
    }

    fn document(&self) -> PolicyDocument {
        PolicyDocument::none()
    }

    fn history(&self, _: Now) -> Generations {
        Generations { schema: "portcullis.history/v1".into(), active: None, pending: None, generations: Vec::new() }
    }

    fn is_undone_as_sync(&self, _: &Undo) -> bool {
        false
    }

    fn pushes(&self, _: usize) -> Pushes {
        Pushes::new(0, 0, Vec::new())
    }

    fn frames(&self) -> Result<FrameCounters, Refusal> {
        Ok(FrameCounters::default())
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        Ok(Counters::default())
    }
}
