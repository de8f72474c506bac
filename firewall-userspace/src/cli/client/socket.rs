//! A connection to the Unix socket of a daemon.

use std::{io, path::Path, time::Duration};

use tokio::{net::UnixStream, time};

/// How long the daemon may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after the daemon had no room for the connection.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// A connection to `socket`; while there is no room for it, it is waited for.
pub async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let connect = async {
        loop {
            match UnixStream::connect(socket).await {
                // EAGAIN of a Unix socket: the backlog is full (connect(2)).
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => time::sleep(CONNECT_PAUSE).await,
                result => return result,
            }
        }
    };
    let too_late = || io::Error::new(io::ErrorKind::TimedOut, "the daemon does not accept connections");
    time::timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(too_late()))
}
