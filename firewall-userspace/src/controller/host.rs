//! What the controller asks of this host.

use std::{io, net::IpAddr};

use crate::host::{
    connections::{self, Connection},
    devices,
    reach::{self, Reach},
};

/// What the controller asks of the host that it runs on. The one in use is [`ThisHost`]; tests have a fake.
pub trait Host: Send {
    /// Connections to this host.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn connections(&self) -> io::Result<Vec<Connection>>;

    /// How it reaches `address`.
    ///
    /// # Errors
    /// When there is no route, or the kernel does not tell.
    fn reach(&self, address: IpAddr) -> io::Result<Reach>;

    /// Octets of the longest packet that comes in at one of these interfaces: the largest of their MTUs; `None` when that is not
    /// known.
    fn longest_packet(&self, interfaces: &[&str]) -> Option<u32>;
}

/// The host that the daemon runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost;

impl Host for ThisHost {
    fn connections(&self) -> io::Result<Vec<Connection>> {
        connections::inbound().map_err(io::Error::other)
    }

    fn reach(&self, address: IpAddr) -> io::Result<Reach> {
        reach::reach(address)
    }

    fn longest_packet(&self, interfaces: &[&str]) -> Option<u32> {
        let devices = devices::links().ok()?;
        interfaces.iter().filter_map(|name| Some(devices.named(name)?.mtu)).max()
    }
}
