//! The thread of the controller: one message after the other.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::{Controller, Core, Message, Setup, Work};
use crate::{
    clock::Now,
    control::{Caller, Push, Pushed, Refusal},
    datapath::{DatapathError, Filter, KernelFilter, PinFolder},
    state::disk::{Disk, Folder},
};

/// What the thread runs with, besides a [`Setup`].
pub struct Launch {
    /// Where links and shared maps are pinned.
    pub pins: PinFolder,
    /// Log every packet.
    pub trace_packets: bool,
    /// Reads the clocks.
    pub clock: fn() -> Now,
}

/// Messages that wait for the controller.
const QUEUE: usize = 64;

/// Loads the first generation, attaches it and starts the controller's thread.
///
/// # Errors
/// When the kernel refuses; nothing is attached then that was not before.
pub fn start(setup: Setup<Folder>, launch: Launch) -> Result<(Controller, JoinHandle<()>), DatapathError> {
    let Launch { pins, trace_packets, clock } = launch;
    let filter = |policy: &_, members: &_| KernelFilter::start(policy, members, pins, trace_packets);
    let mut core = Core::start(setup, filter, clock())?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let work = Arc::new(Work::default());
    let controller = Controller::new(sender, core.publish(), Arc::clone(&work));
    let runtime = tokio::runtime::Handle::current();
    let thread = Builder::new()
        .name("controller".into())
        .spawn(move || runtime.block_on(run(core, receiver, &work, clock)))
        .map_err(|error| DatapathError::Load {
            cause: format!("no thread to be had: {error}"),
            errno: error.raw_os_error(),
        })?;
    Ok((controller, thread))
}

/// A caller that has hung up does not want its answer.
fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    drop(reply.send(answer));
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
        work.begin(now);
        core.tend(now);
        work.end();
        let message = match next.take() {
            Some(message) => Some(message),
            None => match tokio::time::timeout(core.time_until_work(clock()), messages.recv()).await {
                Ok(message) => message,
                Err(_) => continue,
            },
        };
        let now = clock();
        work.begin(now);
        match message {
            Some(Message::Push(caller, push, reply)) => {
                let pushes = collect((caller, push, reply), &mut messages, &mut next);
                push_all(&mut core, pushes, now);
            }
            Some(Message::Stop(reply)) => {
                core.stop(now);
                answer(reply, ());
                return;
            }
            Some(message) => core.handle(message, now),
            None => return,
        }
        work.end();
    }
}

type QueuedPush = (Caller, Push, oneshot::Sender<Result<Pushed, Refusal>>);

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
    let asked = pushes.into_iter().map(|(caller, push, reply)| {
        replies.push(reply);
        (caller, push)
    });
    let asked = asked.collect();
    let answers = core.push_all(asked, now);
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
            Message::Explain(question, loads, reply) => answer(reply, self.explain(&question, loads, now)),
            Message::Reload(caller, reload, reply) => {
                let reloaded = self.reload(&caller, &reload, now);
                self.tell(reply, reloaded);
            }
            Message::Apply(caller, apply, reply) => {
                let applied = self.apply(&caller, apply, now);
                self.tell(reply, applied);
            }
            Message::Rollback(caller, rollback, reply) => {
                let applied = self.rollback(&caller, &rollback, now);
                self.tell(reply, applied);
            }
            Message::SetMode(caller, mode, reply) => {
                let applied = self.set_mode(&caller, &mode, now);
                self.tell(reply, applied);
            }
            Message::Confirm(caller, confirm, reply) => {
                let confirmed = self.confirm(&caller, confirm, now);
                self.tell(reply, confirmed);
            }
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
    fn tell<T>(&mut self, reply: oneshot::Sender<T>, told: T) {
        self.publish();
        answer(reply, told);
    }
}
