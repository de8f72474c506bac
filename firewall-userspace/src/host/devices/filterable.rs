//! Which interfaces cannot be filtered at all, whatever the mode, and what can be named in their place.
//!
//! The program reads Ethernet frames. Generic XDP attaches to everything and hands it whatever the interface has: of a packet
//! without an Ethernet header it would take the source address for an EtherType and let it pass.

use std::fmt;

use super::{Device, Devices, LinkType};
use crate::text::shown::few;

/// Why an interface cannot be filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilterable {
    /// It is the loopback interface.
    Loopback {
        /// What can be filtered.
        others: Vec<String>,
    },
    /// Its packets have no Ethernet header.
    NoEthernet {
        /// What it is.
        what: String,
        /// The interface that it stands on, where it is bound to one.
        parent: Option<String>,
        /// What can be filtered.
        others: Vec<String>,
    },
    /// It is a VRF: what comes in through its ports never meets a program on it.
    Vrf {
        /// Its ports.
        ports: Vec<String>,
    },
}

/// Most interfaces that a message names.
const MOST_NAMES: usize = 6;

impl Devices {
    /// Why this interface cannot be filtered; `None` when it can.
    pub fn unfilterable(&self, device: &Device) -> Option<Unfilterable> {
        match device.link_type {
            LinkType::Loopback => Some(Unfilterable::Loopback { others: self.filterable() }),
            LinkType::Other(number) => {
                let kind = device.kind.as_deref().map(|kind| format!("{kind}, "));
                let what = format!("{}{}", kind.unwrap_or_default(), label(number));
                let parent = device.parent.and_then(|parent| self.at(parent));
                let parent = parent.filter(|parent| parent.can_be_filtered()).map(|parent| parent.name.clone());
                Some(Unfilterable::NoEthernet { what, parent, others: self.filterable() })
            }
            LinkType::Ethernet if device.is_a("vrf") => {
                let ports = self.ports_of(device).map(|port| port.name.clone()).collect();
                Some(Unfilterable::Vrf { ports })
            }
            LinkType::Ethernet => None,
        }
    }

    /// Those that can be filtered and are up; of several that see the same packets the one to name.
    fn filterable(&self) -> Vec<String> {
        let is_good = |device: &&Device| device.is_up && device.can_be_filtered() && !self.has_better(device);
        let devices = self.iter().filter(is_good);
        devices.map(|device| device.name.clone()).collect()
    }
}

impl Device {
    /// Whether it can be filtered, in one mode at least.
    pub fn can_be_filtered(&self) -> bool {
        self.link_type == LinkType::Ethernet && !self.is_a("vrf")
    }
}

impl Unfilterable {
    /// What to name in its place.
    pub fn hint(&self) -> String {
        match self {
            Self::Loopback { others } => format!(
                "name the interfaces through which packets from outside come{}; what the host sends to itself needs no \
                 filter",
                listed(others)
            ),
            Self::NoEthernet { parent: Some(parent), .. } => {
                format!("name {parent}, through which its packets come; nftables can filter what it carries")
            }
            Self::NoEthernet { others, .. } => format!(
                "name the interface through which its packets come{}; nftables can filter what it carries",
                listed(others)
            ),
            Self::Vrf { ports } if ports.is_empty() => "name its ports; it has none yet".into(),
            Self::Vrf { ports } => format!("name its ports{}", listed(ports)),
        }
    }
}

/// `: a, b`, or nothing.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!(": {}", few(names, MOST_NAMES))
}

/// What a link type is called (include/uapi/linux/if_arp.h).
fn label(number: u16) -> String {
    let name = match number {
        32 => "InfiniBand",
        256..=259 => "SLIP",
        280 => "CAN",
        512 => "PPP",
        513 => "HDLC",
        519 | 0xfffe => "bare IP packets",
        768 => "IPv4 tunnel",
        769 => "IPv6 tunnel",
        776 => "IPv6-in-IPv4 tunnel",
        778 => "GRE tunnel",
        779 => "multicast routing",
        801..=803 => "monitor of a radio",
        804 | 805 | 825 => "IEEE 802.15.4",
        823 => "IPv6 GRE tunnel",
        824 => "netlink monitor",
        _ => return format!("link type {number}"),
    };
    name.to_owned()
}

