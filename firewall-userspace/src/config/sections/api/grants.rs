//! `[api.roles]`, `[api.certificates]`, `[api.signers.*]`: who may do what.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{each, file, is_group_name};
use crate::{
    config::{
        choices::{ENTRY_VERBS, PUSHED_LAYERS, ROLES},
        document::{Node, TomlTable},
        keys::{self, ConfigKey},
        reader::Reader,
        sections::{named::Items, prefixes, rates},
    },
    policy::{CertificateName, Grant, LocalRoles, Name, Role, Scope, Signer},
    text::shown::shown,
};

/// Longest name in a certificate in octets.
const MAX_CERTIFICATE_NAME: usize = 1024;

/// Reads `[api.roles]`; `None` after an error.
pub(super) fn local_roles(reader: &mut Reader<'_>, api: &TomlTable<'_>) -> Option<LocalRoles> {
    let mut roles = LocalRoles::default();
    for (holder, node, grant) in all(reader, api, "roles")? {
        let (name, table) = match holder.strip_prefix('%') {
            Some(group) => (group, &mut roles.groups),
            None => (holder, &mut roles.users),
        };
        if !is_group_name(name) || name.starts_with('%') {
            let message = format!("`{}` is not the name of a user, nor `%` and that of a group", shown(holder));
            reader.error_with_hint(&node.at, message, "`getent passwd` and `getent group` list those of this host");
            return None;
        }
        if holder == "root" && grant.role != Role::Admin {
            let message = "root is admin whatever is written: nobody is to lock themselves out";
            reader.error_with_hint(&node.at, message, "remove this line");
            return None;
        }
        table.insert(name.to_owned(), grant);
    }
    Some(roles)
}

/// Reads `[api.certificates]`; `None` after an error.
pub(super) fn certificates(reader: &mut Reader<'_>, api: &TomlTable<'_>) -> Option<BTreeMap<CertificateName, Grant>> {
    let mut names = BTreeMap::new();
    for (text, node, grant) in all(reader, api, "certificates")? {
        let name = certificate_name(text);
        let Some(name) = name else {
            let message = format!("`{}` is not a name that a certificate may have", shown(text));
            let hint = "write \"dns:NAME\" or \"uri:URI\", as the subject alternative names of the certificate are";
            reader.error_with_hint(&node.at, message, hint);
            return None;
        };
        if names.insert(name, grant).is_some() {
            reader.error(&node.at, format!("`{}` is written twice: upper and lower case are the same", shown(text)));
            return None;
        }
    }
    if !names.is_empty() && api.node("client_ca").is_none() {
        let hint = "add for example `client_ca = \"/etc/portcullis/tls/clients.pem\"`";
        let message = "no certificate of a client is asked for without `client_ca`";
        reader.missing(&api.at("certificates"), message, Some(hint.into()));
        return None;
    }
    Some(names)
}

/// Reads `[api.signers.*]`; `None` after an error.
pub(super) fn signers(reader: &mut Reader<'_>, api: &TomlTable<'_>) -> Option<BTreeMap<String, Signer>> {
    if api.node("signers").is_none() {
        return Some(BTreeMap::new());
    }
    let items = Items::read(reader, api, "signers", "signer", keys::MAX_GRANTS);
    let mut signers = BTreeMap::new();
    let mut is_good = true;
    for item in items.as_slice() {
        let signer = reader.table(&item.node, keys::SIGNER).and_then(|table| {
            let grant = grant(reader, &table);
            let example = "public_key = \"/etc/portcullis/signers/partner.pem\"";
            let key = reader.required(&table, "public_key", example)?;
            Some(Signer { key: file(reader, &key)?, grant: grant? })
        });
        match (signer, &item.name) {
            (Some(signer), Some(name)) => drop(signers.insert(name.to_string(), signer)),
            _ => is_good = false,
        }
    }
    is_good.then_some(signers)
}

/// Every key of the table at `key`, with the grant that stands for it; `None` after an error. Nothing when the table is not there.
pub(super) fn all<'d>(
    reader: &mut Reader<'_>,
    parent: &TomlTable<'d>,
    key: &str,
) -> Option<Vec<(&'d str, Node<'d>, Grant)>> {
    let Some(node) = parent.node(key) else { return Some(Vec::new()) };
    let table = reader.named_tables(&node)?;
    let mut read = Vec::new();
    let mut is_good = true;
    for (name, at, value) in table.nodes() {
        if read.len() == keys::MAX_GRANTS {
            reader.error(&at, format!("more than {} are possible nowhere here", keys::MAX_GRANTS));
            return None;
        }
        match role_or_table(reader, &value) {
            Some(grant) => read.push((name, value, grant)),
            None => is_good = false,
        }
    }
    is_good.then_some(read)
}

