//! What a source is in.

use std::net::IpAddr;

use super::{screen, told};
use crate::{
    cli::{
        client::{Answer, Client},
        failure::Failure,
        output::{self, Output},
        table::TextTable,
    },
    preview::explain::{ListedUse, Membership},
};

/// Shows what `source` is in; whether it is in anything.
pub fn run(client: &Client, output: Output, source: IpAddr) -> Result<bool, Failure> {
    let Answer { value, json } = client.get::<Membership>(&format!("/v1/membership?source={source}")).map_err(told)?;
    match output {
        Output::Json => output::data(&json)?,
        Output::Table => output::data(table(&value).as_bytes())?,
    }
    Ok(!value.is_empty())
}

fn table(membership: &Membership) -> String {
    let mut text = String::new();
    let Membership { source, own, management, entries, .. } = membership;
    screen::fact(&mut text, "source", &screen::source(Some(*source), *own, !management.is_empty()));
    for prefix in management {
        screen::fact(&mut text, "management", &prefix.to_string());
    }
    if entries.is_empty() {
        screen::fact(&mut text, "lists", "none has it");
        return text;
    }
    let mut table = TextTable::new(["LIST", "PREFIX", "LAYER", "OWNER", "EXPIRES", "SERVICES", "COMMENT"]);
    for one in entries {
        let entry = &one.entry;
        let services: Vec<String> = one.services.iter().map(used).collect();
        table.push([
            entry.list.clone(),
            entry.prefix.clone(),
            entry.layer.label().into(),
            screen::owner(entry),
            screen::expires(entry),
            if services.is_empty() { "none".into() } else { services.join(", ") },
            entry.comment.clone().unwrap_or_default(),
        ]);
    }
    format!("{text}\n{table}")
}

fn used(ListedUse { service, effect, limit }: &ListedUse) -> String {
    match limit {
        Some(limit) => format!("{service} {effect} to {limit}"),
        None => format!("{service} {effect}"),
    }
}
