//! Tables whose keys are names: `[lists.*]`, `[limits.*]`, `[services.*]`.

use toml::de::DeValue;

use crate::{
    config::{
        document::{Node, TomlTable},
        reader::{At, Reader},
    },
    policy::Name,
    text::{
        shown::{counted, shown},
        suggest::nearest,
    },
};

/// One definition.
pub struct NamedItem<'d> {
    /// Its key, good or not.
    pub key: &'d str,
    /// Its name; `None` when the key is no name, which has been reported.
    pub name: Option<Name>,
    /// What it is.
    pub node: Node<'d>,
}

/// All definitions of one kind, ordered by name.
pub struct Items<'d> {
    /// What they are: `list`, `limit` or `service`.
    kind: &'static str,
    items: Vec<NamedItem<'d>>,
}

impl<'d> NamedItem<'d> {
    /// The value of one of its keys; `None` when that is not written.
    pub fn value(&self, key: &str) -> Option<Node<'d>> {
        match self.node.value {
            DeValue::Table(entries) => TomlTable::new(&self.node.at, entries).node(key),
            _ => None,
        }
    }

    /// The place of one of its keys, or its own when that is not written.
    pub fn key_at(&self, key: &str) -> At {
        match self.node.value {
            DeValue::Table(entries) => TomlTable::new(&self.node.at, entries).at(key),
            _ => self.node.at.clone(),
        }
    }
}

impl<'d> Items<'d> {
    /// Reads the table at `key` of the document; at most `most` definitions of this kind are possible.
    pub fn read(reader: &mut Reader<'_>, document: &TomlTable<'d>, key: &str, kind: &'static str, most: usize) -> Self {
        let table = document.node(key).and_then(|node| reader.named_tables(&node));
        let mut items = Vec::new();
        let mut places: Vec<At> = Vec::new();
        for (key, at, node) in table.iter().flat_map(TomlTable::nodes) {
            let name = Name::parse(key);
            if name.is_err() {
                let message = format!(
                    "`{}` is not a name; use 1 to 32 of a-z, 0-9, `_` and `-`, starting with a letter or digit",
                    shown(key)
                );
                reader.error(&at, message);
            }
            items.push(NamedItem { key, name: name.ok(), node });
            places.push(at);
        }
        items.sort_by_key(|item| item.key);
        places.sort_by_key(|at| at.span.start);
        if let Some(at) = places.get(most) {
            let message = format!("{} are defined; at most {most} are possible", counted(items.len(), kind));
            reader.error(at, message);
        }
        Self { kind, items }
    }

    /// The definitions; references are positions in this slice.
    pub fn as_slice(&self) -> &[NamedItem<'d>] {
        &self.items
    }

    /// The key of the definition at `index`.
    pub fn key(&self, index: usize) -> &'d str {
        self.items.get(index).map_or("", |item| item.key)
    }

    /// The position of the definition that `node` names.
    pub fn resolve(&self, reader: &mut Reader<'_>, node: &Node<'_>) -> Option<usize> {
        let key = reader.string(node, &format!("the name of a {}", self.kind))?;
        let found = self.items.binary_search_by_key(&key, |item| item.key).ok();
        if found.is_none() {
            let hint = match nearest(key, self.items.iter().map(|item| item.key)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define it as `[{}s.{}]`", self.kind, shown(key)),
            };
            reader.missing(&node.at, format!("no {} is called `{}`", self.kind, shown(key)), Some(hint));
        }
        found
    }
}
