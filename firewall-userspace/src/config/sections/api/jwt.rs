//! `[api.jwt]`: access tokens of an issuer.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::{each, grants, is_loopback};
use crate::{
    config::{
        choices::JWT_ALGORITHMS,
        document::{Node, TomlTable},
        keys,
        reader::Reader,
        sections::rates,
    },
    policy::{JwtAlgorithm, JwtSettings, KeySource},
    text::shown::shown,
};

/// How often keys are read again unless written.
const DEFAULT_REFRESH: Duration = Duration::from_secs(3600);

/// How long keys count that cannot be read any more, unless written.
const DEFAULT_KEEP: Duration = Duration::from_secs(86_400);

/// Shortest time between two readings.
const SHORTEST_REFRESH: Duration = Duration::from_secs(60);

/// Longest time that keys may count: an issuer that has withdrawn a key is believed again after it.
const LONGEST_KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Longest text of it in octets.
const MAX_TEXT: usize = 1024;

/// Reads `[api.jwt]`; `None` after an error.
pub(super) fn jwt(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<JwtSettings> {
    let table = reader.table(node, keys::JWT)?;
    let issuer = some_text(reader, &table, "issuer", "issuer = \"https://id.example.com\"");
    let audience = some_text(reader, &table, "audience", "audience = \"portcullis\"");
    let keys = reader
        .required(&table, "keys", "keys = \"https://id.example.com/jwks.json\"")
        .and_then(|node| source(reader, &node));
    let algorithms = match table.node("algorithms") {
        Some(node) => algorithms(reader, &node),
        None => Some(vec![JwtAlgorithm::Es256]),
    };
    let refresh = length(reader, &table, "refresh", DEFAULT_REFRESH, SHORTEST_REFRESH..=LONGEST_KEEP);
    let keep = length(reader, &table, "keep", DEFAULT_KEEP, SHORTEST_REFRESH..=LONGEST_KEEP);
    let claim = match table.node("claim") {
        Some(_) => some_text(reader, &table, "claim", "claim = \"roles\""),
        None => Some("roles".to_owned()),
    };
    let roles: Option<BTreeMap<_, _>> = grants::all(reader, &table, "roles")
        .map(|all| all.into_iter().map(|(value, _, grant)| (value.to_owned(), grant)).collect());
    let (refresh, keep) = (refresh?, keep?);
    if keep < refresh {
        let message = "keys would end before they are read again: `keep` is shorter than `refresh`";
        reader.error(&table.at("keep"), message.to_owned());
        return None;
    }
    let roles = roles?;
    if roles.is_empty() {
        let hint = "add for example `roles = { \"firewall-operators\" = \"operator\" }`";
        reader.missing(&table.at("roles"), "nobody could do anything with such a token", Some(hint.into()));
        return None;
    }
    Some(JwtSettings {
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        keys: keys?,
        refresh,
        keep,
        claim: claim?,
        roles,
    })
}

fn some_text(reader: &mut Reader<'_>, table: &TomlTable<'_>, key: &str, example: &str) -> Option<String> {
    let node = reader.required(table, key, example)?;
    let text = reader.string(&node, "a text")?;
    if text.is_empty() || text.len() > MAX_TEXT || text.contains(char::is_control) {
        reader.error(&node.at, format!("it has to have 1 to {MAX_TEXT} octets, without control characters"));
        return None;
    }
    Some(text.to_owned())
}

fn algorithms(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Vec<JwtAlgorithm>> {
    let mut read = each(reader, node, "algorithms", |reader, node| reader.choice(node, &JWT_ALGORITHMS))?;
    if read.is_empty() {
        reader.error(&node.at, "no token could be taken".to_owned());
        return None;
    }
    read.sort_unstable();
    read.dedup();
    Some(read)
}

fn length(
    reader: &mut Reader<'_>,
    table: &TomlTable<'_>,
    key: &str,
    otherwise: Duration,
    bounds: std::ops::RangeInclusive<Duration>,
) -> Option<Duration> {
    let Some(node) = table.node(key) else { return Some(otherwise) };
    let read = rates::read_duration(reader, &node)?;
    if bounds.contains(&read) {
        return Some(read);
    }
    reader.error(&node.at, "it has to be from \"1m\" to \"30d\"".to_owned());
    None
}

fn source(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<KeySource> {
    let text = reader.string(node, "a path, or an HTTPS address")?;
    if Path::new(text).is_absolute() && !text.contains('\0') && !text.ends_with('/') {
        return Some(KeySource::File(text.into()));
    }
    let uri = text.parse::<axum::http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host());
    match (uri.as_ref().and_then(|uri| uri.scheme_str()), host) {
        (Some("https"), Some(_)) if text.len() <= MAX_TEXT && !text.contains('@') => {
            return Some(KeySource::Url(text.to_owned()));
        }
        (Some("http"), Some(host)) if is_loopback(host) && !text.contains('@') => {
            return Some(KeySource::Url(text.to_owned()));
        }
        _ => {}
    }
    let message = format!("`{}` is neither an absolute path nor an HTTPS address", shown(text));
    let hint = "plain HTTP is taken on loopback only: whoever changes the keys on the way could do everything here";
    reader.error_with_hint(&node.at, message, hint);
    None
}
