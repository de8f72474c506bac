//! The parts without which a daemon would be half dead: the end of one ends them all.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::task::JoinHandle;

use crate::controller::Controller;

/// Tasks that are to run until the daemon stops.
#[derive(Debug, Default)]
pub struct Essential {
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    handle: JoinHandle<()>,
    /// Whether it is waited for at the end: it ends by itself when the daemon stops.
    is_waited_for: bool,
}

impl Essential {
    /// Runs what serves others: it ends when the daemon stops, and is waited for.
    pub fn serve(&mut self, name: &'static str, server: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(Task { name, handle: tokio::spawn(server), is_waited_for: true });
    }

    /// Runs what follows the kernel until the daemon has stopped.
    pub fn follow(&mut self, name: &'static str, follower: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(Task { name, handle: tokio::spawn(follower), is_waited_for: false });
    }

    /// Waits for the first that ends, or panics, which is logged: its name.
    async fn first_end(&mut self) -> &'static str {
        let position = poll_fn(|context| {
            let mut tasks = self.tasks.iter_mut();
            let ended = tasks.position(|task| Pin::new(&mut task.handle).poll(context).is_ready());
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        // A task that has ended must not be asked again.
        let position = position.await;
        self.tasks.swap_remove(position).name
    }

    /// Waits for those that serve others, and ends the rest.
    pub async fn finish(self) {
        for Task { handle, is_waited_for, .. } in self.tasks {
            if is_waited_for {
                let _ = handle.await;
            } else {
                handle.abort();
            }
        }
    }
}

/// Waits for `stop`, which is `None`, or for the end of a part that may not end: its name.
pub async fn first_end(
    stop: impl Future<Output = ()>,
    controller: &Controller,
    essential: &mut Essential,
) -> Option<&'static str> {
    tokio::select! {
        biased;
        () = stop => None,
        () = controller.ended() => Some("the controller"),
        part = essential.first_end() => Some(part),
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, thread, time::Duration};

    use tokio::{sync::oneshot, time::timeout};

    use super::*;
    use crate::controller::fake;

    #[tokio::test]
    async fn the_part_that_ends_is_named_also_when_it_panics() {
        let mut essential = Essential::default();
        let (end, ended) = oneshot::channel::<()>();
        essential.serve("one", pending());
        essential.follow("two", async move {
            let _ = ended.await;
            panic!("this is the test");
        });
        essential.serve("three", pending());
        let early = timeout(Duration::from_millis(20), essential.first_end()).await;
        assert!(early.is_err(), "{early:?}");
        end.send(()).unwrap();
        assert_eq!(essential.first_end().await, "two");
        let again = timeout(Duration::from_millis(20), essential.first_end()).await;
        assert!(again.is_err(), "{again:?}");
    }

    #[tokio::test]
    async fn servers_are_waited_for_and_followers_are_not() {
        let mut essential = Essential::default();
        let (end, ended) = oneshot::channel::<()>();
        let (told, finished) = oneshot::channel::<()>();
        essential.follow("follower", pending());
        essential.serve("server", async move {
            let _ = ended.await;
            let _ = told.send(());
        });
        end.send(()).unwrap();
        essential.finish().await;
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn a_controller_that_panics_is_a_part_that_ends() {
        let (controller, questions) = fake::controller(None);
        let mut essential = Essential::default();
        let early = timeout(Duration::from_millis(20), first_end(pending(), &controller, &mut essential)).await;
        assert!(early.is_err(), "{early:?}");
        let thread = thread::spawn(move || {
            let _questions = questions;
            panic!("this is the test");
        });
        assert_eq!(first_end(pending(), &controller, &mut essential).await, Some("the controller"));
        assert!(thread.join().is_err());
        assert_eq!(first_end(async {}, &controller, &mut essential).await, None, "whoever stops it is heard first");
    }
}