/// What is said of the interface, behind its name.
impl fmt::Display for Unfilterable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback { .. } => f.write_str(
                "it is the loopback interface, whose packets all come from this host itself and would be dropped as \
                 impossible",
            ),
            Self::NoEthernet { what, .. } => {
                write!(f, "its packets have no Ethernet header ({what}), so all of them would pass unread")
            }
            Self::Vrf { .. } => {
                f.write_str("it is a VRF, and packets that come in through its ports never meet a program on it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, ifindex: u32, link_type: LinkType, kind: Option<&str>) -> Device {
        let kind = kind.map(str::to_owned);
        Device { name: name.into(), ifindex, link_type, kind, is_up: true, ..Device::default() }
    }

    fn host() -> Devices {
        Devices::of(vec![
            device("lo", 1, LinkType::Loopback, None),
            device("eth0", 2, LinkType::Ethernet, None),
            Device { controller: Some(9), ..device("eth1", 3, LinkType::Ethernet, None) },
            device("tun0", 4, LinkType::Other(0xfffe), Some("tun")),
            Device { parent: Some(2), ..device("gre1", 5, LinkType::Other(778), Some("gre")) },
            device("blue", 9, LinkType::Ethernet, Some("vrf")),
            device("red", 10, LinkType::Ethernet, Some("vrf")),
        ])
    }

    fn told(name: &str) -> Option<(String, String)> {
        let host = host();
        let cause = host.unfilterable(host.named(name).unwrap())?;
        Some((cause.to_string(), cause.hint()))
    }

    #[test]
    fn what_has_no_ethernet_header_is_refused_by_name_with_what_can_be_named() {
        let (cause, hint) = told("tun0").unwrap();
        assert_eq!(
            cause,
            "its packets have no Ethernet header (tun, bare IP packets), so all of them would pass unread"
        );
        assert!(hint.starts_with("name the interface through which its packets come: eth0, eth1;"), "{hint}");
        let (cause, hint) = told("gre1").unwrap();
        assert!(cause.contains("(gre, GRE tunnel)"), "{cause}");
        assert!(hint.starts_with("name eth0, through which its packets come;"), "{hint}");
    }

    #[test]
    fn every_link_type_but_ethernet_is_refused() {
        for number in (0..=u16::MAX).filter(|number| *number != 1) {
            let odd = Device { link_type: LinkType::of(number), ..device("x", 20, LinkType::Ethernet, None) };
            assert!(!odd.can_be_filtered() && host().unfilterable(&odd).is_some(), "{number}");
        }
        let kinds = ["veth", "tun", "bridge", "bond", "vlan", "macvlan", "ipvlan", "vxlan", "gretap", "dummy", "ifb"];
        for kind in kinds {
            let even = Device { link_type: LinkType::of(1), ..device("x", 20, LinkType::Ethernet, Some(kind)) };
            assert!(even.can_be_filtered() && host().unfilterable(&even).is_none(), "{kind}");
        }
    }

    #[test]
    fn loopback_and_a_vrf_are_refused_and_the_ports_of_the_vrf_are_not() {
        let (cause, hint) = told("lo").unwrap();
        assert!(cause.starts_with("it is the loopback interface") && hint.contains("come: eth0, eth1;"), "{hint}");
        let (cause, hint) = told("blue").unwrap();
        assert!(cause.starts_with("it is a VRF"), "{cause}");
        assert_eq!(hint, "name its ports: eth1");
        assert_eq!(told("red").unwrap().1, "name its ports; it has none yet");
        assert_eq!((told("eth0"), told("eth1")), (None, None));
    }

    #[test]
    fn a_message_names_a_few_of_many() {
        let many: Vec<String> = (0..9).map(|number| format!("eth{number}")).collect();
        assert_eq!(listed(&many), ": eth0, eth1, eth2, eth3, eth4, eth5 and 3 more");
        assert_eq!(listed(&many[..6]), ": eth0, eth1, eth2, eth3, eth4, eth5");
    }
}
