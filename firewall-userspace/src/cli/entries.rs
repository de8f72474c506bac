//! `portcullis allow|deny list`: the entries of lists.

use std::collections::BTreeSet;

use super::{
    client::{Answer, Client},
    failure::Failure,
    lists::{opposite_name, verb_name},
    output::{self, Output},
    table::Table,
};
use crate::control::{Entries, Entry, ListStatus, Status, Verb};

/// Shows the entries of `list`, or of every list that a service uses as `verb` says.
pub fn run(client: &Client, output: Output, verb: Verb, list: Option<&str>) -> Result<(), Failure> {
    let lists = client.get::<Status>("/v1/status")?.value.lists;
    let path = match list {
        Some(list) => {
            check_role(&lists, list, verb)?;
            format!("/v1/entries?list={}", encoded(list))
        }
        None => "/v1/entries".to_owned(),
    };
    let answer = client.get::<Entries>(&path).map_err(|failure| failure.told_by(|problem| problem.detail.clone()))?;
    let Answer { value: mut entries, json } = answer;
    let mut json = json.to_vec();
    if list.is_none() {
        let shown: BTreeSet<&str> = lists.iter().filter(|list| has_role(list, verb)).map(|list| &*list.name).collect();
        entries.entries.retain(|entry| shown.contains(&*entry.list));
        json = serde_json::to_vec(&entries).map_err(|error| Failure::Write(error.into()))?;
    }
    match output {
        Output::Json => output::data(&json),
        Output::Table if entries.entries.is_empty() => {
            output::words("note: there are no entries");
            Ok(())
        }
        Output::Table => output::data(table(entries.entries).to_string().as_bytes()),
    }
}

fn has_role(list: &ListStatus, verb: Verb) -> bool {
    match verb {
        Verb::Allow => !list.allowed_by.is_empty(),
        Verb::Deny => !list.denied_by.is_empty(),
    }
}

/// Refuses to show a list of denied sources as one of allowed sources, and the other way round.
fn check_role(lists: &[ListStatus], name: &str, verb: Verb) -> Result<(), Failure> {
    let Some(list) = lists.iter().find(|list| list.name == name) else { return Ok(()) };
    if has_role(list, verb) {
        return Ok(());
    }
    if list.allowed_by.is_empty() && list.denied_by.is_empty() {
        output::words(&format!("note: no service allows or denies `{name}`"));
        return Ok(());
    }
    let (verb, opposite) = (verb_name(verb), opposite_name(verb));
    Err(Failure::WrongList {
        message: format!("no service uses `{name}` as a list to {verb}; services {opposite} what is in it"),
        hint: format!("use `portcullis {opposite} list {name}`"),
    })
}

fn table(entries: Vec<Entry>) -> Table<7> {
    let mut table = Table::new(["LIST", "PREFIX", "LAYER", "OWNER", "CREATED", "EXPIRES", "COMMENT"]);
    for entry in entries {
        let expires = entry.expires.map_or_else(|| "never".to_owned(), |expires| format!("{expires:.0}"));
        let created = format!("{:.0}", entry.created);
        let comment = entry.comment.unwrap_or_default();
        table.push([entry.list, entry.prefix, entry.layer.label().into(), entry.owner, created, expires, comment]);
    }
    table
}

/// `text` with everything but letters, digits, `-` and `_` percent-encoded (RFC 3986).
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_' {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_reaches_the_daemon_as_it_was_written() {
        assert_eq!(encoded("web-1_b"), "web-1_b");
        assert_eq!(encoded("a&b=c d/ä"), "a%26b%3Dc%20d%2F%C3%A4");
    }
}
