//! `explain`: what would become of a packet now, and why.
//!
//! The verdict is that of the live program on the live tables (`datapath::Explainer`);
//! here are the question, the answer, and the names of what the program knows by number.

mod destination;
mod entries;
mod frame;
mod limit;
mod many;
mod membership;

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use destination::{Chosen, DestinationBy, Destinations};
pub use entries::{matching, uses};
pub use frame::{HexError, from_hex, opening, packet, to_hex};
pub use limit::limit_state;
pub use many::{Answered, AskedPacket, ExplanationSet, LONGEST_FRAME, MOST_FRAMES, Questions, SHORTEST_FRAME};
pub use membership::{ListedEntry, ListedUse, Membership};

use crate::lists::entry::Entry;

/// A packet to ask about: its fields, or the whole frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// Where it goes to; absent: the address that this host answers the source from, or one that a service on the port names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub destination: Option<IpAddr>,
    /// What it carries.
    #[serde(default)]
    pub protocol: AskedProtocol,
    /// Destination port of TCP and UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 65535)]
    pub port: Option<u16>,
    /// Source port of TCP and UDP; absent: 49152.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 65535)]
    pub source_port: Option<u16>,
    /// TCP: whether it opens a connection (SYN without ACK); else it is one of an established connection.
    #[serde(default)]
    pub syn: bool,
    /// A frame from its Ethernet header on, as hexadecimal digits; then nothing else is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}

/// What a packet that is asked about carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AskedProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// An echo request of ICMP or ICMPv6.
    Icmp,
}

/// What would become of a packet now: the schema `portcullis.explain/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Explained {
    /// Always `portcullis.explain/v1`.
    pub schema: String,
    /// Number of the last change when it was judged, as older clients know it: the same as `revision`.
    pub generation: u64,
    /// Revision of the lists that judged it.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy that judged it.
    #[serde(default)]
    pub policy_generation: u64,
    /// Its source; `None` for a frame that is no IP packet or was not read that far.
    #[schema(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// Its destination; `None` for a frame that is no IP packet or was not read that far.
    #[schema(value_type = Option<String>)]
    pub destination: Option<IpAddr>,
    /// Who chose the destination, where the question left it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_by: Option<DestinationBy>,
    /// The packet that was asked about, where the question left that open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedPacket>,
    /// Which frame of its capture it is, from 1 on; `portcullis explain --frame` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// Octets of that frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<u64>,
    /// What is done with it: `pass` or `drop`.
    pub action: String,
    /// What is said about it: `pass` or `drop`. Differs from `action` where drops are only counted.
    pub verdict: String,
    /// Why: the `reason` of the metric `portcullis_packets_total`.
    pub reason: String,
    /// The same in words.
    pub meaning: String,
    /// The service it was judged by.
    pub service: Option<String>,
    /// Whether its source is an address of this host, or a broadcast address of its subnets.
    pub own: bool,
    /// Whether its source is in a management prefix.
    pub management: bool,
    /// The limit that was asked, and what its source has left.
    pub limit: Option<LimitState>,
    /// All entries that cover its source, those that decided first.
    pub entries: Vec<Match>,
    /// What does not fit together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An entry that covers the source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Match {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// What its list is to the service.
    pub effect: Effect,
    /// Whether the verdict follows from it.
    pub decides: bool,
}

/// What a list is to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It denies.
    Denies,
    /// It admits.
    Admits,
    /// It names a limit.
    Limits,
    /// Nothing.
    None,
}

/// What a source has left under a limit, before the packet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct LimitState {
    /// Its name.
    pub name: String,
    /// Whose state it is.
    pub bucket: BucketKind,
    /// What the limit counts.
    pub quantities: Vec<QuantityState>,
}

/// Whose rate state a packet is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BucketKind {
    /// That of its source.
    Own,
    /// A new one: the source has sent nothing lately.
    New,
    /// That of all newcomers that found no room.
    Crowded,
    /// That of all newcomers while too many come at once.
    Flood,
}

/// One quantity of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct QuantityState {
    /// `packets`, `bytes` or `connections`.
    pub quantity: String,
    /// Most at once.
    pub burst: u64,
    /// How many may come now.
    pub left: u64,
    /// When all of the burst is there again; absent: it is.
    pub full_again: Option<Timestamp>,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denies => "denies",
            Self::Admits => "admits",
            Self::Limits => "limits",
            Self::None => "-",
        })
    }
}

impl fmt::Display for BucketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "of this source",
            Self::New => "new for this source",
            Self::Crowded => "shared: no room for a newcomer",
            Self::Flood => "shared: too many newcomers at once",
        })
    }
}
