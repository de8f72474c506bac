//! Accepts connections, a bounded number at a time, until told to stop.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time,
};

use super::connection;

/// Where connections come from.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Who is at its other end; handlers find it in the extensions of the request.
    type Peer: Clone + Send + Sync + Unpin + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel.
    pub connections: usize,
    /// Time to send the request line and the headers.
    pub headers: Duration,
    /// Time from the connection to the last octet of the answer.
    pub exchange: Duration,
}

/// How long exchanges that have begun may go on after the shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after the kernel refused a connection, for example because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` on `listener` until `shutdown` completes; then lets exchanges that have begun end.
///
/// A connection carries one exchange: clients are few and near, and a connection that cannot idle needs no reaper.
pub async fn serve<L: Listener>(listener: L, router: Router, limits: Limits, shutdown: impl Future) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, permit) = tokio::select! {
            biased;
            _ = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        let exchange = connection::serve(stream, peer, router.clone(), limits, stopping.clone());
        connections.spawn(async move {
            exchange.await;
            drop(permit);
        });
    }
    drop(listener);
    // Nobody listens any more when all connections have ended, which is fine.
    let _ = stop.send(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if time::timeout(GRACE, all_ended).await.is_err() {
        tracing::debug!("connections were cut at the shutdown");
    }
}

async fn accept<L: Listener>(
    listener: &L,
    permits: &Arc<Semaphore>,
) -> (L::Stream, L::Peer, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit.
    let permit = permits.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection failed, and not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
