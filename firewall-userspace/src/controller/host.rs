//! What the controller asks of this host.

use std::{collections::BTreeSet, io, net::IpAddr};

use crate::{
    host::{
        connections::Established,
        devices,
        memory::{self, MemoryRoom},
        reach::{self, Reach},
        recent::RecentConnections,
        sshd::{self, SshdPorts},
        surroundings::{self, Surroundings},
    },
    logging,
    policy::Prefix,
};

/// What the controller asks of the host that it runs on. The one in use is [`ThisHost`]; tests have a fake.
pub trait Host: Send + Sync {
    /// Established connections of this host; with `sources`, at least those whose other end is there.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn connections(&self, sources: Option<&[Prefix]>) -> io::Result<Vec<Established>>;

    /// Ports that sshd listens at; none where none is found.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn sshd_ports(&self) -> io::Result<BTreeSet<u16>>;

    /// What it needs of the networks around it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn surroundings(&self) -> io::Result<Surroundings>;

    /// How it reaches `address`.
    ///
    /// # Errors
    /// When there is no route, or the kernel does not tell.
    fn reach(&self, address: IpAddr) -> io::Result<Reach>;

    /// Octets of the longest packet that comes in at one of these interfaces: the largest of their MTUs; `None` when that is not
    /// known.
    fn longest_packet(&self, interfaces: &[&str]) -> Option<u32>;

    /// The memory that is left to the daemon; `None` without a limit.
    fn memory(&self) -> Option<MemoryRoom>;
}

/// The host that the daemon runs on.
#[derive(Debug, Default)]
pub struct ThisHost {
    connections: RecentConnections,
    sshd: SshdPorts,
}

impl ThisHost {
    /// The host at which `sshd` was seen before the daemon confined itself.
    pub fn seen(sshd: SshdPorts) -> Self {
        Self { sshd, ..Self::default() }
    }
}

impl Host for ThisHost {
    fn connections(&self, sources: Option<&[Prefix]>) -> io::Result<Vec<Established>> {
        self.connections.established(sources)
    }

    fn sshd_ports(&self) -> io::Result<BTreeSet<u16>> {
        sshd::ports(&self.sshd)
    }

    fn surroundings(&self) -> io::Result<Surroundings> {
        surroundings::read()
    }

    fn reach(&self, address: IpAddr) -> io::Result<Reach> {
        reach::reach(address)
    }

    fn longest_packet(&self, interfaces: &[&str]) -> Option<u32> {
        let devices = devices::links().ok()?;
        interfaces.iter().filter_map(|name| Some(devices.named(name)?.mtu)).max()
    }

    fn memory(&self) -> Option<MemoryRoom> {
        memory::room()
    }
}

/// Established connections of this host; none, with a warning, when the kernel does not tell.
pub(super) fn established(host: &dyn Host, sources: Option<&[Prefix]>) -> Vec<Established> {
    host.connections(sources).unwrap_or_else(|error| {
        if logging::admits("times that the connections of this host could not be listed") {
            tracing::warn!(
                "cannot list the connections of this host, so they are not guarded: {error}\nhint: `modprobe tcp_diag`"
            );
        }
        Vec::new()
    })
}

/// What this host needs of the networks around it; nothing, with a warning, when the kernel does not tell.
pub(super) fn around(host: &dyn Host) -> Surroundings {
    host.surroundings().unwrap_or_else(|error| {
        if logging::admits("times that the networks of this host could not be listed") {
            tracing::warn!(
                "cannot list the networks of this host and its gateways, so nobody is kept from denying them: {error}"
            );
        }
        Surroundings::default()
    })
}

/// Ports that sshd listens at; none, with a warning, when the kernel does not tell.
pub(super) fn sshd_ports(host: &dyn Host) -> Vec<u16> {
    let ports = host.sshd_ports().unwrap_or_else(|error| {
        if logging::admits("times that the ports of sshd could not be told") {
            tracing::warn!(
                "cannot tell which ports sshd listens at, so it is port 22: {error}\nhint: `modprobe tcp_diag`"
            );
        }
        BTreeSet::new()
    });
    ports.into_iter().collect()
}
