//! The thread of the controller: one message after the other.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, Weak},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{
    Activity, ConfigFile, Controller, Core, Message, Readings, Setup, Work,
    audit::AskedChange,
    idle::{WithoutPolicy, until_policy},
    reply::{Reply, answer},
};
use crate::{
    clock::Now,
    control::{Caller, Push, Pushed, Refusal},
    datapath::{DatapathError, Filter, KernelFilter, PinFolder, Unwilling, Upkeep},
    lists::members::Members,
    policy::{ApiSettings, Policy, mode_label},
    state::{audit::AuditWhat, disk::Disk, patient::PatientFolder},
};

/// What the thread runs with, besides a [`Setup`].
pub struct Launch {
    /// Opens the folder where links and shared maps are pinned; again after a failure.
    pub pins: Box<dyn FnMut() -> Result<PinFolder, DatapathError> + Send>,
    /// Log every packet.
    pub trace_packets: bool,
    /// Reads the clocks.
    pub clock: fn() -> Now,
    /// The configuration file, which a reload reads.
    pub config: ConfigFile,
}

/// What a daemon begins with.
pub enum Beginning {
    /// A policy.
    Policy(Box<Setup<PatientFolder>>),
    /// Nothing, until a reload finds something.
    Idle(Box<WithoutPolicy<PatientFolder>>),
}

impl Beginning {
    /// Where probes and the API are served.
    pub fn places(&self) -> (SocketAddr, ApiSettings) {
        match self {
            Self::Policy(setup) => (setup.start.policy.admin_listen, setup.start.policy.api.clone()),
            Self::Idle(idle) => (idle.told.basics.admin_listen, idle.told.basics.api.clone()),
        }
    }
}

/// A controller that runs.
#[derive(Debug)]
pub struct Launched {
    /// The handle on it.
    pub controller: Controller,
    /// Its thread.
    pub thread: JoinHandle<()>,
    /// What brings interfaces in line while it is busy.
    pub upkeep: LateUpkeep,
}

/// Is there once something filters, and as long as the controller lives.
pub type LateUpkeep = Arc<OnceLock<Weak<dyn Upkeep>>>;

/// Messages that wait for the controller.
const QUEUE: usize = 64;

/// Loads the first generation, attaches it and starts the controller's thread.
///
/// # Errors
/// When the kernel refuses; nothing is attached then that was not before.
pub fn start(beginning: Beginning, launch: Launch) -> Result<Launched, DatapathError> {
    let Launch { mut pins, trace_packets, clock, config } = launch;
    let upkeep = LateUpkeep::default();
    let slot = Arc::clone(&upkeep);
    let mut filter = move |policy: &Arc<Policy>, members: &Members, unwilling: Unwilling| {
        let filter = KernelFilter::start(policy, members, pins()?, trace_packets, unwilling)?;
        let _ = slot.set(Arc::downgrade(&filter.upkeep()));
        Ok::<_, DatapathError>(filter)
    };
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let work = Arc::new(Work::default());
    let doing = Arc::clone(&work);
    let runtime = tokio::runtime::Handle::current();
    let thread = Builder::new().name("controller".into());
    let (readings, thread) = match beginning {
        Beginning::Policy(setup) => {
            let mut core = Core::start(*setup, &mut filter, clock())?;
            (core.publish(), thread.spawn(move || runtime.block_on(run(core, receiver, &doing, clock))))
        }
        Beginning::Idle(idle) => {
            let told = watch::Sender::new(Arc::new(idle.told.clone()) as Arc<dyn Readings>);
            let readings = told.subscribe();
            let thread = thread.spawn(move || {
                runtime.block_on(async move {
                    if let Some(core) = until_policy(*idle, &mut receiver, told, &mut filter, clock).await {
                        run(core, receiver, &doing, clock).await;
                    }
                });
            });
            (readings, thread)
        }
    };
    let thread = thread.map_err(|error| DatapathError::Load {
        cause: format!("no thread to be had: {error}"),
        errno: error.raw_os_error(),
    })?;
    Ok(Launched { controller: Controller::new(sender, readings, work, config), thread, upkeep })
}

async fn run<F: Filter, D: Disk>(
    mut core: Core<F, D>,
    mut messages: mpsc::Receiver<Message>,
    work: &Work,
    clock: fn() -> Now,
) {
    let mut next = None;
    loop {
        let now = clock();
        work.begin(Activity::Tend, now);
        core.tend(now);
        core.step_sync(now);
        work.end(Activity::Tend, since(now, clock));
        let message = match next.take() {
            Some(message) => Some(message),
            None => match tokio::time::timeout(core.time_until_work(clock()), messages.recv()).await {
                Ok(message) => message,
                Err(_) => continue,
            },
        };
        let Some(message) = message else { return };
        let now = clock();
        let job = message.job();
        work.begin(job, now);
        core.hurry(now);
        match message {
            // It would be a surprise to whoever does not wait for it any more.
            message if !message.begin() => drop(message),
            Message::Push(caller, push, reply) => {
                let pushes = collect((caller, push, reply), &mut messages, &mut next);
                push_all(&mut core, pushes, now);
            }
            Message::Stop(reply) => {
                core.stop(now);
                answer(reply, ());
                return;
            }
            message => core.handle(message, now),
        }
        work.end(job, since(now, clock));
    }
}

