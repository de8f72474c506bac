//! The validated policy: what a configuration means, after every check and before any table.
//!
//! A [`Policy`] can only be wrong in ways the kernel may refuse; names are resolved, rates are positive, prefixes are
//! canonical and no two services claim the same packet.

mod access;
mod api;
pub mod compile;
pub mod ephemeral;
pub mod guard;
mod ids;
mod layer;
mod name;
pub mod packet;
pub mod packet_test;
mod prefix;
mod rate;
mod wrong_form;

use std::{fmt, net::IpAddr, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{logging::LogSettings, policy::guard::Guard};

pub use access::{EntryVerb, Grant, OutOfScope, Role, Scope};
pub use api::{
    ApiReach, ApiSettings, ApiSocket, CertificateName, CredentialKind, HttpsSettings, JwtAlgorithm, JwtSettings,
    KeyPlace, KeySource, LocalRoles, Signer, SocketMode,
};
pub use ids::Ids;
pub use layer::Layer;
pub use name::{Name, NameError};
pub use prefix::{Prefix, PrefixError};
pub use rate::{Rate, RateError};
pub use wrong_form::{Form, WrongForm};

/// A whole policy, as one configuration file (with the files it names) describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Interfaces to attach to, in the order of the file; at least one.
    pub interfaces: Vec<Interface>,
    /// Whether drops are carried out.
    pub mode: Mode,
    /// What happens to traffic that belongs to no service.
    pub host_default: HostDefault,
    /// What happens to non-first fragments.
    pub fragments: FragmentPolicy,
    /// Sources that no list and no limit may drop.
    pub management: Vec<Prefix>,
    /// Named sets of prefixes, ordered by name; at most [`MAX_LISTS`](firewall_common::abi::MAX_LISTS).
    pub lists: Vec<List>,
    /// Limits that services refer to, ordered by name.
    pub limits: Vec<Limit>,
    /// What is protected, ordered by name; at most [`MAX_SERVICES`](firewall_common::abi::MAX_SERVICES).
    pub services: Vec<Service>,
    /// Caps of the traffic without which the host loses its network.
    pub essentials: Essentials,
    /// When a change is refused unless the caller insists.
    pub guard: Guard,
    /// Where `/metrics`, `/livez` and `/readyz` are served; a loopback address.
    pub admin_listen: SocketAddr,
    /// Where the API is served, and to whom.
    pub api: ApiSettings,
    /// Where pushed entries are kept.
    pub state: StateFolder,
    /// How long it takes to compare all of the kernel's tables with what was written there.
    pub drift_interval: Duration,
    /// How the daemon logs, and what.
    pub log: LogSettings,
}

/// `[state]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFolder {
    /// An absolute path.
    pub directory: PathBuf,
    /// Octets of a journal after which a snapshot is due.
    pub snapshot_after: u64,
    /// Generations of the policy that are kept to go back to; at least 2.
    pub generations: usize,
}

impl Policy {
    /// Index of the list called `name`.
    pub fn list_named(&self, name: &str) -> Option<usize> {
        self.lists.iter().position(|list| *list.name == *name)
    }

    /// Whether a service denies what is in the list at `index`.
    pub fn denies_list(&self, index: usize) -> bool {
        self.services.iter().any(|service| service.deny.contains(&index))
    }

    /// Whether a service admits what is in the list at `index`.
    pub fn allows_list(&self, index: usize) -> bool {
        self.services.iter().any(|service| service.allow.as_ref().is_some_and(|lists| lists.contains(&index)))
    }

    /// Whether a service refers to the list at `index`.
    pub fn uses_list(&self, index: usize) -> bool {
        self.services.iter().any(|service| {
            service.deny.contains(&index)
                || service.allow.as_ref().is_some_and(|lists| lists.contains(&index))
                || service.limit_for.iter().any(|row| row.list == index)
        })
    }
}

/// One `[[interface]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kernel name, 1 to 15 octets.
    pub name: String,
    /// How to attach.
    pub mode: AttachMode,
    /// The daemon is not ready without it.
    pub required: bool,
}

/// Where in the receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachMode {
    /// In the driver, before an skb exists.
    Native,
    /// In the stack, on an skb; works on every driver.
    Generic,
    /// Native where the driver can, else generic; which one it got is reported.
    Auto,
}

/// Whether drops are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Drops are dropped.
    Enforce,
    /// Everything passes; drops are only counted.
    Observe,
}

/// What happens to traffic that belongs to no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDefault {
    /// It passes.
    Pass,
}

/// What happens to non-first fragments, which carry no ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentPolicy {
    /// Dropped when any service has their protocol.
    Drop,
    /// Judged by the lists of every service they could belong to.
    Source,
}

/// A named set of prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name.
    pub name: Name,
    /// Entries of the configuration and its list file, sorted, without repetitions.
    pub entries: Vec<Prefix>,
}

/// A named limit. At least one of the three quantities is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub name: Name,
    /// Packets of one source.
    pub packets: Option<Rate>,
    /// Frame bytes of one source.
    pub bytes: Option<Rate>,
    /// TCP SYN without ACK of one source.
    pub connections: Option<Rate>,
    /// Leading bits of an IPv4 address that make one source, 1 to 32.
    pub source_v4: u8,
    /// Leading bits of an IPv6 address that make one source, 1 to 128.
    pub source_v6: u8,
}

/// Transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A protected service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its protocol.
    pub protocol: Protocol,
    /// Destination ports, ranges sorted and disjoint; at least one.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Whether its drops are carried out, on a host that enforces.
    pub mode: Mode,
    /// Indices into [`Policy::lists`] of the lists that admit; `None` admits everyone who is not denied.
    pub allow: Option<Vec<usize>>,
    /// Indices into [`Policy::lists`] of the lists that deny.
    pub deny: Vec<usize>,
    /// Index into [`Policy::limits`].
    pub limit: Option<usize>,
    /// Exceptions from `limit`: the first whose list has the source decides.
    pub limit_for: Vec<LimitFor>,
    /// Local (or forwarded) addresses it is limited to; empty means all.
    pub addresses: Vec<IpAddr>,
}

/// One `limit_for` row of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitFor {
    /// Index into [`Policy::lists`].
    pub list: usize,
    /// Index into [`Policy::limits`].
    pub limit: usize,
}

/// `[essentials]`: caps for the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Essentials {
    /// IPv6 neighbour discovery.
    pub neighbour_discovery: Rate,
    /// Multicast listener discovery.
    pub mld: Rate,
    /// ICMP errors that carry path MTU discovery.
    pub icmp_error: Rate,
    /// DHCP and DHCPv6 replies.
    pub dhcp: Rate,
}

/// Label of an attach mode in status, metrics and logs.
pub const fn attach_label(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Native => "native",
        AttachMode::Generic => "generic",
        AttachMode::Auto => "auto",
    }
}

/// Label of a mode in status and logs.
pub const fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}
