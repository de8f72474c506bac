//! Interfaces as `rtnetlink` tells of them.

use std::{fs, io, path::Path};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{AttachedProgram, Bond, Device, Devices, LinkType};
use crate::host::raw::{NetlinkSocket, RawMessage, attribute, attributes, number, text};

// include/uapi/linux/rtnetlink.h, and `struct ifinfomsg` there: family, padding, type, index, flags, change.
const RTM_GETLINK: u16 = 18;
const INFO: usize = 16;

// include/uapi/linux/if.h
const IFF_UP: u32 = 1;

// include/uapi/linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_XDP: u16 = 43;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const XDP_ATTACHED_SKB: u8 = 2;

/// Every interface of the network namespace of this thread, without what `ethtool` tells.
///
/// # Errors
/// When the kernel does not answer.
pub fn links() -> io::Result<Devices> {
    let mut devices = Vec::new();
    NetlinkSocket::open(NETLINK_ROUTE)?.dump(question(0), |message| devices.extend(device(&message.octets)))?;
    devices.sort_by_key(|device| device.ifindex);
    Ok(Devices::of(devices))
}

/// The same of the interface at `ifindex`.
///
/// # Errors
/// When there is none, or the kernel does not answer.
pub fn device_at(ifindex: u32) -> io::Result<Device> {
    let answer = NetlinkSocket::open(NETLINK_ROUTE)?.ask(question(ifindex))?;
    device(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Programs on the interface at `ifindex`.
///
/// # Errors
/// When there is none, or the kernel does not answer.
pub fn attached_to(ifindex: u32) -> io::Result<Vec<AttachedProgram>> {
    device_at(ifindex).map(|device| device.programs)
}

/// The question about one interface, or about all for index 0.
fn question(ifindex: u32) -> RawMessage {
    RawMessage { kind: RTM_GETLINK, octets: about(ifindex) }
}

fn about(ifindex: u32) -> Vec<u8> {
    let mut info = vec![0; INFO];
    info.splice(4..8, ifindex.to_ne_bytes());
    info
}

/// The interface that a message tells of.
fn device(message: &[u8]) -> Option<Device> {
    let (info, rest) = message.split_at_checked(INFO)?;
    let link_type = u16::from_ne_bytes(info.get(2..4)?.try_into().ok()?);
    let mut device = Device {
        ifindex: number(info.get(4..8)?)?,
        link_type: LinkType::of(link_type),
        is_up: number(info.get(8..12)?)? & IFF_UP != 0,
        ..Device::default()
    };
    let mut address: &[u8] = &[];
    let mut is_elsewhere = false;
    for (kind, value) in attributes(rest) {
        let size = || number(value).unwrap_or_default();
        match kind {
            IFLA_IFNAME => device.name = text(value),
            IFLA_ADDRESS => address = value,
            IFLA_MTU => device.mtu = size(),
            IFLA_NUM_RX_QUEUES => device.receive_queues = size(),
            IFLA_MASTER => device.controller = number(value),
            IFLA_LINK => device.parent = number(value).filter(|parent| *parent != 0),
            IFLA_LINK_NETNSID => is_elsewhere = true,
            IFLA_GRO_MAX_SIZE | IFLA_GRO_IPV4_MAX_SIZE => device.merges_up_to = device.merges_up_to.max(size()),
            IFLA_GSO_MAX_SIZE | IFLA_GSO_IPV4_MAX_SIZE => device.sends_up_to = device.sends_up_to.max(size()),
            IFLA_XDP => device.programs = programs(value),
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                device.other_names = names.map(|(_, name)| text(name)).collect();
            }
            IFLA_LINKINFO => {
                device.kind = attribute(value, IFLA_INFO_KIND).map(text);
                let data = attribute(value, IFLA_INFO_DATA).unwrap_or_default();
                device.bond = device.is_a("bond").then(|| Bond::read(data));
            }
            _ => {}
        }
    }
    // An index of another namespace means nothing here; and some say that they stand on themselves.
    device.parent = device.parent.filter(|parent| !is_elsewhere && *parent != device.ifindex);
    device.driver.clone_from(&device.kind);
    if device.kind.is_none() && device.link_type != LinkType::Loopback {
        device.driver = driver(&device.name, device.ifindex, address);
        device.is_physical = true;
    }
    Some(device)
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

fn programs(facts: &[u8]) -> Vec<AttachedProgram> {
    let mut programs = Vec::new();
    for (kind, value) in attributes(facts) {
        let is_generic = kind == IFLA_XDP_SKB_PROG_ID;
        if is_generic || kind == IFLA_XDP_DRV_PROG_ID || kind == IFLA_XDP_HW_PROG_ID {
            programs.extend(number(value).map(|id| AttachedProgram { id, is_generic }));
        }
    }
    if let (true, Some(id)) = (programs.is_empty(), attribute(facts, IFLA_XDP_PROG_ID).and_then(number)) {
        let is_generic = attribute(facts, IFLA_XDP_ATTACHED) == Some(&[XDP_ATTACHED_SKB]);
        programs.push(AttachedProgram { id, is_generic });
    }
    programs.retain(|program| program.id != 0);
    programs
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DefaultNla;

    use super::*;
    use crate::host::raw::encoded;

    #[test]
    fn a_message_is_read_and_what_is_unknown_in_it_is_passed_over() {
        let names = [DefaultNla::new(IFLA_ALT_IFNAME, b"uplink\0".to_vec())];
        let parts = [
            DefaultNla::new(IFLA_IFNAME, b"tun0\0".to_vec()),
            DefaultNla::new(IFLA_MASTER, 7_u32.to_ne_bytes().to_vec()),
            DefaultNla::new(IFLA_LINK, 9_u32.to_ne_bytes().to_vec()),
            DefaultNla::new(IFLA_GRO_MAX_SIZE, 65_536_u32.to_ne_bytes().to_vec()),
            DefaultNla::new(IFLA_GRO_IPV4_MAX_SIZE, 200_000_u32.to_ne_bytes().to_vec()),
            DefaultNla::new(IFLA_PROP_LIST, encoded(&names)),
            DefaultNla::new(999, vec![1, 2, 3]),
        ];
        let mut message = about(5);
        message.splice(2..4, 0xfffe_u16.to_ne_bytes());
        message.splice(8..12, IFF_UP.to_ne_bytes());
        message.extend(encoded(&parts));
        let read = device(&message).unwrap();
        assert_eq!((&*read.name, read.ifindex, read.is_up), ("tun0", 5, true));
        assert_eq!(read.link_type, LinkType::Other(0xfffe));
        assert_eq!((read.controller, read.parent, read.merges_up_to), (Some(7), Some(9), 200_000));
        assert!(read.is_called("uplink") && !read.is_called("down"));
        assert_eq!(device(&message[..15]), None);
    }
}
