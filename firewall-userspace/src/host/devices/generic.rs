//! Generic netlink: the families `ethtool` and `netdev`.

use std::{collections::BTreeSet, io};

use netlink_packet_core::{DefaultNla, NLA_F_NESTED};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::{Channels, Offloads, XdpSupport};
use crate::host::raw::{NetlinkSocket, RawMessage, attribute, attributes, encoded, number, text};

/// Offloads and queues (include/uapi/linux/ethtool_netlink.h).
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
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
const ETHTOOL_A_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_FEATURES_NOCHANGE: u16 = 5;
const ETHTOOL_A_BITSET_NOMASK: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
const ETHTOOL_A_CHANNELS_RX_MAX: u16 = 2;
const ETHTOOL_A_CHANNELS_COMBINED_MAX: u16 = 5;
const ETHTOOL_A_CHANNELS_RX_COUNT: u16 = 6;
const ETHTOOL_A_CHANNELS_TX_COUNT: u16 = 7;
const ETHTOOL_A_CHANNELS_COMBINED_COUNT: u16 = 9;

// include/uapi/linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_RX_SG: u64 = 32;

/// A generic netlink family.
pub struct Generic {
    socket: NetlinkSocket,
    family: u16,
}

impl Generic {
    /// The family called `name`.
    ///
    /// # Errors
    /// When the kernel has no such family.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut controller = Self { socket: NetlinkSocket::open(NETLINK_GENERIC)?, family: CONTROLLER };
        let name = [name.as_bytes(), &[0]].concat();
        let answer = controller.ask(CTRL_CMD_GETFAMILY, &[DefaultNla::new(CTRL_ATTR_FAMILY_NAME, name)])?;
        let id = attribute(&answer, CTRL_ATTR_FAMILY_ID).and_then(|octets| octets.try_into().ok());
        let family = id.map(u16::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { family, ..controller })
    }

    /// Offloads of an interface.
    ///
    /// # Errors
    /// When the interface has none, or is gone.
    pub fn offloads(&mut self, ifindex: u32) -> io::Result<Offloads> {
        let answer = self.ask(ETHTOOL_MSG_FEATURES_GET, &[of_device(ifindex)])?;
        Ok(offloads(&answer))
    }

    /// Queues of an interface, those in use and those that can be.
    ///
    /// # Errors
    /// When its driver does not tell, or it is gone.
    pub fn channels(&mut self, ifindex: u32) -> io::Result<Channels> {
        let answer = self.ask(ETHTOOL_MSG_CHANNELS_GET, &[of_device(ifindex)])?;
        Ok(channels(&answer))
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

    /// The attributes of the one answer to `command`, behind command, version and two reserved octets.
    fn ask(&mut self, command: u8, attributes: &[DefaultNla]) -> io::Result<Vec<u8>> {
        let octets = [&[command, 1, 0, 0][..], &encoded(attributes)].concat();
        let answer = self.socket.ask(RawMessage { kind: self.family, octets })?;
        Ok(answer.get(4..).unwrap_or_default().to_vec())
    }
}

/// The header of an ethtool request, which is attribute 1 of all of them.
fn of_device(ifindex: u32) -> DefaultNla {
    let device = DefaultNla::new(ETHTOOL_A_HEADER_DEV_INDEX, ifindex.to_ne_bytes().to_vec());
    DefaultNla::new(ETHTOOL_A_HEADER | NLA_F_NESTED, encoded(&[device]))
}

/// A feature is fixed when no user may change it (ethtool(8) `[fixed]`): it is not in `hw`, or is in `nochange`.
fn offloads(answer: &[u8]) -> Offloads {
    let on = bits(answer, ETHTOOL_A_FEATURES_ACTIVE);
    let can_change = bits(answer, ETHTOOL_A_FEATURES_HW);
    let never = bits(answer, ETHTOOL_A_FEATURES_NOCHANGE);
    let fixed = on.iter().filter(|name| !can_change.contains(*name) || never.contains(*name)).cloned().collect();
    Offloads { on, fixed }
}

