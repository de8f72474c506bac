//! The words that may be written where there are only a few.

use crate::{
    logging::{LogFormat, LogLevel},
    policy::{AttachMode, FragmentPolicy, HostDefault, Mode, Protocol, SocketMode, packet},
};

/// `mode` of an interface.
pub const ATTACH_MODES: [(&str, AttachMode); 3] =
    [("native", AttachMode::Native), ("generic", AttachMode::Generic), ("auto", AttachMode::Auto)];

/// `mode` of the policy and of a service.
pub const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];

/// `host_default` of the policy; `None` is not possible yet.
pub const HOST_DEFAULTS: [(&str, Option<HostDefault>); 2] = [("pass", Some(HostDefault::Pass)), ("drop", None)];

/// `fragments` of the policy.
pub const FRAGMENTS: [(&str, FragmentPolicy); 2] = [("drop", FragmentPolicy::Drop), ("source", FragmentPolicy::Source)];

/// `format` of the log.
pub const LOG_FORMATS: [(&str, LogFormat); 4] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json), ("journal", LogFormat::Journal)];

/// `level` of the log.
pub const LOG_LEVELS: [(&str, LogLevel); 4] =
    [("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];

/// `mode` of the socket of the API.
pub const SOCKET_MODES: [(&str, SocketMode); 2] = [("0660", SocketMode::Group), ("0600", SocketMode::User)];

/// `protocol` of a service.
pub const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];

/// What the packet of a test carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, or ICMPv6.
    Icmp,
}

/// `protocol` of a test.
pub const TEST_PROTOCOLS: [(&str, TestProtocol); 3] =
    [("tcp", TestProtocol::Tcp), ("udp", TestProtocol::Udp), ("icmp", TestProtocol::Icmp)];

/// `flags` of a test.
pub const FLAGS: [(&str, u8); 6] = [
    ("syn", packet::SYN),
    ("ack", packet::ACK),
    ("fin", packet::FIN),
    ("rst", packet::RST),
    ("psh", packet::PSH),
    ("urg", packet::URG),
];

/// The words of `choices`.
pub fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}
