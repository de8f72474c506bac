//! The handle on the controller: requests go to its thread, readers look at what it has published.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task, time,
};

use super::{
    CancelOnDrop, Comparison, ConfigFile, ReadConfig, SyncBase, SyncKind, SyncOrder, SyncSet, SyncTicket, Syncs,
    audit::{conditions, note_cancel},
    message::{Explaining, Inquiry, Message},
    readings::Readings,
    reply::{PATIENCE, Reply, reply},
    traffic::TrafficSamples,
    work::{Activity, Doing, Work, milliseconds},
};
use crate::{
    clock::{Now, durations::Timings},
    config::Bundle,
    control::{
        Apply, Caller, Condition, Confirm, Confirmed, KeptGeneration, Push, Pushed, Refusal, Reload, Reloaded,
        Rollback, SandboxStatus, SetMode, Status, Undo, Way,
    },
    datapath::give_way,
    logging,
    policy::Prefix,
    preview::explain::{Answered, Explained, ExplanationSet, Question, Questions},
    state::answers::Answers,
    state::audit::{AuditHandle, Unrecorded},
};

/// A handle on the controller; cheap to clone.
#[derive(Clone, Debug)]
pub struct Controller {
    messages: mpsc::Sender<Message>,
    readings: watch::Receiver<Arc<dyn Readings>>,
    work: Arc<Work>,
    config: ConfigFile,
    samples: Arc<TrafficSamples>,
    syncs: Arc<Syncs>,
    beside: HandedOver,
}

/// What stands beside the controller, and requests come across.
#[derive(Clone, Debug)]
struct HandedOver {
    sandbox: Option<Arc<SandboxStatus>>,
    answers: Arc<Answers>,
    serving: Option<fn() -> Vec<Condition>>,
    audit: AuditHandle,
}

/// How often what answers is loaded off the controller's thread for one question.
const EXPLAIN_ATTEMPTS: usize = 2;

impl Controller {
    /// A handle that sends into `messages` and looks at `readings`; a reload reads `config`.
    pub fn new(
        messages: mpsc::Sender<Message>,
        readings: watch::Receiver<Arc<dyn Readings>>,
        work: Arc<Work>,
        config: ConfigFile,
    ) -> Self {
        let beside = HandedOver { sandbox: None, answers: Arc::default(), serving: None, audit: Arc::new(Unrecorded) };
        Self { messages, readings, work, config, samples: Arc::default(), syncs: Arc::default(), beside }
    }

    /// The same, of a daemon that is confined as `sandbox` says.
    #[must_use]
    pub fn in_sandbox(self, sandbox: SandboxStatus) -> Self {
        Self { beside: HandedOver { sandbox: Some(Arc::new(sandbox)), ..self.beside }, ..self }
    }

    /// The same with answers that outlive the daemon.
    #[must_use]
    pub fn with_answers(self, answers: Answers) -> Self {
        Self { beside: HandedOver { answers: Arc::new(answers), ..self.beside }, ..self }
    }

    /// The answers that are told again to whoever asks again with the same key.
    pub fn answers(&self) -> &Arc<Answers> {
        &self.beside.answers
    }

    /// The same; `serving` says what is not as it should be with what others connect to, which the controller does not know.
    #[must_use]
    pub fn served_by(self, serving: fn() -> Vec<Condition>) -> Self {
        Self { beside: HandedOver { serving: Some(serving), ..self.beside }, ..self }
    }

    /// The same, of a daemon that records changes in `audit`.
    #[must_use]
    pub fn recorded_in(self, audit: AuditHandle) -> Self {
        Self { beside: HandedOver { audit, ..self.beside }, ..self }
    }

    /// Where changes are recorded.
    pub fn audit(&self) -> &AuditHandle {
        &self.beside.audit
    }

