//! A controller that knows two lists and changes nothing.
//!
//! In: requests, as the sockets of a daemon pass them on. Out: answers that are always the same, and what was asked.
//! Owner: the `Daemon` of a test; how its controller answers is said in [`Fake`].

mod changes;
mod explanations;
mod history;
mod readings;
mod status;
mod waits;

use std::sync::{Arc, Mutex};

use firewall_userspace::{
    config::Bundle,
    control::{Caller, Confirmed, Pending, Push, Refusal, Reload, Reloaded, SetMode, Status, Terms},
    controller::{Counters, Explaining, Message, Readings},
};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use self::{
    explanations::explanations,
    history::{generation, kept},
    readings::Told,
};
pub use self::{
    readings::CONFIG,
    status::{counters, status},
    waits::Waits,
};

/// How it answers.
pub struct Fake {
    /// Refuses pushes and reloads with this.
    pub refusal: Option<Refusal>,
    /// What it says of itself.
    pub status: Status,
    /// Its counters; `None` when they cannot be read.
    pub counters: Option<Counters>,
    /// Whether it answers at all; one that does not has ended.
    pub is_alive: bool,
    /// What a reload says that has changed.
    pub changes: Vec<String>,
    /// What waits for a confirmation.
    pub pending: Option<Pending>,
    /// Which changes wait for a confirmation.
    pub waits: Arc<Waits>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            refusal: None,
            status: status(),
            counters: Some(counters()),
            is_alive: true,
            changes: Vec::new(),
            pending: None,
            waits: Arc::default(),
        }
    }
}

impl Fake {
    pub fn refusing(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// What readers are told.
    pub fn readings(&self) -> watch::Receiver<Arc<dyn Readings>> {
        let told = Told { status: self.status.clone(), counters: self.counters.clone() };
        watch::channel(Arc::new(told) as Arc<dyn Readings>).1
    }

    pub async fn answer(
        self,
        mut questions: mpsc::Receiver<Message>,
        pushes: Arc<Mutex<Vec<Push>>>,
        callers: Arc<Mutex<Vec<Caller>>>,
        applied: Arc<Mutex<Vec<Bundle>>>,
    ) {
        while self.is_alive
            && let Some(question) = questions.recv().await
        {
            match question {
                Message::Push(caller, push, reply) => {
                    let result = self.push(&push);
                    pushes.lock().unwrap().push(push);
                    callers.lock().unwrap().push(caller);
                    reply.send(result).unwrap();
                }
                Message::Undo(caller, undo, reply) => {
                    callers.lock().unwrap().push(caller);
                    reply.send(self.undo(&undo)).unwrap();
                }
                Message::Reload(_, reload, _, reply) => reply.send(self.reload(&reload)).unwrap(),
                Message::Apply(_, Terms { dry_run, force, confirm, .. }, sent, reply) => {
                    applied.lock().unwrap().extend(sent.loaded.ok().map(|loaded| loaded.bundle));
                    reply.send(self.reload(&Reload { dry_run, force, confirm, ..Reload::default() })).unwrap();
                }
                Message::Explain(inquiry, _, reply) => {
                    reply.send(Ok(Explaining::Explained(explanations(&inquiry)))).unwrap();
                }
                Message::Rollback(_, rollback, reply) => {
                    let target = (rollback.dry_run).then(|| generation(3));
                    let answer = self.reload(&Reload {
                        dry_run: rollback.dry_run,
                        confirm: rollback.confirm,
                        ..Reload::default()
                    });
                    reply.send(answer.map(|answer| Reloaded { of: Some(3), target, ..answer })).unwrap();
                }
                Message::SetMode(_, SetMode { dry_run, force, confirm, .. }, reply) => {
                    reply.send(self.reload(&Reload { dry_run, force, confirm, ..Reload::default() })).unwrap();
                }
                Message::Generation(number, reply) => reply.send(kept(number)).unwrap(),
                Message::Confirm(_, confirm, reply) => {
                    let confirmed = match self.pending.clone() {
                        Some(confirmed) => Ok(Confirmed { confirmed, dry_run: confirm.dry_run }),
                        None => self.waits.confirm(confirm),
                    };
                    reply.send(confirmed).unwrap();
                }
                Message::SyncOpen(.., reply) => drop(reply.send(Err(Refusal::Crowded))),
                other => panic!("nobody asks this over a socket: {other:?}"),
            }
        }
    }
}

fn time() -> Timestamp {
    "2026-11-21T10:00:00.123456789Z".parse().unwrap()
}
