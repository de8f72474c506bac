//! What a host says of itself.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    net::IpAddr,
};

use crate::{
    host::{
        addresses::{self, InterfaceAddress},
        caller,
        connections::{self, Connection, OpenSocket},
        devices::{self, Device, Devices, DevicesError},
        ephemeral,
        processes::{self, SocketHolder},
        sshd,
    },
    policy::{Protocol, ephemeral::EphemeralPorts},
};

/// What a host says of itself.
#[derive(Clone, Debug, Default)]
pub struct FirstSight {
    /// Its interfaces.
    pub devices: Devices,
    /// Their addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// Indices of the interfaces of the default routes.
    pub uplinks: BTreeSet<u32>,
    /// Sockets that take what anybody sends to them.
    pub sockets: Vec<OpenSocket>,
    /// Who holds them, by inode.
    pub holders: HashMap<u32, BTreeSet<SocketHolder>>,
    /// Ports that the kernel gives to sockets which ask for none.
    pub given: EphemeralPorts,
    /// Who is connected by ssh.
    pub ssh: SshSight,
}

/// Who is connected by ssh.
#[derive(Clone, Debug, Default)]
pub struct SshSight {
    /// The connection that the command is typed into.
    pub caller: Option<Connection>,
    /// Whether that one is established; `None` when the kernel does not tell.
    pub is_established: Option<bool>,
    /// Ports that sshd listens at, as far as it is found.
    pub ports: BTreeSet<u16>,
    /// Sources that are connected there, whether they have logged in or not.
    pub sources: BTreeSet<IpAddr>,
}

/// What the host did not tell.
#[derive(Debug)]
pub enum SightError {
    /// Which interfaces it has.
    Devices(DevicesError),
    /// Which addresses they have.
    Addresses(io::Error),
    /// Which sockets listen.
    Sockets(io::Error),
}

/// The port of ssh where no sshd is found (IANA).
const SSH: u16 = 22;

/// Ports of tunnels that the kernel opens itself: L2TP, VXLAN (IANA and the kernel's own), Geneve.
const OTHER_TUNNELS: [u16; 4] = [1701, 4789, 6081, 8472];

impl FirstSight {
    /// That of the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel does not tell of interfaces, addresses or sockets.
    pub fn read() -> Result<Self, SightError> {
        let devices = devices::read().map_err(SightError::Devices)?;
        let addresses = addresses::read().map_err(SightError::Addresses)?;
        let uplinks = addresses::uplinks().map_err(SightError::Addresses)?;
        let sockets = connections::open_sockets().map_err(SightError::Sockets)?;
        let inodes = sockets.iter().map(|socket| socket.inode).filter(|inode| *inode != 0).collect();
        let holders = processes::holders(&inodes);
        Ok(Self {
            devices,
            addresses,
            uplinks,
            holders,
            given: ephemeral::read(),
            ssh: SshSight::read(&sockets),
            sockets,
        })
    }

    /// Where WireGuard listens: its sockets are the kernel's own.
    pub fn wireguard_ports(&self) -> BTreeSet<u16> {
        if !self.devices.iter().any(|device| device.is_a("wireguard")) {
            return BTreeSet::new();
        }
        let own = self.sockets.iter().filter(|socket| socket.inode == 0 && socket.listening.protocol == Protocol::Udp);
        own.map(|socket| socket.listening.local.port()).filter(|port| !OTHER_TUNNELS.contains(port)).collect()
    }

    /// Whether only guests, containers or nobody are behind it: a bridge without a port to the outside, or an interface that no
    /// packet comes in through. One that a default route leads to is none.
    pub fn is_inner(&self, device: &Device) -> bool {
        const GUESTS: [&str; 4] = ["veth", "tun", "dummy", "ifb"];
        let is_of_guest = |port: &Device| port.kind.as_deref().is_some_and(|kind| GUESTS.contains(&kind));
        let is_inner_bridge = device.is_a("bridge") && self.devices.ports_of(device).all(is_of_guest);
        let is_idle = device.is_a("dummy") || device.is_a("ifb");
        (is_inner_bridge || is_idle) && !self.uplinks.contains(&device.ifindex)
    }
}

impl SshSight {
    fn read(sockets: &[OpenSocket]) -> Self {
        let caller = caller::ssh_connection();
        let established = connections::established(None).ok();
        let mut ports = sshd::ports(&sshd::SshdPorts::default()).unwrap_or_default();
        let listens_at = |port| {
            let is_it =
                |one: &OpenSocket| (one.listening.protocol, one.listening.local.port()) == (Protocol::Tcp, port);
            sockets.iter().any(is_it)
        };
        if ports.is_empty() && listens_at(SSH) {
            ports.insert(SSH);
        }
        // Whoever called came in at a port of sshd, whatever the name of that program.
        ports.extend(caller.map(|caller| caller.destination.port()).filter(|port| listens_at(*port)));
        let is_established = caller.zip(established.as_ref()).map(|(caller, all)| {
            let is_it = |one: &Connection| (one.source, one.destination) == (caller.source, caller.destination);
            all.iter().any(|one| is_it(&one.connection))
        });
        let to_ssh = established.iter().flatten().map(|one| one.connection);
        let to_ssh = to_ssh.filter(|one| ports.contains(&one.destination.port()));
        let sources = to_ssh.map(|one| one.source.ip()).collect();
        Self { caller, is_established, ports, sources }
    }
}

impl fmt::Display for SightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Devices(error) => error.fmt(f),
            Self::Addresses(error) => write!(f, "cannot read the addresses and routes of this host: {error}"),
            Self::Sockets(error) => {
                write!(f, "cannot list the sockets of this host: {error}\nhint: modprobe -a tcp_diag udp_diag")
            }
        }
    }
}

impl std::error::Error for SightError {}
