//! Generic netlink: the families `ethtool` and `netdev`.

use std::{collections::BTreeSet, convert::Infallible, io};

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable, NlaBuffer, NlasIterator,
};
use netlink_sys::{Socket, protocols::NETLINK_GENERIC};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};

use super::XdpSupport;

/// Offloads (include/uapi/linux/ethtool_netlink.h).
pub const ETHTOOL: &str = "ethtool";
/// What drivers do with XDP (include/uapi/linux/netdev.h), since 6.3.
pub const NETDEV: &str = "netdev";

// include/uapi/linux/genetlink.h
const CONTROLLER: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// include/uapi/linux/ethtool_netlink.h
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

// include/uapi/linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_RX_SG: u64 = 32;

/// Octets of the largest answer.
const ANSWER: usize = 1 << 16;

/// How long the kernel may take.
const TIMEOUT_S: i64 = 5;

/// A generic netlink family.
pub struct Generic {
    socket: Socket,
    family: u16,
}

/// What follows the netlink header: command, version, reserved, attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GenericMessage {
    family: u16,
    octets: Vec<u8>,
}

impl Generic {
    /// The family called `name`.
    ///
    /// # Errors
    /// When the kernel has no such family.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(TIMEOUT_S))?;
        let mut controller = Self { socket, family: CONTROLLER };
        let name = [name.as_bytes(), &[0]].concat();
        let answer = controller.ask(CTRL_CMD_GETFAMILY, &[DefaultNla::new(CTRL_ATTR_FAMILY_NAME, name)])?;
        let id = attribute(&answer, CTRL_ATTR_FAMILY_ID).and_then(|octets| octets.try_into().ok());
        let family = id.map(u16::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { family, ..controller })
    }

    /// Offloads of an interface that are on.
    ///
    /// # Errors
    /// When the interface has none, or is gone.
    pub fn active_features(&mut self, ifindex: u32) -> io::Result<BTreeSet<String>> {
        let device = DefaultNla::new(ETHTOOL_A_HEADER_DEV_INDEX, ifindex.to_ne_bytes().to_vec());
        let mut header = vec![0; device.buffer_len()];
        device.emit(&mut header);
        let header = DefaultNla::new(ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED, header);
        let answer = self.ask(ETHTOOL_MSG_FEATURES_GET, &[header])?;
        let bits = attribute(&answer, ETHTOOL_A_FEATURES_ACTIVE)
            .and_then(|active| attribute(&active, ETHTOOL_A_BITSET_BITS))
            .unwrap_or_default();
        let name = |(_, bit): (u16, Vec<u8>)| {
            let name = attribute(&bit, ETHTOOL_A_BITSET_BIT_NAME)?;
            Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
        };
        Ok(attributes(&bits).filter_map(name).collect())
    }

    /// What the driver of an interface can do with XDP.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn xdp_features(&mut self, ifindex: u32) -> io::Result<XdpSupport> {
        let device = DefaultNla::new(NETDEV_A_DEV_IFINDEX, ifindex.to_ne_bytes().to_vec());
        let answer = self.ask(NETDEV_CMD_DEV_GET, &[device])?;
        let features = attribute(&answer, NETDEV_A_DEV_XDP_FEATURES).and_then(|octets| octets.try_into().ok());
        let features = features.map(u64::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(XdpSupport {
            native: features & NETDEV_XDP_ACT_BASIC != 0,
            several_buffers: features & NETDEV_XDP_ACT_RX_SG != 0,
        })
    }

    /// The attributes of the one answer to `command`.
    fn ask(&mut self, command: u8, attributes: &[DefaultNla]) -> io::Result<Vec<u8>> {
        let mut octets = vec![command, 1, 0, 0];
        let mut encoded = vec![0; attributes.buffer_len()];
        attributes.emit(&mut encoded);
        octets.extend(encoded);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let message = GenericMessage { family: self.family, octets };
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.socket.send(&octets, 0)?;
        let mut answer = Vec::with_capacity(ANSWER);
        self.socket.recv(&mut answer, 0)?;
        match NetlinkMessage::<GenericMessage>::deserialize(&answer).map_err(io::Error::other)?.payload {
            NetlinkPayload::InnerMessage(message) => Ok(message.octets.get(4..).unwrap_or_default().to_vec()),
            NetlinkPayload::Error(error) => Err(error.to_io()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Attributes in `octets`; what is no attribute ends them.
fn attributes(octets: &[u8]) -> impl Iterator<Item = (u16, Vec<u8>)> {
    let whole = |one: Result<NlaBuffer<&[u8]>, _>| one.ok().map(|one| (one.kind(), one.value().to_vec()));
    NlasIterator::new(octets).map_while(whole)
}

fn attribute(octets: &[u8], kind: u16) -> Option<Vec<u8>> {
    attributes(octets).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

impl NetlinkSerializable for GenericMessage {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.octets.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(&self.octets) {
            *to = *from;
        }
    }
}

impl NetlinkDeserializable for GenericMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { family: header.message_type, octets: payload.to_vec() })
    }
}
