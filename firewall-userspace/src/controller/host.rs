//! What the controller asks of this host.

use std::{fs, io, path::Path};

use crate::{
    config::{self, Loaded, Report},
    host::connections::{self, Connection},
};

/// What the controller asks of the host that it runs on. The one in use is [`ThisHost`]; tests have a fake.
pub trait Host: Send {
    /// Connections to this host.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn connections(&self) -> io::Result<Vec<Connection>>;

    /// Reads the configuration at `path` and the list files that it names.
    ///
    /// # Errors
    /// A report of everything that is wrong.
    fn load(&self, path: &Path) -> Result<Loaded, Report>;

    /// The text of the configuration at `path`, unchecked.
    ///
    /// # Errors
    /// When it cannot be read.
    fn text(&self, path: &Path) -> io::Result<String>;
}

/// The host that the daemon runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost;

impl Host for ThisHost {
    fn connections(&self) -> io::Result<Vec<Connection>> {
        connections::inbound().map_err(io::Error::other)
    }

    fn load(&self, path: &Path) -> Result<Loaded, Report> {
        config::load(path)
    }

    fn text(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}
