//! The tables and values of a parsed document, read with their key paths and places.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::ConfigKey,
    reader::{At, Reader},
};
use crate::text::{shown::shown, suggest::nearest};

/// A value and where it stands.
pub struct Node<'d> {
    /// Its place.
    pub at: At,
    /// The value.
    pub value: &'d DeValue<'d>,
}

/// A table and where it stands.
pub struct TomlTable<'d> {
    /// Its place: the header of a standard table, all of an inline one.
    pub at: At,
    entries: &'d DeTable<'d>,
}

impl Reader<'_> {
    /// The table at `node`, whose keys must be among `keys`.
    pub fn table<'d>(&mut self, node: &Node<'d>, keys: &[ConfigKey]) -> Option<TomlTable<'d>> {
        let table = self.named_tables(node)?;
        self.check_keys(&table, keys);
        Some(table)
    }

    /// Refuses the keys of `table` that are not among `keys`.
    pub fn check_keys(&mut self, table: &TomlTable<'_>, keys: &[ConfigKey]) {
        if self.has_broken_headers() {
            return;
        }
        for (key, at, _) in table.nodes() {
            let known = || keys.iter().map(|key| key.name);
            if known().any(|known| known == key) {
                continue;
            }
            let hint = match nearest(key, known()) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
            };
            self.error_with_hint(&at, "unknown key", hint);
        }
    }

    /// The table at `node`, whose keys are names that the operator chose.
    pub fn named_tables<'d>(&mut self, node: &Node<'d>) -> Option<TomlTable<'d>> {
        match node.value {
            DeValue::Table(entries) => Some(TomlTable { at: node.at.clone(), entries }),
            _ => {
                self.wrong_type(node, "a table");
                None
            }
        }
    }

    /// The rows of an array of tables such as `[[interface]]`.
    pub fn rows<'d>(&mut self, node: &Node<'d>, keys: &[ConfigKey]) -> Vec<TomlTable<'d>> {
        if let DeValue::Table(_) = node.value {
            let hint = format!("write `[[{}]]`, or put the table into brackets", node.at.path);
            self.error_with_hint(&node.at, "expected an array of tables, found a table", hint);
            return Vec::new();
        }
        self.array(node, "tables").iter().filter_map(|row| self.table(row, keys)).collect()
    }

    /// The value of a key that must be written; `example` shows how.
    pub fn required<'d>(&mut self, table: &TomlTable<'d>, key: &str, example: &str) -> Option<Node<'d>> {
        let node = table.node(key);
        if node.is_none() {
            self.missing(&table.at(key), "this key is required", Some(format!("write for example `{example}`")));
        }
        node
    }

    /// The elements of an array of `things`.
    pub fn array<'d>(&mut self, node: &Node<'d>, things: &str) -> Vec<Node<'d>> {
        let DeValue::Array(elements) = node.value else {
            let text = self.text(&node.at);
            let message = format!("expected an array of {things}, found {}", node.kind());
            if matches!(node.value, DeValue::Table(_)) {
                self.error(&node.at, message);
            } else {
                self.error_with_hint(&node.at, message, format!("write [{}]", shown(text)));
            }
            return Vec::new();
        };
        let element = |(index, value): (usize, &'d Spanned<DeValue<'d>>)| {
            let at = At { path: format!("{}[{index}]", node.at.path), span: value.span() };
            Node { at, value: value.get_ref() }
        };
        elements.iter().enumerate().map(element).collect()
    }

    /// A string; `wanted` says which, for the message when it is something else.
    pub fn string<'d>(&mut self, node: &Node<'d>, wanted: &str) -> Option<&'d str> {
        match node.value {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong_type(node, wanted);
                None
            }
        }
    }

    /// A non-negative integer; `wanted` says which.
    pub fn integer(&mut self, node: &Node<'_>, wanted: &str) -> Option<u64> {
        let DeValue::Integer(integer) = node.value else {
            self.wrong_type(node, wanted);
            return None;
        };
        let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        match value.map(u64::try_from) {
            Some(Ok(value)) => return Some(value),
            Some(Err(_)) if value.is_some_and(i128::is_negative) => {
                self.error(&node.at, format!("{} is negative; expected {wanted}", shown(integer.as_str())));
            }
            _ => self.error(&node.at, format!("{} is too large; expected {wanted}", shown(&integer.to_string()))),
        }
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        match node.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong_type(node, "true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, node: &Node<'_>, choices: &[(&str, T)]) -> Option<T> {
        let wanted = one_of(choices.iter().map(|(word, _)| *word));
        let text = self.string(node, &wanted)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let message = format!("`{}` is not known; expected {wanted}", shown(text));
            match nearest(text, choices.iter().map(|(word, _)| *word)) {
                Some(word) => self.error_with_hint(&node.at, message, format!("did you mean \"{word}\"?")),
                None => self.error(&node.at, message),
            }
        }
        found
    }

    /// The value at `node` is not `wanted`.
    pub fn wrong_type(&mut self, node: &Node<'_>, wanted: &str) {
        self.error(&node.at, format!("expected {wanted}, found {}", node.kind()));
    }
}

impl Node<'_> {
    /// What the value is: `a string`, `an array`.
    pub fn kind(&self) -> String {
        let kind = self.value.type_str();
        let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
        format!("{article} {kind}")
    }
}

impl<'d> TomlTable<'d> {
    /// The whole document.
    pub fn document(entries: &'d DeTable<'d>) -> Self {
        Self { at: At { path: String::new(), span: 0..0 }, entries }
    }

    /// The table `entries` at `at`.
    pub fn new(at: &At, entries: &'d DeTable<'d>) -> Self {
        Self { at: at.clone(), entries }
    }

    /// The value of `key`.
    pub fn node(&self, key: &str) -> Option<Node<'d>> {
        let value = self.entries.get(key)?;
        Some(Node { at: At { path: join(&self.at.path, key), span: value.span() }, value: value.get_ref() })
    }

    /// The place of `key` if it is written, else of the table.
    pub fn at(&self, key: &str) -> At {
        let span = self.entries.get(key).map_or_else(|| self.at.span.clone(), Spanned::span);
        At { path: join(&self.at.path, key), span }
    }

    /// Every key with its value; the place is that of the key.
    pub fn nodes(&self) -> impl Iterator<Item = (&'d str, At, Node<'d>)> {
        self.entries.iter().map(|(key, value)| {
            let path = join(&self.at.path, key.get_ref());
            let at = At { path: path.clone(), span: key.span() };
            (&**key.get_ref(), at, Node { at: At { path, span: value.span() }, value: value.get_ref() })
        })
    }
}

/// `"a", "b" or "c"`.
fn one_of<'w>(words: impl DoubleEndedIterator<Item = &'w str>) -> String {
    let mut text = String::new();
    for (from_the_end, word) in words.rev().enumerate() {
        let separator = match from_the_end {
            0 => "",
            1 => " or ",
            _ => ", ",
        };
        text = format!("\"{word}\"{separator}{text}");
    }
    text
}

/// The path of `key` in the table at `path`.
pub fn join(path: &str, key: &str) -> String {
    let is_bare = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == '-';
    let key = if !key.is_empty() && key.chars().all(is_bare) { shown(key) } else { format!("\"{}\"", shown(key)) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