    /// What readers are told now.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub fn readings(&self) -> Result<Arc<dyn Readings>, Refusal> {
        if self.messages.is_closed() { Err(Refusal::Stopping) } else { Ok(Arc::clone(&self.readings.borrow())) }
    }

    /// Changes whenever readers are told something new.
    pub fn changes(&self) -> watch::Receiver<Arc<dyn Readings>> {
        self.readings.clone()
    }

    /// The state of the daemon, with its age.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub fn status(&self, now: Now) -> Result<Status, Refusal> {
        self.told(now).map(|(status, _)| status)
    }

    /// The state of the daemon, and the readings that it is from.
    fn told(&self, now: Now) -> Result<(Status, Arc<dyn Readings>), Refusal> {
        // Before the readings: what has ended by then is in them.
        let doing = self.work.doing(now);
        let readings = self.readings()?;
        let mut status = Status {
            age_ms: doing.map_or(0, |doing| milliseconds(doing.age)),
            doing: doing.map(|doing| doing.job.label().into()),
            log_lines_lost: logging::lost(),
            sandbox: self.beside.sandbox.as_deref().cloned(),
            ..readings.status(now)
        };
        status.conditions.extend(self.beside.serving.map_or_else(Vec::new, |serving| serving()));
        status.conditions.extend(conditions(&self.beside.audit));
        Ok((status, readings))
    }

    /// The same with what goes through the filter: the counters are read from the kernel now, which takes milliseconds.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub fn status_with_traffic(&self, now: Now) -> Result<Status, Refusal> {
        let (status, readings) = self.told(now)?;
        if status.interfaces.is_empty() {
            return Ok(status);
        }
        Ok(match readings.frames() {
            Ok(frames) => Status { traffic: Some(self.samples.compare(frames, now.boot)), ..status },
            Err(refusal) => Status { traffic_failure: Some(refusal.to_string()), ..status },
        })
    }

    /// What it is doing; `None` when it waits for something to do.
    ///
    /// # Errors
    /// [`Refusal::Stopping`] when it has ended.
    pub fn doing(&self, now: Now) -> Result<Option<Doing>, Refusal> {
        if self.messages.is_closed() { Err(Refusal::Stopping) } else { Ok(self.work.doing(now)) }
    }

    /// How long each job took that is over.
    pub fn timings(&self) -> [(Activity, Timings); Activity::ALL.len()] {
        self.work.timings()
    }

    /// Completes when it has ended, by whatever cause.
    pub async fn ended(&self) {
        self.messages.closed().await;
    }

    /// Changes one layer: all of the batch, or nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn push(&self, caller: Caller, push: Push) -> Result<Pushed, Refusal> {
        self.ask_soon(|reply| Message::Push(caller, push, reply)).await?
    }

    /// The syncs that are under way.
    pub fn syncs(&self) -> &Syncs {
        &self.syncs
    }

    /// `caller` wants the sync `number` cancelled: whether nothing of it happens, and `None` when there is none.
    pub fn cancel_sync(&self, caller: &Caller, number: u64, now: Now) -> Option<bool> {
        let cancelled = self.syncs.cancel(number, caller)?;
        note_cancel(&self.beside.audit, caller, number, cancelled, now);
        Some(cancelled)
    }

    /// Changes entries by a sync: all of it, or nothing. It waits for the one before; other changes go on meanwhile. Whoever drops
    /// this future has to cancel the ticket.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn sync(&self, caller: Caller, set: SyncSet, ticket: &Arc<SyncTicket>) -> Result<Pushed, Refusal> {
        let kind = SyncKind { is_dry: set.is_dry(), undoes: None };
        self.carry_out_sync(caller, kind, ticket, |_| Ok(set)).await
    }

    /// Carries out what `set` makes of what there is.
    async fn carry_out_sync(
        &self,
        caller: Caller,
        kind: SyncKind,
        ticket: &Arc<SyncTicket>,
        set: impl FnOnce(&mut SyncBase) -> Result<SyncSet, Refusal> + Send + 'static,
    ) -> Result<Pushed, Refusal> {
        let turn = (Arc::clone(ticket), self.syncs.turn().await);
        // Its client is told that it waits, and can cancel it.
        let mut base = self.ask(|reply| Message::SyncOpen(caller, turn, kind, reply)).await??;
        let followed = Arc::clone(ticket);
        let compared = task::spawn_blocking(move || {
            let set = set(&mut base)?;
            let comparison = Comparison::new(base, set)?;
            let survey = comparison.survey(&followed)?;
            Ok::<_, Refusal>(SyncOrder { comparison: Arc::new(comparison), survey })
        });
        let compared = compared.await.unwrap_or_else(|error| {
            Err(Refusal::Datapath { message: format!("cannot compare the sync with what is there: {error}") })
        });
        let answer = match compared {
            Ok(order) => match order.preview() {
                None => {
                    let order = Box::new(order);
                    return self.ask(|reply| Message::SyncRun(Arc::clone(ticket), order, reply)).await?;
                }
                Some(previewed) => Ok(previewed),
            },
            Err(refusal) => Err(refusal),
        };
        // Whoever has the answer may begin with something else.
        let refusal = answer.as_ref().err().cloned();
        self.ask(|reply| Message::SyncClose(Arc::clone(ticket), refusal, reply)).await?;
        answer
    }

    /// Takes a push back: what it has changed, and nobody since, becomes what it was. A push of very many entries is taken back as a
    /// [sync](Self::sync) is carried out, unless that waits for a confirmation; who drops this future cancels that.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`Refusal::NotUndoable`].
    pub async fn undo(&self, caller: Caller, undo: Undo) -> Result<Pushed, Refusal> {
        if !self.readings()?.is_undone_as_sync(&undo) {
            return self.ask_soon(|reply| Message::Undo(caller, undo, reply)).await?;
        }
        let Some(ticket) = self.syncs.begin(&caller.name) else { return Err(Refusal::Crowded) };
        let _cancels = CancelOnDrop(Arc::clone(&ticket));
        let kind = SyncKind { is_dry: undo.dry_run, undoes: Some(undo.revision) };
        self.carry_out_sync(caller, kind, &ticket, move |base| SyncSet::undoing(base, &undo)).await
    }

    /// What would become of a packet now. Nothing changes by it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] and [`Refusal::Datapath`].
    pub async fn explain(&self, question: Question) -> Result<Explained, Refusal> {
        let message = match self.inquire(Inquiry::Packet(question)).await?.pop() {
            Some(Answered::Explained(explained)) => return Ok(*explained),
            Some(Answered::Refused(why)) => why,
            None => "cannot explain the packet: nothing was answered".into(),
        };
        Err(Refusal::Datapath { message })
    }

    /// What would become of several packets now: of one to each service, or of frames. Nothing changes by it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], and [`Refusal::Datapath`] when what answers cannot be loaded. What is wrong with one frame is said in its
    /// place.
    pub async fn explain_many(&self, questions: Questions) -> Result<ExplanationSet, Refusal> {
        self.inquire(Inquiry::Packets(questions)).await.map(ExplanationSet::of)
    }

    async fn inquire(&self, inquiry: Inquiry) -> Result<Vec<Answered>, Refusal> {
        let mut attempts = 0;
        loop {
            // A policy that changes all the time is gone when its instance is loaded: then the controller waits for it.
            let (asked, is_last) = (inquiry.clone(), attempts == EXPLAIN_ATTEMPTS);
            attempts += 1;
            let explainer = match self.ask_soon(|reply| Message::Explain(asked, is_last, reply)).await?? {
                Explaining::Explained(answers) => return Ok(answers),
                Explaining::NotLoaded(explainer) => explainer,
            };
            // On a thread of its own: the verifier takes a fraction of a second, and pushes do not wait for it. With few CPUs
            // readers would, if it did not give way.
            let loaded = task::spawn_blocking(move || give_way("explain", || explainer.load())).await;
            let message = match loaded {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => format!("cannot load the instance that explains: {error}"),
            };
            return Err(Refusal::Datapath { message });
        }
    }

    /// Loads the configuration anew: all of it, or nothing. Pushed entries stay.
    ///
    /// # Errors
    /// [`Refusal::Config`], [`Refusal::Guarded`] and [`Refusal::Datapath`]; the old policy goes on.
    pub async fn reload(&self, caller: Caller, reload: Reload) -> Result<Reloaded, Refusal> {
        // Until it is answered, so that no other reload brings an older text after this one.
        let is_patient = matches!(caller.way, Way::Signal | Way::Daemon);
        let mut turn = if is_patient { self.config.turn().await } else { soon(self.config.turn()).await? };
        let read = Box::new(ReadConfig { loaded: self.config.read(&mut turn).await, is_file: true });
        let message = |reply| Message::Reload(caller, reload, read, reply);
        // Nobody asks again for what a signal was for.
        if is_patient { self.ask(message).await? } else { self.ask_soon(message).await? }
    }

    /// Makes another configuration the policy: all of it, or nothing. Pushed entries stay.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), [`Refusal::NotKept`] and [`Refusal::Pending`].
    pub async fn apply(&self, caller: Caller, apply: Apply) -> Result<Reloaded, Refusal> {
        let (terms, Apply { name, config, included, files, .. }) = (apply.terms(), apply);
        let mut turn = soon(self.config.turn()).await?;
        let sent = Box::new(self.config.check(Bundle { name, config, included, files }, &mut turn).await);
        self.ask_soon(|reply| Message::Apply(caller, terms, sent, reply)).await?
    }

    /// Brings a generation back, as a new one.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), and [`Refusal::NoGeneration`].
    pub async fn rollback(&self, caller: Caller, rollback: Rollback) -> Result<Reloaded, Refusal> {
        self.ask_soon(|reply| Message::Rollback(caller, rollback, reply)).await?
    }

    /// Gives the policy another mode, as a new generation.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub async fn set_mode(&self, caller: Caller, mode: SetMode) -> Result<Reloaded, Refusal> {
        self.ask_soon(|reply| Message::SetMode(caller, mode, reply)).await?
    }

    /// A generation that is kept, with its configuration as it is on disk.
    ///
    /// # Errors
    /// [`Refusal::NoGeneration`], and [`Refusal::NotKept`] when it cannot be read.
    pub async fn generation(&self, number: u64) -> Result<KeptGeneration, Refusal> {
        self.ask_soon(|reply| Message::Generation(number, reply)).await?
    }

    /// Keeps what waits for a confirmation.
    ///
    /// # Errors
    /// [`Refusal::NothingPending`] and [`Refusal::NotKept`]; it waits on then.
    pub async fn confirm(&self, caller: Caller, confirm: Confirm) -> Result<Confirmed, Refusal> {
        self.ask_soon(|reply| Message::Confirm(caller, confirm, reply)).await?
    }

    /// Tells the controller the addresses of this host; whether they are refused as sources now.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn own_addresses(&self, prefixes: Vec<Prefix>) -> Result<bool, Refusal> {
        self.ask(|reply| Message::OwnAddresses(prefixes, reply)).await
    }

    /// Tells the controller that interfaces or pins are not as they were, without waiting for it; whether it runs. A controller
    /// that is busy with many requests looks by itself.
    pub fn note_interfaces(&self) -> bool {
        !matches!(self.messages.try_send(Message::Interfaces), Err(mpsc::error::TrySendError::Closed(_)))
    }

    /// Ends the controller; the last policy goes on filtering.
    pub async fn stop(&self) {
        let _ = self.ask(Message::Stop).await;
    }

    /// Asks, and waits for as long as it takes.
    async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Refusal> {
        let (reply, awaited) = reply();
        self.send(message(reply)).await?;
        awaited.answer().await
    }

    /// Asks for what the controller has to begin with soon: what waits longer than [`PATIENCE`] for that does not happen.
    async fn ask_soon<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Refusal> {
        let (reply, awaited) = reply();
        awaited.answer_soon(self.send(message(reply))).await
    }

    async fn send(&self, message: Message) -> Result<(), Refusal> {
        self.messages.send(message).await.map_err(|_| Refusal::Stopping)
    }
}

/// What is had within [`PATIENCE`].
async fn soon<T>(wanted: impl Future<Output = T>) -> Result<T, Refusal> {
    time::timeout(PATIENCE, wanted).await.map_err(|_| Refusal::Busy { seconds: PATIENCE.as_secs() })
}