/// A role by its word, or a table.
fn role_or_table(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Grant> {
    match node.value {
        DeValue::Table(_) => {
            let table = reader.table(node, keys::GRANT)?;
            grant(reader, &table)
        }
        _ => reader.choice(node, &ROLES).map(Grant::whole),
    }
}

/// A role with its scope; other keys of `table` are not looked at.
fn grant(reader: &mut Reader<'_>, table: &TomlTable<'_>) -> Option<Grant> {
    let role = reader.required(table, "role", "role = \"operator\"").and_then(|node| reader.choice(&node, &ROLES));
    let scope = scope(reader, table);
    let grant = Grant { role: role?, scope: scope? };
    if grant.role != Role::Operator && !grant.scope.is_everything() {
        let named = |key: &&ConfigKey| key.name != "role" && table.node(key.name).is_some();
        let key = keys::GRANT.iter().find(named).map_or("role", |key| key.name);
        let message = format!("only an operator can be narrowed: `{}` changes no entries alone", grant.role.label());
        reader.error_with_hint(&table.at(key), message, "use `role = \"operator\"`, or remove this key");
        return None;
    }
    Some(grant)
}

fn scope(reader: &mut Reader<'_>, table: &TomlTable<'_>) -> Option<Scope> {
    let mut scope = Scope::default();
    let mut is_good = true;
    if let Some(node) = table.node("lists") {
        let names = each(reader, &node, "names of lists", name);
        is_good &= names.map(|names| scope.lists = Some(names.into_iter().collect())).is_some();
    }
    if let Some(node) = table.node("prefixes") {
        let wanted = reader.array(&node, "prefixes").len();
        let read = prefixes::array(reader, &node);
        // Those that are repeated are left out, with a warning; those that are bad were told.
        is_good &= wanted > 0 && !(read.is_empty());
        scope.prefixes = Some(read.into_iter().map(|(prefix, _)| prefix).collect());
    }
    if let Some(node) = table.node("max_ttl") {
        let read = rates::read_duration(reader, &node);
        is_good &= read.map(|ttl| scope.max_ttl_seconds = Some(ttl.as_secs())).is_some();
        if scope.max_ttl_seconds == Some(0) {
            reader.error(&node.at, "no entry ends within less than a second".to_owned());
            is_good = false;
        }
    }
    for (key, most, field) in
        [("min_length_v4", 32, &mut scope.min_length_v4), ("min_length_v6", 128, &mut scope.min_length_v6)]
    {
        let Some(node) = table.node(key) else { continue };
        let read = length(reader, &node, most);
        is_good &= read.map(|length| *field = Some(length)).is_some();
    }
    if let Some(node) = table.node("layers") {
        let read = each(reader, &node, "layers", |reader, node| reader.choice(node, &PUSHED_LAYERS));
        is_good &= read.map(|layers| scope.layers = Some(layers.into_iter().collect())).is_some();
    }
    if let Some(node) = table.node("verbs") {
        let read = each(reader, &node, "verbs", |reader, node| reader.choice(node, &ENTRY_VERBS));
        is_good &= read.map(|verbs| scope.verbs = Some(verbs.into_iter().collect())).is_some();
    }
    for key in ["lists", "layers", "verbs", "prefixes"] {
        let Some(node) = table.node(key) else { continue };
        if matches!(node.value, DeValue::Array(elements) if elements.is_empty()) {
            reader.error_with_hint(&node.at, "nothing would be allowed", "remove this key to narrow nothing by it");
            is_good = false;
        }
    }
    is_good.then_some(scope)
}

/// The name of a list; whether there is one is not asked, since lists come and go.
fn name(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.string(node, "the name of a list")?;
    if Name::parse(text).is_err() {
        reader.error(&node.at, format!("`{}` is not the name of a list", shown(text)));
        return None;
    }
    Some(text.to_owned())
}

fn length(reader: &mut Reader<'_>, node: &Node<'_>, most: u8) -> Option<u8> {
    let wanted = format!("a length from 0 to {most}");
    let length = reader.integer(node, &wanted)?;
    match u8::try_from(length) {
        Ok(length) if length <= most => Some(length),
        _ => {
            reader.error(&node.at, format!("{length} is no length of a prefix; expected {wanted}"));
            None
        }
    }
}

/// What `dns:NAME` and `uri:URI` mean.
fn certificate_name(text: &str) -> Option<CertificateName> {
    let is_good = |name: &str| {
        (1..=MAX_CERTIFICATE_NAME).contains(&name.len())
            && !name.contains(|sign: char| sign.is_whitespace() || sign.is_control())
    };
    if let Some(name) = text.strip_prefix("dns:").filter(|name| is_good(name)) {
        return Some(CertificateName::Dns(name.to_ascii_lowercase()));
    }
    text.strip_prefix("uri:").filter(|name| is_good(name)).map(|uri| CertificateName::Uri(uri.to_owned()))
}
