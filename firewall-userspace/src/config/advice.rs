//! What a valid policy probably does not mean.

use firewall_common::abi::MAX_PREFIXES;

use super::{
    diagnostic::Severity,
    document::TomlTable,
    reader::{At, Reader},
    sections::named::Items,
};
use crate::{
    policy::{ApiReach, Policy, Prefix},
    text::shown::grouped,
};

/// The definitions of a policy, in the order of its vectors.
pub struct KeyPlaces<'a, 'd> {
    /// `[lists]`.
    pub lists: &'a Items<'d>,
    /// `[limits]`.
    pub limits: &'a Items<'d>,
    /// `[services]`.
    pub services: &'a Items<'d>,
    /// The document.
    pub document: &'a TomlTable<'d>,
}

/// Warns of what a valid policy probably does not mean, and refuses more prefixes than the kernel has room for.
pub fn advise(reader: &mut Reader<'_>, policy: &Policy, places: &KeyPlaces<'_, '_>) {
    refuse_too_many_prefixes(reader, policy, places);
    if policy.services.is_empty() {
        let message = "no service is protected: only malformed and impossible packets would be dropped";
        let hint = "add for example `[services.api]` with `protocol = \"tcp\"` and `ports = [443]`";
        warn_of_absence(reader, places.document, "services", "services", message, hint);
    } else if policy.management.is_empty() && !names_nobody(places.document) {
        let message = "no source is protected from a mistake in the lists: a wrong entry can lock you out";
        let hint = "set `management` to the addresses from which you administer this host, or to [] to have none";
        warn_of_absence(reader, places.document, "policy", "policy.management", message, hint);
    }
    warn_of_closed_services(reader, policy, places);
    warn_of_open_api(reader, policy, places);
    warn_of_unused(reader, policy, places);
}

/// Whether `management` is written, as `[]`: that nobody is in it is meant.
fn names_nobody(document: &TomlTable<'_>) -> bool {
    let policy = document.node("policy").and_then(|node| node.value.as_table());
    policy.is_some_and(|table| table.contains_key("management"))
}

/// Warns at the table `key` of the document, or of the whole file when there is none.
fn warn_of_absence(
    reader: &mut Reader<'_>,
    document: &TomlTable<'_>,
    key: &str,
    path: &str,
    message: &str,
    hint: &str,
) {
    match document.node(key) {
        Some(node) => reader.warning(&At { path: path.to_owned(), ..node.at }, message, Some(hint.to_owned())),
        None => reader.missing_in_file(Severity::Warning, path, message, hint),
    }
}

/// Says from where the API can be reached over the network, where that is from everywhere.
fn warn_of_open_api(reader: &mut Reader<'_>, policy: &Policy, places: &KeyPlaces<'_, '_>) {
    let Some(node) = places.document.node("api") else { return };
    for (address, reach) in policy.api_reach() {
        let why = match reach {
            ApiReach::Host | ApiReach::Lists { .. } => continue,
            ApiReach::Everywhere { service: None } => "no service covers this port".to_owned(),
            ApiReach::Everywhere { service: Some(service) } => {
                format!("the service `{service}` admits everybody who is not denied")
            }
            ApiReach::Observed { service } => format!("the service `{service}` only observes"),
        };
        let message = format!("the API at {address} can be reached from everywhere: {why}");
        let port = address.port();
        let hint = format!("let a service cover TCP port {port}, with `allow` for those who administer this host");
        reader.warning(&At { path: "api.listen".to_owned(), ..node.at.clone() }, message, Some(hint));
    }
}

fn warn_of_closed_services(reader: &mut Reader<'_>, policy: &Policy, places: &KeyPlaces<'_, '_>) {
    for (service, item) in policy.services.iter().zip(places.services.as_slice()) {
        let is_empty = |list: &usize| policy.lists.get(*list).is_some_and(|list| list.entries.is_empty());
        if service.allow.as_ref().is_some_and(|allow| allow.iter().all(is_empty)) {
            let message = "every list here is empty, so nobody but `management` is admitted until entries are added";
            reader.warning(&item.key_at("allow"), message, None);
        }
    }
}

fn warn_of_unused(reader: &mut Reader<'_>, policy: &Policy, places: &KeyPlaces<'_, '_>) {
    for (index, item) in places.lists.as_slice().iter().enumerate() {
        let is_used = policy.services.iter().any(|service| {
            service.allow.iter().flatten().chain(&service.deny).any(|list| *list == index)
                || service.limit_for.iter().any(|row| row.list == index)
        });
        if !is_used {
            reader.warning(&item.node.at, "no service uses this list", None);
        }
    }
    for (index, item) in places.limits.as_slice().iter().enumerate() {
        let is_used = policy
            .services
            .iter()
            .any(|service| service.limit == Some(index) || service.limit_for.iter().any(|row| row.limit == index));
        if !is_used {
            reader.warning(&item.node.at, "no service uses this limit", None);
        }
    }
}

fn refuse_too_many_prefixes(reader: &mut Reader<'_>, policy: &Policy, places: &KeyPlaces<'_, '_>) {
    let most = MAX_PREFIXES as usize;
    let all = || policy.lists.iter().flat_map(|list| &list.entries).chain(&policy.management);
    if all().count() <= most {
        return;
    }
    for (family, is_ipv4) in [("IPv4", true), ("IPv6", false)] {
        let mut distinct: Vec<&Prefix> = all().filter(|prefix| prefix.address().is_ipv4() == is_ipv4).collect();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() > most {
            let message = format!(
                "the lists have {} different {family} prefixes; at most {} are possible",
                grouped(distinct.len()),
                grouped(most)
            );
            reader.error(&places.document.at("lists"), message);
        }
    }
}
