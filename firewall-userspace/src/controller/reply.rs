//! Answers of the controller to whoever asked.

use tokio::sync::oneshot;

/// A caller that has hung up does not want its answer.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    drop(reply.send(answer));
}
