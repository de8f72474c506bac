//! The handle on the controller, and the messages that it sends.

use tokio::sync::{mpsc, oneshot};

use crate::{
    control::{
        Apply, Confirm, Confirmed, Counters, EntriesQuery, Generations, Page, Push, Pushed, Refusal, Reload, Reloaded,
        Rollback, SetMode, Status,
    },
    policy::{Policy, Prefix},
    preview::explain::{Explained, Question},
};

/// A handle on the controller; cheap to clone.
#[derive(Clone, Debug)]
pub struct Controller {
    messages: mpsc::Sender<Message>,
}

/// One question and where its answer goes.
#[derive(Debug)]
pub enum Message {
    /// See [`Controller::push`].
    Push(Push, oneshot::Sender<Result<Pushed, Refusal>>),
    /// See [`Controller::entries`].
    Entries(EntriesQuery, oneshot::Sender<Result<Page, Refusal>>),
    /// See [`Controller::status`].
    Status(oneshot::Sender<Status>),
    /// See [`Controller::policy`].
    Policy(oneshot::Sender<(u64, Policy)>),
    /// See [`Controller::counters`].
    Counters(oneshot::Sender<Result<Counters, Refusal>>),
    /// See [`Controller::explain`].
    Explain(Question, oneshot::Sender<Result<Explained, Refusal>>),
    /// See [`Controller::reload`].
    Reload(Reload, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::apply`].
    Apply(Apply, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::rollback`].
    Rollback(Rollback, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::set_mode`].
    SetMode(SetMode, oneshot::Sender<Result<Reloaded, Refusal>>),
    /// See [`Controller::confirm`].
    Confirm(Confirm, oneshot::Sender<Result<Confirmed, Refusal>>),
    /// See [`Controller::history`].
    History(oneshot::Sender<Generations>),
    /// The addresses of this host and the broadcast addresses of its subnets, as netlink knows them now.
    OwnAddresses(Vec<Prefix>),
    /// Interfaces may have come, gone or changed.
    Interfaces,
    /// See [`Controller::stop`].
    Stop(oneshot::Sender<()>),
}

impl Controller {
    /// A handle that sends into `messages`.
    pub fn new(messages: mpsc::Sender<Message>) -> Self {
        Self { messages }
    }

    /// Changes one layer: all of the batch, or nothing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn push(&self, push: Push) -> Result<Pushed, Refusal> {
        self.ask(|reply| Message::Push(push, reply)).await?
    }

    /// The next entries of one list or of all.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for an unknown list.
    pub async fn entries(&self, query: EntriesQuery) -> Result<Page, Refusal> {
        self.ask(|reply| Message::Entries(query, reply)).await?
    }

    /// The state of the daemon.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Message::Status).await
    }

    /// The live policy and its generation.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn policy(&self) -> Result<(u64, Policy), Refusal> {
        self.ask(Message::Policy).await
    }

    /// The counters of the data plane.
    ///
    /// # Errors
    /// [`Refusal::Datapath`] when a map cannot be read.
    pub async fn counters(&self) -> Result<Counters, Refusal> {
        self.ask(Message::Counters).await?
    }

    /// What would become of a packet now. Nothing changes by it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] and [`Refusal::Datapath`].
    pub async fn explain(&self, question: Question) -> Result<Explained, Refusal> {
        self.ask(|reply| Message::Explain(question, reply)).await?
    }

    /// Loads the configuration anew: all of it, or nothing. Runtime entries stay.
    ///
    /// # Errors
    /// [`Refusal::Config`], [`Refusal::Guarded`] and [`Refusal::Datapath`]; the old policy goes on.
    pub async fn reload(&self, reload: Reload) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Reload(reload, reply)).await?
    }

    /// Makes another configuration the policy: all of it, or nothing. Runtime entries stay.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), [`Refusal::NotKept`] and [`Refusal::Pending`].
    pub async fn apply(&self, apply: Apply) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Apply(apply, reply)).await?
    }

    /// Brings a generation back, as a new one.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), and [`Refusal::NoGeneration`].
    pub async fn rollback(&self, rollback: Rollback) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::Rollback(rollback, reply)).await?
    }

    /// Gives the policy another mode, as a new generation.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub async fn set_mode(&self, mode: SetMode) -> Result<Reloaded, Refusal> {
        self.ask(|reply| Message::SetMode(mode, reply)).await?
    }

    /// Keeps what waits for a confirmation.
    ///
    /// # Errors
    /// [`Refusal::NothingPending`] and [`Refusal::NotKept`]; it waits on then.
    pub async fn confirm(&self, confirm: Confirm) -> Result<Confirmed, Refusal> {
        self.ask(|reply| Message::Confirm(confirm, reply)).await?
    }

    /// The generations that are kept.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn history(&self) -> Result<Generations, Refusal> {
        self.ask(Message::History).await
    }

    /// Tells the controller the addresses of this host.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn own_addresses(&self, prefixes: Vec<Prefix>) -> Result<(), Refusal> {
        self.messages.send(Message::OwnAddresses(prefixes)).await.map_err(|_| Refusal::Stopping)
    }

    /// Tells the controller to look at its interfaces.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn interfaces(&self) -> Result<(), Refusal> {
        self.messages.send(Message::Interfaces).await.map_err(|_| Refusal::Stopping)
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
