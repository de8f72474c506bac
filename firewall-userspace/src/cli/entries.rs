//! `portcullis allow|deny list`: the entries of lists.

use std::{collections::BTreeSet, fmt, io::BufReader};

use jiff::Timestamp;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    client::Client,
    failure::Failure,
    lists::EXPORT,
    output::{self, Output},
    table::TextTable,
};
use crate::{
    control::{ListStatus, Status, SyncLine, Verb},
    lists::entry::{Entry, Layer},
    text::{problem::Problem, when},
};

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryForm {
    /// For people.
    Table,
    /// The document of the daemon.
    Json,
    /// What was pushed, for `portcullis restore`.
    Export,
}

impl From<Output> for EntryForm {
    fn from(output: Output) -> Self {
        match output {
            Output::Table => Self::Table,
            Output::Json => Self::Json,
        }
    }
}

/// Rows that are written at once.
const ROWS: usize = 1000;

/// Shows the entries of `list`, or of every list that a service uses as `verb` says, as they come; `query` says which.
pub fn run(
    client: &Client,
    output: EntryForm,
    verb: Verb,
    list: Option<&str>,
    query: &[(&str, String)],
) -> Result<(), Failure> {
    let lists = client.get::<Status>("/v1/status")?.value.lists;
    if let Some(list) = list {
        check_role(&lists, list, verb)?;
    }
    let fields: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let path = if fields.is_empty() { "/v1/entries".to_owned() } else { format!("/v1/entries?{}", fields.join("&")) };
    let answer = client.stream(&path).map_err(|failure| failure.told_by(option_of))?;
    let shown: BTreeSet<&str> = match list {
        Some(list) => BTreeSet::from([list]),
        None => lists.iter().filter(|list| has_role(list, verb)).map(|list| &*list.name).collect(),
    };
    let mut shower = Shower { output, shown, table: table(), json: String::new(), count: 0, ended: None };
    let read = serde_json::Deserializer::from_reader(BufReader::new(answer)).deserialize_map(&mut shower);
    match (shower.ended.take(), read) {
        (Some(ended), _) => ended,
        (None, Err(error)) => Err(client.unreadable(&error)),
        (None, Ok(())) => shower.finish(),
    }
}

/// Writes entries as they are read.
struct Shower<'a> {
    output: EntryForm,
    /// Lists that are asked for.
    shown: BTreeSet<&'a str>,
    table: TextTable<7>,
    json: String,
    count: usize,
    /// How writing ended before reading did.
    ended: Option<Result<(), Failure>>,
}

impl Shower<'_> {
    fn show(&mut self, entry: Entry) -> Result<(), serde_json::Error> {
        if !self.shown.contains(&*entry.list) {
            return Ok(());
        }
        if self.output == EntryForm::Export && entry.layer == Layer::Config {
            return Ok(());
        }
        self.count += 1;
        match self.output {
            EntryForm::Export => {
                if self.count == 1 {
                    self.json.push_str(&format!("{{\"schema\":\"{EXPORT}\"}}\n"));
                }
                self.json.push_str(&serde_json::to_string(&exported(entry))?);
                self.json.push('\n');
            }
            EntryForm::Json => {
                self.json.push_str(if self.count == 1 { "" } else { "," });
                self.json.push_str(&serde_json::to_string(&entry)?);
            }
            EntryForm::Table => self.table.push(row(entry)),
        }
        if self.count.is_multiple_of(ROWS) { self.write() } else { Ok(()) }
    }

    /// Writes what has been gathered.
    fn write(&mut self) -> Result<(), serde_json::Error> {
        let text = match self.output {
            EntryForm::Json | EntryForm::Export => std::mem::take(&mut self.json),
            EntryForm::Table if self.table.len() == 0 => return Ok(()),
            EntryForm::Table => self.table.take(),
        };
        let written = output::piece(text.as_bytes());
        if matches!(written, Ok(true)) {
            return Ok(());
        }
        self.ended = Some(written.map(drop));
        Err(serde_json::Error::custom("nobody reads"))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.output != EntryForm::Json && self.count == 0 {
            output::words("note: there are no entries");
            return Ok(());
        }
        // Why it could not be written is in `ended`.
        let _ = self.write();
        self.ended.take().unwrap_or_else(|| if self.output == EntryForm::Json { output::data(b"\n") } else { Ok(()) })
    }
}

/// The document.
impl<'de> Visitor<'de> for &mut Shower<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut facts = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "entries" {
                let facts = std::mem::take(&mut facts);
                if self.output == EntryForm::Json {
                    self.json.push_str(&format!("{{{}\"entries\":[", facts.concat()));
                }
                map.next_value_seed(&mut *self)?;
                if self.output == EntryForm::Json {
                    self.json.push_str("]}");
                }
            } else if self.output == EntryForm::Json && self.json.is_empty() {
                let value = map.next_value::<serde_json::Value>()?;
                facts.push(format!("{}:{value},", serde_json::Value::from(key)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element::<Entry>()? {
            self.show(entry).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The entries in it.
impl<'de> DeserializeSeed<'de> for &mut Shower<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// A problem with the option that it is about.
fn option_of(problem: &Problem) -> String {
    match problem.pointer.strip_prefix('/') {
        None | Some("" | "list") => problem.detail.clone(),
        Some(field) => format!("--{}: {}", field.replace('_', "-"), problem.detail),
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
    let (verb, opposite) = (verb.name(), verb.opposite().name());
    Err(Failure::WrongList {
        message: format!("no service uses `{name}` as a list to {verb}; services {opposite} what is in it"),
        hint: format!("use `portcullis {opposite} list {name}`"),
    })
}

/// An entry as `portcullis restore` reads it.
fn exported(entry: Entry) -> SyncLine<'static> {
    SyncLine {
        list: entry.list.into(),
        prefix: entry.prefix.into(),
        remove: false,
        ttl: None,
        comment: entry.comment,
        layer: Some(entry.layer),
        owner: Some(entry.owner),
        person: entry.person,
        created: Some(entry.created),
        expires: entry.expires,
    }
}

fn table() -> TextTable<7> {
    TextTable::new(["LIST", "PREFIX", "LAYER", "OWNER", "CREATED", "EXPIRES", "COMMENT"])
}

fn row(entry: Entry) -> [String; 7] {
    let doubt = if entry.in_doubt { " (in doubt)" } else { "" };
    let now = Timestamp::now();
    let expires = |expires| format!("{}{doubt}", when::told(expires, now));
    let expires = entry.expires.map_or_else(|| "never".to_owned(), expires);
    let created = when::told(entry.created, now);
    let owner = entry.person.map_or_else(|| entry.owner.clone(), |person| format!("{} ({person})", entry.owner));
    let comment = entry.comment.unwrap_or_default();
    [entry.list, entry.prefix, entry.layer.label().into(), owner, created, expires, comment]
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
