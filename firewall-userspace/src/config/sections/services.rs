//! `[services.*]`.

use std::{collections::HashMap, net::IpAddr, ops::RangeInclusive};

use super::named::{Items, NamedItem};
use crate::{
    config::{
        choices::{MODES, PROTOCOLS},
        document::{Node, TomlTable},
        keys,
        reader::{At, Reader},
    },
    policy::{LimitFor, Mode, Protocol, Service},
    text::{ports, shown::shown},
};

/// A service as far as it could be read.
pub struct Draft {
    /// Its place and key path.
    pub at: At,
    /// Its protocol, if it is known.
    pub protocol: Option<Protocol>,
    /// The ports that could be read, sorted by their beginning.
    pub claims: Vec<Claim>,
    /// Its addresses; `None` when one could not be read.
    pub addresses: Option<Vec<IpAddr>>,
    /// All of it; `None` after an error.
    pub service: Option<Service>,
}

/// One element of `ports`.
#[derive(Clone)]
pub struct Claim {
    /// The ports.
    pub range: RangeInclusive<u16>,
    /// Where they are written.
    pub at: At,
}

/// What services refer to.
pub struct Definitions<'a, 'd> {
    /// `[lists]`.
    pub lists: &'a Items<'d>,
    /// `[limits]`.
    pub limits: &'a Items<'d>,
}

/// References to lists with their places; `None` when one could not be resolved.
type References = Option<Vec<(usize, At)>>;

/// Reads one service; `None` when it is no table.
pub fn service(reader: &mut Reader<'_>, item: &NamedItem<'_>, definitions: &Definitions<'_, '_>) -> Option<Draft> {
    let table = reader.table(&item.node, keys::SERVICE)?;
    let protocol =
        reader.required(&table, "protocol", "protocol = \"tcp\"").and_then(|node| reader.choice(&node, &PROTOCOLS));
    let (claims, ports) = read_ports(reader, &table);
    let mode = match table.node("mode") {
        Some(node) => reader.choice(&node, &MODES),
        None => Some(Mode::Enforce),
    };
    let addresses = match table.node("addresses") {
        Some(node) => read_addresses(reader, &node),
        None => Some(Vec::new()),
    };
    let allow = table.node("allow").map(|node| read_allow(reader, &node, definitions.lists));
    let deny = match table.node("deny") {
        Some(node) => read_lists(reader, &node, definitions.lists),
        None => Some(Vec::new()),
    };
    refuse_contradictions(reader, allow.as_ref(), &deny, definitions.lists);
    let limit = table.node("limit").map(|node| definitions.limits.resolve(reader, &node));
    let limit_for = read_limit_for(reader, &table, definitions);
    let positions = |lists: Vec<(usize, At)>| lists.into_iter().map(|(list, _)| list).collect::<Vec<_>>();
    let service = || {
        Some(Service {
            name: item.name.clone()?,
            protocol: protocol?,
            ports: ports?,
            mode: mode?,
            allow: allow.map(|allow| allow.map(positions)).map_or(Some(None), |allow| allow.map(Some))?,
            deny: positions(deny?),
            limit: limit.map_or(Some(None), |limit| limit.map(Some))?,
            limit_for: limit_for?,
            addresses: addresses.clone()?,
        })
    };
    let service = service();
    Some(Draft { at: table.at, protocol, claims, addresses, service })
}

/// The elements of `ports`, and all of them merged unless one could not be read.
fn read_ports(reader: &mut Reader<'_>, table: &TomlTable<'_>) -> (Vec<Claim>, Option<Vec<RangeInclusive<u16>>>) {
    let Some(node) = reader.required(table, "ports", "ports = [443, \"8443-8445\"]") else {
        return (Vec::new(), None);
    };
    let elements = reader.array(&node, "ports");
    if is_empty_array(&node) {
        reader.error(&node.at, "no ports: the service would protect nothing");
    }
    let mut claims: Vec<Claim> = Vec::new();
    for element in &elements {
        claims.extend(range(reader, element).map(|range| Claim { range, at: element.at.clone() }));
    }
    let is_complete = !claims.is_empty() && claims.len() == elements.len();
    claims.sort_by_key(|claim| (*claim.range.start(), claim.at.span.start));
    warn_of_repeated_ports(reader, &claims);
    let ranges = claims.iter().map(|claim| claim.range.clone()).collect();
    (claims, is_complete.then(|| ports::merge(ranges)))
}

/// One element of an array of ports.
pub fn range(reader: &mut Reader<'_>, element: &Node<'_>) -> Option<RangeInclusive<u16>> {
    let range = if element.value.is_str() {
        reader.string(element, "a port").map(ports::parse)
    } else {
        reader.integer(element, "a port such as 443 or \"8443-8445\"").map(ports::single)
    };
    match range? {
        Ok(range) => Some(range),
        Err(error) => {
            reader.error(&element.at, error.to_string());
            None
        }
    }
}