/// How long ago `begun` was.
fn since(begun: Now, clock: fn() -> Now) -> Duration {
    clock().boot.saturating_sub(begun.boot)
}

type QueuedPush = (Caller, Push, Reply<Result<Pushed, Refusal>>);

/// All pushes that wait: they are kept by one write, and so wait for the disk only once. `next` is the message after them.
fn collect(first: QueuedPush, messages: &mut mpsc::Receiver<Message>, next: &mut Option<Message>) -> Vec<QueuedPush> {
    let mut pushes = vec![first];
    while next.is_none()
        && let Ok(message) = messages.try_recv()
    {
        match message {
            Message::Push(caller, push, reply) => pushes.push((caller, push, reply)),
            other => *next = Some(other),
        }
    }
    pushes
}

fn push_all<F: Filter, D: Disk>(core: &mut Core<F, D>, pushes: Vec<QueuedPush>, now: Now) {
    let mut replies = Vec::with_capacity(pushes.len());
    let wanted = pushes.into_iter().filter(|(.., reply)| reply.begin());
    let (mut changes, before) = (Vec::new(), core.audit_point());
    let asked = wanted.map(|(caller, push, reply)| {
        replies.push(reply);
        changes.push((caller.clone(), AskedChange::push(&push)));
        (caller, push)
    });
    let asked = asked.collect();
    let answers = core.push_all(asked, now);
    core.record_pushes(&changes, before, &answers, now);
    // Whoever has an answer finds it in force, and told.
    core.publish();
    replies.into_iter().zip(answers).for_each(|(reply, pushed)| answer(reply, pushed));
    core.keeper.take_snapshot(core.lists.pushed(), now);
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// Does what one message asks for, and answers.
    pub(super) fn handle(&mut self, message: Message, now: Now) {
        match message {
            Message::Push(caller, push, reply) => push_all(self, vec![(caller, push, reply)], now),
            Message::SyncOpen(caller, (ticket, turn), kind, reply) => {
                answer(reply, self.open_recorded_sync(caller, (ticket, turn), kind, now));
            }
            Message::SyncClose(ticket, refusal, reply) => {
                self.close_sync(&ticket, refusal.as_ref(), now);
                answer(reply, ());
            }
            Message::SyncRun(ticket, order, reply) => self.run_sync(&ticket, *order, reply, now),
            Message::Undo(caller, undo, reply) => {
                let asked = AskedChange::of(AuditWhat::Undo, undo.dry_run, format!("of revision {}", undo.revision));
                let undone = self.recorded(&caller, &asked, now, |core| core.undo(&caller, &undo, now));
                self.tell(reply, undone);
                self.keeper.take_snapshot(self.lists.pushed(), now);
            }
            Message::Explain(inquiry, loads, reply) => answer(reply, self.explain(&inquiry, loads, now)),
            Message::Reload(caller, reload, read, reply) => {
                let asked = AskedChange::of(AuditWhat::Reload, reload.dry_run, "");
                let reloaded = self.recorded(&caller, &asked, now, |core| core.reload(&caller, &reload, *read, now));
                self.tell(reply, reloaded);
            }
            Message::Apply(caller, terms, sent, reply) => {
                let asked = AskedChange::of(AuditWhat::Apply, terms.dry_run, "");
                let applied = self.recorded(&caller, &asked, now, |core| core.apply(&caller, terms, *sent, now));
                self.tell(reply, applied);
            }
            Message::Rollback(caller, rollback, reply) => {
                let wanted = rollback.generation.map(|generation| format!("to generation {generation}"));
                let asked = AskedChange::of(AuditWhat::Rollback, rollback.dry_run, wanted.unwrap_or_default());
                let applied = self.recorded(&caller, &asked, now, |core| core.rollback(&caller, &rollback, now));
                self.tell(reply, applied);
            }
            Message::SetMode(caller, mode, reply) => {
                let asked = AskedChange::of(AuditWhat::Mode, mode.dry_run, format!("to {}", mode_label(mode.mode)));
                let applied = self.recorded(&caller, &asked, now, |core| core.set_mode(&caller, &mode, now));
                self.tell(reply, applied);
            }
            Message::Confirm(caller, confirm, reply) => {
                let asked = AskedChange::of(AuditWhat::Confirm, confirm.dry_run, "");
                let confirmed = self.recorded(&caller, &asked, now, |core| core.confirm(&caller, confirm, now));
                self.tell(reply, confirmed);
            }
            Message::Generation(number, reply) => answer(reply, self.kept_generation(number)),
            Message::OwnAddresses(own, reply) => {
                let is_done = self.set_own(own);
                self.tell(reply, is_done);
            }
            Message::Interfaces => {
                self.filter.follow(self.lists.members());
                self.publish();
            }
            Message::Stop(reply) => {
                self.stop(now);
                answer(reply, ());
            }
        }
    }

    /// Answers once readers are told.
    fn tell<T>(&mut self, reply: Reply<T>, told: T) {
        self.publish();
        answer(reply, told);
    }
}
