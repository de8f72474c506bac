//! What the controller asks of this host.

use std::io;

use crate::host::connections::{self, Connection};

/// What the controller asks of the host that it runs on. The one in use is [`ThisHost`]; tests have a fake.
pub trait Host: Send {
    /// Connections to this host.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn connections(&self) -> io::Result<Vec<Connection>>;
}

/// The host that the daemon runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost;

impl Host for ThisHost {
    fn connections(&self) -> io::Result<Vec<Connection>> {
        connections::inbound().map_err(io::Error::other)
    }
}
