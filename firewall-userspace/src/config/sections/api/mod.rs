//! `[api]`: where the API is served, and to whom.
//!
//! In: the table. Out: [`ApiSettings`]; what cannot be read of it has its default, so that a daemon without a policy is still asked.
//! Nobody owns anything here.

mod grants;
mod https;
mod jwt;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    config::{
        choices::SOCKET_MODES,
        document::{Node, TomlTable},
        keys,
        reader::Reader,
    },
    policy::ApiSettings,
    text::shown::shown,
};

/// Longest path of a Unix socket in octets: `sun_path` without the final zero (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// Longest name of a group.
const MAX_GROUP_NAME: usize = 255;

/// Where the API is served unless written.
pub const DEFAULT_SOCKET: &str = "/run/portcullis/api.sock";

/// Reads `[api]`; `None` after an error.
pub fn api(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<ApiSettings> {
    let (api, is_good) = readable_api(reader, document);
    is_good.then_some(api)
}

/// What can be read of `[api]`, and defaults for the rest; whether there was no error.
pub fn readable_api(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> (ApiSettings, bool) {
    let mut api = ApiSettings::at_socket(DEFAULT_SOCKET.into());
    let Some(node) = document.node("api") else { return (api, true) };
    let Some(table) = reader.table(&node, keys::API) else { return (api, false) };
    let mut is_good = true;
    if let Some(node) = table.node("socket") {
        is_good &= socket(reader, &node).map(|path| api.socket.path = path).is_some();
    }
    if let Some(node) = table.node("group") {
        is_good &= group(reader, &node).map(|group| api.socket.group = Some(group)).is_some();
    }
    if let Some(node) = table.node("mode") {
        is_good &= reader.choice(&node, &SOCKET_MODES).map(|mode| api.socket.mode = mode).is_some();
    }
    is_good &= grants::local_roles(reader, &table).map(|roles| api.roles = roles).is_some();
    is_good &= https::https(reader, &table).map(|https| api.https = https).is_some();
    if let Some(node) = table.node("require") {
        is_good &= https::require(reader, &node, api.https.as_ref()).map(|require| api.require = require).is_some();
    }
    is_good &= grants::certificates(reader, &table).map(|names| api.certificates = names).is_some();
    if let Some(node) = table.node("jwt") {
        is_good &= jwt::jwt(reader, &node).map(|jwt| api.jwt = Some(jwt)).is_some();
    }
    is_good &= grants::signers(reader, &table).map(|signers| api.signers = signers).is_some();
    (api, is_good)
}

fn socket(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<PathBuf> {
    let text = reader.string(node, "the path of a socket")?;
    if !Path::new(text).is_absolute() || text.contains('\0') || text.ends_with('/') {
        let message = format!("`{}` is not the absolute path of a socket", shown(text));
        reader.error_with_hint(&node.at, message, format!("write for example \"{DEFAULT_SOCKET}\""));
        return None;
    }
    if text.len() > MAX_SOCKET_PATH {
        let message = format!("the path has {} octets; a socket's path has at most {MAX_SOCKET_PATH}", text.len());
        reader.error(&node.at, message);
        return None;
    }
    Some(PathBuf::from(text))
}

/// The absolute path of a file.
fn file(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<PathBuf> {
    let text = reader.string(node, "the path of a file")?;
    if Path::new(text).is_absolute() && !text.contains('\0') && !text.ends_with('/') {
        return Some(PathBuf::from(text));
    }
    reader.error(&node.at, format!("`{}` is not the absolute path of a file", shown(text)));
    None
}

/// Whether a host of a URI is this one.
fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Each element of an array of `things`, read by `read`; `None` after an error.
fn each<'d, T>(
    reader: &mut Reader<'_>,
    node: &Node<'d>,
    things: &str,
    mut read: impl FnMut(&mut Reader<'_>, &Node<'d>) -> Option<T>,
) -> Option<Vec<T>> {
    if !node.value.is_array() {
        // Says so.
        reader.array(node, things);
        return None;
    }
    let elements = reader.array(node, things);
    // All of them, so that every mistake is told.
    let read: Vec<Option<T>> = elements.iter().map(|element| read(reader, element)).collect();
    read.into_iter().collect()
}

/// A name that the groups of this host may have; whether one has it is asked when it is used.
fn group(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.string(node, "the name of a group")?;
    if !is_group_name(text) {
        let message = format!("`{}` is not the name of a group", shown(text));
        reader.error_with_hint(&node.at, message, "`getent group` lists the groups of this host");
        return None;
    }
    Some(text.to_owned())
}

/// What [`keys::GROUP`] says.
fn is_group_name(text: &str) -> bool {
    let is_outside = |sign: char| sign.is_whitespace() || sign.is_ascii_control() || ":,/".contains(sign);
    (1..=MAX_GROUP_NAME).contains(&text.chars().count()) && !text.contains(is_outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_are_those_that_a_host_may_have() {
        for good in ["portcullis", "1000", "_ssh", "EXAMPLE\\firewall", "admins@example.com", "fw.view-2"] {
            assert!(is_group_name(good), "{good}");
        }
        for bad in ["", "a b", "a:b", "a,b", "a/b", "a\n", "\0", "\u{2003}", &"a".repeat(256)] {
            assert!(!is_group_name(bad), "{bad}");
        }
    }
}
