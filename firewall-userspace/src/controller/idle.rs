//! A daemon that has nothing to enforce: no configuration file that can be used, and no generation that can be read.
//!
//! In: messages. Out: refusals that say why, until a reload finds something. It owns nothing that filters: what a daemon before it left
//! attached filters on.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::{Core, Counters, Message, Readings, Setup, StartFilter, published::Publisher, reply::answer};
use crate::{
    clock::Now,
    config::{Basics, Loaded},
    control::{
        ClockStatus, Condition, EntriesQuery, Generations, Page, Pushes, Refusal, ReloadStatus, ReloadTally, Reloaded,
        Status, Undo,
    },
    datapath::{Filter, FrameCounters},
    logging, made,
    preview::{diff::PolicyDocument, explain::Membership},
    state::disk::Disk,
};

/// A daemon that waits for a policy.
pub struct WithoutPolicy<D: Disk> {
    /// What it tells meanwhile.
    pub told: NoPolicy,
    /// Makes a start of what the configuration file says now.
    pub begin: Begin<D>,
}

/// Makes a start of what the configuration file says, or says why there is none.
pub type Begin<D> = Box<dyn FnMut(Result<Loaded, String>, Now) -> Result<Setup<D>, String> + Send>;

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
    WithoutPolicy { mut told, mut begin }: WithoutPolicy<D>,
    messages: &mut mpsc::Receiver<Message>,
    readings: watch::Sender<Arc<dyn Readings>>,
    filter: &mut StartFilter<'_, F>,
    clock: fn() -> Now,
) -> Option<Core<F, D>> {
    let mut own = None;
    while let Some(message) = messages.recv().await {
        match message {
            Message::Reload(caller, reload, read, reply) if !reload.dry_run => {
                let now = clock();
                let loaded = read.loaded.map_err(|report| report.render_short());
                let begun = begin(loaded, now)
                    .map(|setup| Setup { own: own.clone().unwrap_or(setup.own), ..setup })
                    .and_then(|setup| Core::start(setup, filter, now).map_err(|error| error.to_string()));
                match begun {
                    Ok(mut core) => {
                        told.attempts.count(caller.way, true);
                        core.in_force.reloads.tally = told.attempts;
                        core.publisher = Publisher::telling(readings);
                        core.publish();
                        answer(reply, Ok(core.answered()));
                        return Some(core);
                    }
                    Err(why) => {
                        if why != told.why && logging::admits("configurations that were refused") {
                            tracing::error!(
                                "still nothing to enforce: {}",
                                Refusal::NoPolicy { why: why.clone() }.brief()
                            );
                        }
                        told.attempts.count(caller.way, false);
                        told.why.clone_from(&why);
                        readings.send_replace(Arc::new(told.clone()));
                        answer::<Result<Reloaded, _>>(reply, Err(Refusal::NoPolicy { why }));
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
