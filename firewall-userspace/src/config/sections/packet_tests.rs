//! `[[test]]`.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use firewall_common::Verdict;
use toml::de::DeValue;

use super::named::Items;
use crate::{
    config::{
        choices::{FLAGS, TEST_PROTOCOLS, TestProtocol},
        document::{Node, TomlTable},
        keys,
        reader::{At, Reader},
    },
    policy::{
        Name,
        packet::{self, Packet, Transport},
        packet_test::{Expectation, PolicyTest, TestPlace},
    },
    text::{ports, shown::shown, suggest::nearest},
};

/// Where packets of a test go unless written: addresses for tests of network devices, which no host on the Internet has
/// (RFC 2544, RFC 5180).
const DESTINATION_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);

/// Source port unless written: the first of those for short-lived use (RFC 6335 section 6).
const SOURCE_PORT: u16 = 49152;

/// Echo requests.
const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;

/// Reads every `[[test]]`; incomplete after an error.
pub fn tests(reader: &mut Reader<'_>, document: &TomlTable<'_>, services: &Items<'_>) -> Vec<PolicyTest> {
    let Some(node) = document.node("test") else { return Vec::new() };
    let mut names: HashMap<String, At> = HashMap::new();
    let rows = reader.rows(&node, keys::TEST);
    rows.iter().filter_map(|row| test(reader, row, services, &mut names)).collect()
}

fn test(
    reader: &mut Reader<'_>,
    row: &TomlTable<'_>,
    services: &Items<'_>,
    names: &mut HashMap<String, At>,
) -> Option<PolicyTest> {
    let name = name(reader, row, names);
    let addresses = addresses(reader, row);
    let transport = transport(reader, row, addresses.is_none_or(|(source, _)| source.is_ipv4()));
    let is_later_fragment = match row.node("fragment") {
        Some(node) => reader.boolean(&node),
        None => Some(false),
    };
    let expect = reader.required(row, "expect", "expect = \"pass\"");
    let place = expect.as_ref().map(|node| {
        let (file, location) = reader.place(&node.at);
        TestPlace { file, path: node.at.path.clone(), location }
    });
    let expect = expect.and_then(|node| expectation(reader, &node));
    let service = match row.node("service") {
        Some(node) => {
            let index = services.resolve(reader, &node);
            index.and_then(|index| Name::parse(services.key(index)).ok()).map(Some)
        }
        None => Some(None),
    };
    let (source, destination) = addresses?;
    let packet = Packet { source, destination, transport: transport?, is_later_fragment: is_later_fragment? };
    Some(PolicyTest { name: name?, packet, expect: expect?, service: service?, place: place? })
}

fn name(reader: &mut Reader<'_>, row: &TomlTable<'_>, names: &mut HashMap<String, At>) -> Option<String> {
    let node = reader.required(row, "name", "name = \"partners reach https\"")?;
    let name = reader.string(&node, "what the test says")?;
    if name.is_empty() {
        reader.error(&node.at, "a test without a name cannot be told apart from others");
        return None;
    }
    if let Some(first) = names.insert(name.to_owned(), node.at.clone()) {
        let first = reader.told(&first, &node.at);
        reader.error(&node.at, format!("`{}` is the name of two tests (first in {first})", shown(name)));
    }
    Some(name.to_owned())
}

/// Source and destination.
fn addresses(reader: &mut Reader<'_>, row: &TomlTable<'_>) -> Option<(IpAddr, IpAddr)> {
    let source = reader.required(row, "source", "source = \"203.0.113.7\"");
    let source = source.and_then(|node| address(reader, &node));
    let destination = match row.node("destination") {
        Some(node) => {
            let destination = address(reader, &node)?;
            if source.is_some_and(|source| source.is_ipv4() != destination.is_ipv4()) {
                reader.error(&node.at, "source and destination are of different families: no packet has both");
                return None;
            }
            destination
        }
        None if source?.is_ipv4() => DESTINATION_V4.into(),
        None => DESTINATION_V6.into(),
    };
    Some((source?, destination))
}

