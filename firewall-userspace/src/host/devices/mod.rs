//! What the kernel knows of the network interfaces of this namespace; nothing is changed.
//!
//! In: sysfs, and a generic netlink socket. Out: one [`Device`] each, with what its driver can. The kernel owns all of it: what is
//! told may be over a moment later.

mod attached;
mod generic;

use std::{collections::BTreeSet, fmt, fs, io, path::Path};

use futures_util::TryStreamExt;
use rtnetlink::{
    new_connection,
    packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached},
};

pub use self::attached::attached_to;
use self::generic::Generic;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Its driver, or what kind of virtual interface it is; `None` when nobody tells.
    pub driver: Option<String>,
    /// Whether it is no virtual interface.
    pub is_physical: bool,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Whether it is a part of a bridge, bond or team.
    pub has_controller: bool,
    /// Largest packet in octets.
    pub mtu: u32,
    /// Receive queues there are.
    pub receive_queues: u32,
    /// Programs that are attached.
    pub programs: Vec<AttachedProgram>,
    /// What its driver can do with XDP; `None` on kernels before 6.3, which do not tell.
    pub xdp: Option<XdpSupport>,
    /// Offloads that are on, by the names that `ethtool -k` shows in the kernel's spelling; `None` when the kernel does not tell.
    pub offloads: Option<BTreeSet<String>>,
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

/// Why the interfaces could not be read.
#[derive(Debug)]
pub enum DevicesError {
    /// No socket or no runtime.
    Connect(io::Error),
    /// The kernel did not answer the dump.
    Dump(rtnetlink::Error),
}

/// Every interface, by index.
///
/// # Errors
/// When the kernel does not answer.
pub async fn read() -> Result<Vec<Device>, DevicesError> {
    let (connection, handle, _) = new_connection().map_err(DevicesError::Connect)?;
    tokio::spawn(connection);
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(DevicesError::Dump)?;
    let mut devices: Vec<Device> = links.iter().map(device).collect();
    devices.sort_by_key(|device| device.ifindex);
    let mut ethtool = Generic::open(generic::ETHTOOL).ok();
    let mut netdev = Generic::open(generic::NETDEV).ok();
    for device in &mut devices {
        // What an older kernel or a virtual interface does not tell is not known.
        device.offloads = ethtool.as_mut().and_then(|family| family.active_features(device.ifindex).ok());
        device.xdp = netdev.as_mut().and_then(|family| family.xdp_features(device.ifindex).ok());
    }
    Ok(devices)
}

fn device(link: &LinkMessage) -> Device {
    let mut device = Device {
        ifindex: link.header.index,
        is_up: link.header.flags.contains(LinkFlags::Up),
        is_loopback: link.header.flags.contains(LinkFlags::Loopback),
        ..Device::default()
    };
    let mut address = Vec::new();
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::Address(octets) => address.clone_from(octets),
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::NumRxQueues(queues) => device.receive_queues = *queues,
            LinkAttribute::Controller(_) => device.has_controller = true,
            LinkAttribute::Xdp(facts) => device.programs = programs(facts),
            LinkAttribute::LinkInfo(infos) => {
                device.driver = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(InfoKind::to_string(kind)),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if device.driver.is_none() && !device.is_loopback {
        device.driver = driver(&device.name, device.ifindex, &address);
        device.is_physical = true;
    }
    device
}

/// The driver as sysfs tells it, if that shows this very interface: it may be mounted for another namespace.
fn driver(name: &str, ifindex: u32, address: &[u8]) -> Option<String> {
    let folder = Path::new("/sys/class/net").join(name);
    let is = |file: &str, wanted: &str| fs::read_to_string(folder.join(file)).is_ok_and(|text| text.trim() == wanted);
    let address: Vec<String> = address.iter().map(|octet| format!("{octet:02x}")).collect();
    if !is("ifindex", &ifindex.to_string()) || !is("address", &address.join(":")) {
        return None;
    }
    let driver = fs::read_link(folder.join("device/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

fn programs(facts: &[LinkXdp]) -> Vec<AttachedProgram> {
    let mut programs = Vec::new();
    let mut mode = None;
    let mut only = None;
    for fact in facts {
        match fact {
            LinkXdp::Attached(attached) => mode = Some(*attached),
            LinkXdp::ProgId(id) => only = Some(*id),
            LinkXdp::DrvProgId(id) | LinkXdp::HwProgId(id) => {
                programs.push(AttachedProgram { id: *id, is_generic: false })
            }
            LinkXdp::SkbProgId(id) => programs.push(AttachedProgram { id: *id, is_generic: true }),
            _ => {}
        }
    }
    if let (true, Some(id)) = (programs.is_empty(), only) {
        programs.push(AttachedProgram { id, is_generic: mode == Some(XdpAttached::SocketBuffer) });
    }
    programs.retain(|program| program.id != 0);
    programs
}

impl fmt::Display for DevicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot ask for the interfaces of this host: {error}"),
            Self::Dump(error) => write!(f, "cannot read the interfaces of this host: {error}"),
        }
    }
}

impl std::error::Error for DevicesError {}
