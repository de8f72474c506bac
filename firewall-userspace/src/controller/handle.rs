//! The handle on the controller: requests go to its thread, readers look at what it has published.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot, watch},
    task,
};

use super::{
    CancelOnDrop, Comparison, ConfigFile, ReadConfig, SyncBase, SyncKind, SyncOrder, SyncSet, SyncTicket, Syncs,
    message::{Explaining, Inquiry, Message},
    readings::Readings,
    traffic::TrafficSamples,
    work::{Activity, Doing, Work, milliseconds},
};
use crate::{
    clock::{Now, durations::Timings},
    config::Bundle,
    control::{
        Apply, Caller, Confirm, Confirmed, KeptGeneration, Push, Pushed, Refusal, Reload, Reloaded, Rollback,
        SandboxStatus, SetMode, Status, Undo,
    },
    datapath::give_way,
    logging,
    policy::Prefix,
    preview::explain::{Answered, Explained, ExplanationSet, Question, Questions},
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
    sandbox: Option<Arc<SandboxStatus>>,
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
        Self { messages, readings, work, config, samples: Arc::default(), syncs: Arc::default(), sandbox: None }
    }

    /// The same, of a daemon that is confined as `sandbox` says.
    #[must_use]
    pub fn in_sandbox(self, sandbox: SandboxStatus) -> Self {
        Self { sandbox: Some(Arc::new(sandbox)), ..self }
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
        let status = Status {
            age_ms: doing.map_or(0, |doing| milliseconds(doing.age)),
            doing: doing.map(|doing| doing.job.label().into()),
            log_lines_lost: logging::lost(),
            sandbox: self.sandbox.as_deref().cloned(),
            ..readings.status(now)
        };
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
        self.ask(|reply| Message::Push(caller, push, reply)).await?
    }

    /// The syncs that are under way.
    pub fn syncs(&self) -> &Syncs {
        &self.syncs
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
        ticket.cancel();
        self.ask(Message::SyncClose).await?;
        answer
    }

    /// Takes a push back: what it has changed, and nobody since, becomes what it was. A push of very many entries is taken back as a
    /// [sync](Self::sync) is carried out, unless that waits for a confirmation; who drops this future cancels that.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`Refusal::NotUndoable`].
    pub async fn undo(&self, caller: Caller, undo: Undo) -> Result<Pushed, Refusal> {
        if !self.readings()?.is_undone_as_sync(&undo) {
            return self.ask(|reply| Message::Undo(caller, undo, reply)).await?;
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
            let explainer = match self.ask(|reply| Message::Explain(asked, is_last, reply)).await?? {
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
        let mut turn = self.config.turn().await;
        let read = Box::new(ReadConfig { loaded: self.config.read(&mut turn).await, is_file: true });
        self.ask(|reply| Message::Reload(caller, reload, read, reply)).await?
    }

    /// Makes another configuration the policy: all of it, or nothing. Pushed entries stay.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), [`Refusal::NotKept`] and [`Refusal::Pending`].
    pub async fn apply(&self, caller: Caller, apply: Apply) -> Result<Reloaded, Refusal> {
        let (terms, Apply { name, config, included, files, .. }) = (apply.terms(), apply);
        let mut turn = self.config.turn().await;
        let sent = Box::new(self.config.check(Bundle { name, config, included, files }, &mut turn).await);
        self.ask(|reply| Message::Apply(caller, terms, sent, reply)).await?
    }

    /// Brings a generation back, as a new one.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), and [`Refusal::NoGeneration`].
    pub async fn rollback(&self, caller: Caller, rollback: Rollback) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Rollback(caller, rollback, reply)).await?
    }

    /// Gives the policy another mode, as a new generation.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub async fn set_mode(&self, caller: Caller, mode: SetMode) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::SetMode(caller, mode, reply)).await?
    }

    /// A generation that is kept, with its configuration as it is on disk.
    ///
    /// # Errors
    /// [`Refusal::NoGeneration`], and [`Refusal::NotKept`] when it cannot be read.
    pub async fn generation(&self, number: u64) -> Result<KeptGeneration, Refusal> {
        self.ask(|reply| Message::Generation(number, reply)).await?
    }

    /// Keeps what waits for a confirmation.
    ///
    /// # Errors
    /// [`Refusal::NothingPending`] and [`Refusal::NotKept`]; it waits on then.
    pub async fn confirm(&self, caller: Caller, confirm: Confirm) -> Result<Confirmed, Refusal> {
        self.ask(|reply| Message::Confirm(caller, confirm, reply)).await?
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

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)
    }
}
