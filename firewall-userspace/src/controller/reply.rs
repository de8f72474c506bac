//! Answers of the controller to whoever asked, and who decides whether a request is begun.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time};

use crate::control::Refusal;

/// How long a request may wait for the controller to begin with it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A caller that has hung up does not want its answer.
pub(super) fn answer<T>(reply: impl Into<Reply<T>>, answer: T) {
    drop(reply.into().send(answer));
}

/// Where the answer to a request goes. Either the controller [begins](Self::begin) with the request, or whoever asked gives it up; never
/// both.
#[derive(Debug)]
pub struct Reply<T> {
    sender: oneshot::Sender<T>,
    turn: Arc<Turnstile>,
}

/// What is waited for at the other end.
#[derive(Debug)]
pub struct ReplyAhead<T> {
    receiver: oneshot::Receiver<T>,
    turn: Arc<Turnstile>,
}

/// Who was first.
#[derive(Debug, Default)]
struct Turnstile(AtomicU8);

impl Turnstile {
    const WAITING: u8 = 0;
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// Makes it `state`; whether it is that now.
    fn pass(&self, state: u8) -> bool {
        let passed = self.0.compare_exchange(Self::WAITING, state, Ordering::AcqRel, Ordering::Acquire);
        passed.is_ok() || passed == Err(state)
    }
}

/// Both ends.
pub fn reply<T>() -> (Reply<T>, ReplyAhead<T>) {
    let ((sender, receiver), turn) = (oneshot::channel(), Arc::<Turnstile>::default());
    (Reply { sender, turn: Arc::clone(&turn) }, ReplyAhead { receiver, turn })
}

impl<T> From<oneshot::Sender<T>> for Reply<T> {
    fn from(sender: oneshot::Sender<T>) -> Self {
        Self { sender, turn: Arc::default() }
    }
}

impl<T> Reply<T> {
    /// The controller begins with the request; `false` when nobody wants it any more, and nothing of it may happen.
    pub fn begin(&self) -> bool {
        // Whoever has hung up did not say so; it would be a surprise to them.
        !self.sender.is_closed() && self.turn.pass(Turnstile::BEGUN)
    }

    /// Answers.
    ///
    /// # Errors
    /// Gives the answer back when nobody waits for it.
    pub fn send(self, answer: T) -> Result<(), T> {
        self.sender.send(answer)
    }
}

impl<T> ReplyAhead<T> {
    /// The answer; whoever waits no longer than this drops it.
    ///
    /// # Errors
    /// [`Refusal::Stopping`].
    pub async fn answer(self) -> Result<T, Refusal> {
        self.receiver.await.map_err(|_| Refusal::Stopping)
    }

    /// The answer to a request that `sent` puts into the queue, if it is begun within [`PATIENCE`].
    ///
    /// # Errors
    /// [`Refusal::Busy`]: nothing of it happens. [`Refusal::Stopping`].
    pub async fn answer_soon(mut self, sent: impl Future<Output = Result<(), Refusal>>) -> Result<T, Refusal> {
        let answered = async {
            sent.await?;
            (&mut self.receiver).await.map_err(|_| Refusal::Stopping)
        };
        if let Ok(answer) = time::timeout(PATIENCE, answered).await {
            return answer;
        }
        if self.turn.pass(Turnstile::GIVEN_UP) {
            return Err(Refusal::Busy { seconds: PATIENCE.as_secs() });
        }
        self.answer().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_begun_in_time_is_never_begun() {
        let (reply, awaited) = reply::<u8>();
        assert_eq!(awaited.answer_soon(async { Ok(()) }).await, Err(Refusal::Busy { seconds: 5 }));
        assert!(!reply.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_waited_for() {
        let (reply, awaited) = reply::<u8>();
        assert!(reply.begin() && reply.begin());
        let work = async {
            time::sleep(10 * PATIENCE).await;
            reply.send(7).unwrap();
        };
        let (answer, ()) = tokio::join!(awaited.answer_soon(async { Ok(()) }), work);
        assert_eq!(answer, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_in_the_queue_was_never_sent() {
        let (reply, awaited) = reply::<u8>();
        let never = async {
            let _message = reply;
            std::future::pending().await
        };
        assert_eq!(awaited.answer_soon(never).await, Err(Refusal::Busy { seconds: 5 }));
    }
}
