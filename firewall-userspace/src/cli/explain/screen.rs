//! An answer, for people.

use std::{fmt::Write as _, net::IpAddr};

use jiff::Timestamp;

use crate::{
    cli::table::TextTable,
    lists::entry::Entry,
    preview::explain::{DestinationBy, Explained, Match},
    text::{
        shown::{escaped, few},
        when,
    },
};

/// Entries that are named where there is a line for all of it.
const ENTRIES: usize = 2;

/// All of an answer.
pub fn whole(explained: &Explained) -> String {
    let mut text = String::new();
    let Explained { reason, meaning, .. } = explained;
    fact(&mut text, "verdict", &format!("{} ({reason}){}: {meaning}", explained.verdict, but(explained)));
    fact(&mut text, "source", &source(explained.source, explained.own, explained.management));
    if let Some(destination) = explained.destination {
        fact(&mut text, "destination", &format!("{destination}{}", chosen_by(explained.destination_by)));
    }
    fact(&mut text, "service", explained.service.as_deref().unwrap_or("none"));
    if let Some(limit) = &explained.limit {
        fact(&mut text, "limit", &format!("{}; rate state {}", limit.name, limit.bucket));
        for quantity in &limit.quantities {
            let full = quantity
                .full_again
                .map_or_else(String::new, |at| format!(", all of them at {}", when::told(at, Timestamp::now())));
            fact(&mut text, "", &format!("{} of {} {} left{full}", quantity.left, quantity.burst, quantity.quantity));
        }
    }
    for note in &explained.notes {
        fact(&mut text, "note", note);
    }
    if explained.entries.is_empty() {
        return text;
    }
    let mut table = TextTable::new(["", "LIST", "PREFIX", "EFFECT", "LAYER", "OWNER", "EXPIRES", "COMMENT"]);
    for one in &explained.entries {
        let (entry, decides) = (&one.entry, if one.decides { "*" } else { "" });
        table.push([
            decides.into(),
            entry.list.clone(),
            entry.prefix.clone(),
            one.effect.to_string(),
            entry.layer.label().into(),
            owner(entry),
            expires(entry),
            entry.comment.clone().unwrap_or_default(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    text
}

/// Adds the line of a fact.
pub fn fact(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<12}{}", escaped(value));
}

/// A source with what it is to this host.
pub fn source(address: Option<IpAddr>, own: bool, management: bool) -> String {
    let marks = [(own, "an address of this host"), (management, "management")];
    let marks: Vec<&str> = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{}{marks}", address.map_or_else(|| "?".into(), |address| address.to_string()))
}

/// Who chose a destination, behind it.
pub fn chosen_by(by: Option<DestinationBy>) -> &'static str {
    match by {
        None => "",
        Some(DestinationBy::Route) => " (this host answers the source from it)",
        Some(DestinationBy::Service) => " (the service names it)",
        Some(DestinationBy::Smallest) => " (the smallest address of this host)",
        Some(DestinationBy::Nothing) => " (stands in for an address that this host does not have)",
    }
}

/// Who owns an entry, with the person behind it.
pub fn owner(entry: &Entry) -> String {
    entry.person.as_ref().map_or_else(|| entry.owner.clone(), |person| format!("{} ({person})", entry.owner))
}

/// When an entry ends, and how far from now that is.
pub fn expires(entry: &Entry) -> String {
    let doubt = if entry.in_doubt { " (in doubt)" } else { "" };
    entry
        .expires
        .map_or_else(|| "never".to_owned(), |expires| format!("{}{doubt}", when::told(expires, Timestamp::now())))
}

/// What is said where that is not what is done.
fn but(explained: &Explained) -> &'static str {
    if explained.action == explained.verdict { "" } else { ", but it passes" }
}

/// The verdict in a word or two.
pub fn verdict(explained: &Explained) -> String {
    format!("{}{}", explained.verdict, but(explained))
}

/// Why, in a line: the entries that decided, or what the reason means.
pub fn because(explained: &Explained) -> String {
    let told = |Match { entry, effect, .. }: &Match| {
        let end = if entry.expires.is_some() { format!(", until {}", expires(entry)) } else { String::new() };
        format!("{} {effect} {} ({}, {}{end})", entry.list, entry.prefix, entry.layer.label(), owner(entry))
    };
    let deciding: Vec<String> = explained.entries.iter().filter(|one| one.decides).map(told).collect();
    if deciding.is_empty() { explained.meaning.clone() } else { few(&deciding, ENTRIES) }
}