/// Names of the bits that are set. A bitset without a mask lists only those; one with a mask lists all that it is about, and
/// marks those (Documentation/networking/ethtool-netlink.rst).
fn bits(answer: &[u8], set: u16) -> BTreeSet<String> {
    let set = attribute(answer, set).unwrap_or_default();
    let has_mask = attribute(set, ETHTOOL_A_BITSET_NOMASK).is_none();
    let name = |(_, bit)| {
        let is_set = !has_mask || attribute(bit, ETHTOOL_A_BITSET_BIT_VALUE).is_some();
        attribute(bit, ETHTOOL_A_BITSET_BIT_NAME).filter(|_| is_set).map(text)
    };
    attributes(attribute(set, ETHTOOL_A_BITSET_BITS).unwrap_or_default()).filter_map(name).collect()
}

fn channels(answer: &[u8]) -> Channels {
    let of = |kind| attribute(answer, kind).and_then(number).unwrap_or(0);
    let combined = of(ETHTOOL_A_CHANNELS_COMBINED_COUNT);
    Channels {
        receive: combined + of(ETHTOOL_A_CHANNELS_RX_COUNT),
        transmit: combined + of(ETHTOOL_A_CHANNELS_TX_COUNT),
        most_combined: of(ETHTOOL_A_CHANNELS_COMBINED_MAX),
        most_receive: of(ETHTOOL_A_CHANNELS_RX_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: u16, parts: &[DefaultNla]) -> DefaultNla {
        DefaultNla::new(kind | NLA_F_NESTED, encoded(parts))
    }

    /// A bitset of these names, each set or not; without a mask when `is_list`.
    fn bitset(kind: u16, is_list: bool, names: &[(&str, bool)]) -> DefaultNla {
        let bit = |(name, is_set): &(&str, bool)| {
            let mut parts = vec![DefaultNla::new(ETHTOOL_A_BITSET_BIT_NAME, [name.as_bytes(), &[0]].concat())];
            parts.extend(is_set.then(|| DefaultNla::new(ETHTOOL_A_BITSET_BIT_VALUE, vec![])));
            nested(1, &parts)
        };
        let bits = nested(ETHTOOL_A_BITSET_BITS, &names.iter().map(bit).collect::<Vec<_>>());
        let mask = is_list.then(|| DefaultNla::new(ETHTOOL_A_BITSET_NOMASK, vec![]));
        nested(kind, &mask.into_iter().chain([bits]).collect::<Vec<_>>())
    }

    #[test]
    fn a_feature_that_no_user_may_change_is_fixed() {
        let parts = [
            bitset(ETHTOOL_A_FEATURES_HW, false, &[("rx-gro-hw", false), ("rx-lro", true), ("tx-nocache-copy", true)]),
            bitset(
                ETHTOOL_A_FEATURES_ACTIVE,
                true,
                &[("rx-gro-hw", false), ("rx-lro", false), ("tx-nocache-copy", false)],
            ),
            bitset(ETHTOOL_A_FEATURES_NOCHANGE, true, &[("tx-nocache-copy", false)]),
        ];
        let Offloads { on, fixed } = offloads(&encoded(&parts));
        assert_eq!(on.into_iter().collect::<Vec<_>>(), ["rx-gro-hw", "rx-lro", "tx-nocache-copy"]);
        assert_eq!(fixed.into_iter().collect::<Vec<_>>(), ["rx-gro-hw", "tx-nocache-copy"]);
    }

    #[test]
    fn combined_queues_receive_and_send() {
        let of = |kind: u16, count: u32| DefaultNla::new(kind, count.to_ne_bytes().to_vec());
        let parts = [of(ETHTOOL_A_CHANNELS_COMBINED_MAX, 8), of(ETHTOOL_A_CHANNELS_COMBINED_COUNT, 2)];
        assert_eq!(channels(&encoded(&parts)), Channels { receive: 2, transmit: 2, most_combined: 8, most_receive: 0 });
    }
}
