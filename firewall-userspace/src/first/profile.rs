//! What a host is for: services that are written although nobody listens yet.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::FirstSight;
use crate::policy::Protocol;

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Profile {
    /// tcp 443 and 8443.
    Api,
    /// tcp 80 and 443, udp 443.
    Web,
    /// tcp 22, or where sshd listens.
    Ssh,
    /// udp 53 and tcp 53.
    Dns,
    /// udp 51820, or where WireGuard listens.
    Wireguard,
    /// udp 443.
    Quic,
}

impl Profile {
    /// Its name on the command line, which its service gets too.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Web => "web",
            Self::Ssh => "ssh",
            Self::Dns => "dns",
            Self::Wireguard => "wireguard",
            Self::Quic => "quic",
        }
    }

    /// What it serves on this host.
    pub fn ports(self, sight: &FirstSight) -> Vec<(Protocol, BTreeSet<u16>)> {
        let or = |found: BTreeSet<u16>, port| if found.is_empty() { BTreeSet::from([port]) } else { found };
        match self {
            Self::Api => vec![(Protocol::Tcp, [443, 8443].into())],
            Self::Web => vec![(Protocol::Tcp, [80, 443].into()), (Protocol::Udp, [443].into())],
            Self::Ssh => vec![(Protocol::Tcp, or(sight.ssh.ports.clone(), 22))],
            Self::Dns => vec![(Protocol::Tcp, [53].into()), (Protocol::Udp, [53].into())],
            Self::Wireguard => vec![(Protocol::Udp, or(sight.wireguard_ports(), 51820))],
            Self::Quic => vec![(Protocol::Udp, [443].into())],
        }
    }
}
