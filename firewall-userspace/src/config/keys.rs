//! Every key that a configuration may have, table by table, with what may be written for it. The reader knows no others, the sample
//! configuration must show each of them, and the schema is made of them.

use firewall_common::{
    Verdict,
    abi::{MAX_INTERFACES, MAX_LIMITS, MAX_LISTS, MAX_SERVICES},
};

use super::choices::{
    ATTACH_MODES, CREDENTIALS, ENTRY_VERBS, FLAGS, FRAGMENTS, HOST_DEFAULTS, JWT_ALGORITHMS, LOG_FORMATS, LOG_LEVELS,
    MODES, PROTOCOLS, PUSHED_LAYERS, ROLES, SOCKET_MODES, TEST_PROTOCOLS, words,
};

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// It.
    pub name: &'static str,
    /// What may be written for it.
    pub value: ValueForm,
    /// What it means.
    pub doc: &'static str,
    /// What counts when it is not written, as JSON; `None` when that is no value of its own.
    pub default: Option<&'static str>,
    /// Whether it has to be written.
    pub is_required: bool,
}

/// What may be written for a key.
#[derive(Clone, Copy, Debug)]
pub enum ValueForm {
    /// A table with these keys.
    Table(&'static [ConfigKey]),
    /// So many tables with these keys at most.
    Tables(&'static [ConfigKey], usize),
    /// So many tables at most, each under a name, with these keys.
    Named(&'static [ConfigKey], usize),
    /// So many roles at most, each under a key like this regular expression: a word, or a table with the keys of [`GRANT`].
    Grants(&'static str, usize),
    /// An array of at least so many values.
    Array(&'static ValueForm, usize),
    /// One of a few words.
    Words(fn() -> Vec<&'static str>),
    /// `true` or `false`.
    Boolean,
    /// A number from the first to the second.
    Integer(u64, u64),
    /// A string like this regular expression.
    Text(&'static str),
    /// A number of bytes, with a unit or without.
    Size(u64),
    /// A port, or a range of ports.
    Ports,
}

use ValueForm::{Array, Boolean, Grants, Integer, Named, Ports, Size, Table, Tables, Text, Words};

const fn key(name: &'static str, value: ValueForm, doc: &'static str) -> ConfigKey {
    ConfigKey { name, value, doc, default: None, is_required: false }
}

const fn required(name: &'static str, value: ValueForm, doc: &'static str) -> ConfigKey {
    ConfigKey { is_required: true, ..key(name, value, doc) }
}

impl ConfigKey {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// Names of lists, limits and services.
pub const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,31}$";
const ANY_TEXT: ValueForm = Text("");
const SOME_TEXT: ValueForm = Text("^[\\s\\S]");
const LENGTH_OF_TIME: ValueForm = Text("^(?:[0-9]+w)?(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?$");
const PREFIX: ValueForm = Text("^[0-9a-fA-F:.]+(?:/[0-9]{1,3})?$");
const ADDRESS: ValueForm = Text("^[0-9a-fA-F:.]+$");
const ABSOLUTE: ValueForm = Text("^/");
const A_NAME: ValueForm = Text(NAME);
const PORT: ValueForm = Integer(0, 65535);
const NO_LIMIT: u64 = u64::MAX;

/// The document itself.
pub const ROOT: &[ConfigKey] = &[
    key(
        "include",
        Array(&SOME_TEXT, 0),
        "Files that belong to this configuration: paths, and patterns with * and ? in the last part, relative to this file.",
    ),
    key("interface", Tables(INTERFACE, MAX_INTERFACES), "Network interfaces to filter; at least one in all files."),
    key("policy", Table(POLICY), "What holds for the whole host."),
    key("lists", Named(LIST, MAX_LISTS), "Named sets of prefixes, which services allow or deny."),
    key("limits", Named(LIMIT, MAX_LIMITS), "Named rates; each source has the whole rate for itself."),
    key("services", Named(SERVICE, MAX_SERVICES), "What is protected. A packet belongs to at most one service."),
    key("essentials", Table(ESSENTIALS), "Caps for packets without which the host has no network."),
    key("guard", Table(GUARD), "What a change must not do by mistake."),
    key("admin", Table(ADMIN), "Metrics and probes."),
    key("api", Table(API), "The socket that the command line uses, HTTPS, and who may do what."),
    key("state", Table(STATE), "Where pushed entries and policies persist."),
    key("drift", Table(DRIFT), "How the tables in the kernel are compared with what was written there."),
    key("log", Table(LOG), "How the daemon logs, and what."),
    key("test", Tables(TEST, usize::MAX), "Packets, and the verdicts that this configuration must give them."),
];
/// `[[interface]]`.
pub const INTERFACE: &[ConfigKey] = &[
    required("name", Text("^[^/:\\s]{1,15}$"), "Its name, or an alternative name, as `ip link` lists them."),
    key(
        "mode",
        Words(|| words(&ATTACH_MODES)),
        "Where the program runs: in the driver, in the stack, or where it can.",
    )
    .or("\"native\""),
    key("required", Boolean, "Whether the daemon is not ready without this interface.").or("false"),
];
/// `[policy]`.
pub const POLICY: &[ConfigKey] = &[
    key("mode", Words(|| words(&MODES)), "Whether drops are dropped, or only counted.").or("\"enforce\""),
    key("host_default", Words(host_defaults), "Traffic that belongs to no service.").or("\"pass\""),
    key("fragments", Words(|| words(&FRAGMENTS)), "IP fragments after the first.").or("\"drop\""),
    key("management", Array(&PREFIX, 0), "Sources that no list and no limit drops.").or("[]"),
];
/// `[lists.NAME]`.
pub const LIST: &[ConfigKey] = &[
    key("entries", Array(&PREFIX, 0), "Prefixes.").or("[]"),
    key("file", SOME_TEXT, "A file with more prefixes, one a line, relative to the file that names it."),
];
/// `[limits.NAME]`.
pub const LIMIT: &[ConfigKey] = &[
    key("packets", Table(RATE), "Packets."),
    key("bytes", Table(BYTE_RATE), "Bytes of whole frames."),
    key("connections", Table(RATE), "New TCP connections: SYN without ACK."),
    key("source_prefix", Table(SOURCE_PREFIX), "How many leading bits of an address make one source."),
];
/// `packets` and `connections` of a limit and every key of `[essentials]`.
pub const RATE: &[ConfigKey] = &[
    required("rate", Integer(1, NO_LIMIT), "How many in each `per`."),
    key("per", LENGTH_OF_TIME, "A length of time.").or("\"1s\""),
    key("burst", Integer(1, NO_LIMIT), "How many at once after a pause; as many as `rate` unless written."),
];
/// `bytes` of a limit: the keys of [`RATE`], for sizes.
pub const BYTE_RATE: &[ConfigKey] = &[
    required("rate", Size(1), "How many bytes in each `per`."),
    key("per", LENGTH_OF_TIME, "A length of time.").or("\"1s\""),
    key("burst", Size(1), "How many bytes at once after a pause; as many as `rate` unless written."),
];
/// `source_prefix` of a limit.
pub const SOURCE_PREFIX: &[ConfigKey] = &[
    key("v4", Integer(1, 32), "Bits of an IPv4 address.").or("32"),
    key("v6", Integer(1, 128), "Bits of an IPv6 address.").or("64"),
];
/// `[services.NAME]`.
pub const SERVICE: &[ConfigKey] = &[
    required("protocol", Words(|| words(&PROTOCOLS)), "Its protocol."),
    required("ports", Array(&Ports, 1), "Destination ports: numbers, and ranges such as \"8443-8445\"."),
    key("mode", Words(|| words(&MODES)), "Whether its drops are dropped, or only counted.").or("\"enforce\""),
    key("allow", Array(&A_NAME, 1), "Lists whose sources may reach it; without it, everyone who is not denied."),
    key("deny", Array(&A_NAME, 0), "Lists whose sources may not.").or("[]"),
    key("limit", A_NAME, "The limit for each source."),
    key("limit_for", Tables(LIMIT_FOR, usize::MAX), "Exceptions: the first row whose list has the source decides.")
        .or("[]"),
    key("addresses", Array(&ADDRESS, 1), "Only packets to these addresses; without it, to all."),
];
/// A row of `limit_for`.
pub const LIMIT_FOR: &[ConfigKey] =
    &[required("list", A_NAME, "The list."), required("limit", A_NAME, "The limit for its sources.")];
const CAP: &str = "{\"rate\": 1000, \"per\": \"1s\", \"burst\": 1000}";
/// `[essentials]`.
pub const ESSENTIALS: &[ConfigKey] = &[
    key("neighbour_discovery", Table(RATE), "IPv6 neighbour and router discovery.").or(CAP),
    key("mld", Table(RATE), "IPv6 multicast listener discovery.").or(CAP),
    key("icmp_error", Table(RATE), "ICMP errors that path MTU discovery needs.").or(CAP),
    key("dhcp", Table(RATE), "Replies of DHCP and DHCPv6 servers.").or(CAP),
];
/// `[guard]`.
pub const GUARD: &[ConfigKey] = &[
    key("shrink_percent", Integer(0, 100), "A reload may remove so much of a list; 100 never refuses.").or("50"),
    key("shrink_entries", Integer(0, NO_LIMIT), "So many entries of a list may always be removed.").or("20"),
    key("ports", Array(&Ports, 0), "Ports of this host whose connections a change must not cut off; without it, all."),
];
/// `[admin]`.
pub const ADMIN: &[ConfigKey] =
    &[key("listen", Text("^[0-9a-fA-F:.\\[\\]%]+:[0-9]+$"), "A loopback address with a port.")
        .or("\"127.0.0.1:9191\"")];
/// `[drift]`.
pub const DRIFT: &[ConfigKey] =
    &[key("interval", LENGTH_OF_TIME, "Within this time all tables are compared; at least 1s.").or("\"10s\"")];
/// `[log]`.
pub const LOG: &[ConfigKey] = &[
    key(
        "format",
        Words(|| words(&LOG_FORMATS)),
        "How an event is written: one line of text or JSON, or fields of the journal.",
    )
    .or("\"auto\""),
    key("level", Words(|| words(&LOG_LEVELS)), "Which events are logged: those of this level and of the graver ones.")
        .or("\"info\""),
];
/// `[state]`.
pub const STATE: &[ConfigKey] = &[
    key("directory", ABSOLUTE, "The folder; an absolute path.").or("\"/var/lib/portcullis\""),
    key("snapshot_after", Size(0), "Size of the journal after which a snapshot is written.").or("\"8MiB\""),
    key("generations", Integer(2, 1000), "How many generations of the policy are kept.").or("10"),
];
/// A name or number of a group, as `getent group` takes it; directory services have longer ones than groupadd(8).
pub const GROUP: &str = "^[^\\s\\x00-\\x1f\\x7f:,/]{1,255}$";
/// `[api]`.
pub const API: &[ConfigKey] = &[
    key("socket", ABSOLUTE, "The Unix socket; an absolute path.").or("\"/run/portcullis/api.sock\""),
    key(
        "group",
        Text(GROUP),
        "The group of the socket, whose members may look and not change; without it, that of the daemon.",
    ),
    key("mode", Words(|| words(&SOCKET_MODES)), "Permissions of the socket: user and group, or the user alone.")
        .or("\"0660\""),
    key(
        "roles",
        Grants(ROLE_HOLDER, MAX_GRANTS),
        "What users of this host, and groups with a % before them, may do by the socket.",
    ),
    key("listen", Array(&SOME_TEXT, 1), "Addresses with ports at which the API is served over HTTPS."),
    key(
        "certificate",
        KEY_PLACE,
        "Its certificate with the chain in PEM: a path, or `credential:NAME` for one that systemd passes.",
    ),
    key("key", KEY_PLACE, "The key of that certificate, in the same way."),
    key("hosts", Array(&Text(HOST_NAME), 0), "Names by which clients call it, besides its addresses.").or("[]"),
    key("redirect", SOME_TEXT, "An address with a port at which plain HTTP is redirected to HTTPS."),
    key("client_ca", ABSOLUTE, "Certificates of those who sign certificates of clients, in PEM."),
    key("client_crl", Array(&ABSOLUTE, 0), "Revocation lists of those, in PEM; all of them count.").or("[]"),
    key("origins", Array(&Text(ORIGIN), 0), "Origins whose web pages may use the API.").or("[]"),
    key(
        "require",
        Array(&Words(|| words(&CREDENTIALS)), 0),
        "What a caller has to show, all of it; any one when empty.",
    )
    .or("[]"),
    key("certificates", Grants(CERTIFICATE_NAME, MAX_GRANTS), "What clients may do whose certificate has this name."),
    key("jwt", Table(JWT), "Access tokens of an issuer (OAuth 2.0, OpenID Connect)."),
    key(
        "signers",
        Named(SIGNER, MAX_GRANTS),
        "Those who sign their requests (HTTP Message Signatures), by the identifier of their key.",
    ),
];
/// Most users, groups, names of certificates, values of a claim, signers.
pub const MAX_GRANTS: usize = 256;
/// A user, or a group with `%` before it.
const ROLE_HOLDER: &str = "^%?[^%\\s\\x00-\\x1f\\x7f:,/][^\\s\\x00-\\x1f\\x7f:,/]{0,254}$";
/// A path, or the name of a credential (systemd.exec(5), `LoadCredential=`).
const KEY_PLACE: ValueForm = Text("^(?:/|credential:[A-Za-z0-9_.-]+$)");
/// A name of DNS.
pub const HOST_NAME: &str = "^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$";
/// An origin (RFC 6454 section 6.2).
pub const ORIGIN: &str = "^https?://[^/\\s*]+$";
/// A subject alternative name.
const CERTIFICATE_NAME: &str = "^(?:dns|uri):[^\\s]{1,1024}$";
/// What a role may be narrowed by, besides the role.
pub const GRANT: &[ConfigKey] = &GRANT_KEYS;
const GRANT_KEYS: [ConfigKey; 8] = [
    required("role", Words(|| words(&ROLES)), "What may be done: look; also change entries; also change the policy."),
    key("lists", Array(&A_NAME, 1), "Lists whose entries may be changed."),
    key("prefixes", Array(&PREFIX, 1), "Only entries inside one of these may be changed."),
    key("max_ttl", LENGTH_OF_TIME, "Longest time to live of an entry; without one there may be no entry then."),
    key("min_length_v4", Integer(0, 32), "Shortest length of an IPv4 prefix that may be added."),
    key("min_length_v6", Integer(0, 128), "Shortest length of an IPv6 prefix that may be added."),
    key("layers", Array(&Words(|| words(&PUSHED_LAYERS)), 1), "Layers whose entries may be changed."),
    key("verbs", Array(&Words(|| words(&ENTRY_VERBS)), 1), "What may be done with entries."),
];
/// `[api.signers.*]`, besides the keys of [`GRANT`].
pub const SIGNER_KEY: ConfigKey = required("public_key", ABSOLUTE, "The public key in PEM: Ed25519, or P-256.");
/// `[api.signers.*]`.
pub const SIGNER: &[ConfigKey] = &{
    let [role, lists, prefixes, max_ttl, v4, v6, layers, verbs] = GRANT_KEYS;
    [SIGNER_KEY, role, lists, prefixes, max_ttl, v4, v6, layers, verbs]
};
/// `[api.jwt]`.
pub const JWT: &[ConfigKey] = &[
    required("issuer", SOME_TEXT, "The issuer, as `iss` has it."),
    required("audience", SOME_TEXT, "What has to be in `aud`."),
    key("algorithms", Array(&Words(|| words(&JWT_ALGORITHMS)), 1), "Algorithms of signatures that are taken.")
        .or("[\"ES256\"]"),
    required("keys", Text("^(?:/|https?://)"), "The keys of the issuer (JWKS): a path, or an HTTPS address."),
    key("refresh", LENGTH_OF_TIME, "How often they are read again.").or("\"1h\""),
    key("keep", LENGTH_OF_TIME, "How long they count after the last time that they could be read.").or("\"1d\""),
    key("claim", SOME_TEXT, "The claim that says who somebody is here; dots lead into objects.").or("\"roles\""),
    key(
        "roles",
        Grants("^[^\\x00-\\x1f\\x7f]{1,255}$", MAX_GRANTS),
        "What whoever has this value in the claim may do.",
    ),
];
/// `[[test]]`.
pub const TEST: &[ConfigKey] = &[
    required("name", SOME_TEXT, "What the test says."),
    required("source", ADDRESS, "An address."),
    key("destination", ADDRESS, "An address; one that no service names unless written."),
    required("protocol", Words(|| words(&TEST_PROTOCOLS)), "What the packet carries."),
    key("port", PORT, "Destination port, for TCP and UDP."),
    key("source_port", PORT, "Source port, for TCP and UDP.").or("49152"),
    key("flags", Array(&Words(|| words(&FLAGS)), 0), "TCP flags.").or("[\"syn\"]"),
    key("icmp_type", Integer(0, 255), "An echo request unless written."),
    key("icmp_code", Integer(0, 255), "The code.").or("0"),
    key("fragment", Boolean, "Whether it is a fragment after the first.").or("false"),
    required(
        "expect",
        Words(expectations),
        "\"pass\", \"drop\", or a verdict: the `reason` of the metric portcullis_packets_total.",
    ),
    key("service", ANY_TEXT, "The service that must decide."),
];

fn host_defaults() -> Vec<&'static str> {
    HOST_DEFAULTS.iter().filter_map(|(word, default)| default.as_ref().map(|_| *word)).collect()
}

fn expectations() -> Vec<&'static str> {
    ["pass", "drop"].into_iter().chain(Verdict::ALL.iter().map(|verdict| verdict.label())).collect()
}
