//! What of `[api]` is about HTTPS.

use std::net::{IpAddr, SocketAddr};

use super::{each, file, is_loopback};
use crate::{
    config::{
        choices::CREDENTIALS,
        document::{Node, TomlTable},
        reader::Reader,
    },
    policy::{CredentialKind, HttpsSettings, KeyPlace},
    text::shown::shown,
};

/// Keys that mean something only where the API is served over HTTPS.
const OF_HTTPS: [&str; 11] = [
    "certificate",
    "key",
    "hosts",
    "redirect",
    "client_ca",
    "client_crl",
    "origins",
    "require",
    "certificates",
    "jwt",
    "signers",
];

/// Most addresses.
const MAX_LISTEN: usize = 16;

/// Longest name of a host in octets (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// Before the name of a credential.
const CREDENTIAL: &str = "credential:";

/// Reads where the API is served over HTTPS; `None` after an error.
pub(super) fn https(reader: &mut Reader<'_>, table: &TomlTable<'_>) -> Option<Option<HttpsSettings>> {
    let Some(node) = table.node("listen") else {
        let Some(key) = OF_HTTPS.into_iter().find(|key| table.node(key).is_some()) else { return Some(None) };
        let hint = "add for example `listen = [\"192.0.2.10:8443\"]`, with `certificate` and `key`";
        reader.missing(&table.at(key), "this means nothing where the API is not served over HTTPS", Some(hint.into()));
        return None;
    };
    let listen = each(reader, &node, "addresses with ports", address);
    if matches!(&listen, Some(listen) if listen.is_empty() || listen.len() > MAX_LISTEN) {
        reader.error(&node.at, format!("from 1 to {MAX_LISTEN} addresses are possible"));
        return None;
    }
    let certificate = reader
        .required(table, "certificate", "certificate = \"/etc/portcullis/tls/fullchain.pem\"")
        .and_then(|node| key_place(reader, &node));
    let key = reader
        .required(table, "key", "key = \"/etc/portcullis/tls/privkey.pem\"")
        .and_then(|node| key_place(reader, &node));
    let mut optional = Optional { reader, table, is_good: true };
    let hosts = optional.read("hosts", |reader, node| each(reader, node, "names of hosts", host)).unwrap_or_default();
    let redirect = optional.read("redirect", address);
    let client_ca = optional.read("client_ca", file);
    let client_crl = optional.read("client_crl", |reader, node| each(reader, node, "paths", file)).unwrap_or_default();
    let origins = optional.read("origins", |reader, node| each(reader, node, "origins", origin)).unwrap_or_default();
    let is_good = optional.is_good;
    if !client_crl.is_empty() && client_ca.is_none() {
        let message = "a revocation list means nothing without `client_ca`";
        reader.missing(&table.at("client_crl"), message, None);
        return None;
    }
    let (listen, certificate, key) = (listen?, certificate?, key?);
    if redirect.is_some_and(|redirect| listen.iter().any(|one| collide(*one, redirect))) {
        reader.error(&table.at("redirect"), "HTTPS is served at this address".to_owned());
        return None;
    }
    is_good.then_some(Some(HttpsSettings { listen, certificate, key, hosts, redirect, client_ca, client_crl, origins }))
}

/// Reads `require`; `None` after an error.
pub(super) fn require(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    https: Option<&HttpsSettings>,
) -> Option<Vec<CredentialKind>> {
    let mut kinds = each(reader, node, "kinds of credentials", |reader, node| reader.choice(node, &CREDENTIALS))?;
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.contains(&CredentialKind::Token) && kinds.contains(&CredentialKind::Jwt) {
        let message = "a request has one `Authorization` header: it cannot show both a token and a JWT";
        reader.error(&node.at, message.to_owned());
        return None;
    }
    if kinds.contains(&CredentialKind::Certificate) && https.is_some_and(|https| https.client_ca.is_none()) {
        let hint = "add for example `client_ca = \"/etc/portcullis/tls/clients.pem\"`";
        reader.error_with_hint(&node.at, "no certificate of a client is asked for without `client_ca`", hint);
        return None;
    }
    Some(kinds)
}

/// Reads keys that need not be there.
struct Optional<'r, 's, 't, 'd> {
    reader: &'r mut Reader<'s>,
    table: &'t TomlTable<'d>,
    is_good: bool,
}

impl<'s, 'd> Optional<'_, 's, '_, 'd> {
    fn read<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'s>, &Node<'d>) -> Option<T>) -> Option<T> {
        let node = self.table.node(key)?;
        let value = read(self.reader, &node);
        self.is_good &= value.is_some();
        value
    }
}

/// Whether one cannot listen at both.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = |address: IpAddr| address.is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || is_all(one.ip()) || is_all(other.ip()))
}

fn address(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<SocketAddr> {
    let text = reader.string(node, "an address with a port, for example \"192.0.2.10:8443\"")?;
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            let message = format!("`{}` is not an address with a port", shown(text));
            reader.error_with_hint(&node.at, message, "write \"192.0.2.10:8443\" or \"[2001:db8::10]:8443\"");
            None
        }
    }
}

fn key_place(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<KeyPlace> {
    let text = reader.string(node, "the path of a file, or `credential:NAME`")?;
    let Some(name) = text.strip_prefix(CREDENTIAL) else { return file(reader, node).map(KeyPlace::File) };
    let is_good = |sign: char| sign.is_ascii_alphanumeric() || "_.-".contains(sign);
    if name.is_empty() || !name.chars().all(is_good) || name.starts_with('.') {
        let message = format!("`{}` is not the name of a credential", shown(name));
        reader.error_with_hint(&node.at, message, "write the name that `LoadCredential=` of the unit gives it");
        return None;
    }
    Some(KeyPlace::Credential(name.to_owned()))
}

/// A name of DNS, in lower case.
fn host(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.string(node, "the name of a host")?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    if text.len() > MAX_HOST || !text.split('.').all(is_label) {
        let message = format!("`{}` is not the name of a host", shown(text));
        reader.error_with_hint(
            &node.at,
            message,
            "write a name without a port; addresses of `listen` need not be named",
        );
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// An origin as browsers write it (RFC 6454 section 6.2): in lower case, without a path and without a port that is the default.
fn origin(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.string(node, "an origin")?;
    if let Some(why) = why_no_origin(text) {
        let message = format!("`{}` is not an origin: {why}", shown(text));
        reader.error_with_hint(
            &node.at,
            message,
            "write for example \"https://ops.example.com\", each origin by itself",
        );
        return None;
    }
    Some(text.to_owned())
}

fn why_no_origin(text: &str) -> Option<&'static str> {
    if text.contains('*') {
        return Some("a pattern would let pages in that nobody has named");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Some("it has no scheme") };
    let Ok(authority) = rest.parse::<axum::http::uri::Authority>() else { return Some("it has no host, or a path") };
    let port = authority.port_u16();
    match scheme {
        _ if authority.as_str() != rest || rest.contains('@') => Some("it is more than a host and a port"),
        _ if rest.chars().any(|sign| sign.is_ascii_uppercase()) => Some("browsers write it in lower case"),
        "https" if port == Some(443) => Some("browsers leave the port 443 out"),
        "http" if port == Some(80) => Some("browsers leave the port 80 out"),
        "https" => None,
        "http" if is_loopback(authority.host()) => None,
        "http" => Some("anybody on the way could change such a page"),
        _ => Some("its scheme is not `https`"),
    }
}
