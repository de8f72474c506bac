//! Several packets asked about at once, and the answers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AskedProtocol, Explained};

/// Most frames of one request: nothing else is done while they are judged.
pub const MOST_FRAMES: usize = 256;

/// Octets of the shortest frame that the kernel runs a program on: an Ethernet header.
pub const SHORTEST_FRAME: usize = 14;

/// Octets of the longest frame: 64 KiB of IP packet behind an Ethernet header with two tags.
pub const LONGEST_FRAME: usize = (1 << 16) + 22;

/// Packets to ask about at once: one for every service, or frames of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// Where the packets come from; every service is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// Where they go to; absent: for each service, an address of this host where it is served, the one that this host answers the
    /// source from when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub destination: Option<IpAddr>,
    /// Only services of this protocol; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<AskedProtocol>,
    /// Source port of the packets; absent: 49152.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 65535)]
    pub source_port: Option<u16>,
    /// At most [`MOST_FRAMES`] frames, each from its Ethernet header on, as hexadecimal digits; then nothing else is given. Each is
    /// judged as if it were the next one: those before it have taken nothing of a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

/// What would become of several packets now: the schema `portcullis.explanations/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ExplanationSet {
    /// Always `portcullis.explanations/v1`.
    pub schema: String,
    /// An answer for each service, by name, or for each frame, in their order.
    pub answers: Vec<Answered>,
}

/// What there is to say about one of several packets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// What would become of it.
    Explained(Box<Explained>),
    /// Why nothing can be said.
    Refused(String),
}

/// The packet that a question about a service is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct AskedPacket {
    /// The service that is asked about. The packet is judged by [`Explained::service`], which is another one where this one cannot be
    /// reached.
    pub service: String,
    /// What it carries.
    pub protocol: AskedProtocol,
    /// Its destination port.
    #[schema(maximum = 65535)]
    pub port: u16,
    /// Whether it opens a TCP connection.
    pub syn: bool,
}

impl ExplanationSet {
    /// These answers.
    pub fn of(answers: Vec<Answered>) -> Self {
        Self { schema: "portcullis.explanations/v1".into(), answers }
    }
}
