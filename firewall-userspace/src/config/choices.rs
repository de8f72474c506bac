//! The words that may be written where there are only a few.

use crate::{
    logging::{LogFormat, LogLevel},
    policy::{
        AttachMode, CredentialKind, EntryVerb, FragmentPolicy, HostDefault, JwtAlgorithm, Layer, Mode, Protocol, Role,
        SocketMode, packet,
    },
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

/// `role` of whoever uses the API.
pub const ROLES: [(&str, Role); 3] = [("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];

/// `verbs` of a scope.
pub const ENTRY_VERBS: [(&str, EntryVerb); 3] =
    [("allow", EntryVerb::Allow), ("deny", EntryVerb::Deny), ("remove", EntryVerb::Remove)];

/// `layers` of a scope: all but that of the configuration.
pub const PUSHED_LAYERS: [(&str, Layer); 4] =
    [("runtime", Layer::Runtime), ("feed", Layer::Feed), ("fleet", Layer::Fleet), ("ban", Layer::Ban)];

/// `require` of the API.
pub const CREDENTIALS: [(&str, CredentialKind); 4] = [
    ("certificate", CredentialKind::Certificate),
    ("token", CredentialKind::Token),
    ("jwt", CredentialKind::Jwt),
    ("signature", CredentialKind::Signature),
];

/// `algorithms` of access tokens.
pub const JWT_ALGORITHMS: [(&str, JwtAlgorithm); 5] = [
    ("RS256", JwtAlgorithm::Rs256),
    ("PS256", JwtAlgorithm::Ps256),
    ("ES256", JwtAlgorithm::Es256),
    ("ES384", JwtAlgorithm::Es384),
    ("EdDSA", JwtAlgorithm::EdDsa),
];

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