fn address(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<IpAddr> {
    let text = reader.string(node, "an IP address in quotes")?;
    let address = text.parse().ok();
    if address.is_none() {
        let hint = "write a single address, not a prefix or a name";
        reader.error_with_hint(&node.at, format!("`{}` is not an IP address", shown(text)), hint);
    }
    address
}

/// What the packet carries; a key that its protocol has no use for is refused.
fn transport(reader: &mut Reader<'_>, row: &TomlTable<'_>, is_v4: bool) -> Option<Transport> {
    let node = reader.required(row, "protocol", "protocol = \"tcp\"")?;
    let protocol = reader.choice(&node, &TEST_PROTOCOLS)?;
    let word = TEST_PROTOCOLS.iter().find(|(_, other)| *other == protocol).map_or("", |(word, _)| *word);
    let foreign: &[&str] = match protocol {
        TestProtocol::Tcp => &["icmp_type", "icmp_code"],
        TestProtocol::Udp => &["icmp_type", "icmp_code", "flags"],
        TestProtocol::Icmp => &["port", "source_port", "flags"],
    };
    let mut is_good = true;
    for key in foreign {
        if let Some(node) = row.node(key) {
            reader.error(&node.at, format!("a test with protocol \"{word}\" has no `{key}`"));
            is_good = false;
        }
    }
    let is_fragment = matches!(row.node("fragment"), Some(Node { value: DeValue::Boolean(true), .. }));
    if protocol == TestProtocol::Icmp {
        let echo = if is_v4 { ECHO_V4 } else { ECHO_V6 };
        let (kind, code) = (octet(reader, row, "icmp_type", echo), octet(reader, row, "icmp_code", 0));
        return Some(Transport::Icmp { kind: kind?, code: code? }).filter(|_| is_good);
    }
    let port = if is_fragment && row.node("port").is_none() {
        Some(0)
    } else {
        reader.required(row, "port", "port = 443").and_then(|node| port_at(reader, &node))
    };
    let source_port = row.node("source_port").map_or(Some(SOURCE_PORT), |node| port_at(reader, &node));
    let flags = row.node("flags").map_or(Some(packet::SYN), |node| flags(reader, &node));
    let (port, source_port) = (port?, source_port?);
    let transport = match protocol {
        TestProtocol::Tcp => Transport::Tcp { source_port, port, flags: flags? },
        _ => Transport::Udp { source_port, port },
    };
    Some(transport).filter(|_| is_good)
}

fn port_at(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<u16> {
    let number = reader.integer(node, "a port such as 443")?;
    match ports::single(number) {
        Ok(range) => Some(*range.start()),
        Err(error) => {
            reader.error(&node.at, error.to_string());
            None
        }
    }
}

fn octet(reader: &mut Reader<'_>, row: &TomlTable<'_>, key: &str, default: u8) -> Option<u8> {
    let Some(node) = row.node(key) else { return Some(default) };
    let number = reader.integer(&node, "a number from 0 to 255")?;
    let octet = u8::try_from(number).ok();
    if octet.is_none() {
        reader.error(&node.at, format!("{number} is out of range; expected a number from 0 to 255"));
    }
    octet
}

fn flags(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<u8> {
    let elements = reader.array(node, "TCP flags");
    let read: Vec<u8> = elements.iter().filter_map(|element| reader.choice(element, &FLAGS)).collect();
    (node.value.is_array() && read.len() == elements.len()).then(|| read.iter().fold(0, |all, one| all | one))
}

fn expectation(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Expectation> {
    let text = reader.string(node, "\"pass\", \"drop\" or the name of a verdict")?;
    let verdicts = || Verdict::ALL.iter().map(|verdict| (verdict.label(), Expectation::Verdict(*verdict)));
    let all = || Expectation::ACTIONS.into_iter().chain(verdicts());
    let found = all().find(|(word, _)| *word == text).map(|(_, expectation)| expectation);
    if found.is_none() {
        let message = format!("`{}` is no verdict; expected \"pass\", \"drop\" or the name of one", shown(text));
        let hint = match nearest(text, all().map(|(word, _)| word)) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("known verdicts: {}", verdicts().map(|(word, _)| word).collect::<Vec<_>>().join(", ")),
        };
        reader.error_with_hint(&node.at, message, hint);
    }
    found
}
