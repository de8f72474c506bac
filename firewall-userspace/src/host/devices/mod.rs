//! What the kernel knows of the network interfaces of this namespace; nothing is changed.
//!
//! In: sysfs, and netlink sockets, asked without a runtime. Out: one [`Device`] each, with what its driver can, and what follows
//! from it: whether it can be filtered, natively, and which two would see one packet twice. The kernel owns all of it: what is told
//! may be over a moment later.

mod bond;
mod filterable;
mod generic;
mod native;
mod route;
mod stacked;

use std::{collections::BTreeSet, fmt, io};

pub use self::{
    bond::Bond,
    filterable::Unfilterable,
    native::{Obstacle, few_queues, too_many_in_use},
    route::{attached_to, links},
    stacked::Doubled,
};
use self::{generic::Generic, route::device_at};

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Other names of it (`ip link property add dev NAME altname OTHER`).
    pub other_names: Vec<String>,
    /// Its index.
    pub ifindex: u32,
    /// What its frames begin with.
    pub link_type: LinkType,
    /// What kind of virtual interface it is, in the words of `ip link add type`; `None` for others.
    pub kind: Option<String>,
    /// Its driver, or its kind; `None` when nobody tells.
    pub driver: Option<String>,
    /// Whether it is no virtual interface.
    pub is_physical: bool,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Index of the bridge, bond, team or VRF that it is a port of.
    pub controller: Option<u32>,
    /// Index of the interface of this namespace that it stands on: the parent of a VLAN, the peer of a veth.
    pub parent: Option<u32>,
    /// How a bond chooses its ports.
    pub bond: Option<Bond>,
    /// Largest packet in octets.
    pub mtu: u32,
    /// Receive queues that there are, in use or not.
    pub receive_queues: u32,
    /// Queues in use, and those that can be; `None` when its driver does not tell.
    pub channels: Option<Channels>,
    /// Octets up to which packets are merged when they come in (`gro_max_size`, `gro_ipv4_max_size`: the larger).
    pub merges_up_to: u32,
    /// Octets up to which segments are sent as one packet (`gso_max_size`, `gso_ipv4_max_size`: the larger).
    pub sends_up_to: u32,
    /// Programs that are attached.
    pub programs: Vec<AttachedProgram>,
    /// What its driver can do with XDP; `None` on kernels before 6.3, which do not tell.
    pub xdp: Option<XdpSupport>,
    /// Offloads; `None` when the kernel does not tell.
    pub offloads: Option<Offloads>,
}

/// What the frames of an interface begin with (include/uapi/linux/if_arp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// An Ethernet header of zeros: the loopback interface.
    Loopback,
    /// Something else, or nothing.
    Other(u16),
}

/// Queues of an interface; the combined ones count in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Receive queues in use.
    pub receive: u32,
    /// Transmit queues in use.
    pub transmit: u32,
    /// Most combined ones; 0 for a driver that has none.
    pub most_combined: u32,
    /// Most receive queues that are not combined; 0 for a driver that has none.
    pub most_receive: u32,
}

/// Offloads, by the names that `ethtool -k` shows in the kernel's spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Those that are on.
    pub on: BTreeSet<String>,
    /// Those of them that nobody can switch off: `[fixed]`.
    pub fixed: BTreeSet<String>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedProgram {
    /// Its identifier.
    pub id: u32,
    /// Whether it runs in the stack and not in the driver.
    pub is_generic: bool,
}

/// What a driver can do with XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpSupport {
    /// Programs run in the driver.
    pub native: bool,
    /// Also for frames in several buffers.
    pub several_buffers: bool,
}

/// The interfaces of one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices(Vec<Device>);

/// The interfaces could not be read.
#[derive(Debug)]
pub struct DevicesError(io::Error);

/// Every interface of the network namespace of this thread, with its driver, offloads and queues.
///
/// # Errors
/// When the kernel does not answer.
pub fn read() -> Result<Devices, DevicesError> {
    let mut devices = links().map_err(DevicesError)?;
    tell_more(&mut devices.0);
    Ok(devices)
}

/// The same, with offloads and queues only of the interface at `ifindex`, its ports and the one that it stands on.
///
/// # Errors
/// When the kernel does not answer.
pub fn read_around(ifindex: u32) -> Result<Devices, DevicesError> {
    let mut devices = links().map_err(DevicesError)?;
    let parent = devices.at(ifindex).and_then(|device| device.parent);
    let is_near = |device: &&mut Device| {
        device.ifindex == ifindex || device.controller == Some(ifindex) || parent == Some(device.ifindex)
    };
    tell_more(devices.0.iter_mut().filter(is_near));
    Ok(devices)
}

/// What there is to know of the one interface at `ifindex`, without offloads and queues.
///
/// # Errors
/// When there is none, or the kernel does not answer.
pub fn read_one(ifindex: u32) -> Result<Device, DevicesError> {
    device_at(ifindex).map_err(DevicesError)
}

/// What an older kernel or a virtual interface does not tell is not known.
fn tell_more<'d>(devices: impl IntoIterator<Item = &'d mut Device>) {
    let mut ethtool = Generic::open(generic::ETHTOOL).ok();
    let mut netdev = Generic::open(generic::NETDEV).ok();
    for device in devices {
        device.offloads = ethtool.as_mut().and_then(|family| family.offloads(device.ifindex).ok());
        device.channels = ethtool.as_mut().and_then(|family| family.channels(device.ifindex).ok());
        device.xdp = netdev.as_mut().and_then(|family| family.xdp_features(device.ifindex).ok());
    }
}

impl Devices {
    /// These interfaces.
    pub fn of(devices: Vec<Device>) -> Self {
        Self(devices)
    }

    /// All of them, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.0.iter()
    }

    /// That with this name, or with this other name.
    pub fn named(&self, name: &str) -> Option<&Device> {
        let by_name = self.iter().find(|device| device.name == name);
        by_name.or_else(|| self.iter().find(|device| device.is_called(name)))
    }

    /// That with this index.
    pub fn at(&self, ifindex: u32) -> Option<&Device> {
        self.iter().find(|device| device.ifindex == ifindex)
    }

    /// Ports of a bridge, bond, team or VRF.
    pub fn ports_of(&self, device: &Device) -> impl Iterator<Item = &Device> {
        let ifindex = device.ifindex;
        self.iter().filter(move |port| port.controller == Some(ifindex))
    }

    /// What it is a port of.
    pub fn controller_of(&self, device: &Device) -> Option<&Device> {
        self.at(device.controller?)
    }
}

impl Device {
    /// Whether this is its name or one of its other names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.other_names.iter().any(|other| other == name)
    }

    /// Whether packets without an Ethernet header come in through it.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.link_type, LinkType::Other(_))
    }

    /// Whether it is of this kind.
    pub fn is_a(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

impl LinkType {
    // include/uapi/linux/if_arp.h
    const ETHER: u16 = 1;
    const LOOPBACK: u16 = 772;

    fn of(number: u16) -> Self {
        match number {
            Self::ETHER => Self::Ethernet,
            Self::LOOPBACK => Self::Loopback,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for DevicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the interfaces of this host: {}", self.0)
    }
}

impl std::error::Error for DevicesError {}