/// `claims` are sorted by their beginning.
fn warn_of_repeated_ports(reader: &mut Reader<'_>, claims: &[Claim]) {
    let mut widest: Option<&Claim> = None;
    for claim in claims {
        if let Some(other) = widest.filter(|other| claim.range.start() <= other.range.end()) {
            let is_later = claim.at.span.start > other.at.span.start;
            let (later, earlier) = if is_later { (claim, other) } else { (other, claim) };
            let message = format!("`{}` overlaps `{}`", ports::show(&later.range), earlier.at.path);
            reader.warning(&later.at, message, None);
        }
        if widest.is_none_or(|other| claim.range.end() > other.range.end()) {
            widest = Some(claim);
        }
    }
}

fn read_addresses(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Vec<IpAddr>> {
    let elements = reader.array(node, "addresses");
    if is_empty_array(node) {
        let hint = "leave `addresses` out to protect the ports on every address";
        reader.error_with_hint(&node.at, "no addresses: the service would protect nothing", hint);
    }
    let mut places: HashMap<IpAddr, String> = HashMap::new();
    let mut addresses = Vec::new();
    for element in &elements {
        let Some(address) = read_address(reader, element) else { continue };
        if let Some(first) = places.insert(address, element.at.path.clone()) {
            reader.error(&element.at, format!("`{address}` is written twice; `{first}` is the same"));
        }
        addresses.push(address);
    }
    (!addresses.is_empty() && addresses.len() == elements.len()).then_some(addresses)
}

fn read_address(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<IpAddr> {
    let text = reader.string(node, "an IP address in quotes")?;
    let refusal = match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            ("is an IPv4-mapped address, which no packet carries", "write the IPv4 address")
        }
        Ok(address) if address.is_unspecified() => {
            ("is no packet's destination", "leave `addresses` out to protect the ports on every address")
        }
        Ok(address) => return Some(address),
        Err(_) => ("is not an IP address", "write single addresses without port, prefix length or name"),
    };
    reader.error_with_hint(&node.at, format!("`{}` {}", shown(text), refusal.0), refusal.1);
    None
}

fn read_allow(reader: &mut Reader<'_>, node: &Node<'_>, lists: &Items<'_>) -> References {
    if is_empty_array(node) {
        let hint = "leave `allow` out to admit everyone who is not denied, or name a list (it may be empty)";
        reader.error_with_hint(&node.at, "nobody is allowed", hint);
        return None;
    }
    read_lists(reader, node, lists)
}

fn read_lists(reader: &mut Reader<'_>, node: &Node<'_>, lists: &Items<'_>) -> References {
    let elements = reader.array(node, "list names");
    let mut references: Vec<(usize, At)> = Vec::new();
    for element in &elements {
        let Some(list) = lists.resolve(reader, element) else { continue };
        if references.iter().any(|(other, _)| *other == list) {
            reader.error(&element.at, format!("list `{}` is named twice", lists.key(list)));
        }
        references.push((list, element.at.clone()));
    }
    (node.value.is_array() && references.len() == elements.len()).then_some(references)
}

fn refuse_contradictions(reader: &mut Reader<'_>, allow: Option<&References>, deny: &References, lists: &Items<'_>) {
    let (Some(Some(allow)), Some(deny)) = (allow, deny) else { return };
    for (list, at) in deny {
        if allow.iter().any(|(other, _)| other == list) {
            let message =
                format!("list `{}` is in `allow` too; deny beats allow, so nobody in it passes", lists.key(*list));
            reader.error(at, message);
        }
    }
}

/// Reads `limit_for`; `None` after an error.
fn read_limit_for(
    reader: &mut Reader<'_>,
    table: &TomlTable<'_>,
    definitions: &Definitions<'_, '_>,
) -> Option<Vec<LimitFor>> {
    let Some(node) = table.node("limit_for") else { return Some(Vec::new()) };
    let rows = reader.rows(&node, keys::LIMIT_FOR);
    let mut read: Vec<LimitFor> = Vec::new();
    for row in &rows {
        let list_node = reader.required(row, "list", "list = \"partners\"");
        let list = list_node.as_ref().and_then(|node| definitions.lists.resolve(reader, node));
        let limit = reader
            .required(row, "limit", "limit = \"generous\"")
            .and_then(|node| definitions.limits.resolve(reader, &node));
        if let (Some(list), Some(node)) = (list, list_node)
            && read.iter().any(|other| other.list == list)
        {
            let key = definitions.lists.key(list);
            reader.error(&node.at, format!("list `{key}` is named twice; only its first row would ever match"));
        }
        if let (Some(list), Some(limit)) = (list, limit) {
            read.push(LimitFor { list, limit });
        }
    }
    (node.value.is_array() && read.len() == rows.len()).then_some(read)
}

fn is_empty_array(node: &Node<'_>) -> bool {
    node.value.as_array().is_some_and(|array| array.is_empty())
}
