//! Every key a configuration may have, table by table. The sample configuration must show each of them.

/// The document itself.
pub const ROOT: &[&str] = &[
    "include",
    "interface",
    "policy",
    "lists",
    "limits",
    "services",
    "essentials",
    "guard",
    "admin",
    "api",
    "state",
    "drift",
    "test",
];
/// `[[interface]]`.
pub const INTERFACE: &[&str] = &["name", "mode", "required"];
/// `[policy]`.
pub const POLICY: &[&str] = &["mode", "host_default", "fragments", "management"];
/// `[lists.NAME]`.
pub const LIST: &[&str] = &["entries", "file"];
/// `[limits.NAME]`.
pub const LIMIT: &[&str] = &["packets", "bytes", "connections", "source_prefix"];
/// `packets`, `bytes` and `connections` of a limit and every key of `[essentials]`.
pub const RATE: &[&str] = &["rate", "per", "burst"];
/// `source_prefix` of a limit.
pub const SOURCE_PREFIX: &[&str] = &["v4", "v6"];
/// `[services.NAME]`.
pub const SERVICE: &[&str] = &["protocol", "ports", "mode", "allow", "deny", "limit", "limit_for", "addresses"];
/// A row of `limit_for`.
pub const LIMIT_FOR: &[&str] = &["list", "limit"];
/// `[essentials]`.
pub const ESSENTIALS: &[&str] = &["neighbour_discovery", "mld", "icmp_error", "dhcp"];
/// `[guard]`.
pub const GUARD: &[&str] = &["shrink_percent", "shrink_entries", "ports"];
/// `[admin]`.
pub const ADMIN: &[&str] = &["listen"];
/// `[drift]`.
pub const DRIFT: &[&str] = &["interval"];
/// `[state]`.
pub const STATE: &[&str] = &["directory", "snapshot_after", "generations"];
/// `[api]`.
pub const API: &[&str] = &["socket"];
/// `[[test]]`.
pub const TEST: &[&str] = &[
    "name",
    "source",
    "destination",
    "protocol",
    "port",
    "source_port",
    "flags",
    "icmp_type",
    "icmp_code",
    "fragment",
    "expect",
    "service",
];
