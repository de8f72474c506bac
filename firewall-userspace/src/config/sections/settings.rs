//! `[[interface]]`, `[policy]` and `[admin]`.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use firewall_common::abi::MAX_INTERFACES;

use super::prefixes;
use crate::{
    config::{
        choices::{ATTACH_MODES, FRAGMENTS, HOST_DEFAULTS, MODES},
        diagnostic::Severity,
        document::{Node, TomlTable},
        keys,
        reader::{At, Reader},
    },
    policy::{AttachMode, FragmentPolicy, HostDefault, Interface, Mode, Prefix},
    text::shown::{counted, shown},
};

/// `[policy]`.
pub struct General {
    /// `mode`.
    pub mode: Mode,
    /// `host_default`.
    pub host_default: HostDefault,
    /// `fragments`.
    pub fragments: FragmentPolicy,
    /// `management`, sorted.
    pub management: Vec<Prefix>,
}

/// Longest interface name in octets: `IFNAMSIZ` without the final zero (include/uapi/linux/if.h).
const MAX_INTERFACE_NAME: usize = 15;

/// The loopback interface of every network namespace (drivers/net/loopback.c `loopback_net_init`).
const LOOPBACK: &str = "lo";

/// Where the metrics are served unless written.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9191);

/// Reads every `[[interface]]`; incomplete after an error.
pub fn interfaces(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Vec<Interface> {
    let hint = "add `[[interface]]` with `name = \"eth0\"`";
    let Some(node) = document.node("interface") else {
        let message = "no interface is named, so nothing would be filtered";
        reader.missing_in_file(Severity::Error, "interface", message, hint);
        return Vec::new();
    };
    let rows = reader.rows(&node, keys::INTERFACE);
    if matches!(node.value, toml::de::DeValue::Array(rows) if rows.is_empty()) {
        reader.error_with_hint(&node.at, "no interface is named, so nothing would be filtered", hint);
    }
    if let Some(row) = rows.get(MAX_INTERFACES) {
        let message = format!("{} are named; at most {MAX_INTERFACES} are possible", counted(rows.len(), "interface"));
        reader.error(&row.at, message);
    }
    let mut places: HashMap<&str, At> = HashMap::new();
    rows.iter()
        .filter_map(|row| {
            let mode = row.node("mode").map(|node| {
                reader.choice(&node, &ATTACH_MODES)
            });
            let required = row.node("required").map(|node| reader.boolean(&node));
            let node = reader.required(row, "name", "name = \"eth0\"")?;
            let name = reader.string(&node, "the name of an interface")?;
            if !is_interface_name(name) {
                let message = format!("`{}` cannot be the name of an interface", shown(name));
                let hint = "names have 1 to 15 octets without `/`, `:` and blanks; `ip link` lists them";
                reader.error_with_hint(&node.at, message, hint);
                return None;
            }
            if name == LOOPBACK {
                let message = "`lo` is the loopback interface: its packets all come from this host itself, and as sources \
                               that no packet from outside can have they would all be dropped";
                let hint = "name the interfaces through which packets from outside come; `ip link` lists them";
                reader.error_with_hint(&node.at, message, hint);
                return None;
            }
            if let Some(first) = places.insert(name, node.at.clone()) {
                let first = reader.told(&first, &node.at);
                reader.error(&node.at, format!("`{name}` is named twice (first in {first})"));
            }
            Some(Interface {
                name: name.to_owned(),
                mode: mode.unwrap_or(Some(AttachMode::Native))?,
                required: required.unwrap_or(Some(false))?,
            })
        })
        .collect()
}

/// Whether the kernel could have an interface of this name (`dev_valid_name` in net/core/dev.c).
pub fn is_interface_name(name: &str) -> bool {
    let is_bad = |symbol: char| symbol == '/' || symbol == ':' || symbol.is_whitespace() || symbol.is_control();
    !name.is_empty() && name.len() <= MAX_INTERFACE_NAME && name != "." && name != ".." && !name.contains(is_bad)
}

/// Reads `[policy]`; `None` after an error.
pub fn general(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<General> {
    let mut general = General {
        mode: Mode::Enforce,
        host_default: HostDefault::Pass,
        fragments: FragmentPolicy::Drop,
        management: Vec::new(),
    };
    let Some(node) = document.node("policy") else { return Some(general) };
    let table = reader.table(&node, keys::POLICY)?;
    let mut is_good = true;
    if let Some(node) = table.node("mode") {
        let mode = reader.choice(&node, &MODES);
        is_good &= mode.map(|mode| general.mode = mode).is_some();
    }
    if let Some(node) = table.node("host_default") {
        is_good &= host_default(reader, &node).map(|default| general.host_default = default).is_some();
    }
    if let Some(node) = table.node("fragments") {
        is_good &= reader.choice(&node, &FRAGMENTS).map(|fragments| general.fragments = fragments).is_some();
    }
    if let Some(node) = table.node("management") {
        for (prefix, at) in prefixes::array(reader, &node) {
            if prefix.length() == 0 {
                let message = format!("`{prefix}` is every source of its family: no list and no limit would drop any");
                reader.warning(&at, message, None);
            }
            general.management.push(prefix);
        }
        general.management.sort_unstable();
    }
    is_good.then_some(general)
}

fn host_default(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<HostDefault> {
    let default = reader.choice(node, &HOST_DEFAULTS)?;
    if default.is_none() {
        let message = "\"drop\" is not possible yet: return traffic is not recognised, so every reply to the host's own \
                       connections would be dropped";
        reader.error_with_hint(&node.at, message, "use \"pass\" and list what to protect under `[services]`");
    }
    default
}

/// Reads `[admin]`; `None` after an error.
pub fn admin_listen(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<SocketAddr> {
    let Some(node) = document.node("admin") else { return Some(DEFAULT_LISTEN) };
    let Some(node) = reader.table(&node, keys::ADMIN)?.node("listen") else { return Some(DEFAULT_LISTEN) };
    let text = reader.string(&node, "an address with a port, for example \"127.0.0.1:9191\"")?;
    let Ok(listen) = text.parse::<SocketAddr>() else {
        let message = format!("`{}` is not an address with a port", shown(text));
        reader.error_with_hint(&node.at, message, "write \"127.0.0.1:9191\" or \"[::1]:9191\"");
        return None;
    };
    if !listen.ip().is_loopback() {
        let message = format!("`{}` is not a loopback address; metrics are served without a password", listen.ip());
        let hint = "use 127.0.0.1 or [::1], and a proxy that authenticates when others must reach it";
        reader.error_with_hint(&node.at, message, hint);
        return None;
    }
    Some(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_are_those_of_the_kernel() {
        for good in ["eth0", "a", "enp0s31f6.4094", "veth-äöü", "123456789012345"] {
            assert!(is_interface_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "eth0:1", "1234567890123456", "a\tb", "a\0", "ääääääää"] {
            assert!(!is_interface_name(bad), "{bad}");
        }
    }
}
