//! What one policy has and another has not: setting by setting, entry by entry.
//!
//! In: two policies as documents. Out: their difference, for people and for scripts. Nobody owns anything here: both documents are
//! copies.

mod api;
mod document;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::document::PolicyDocument;
use crate::{
    policy::{Name, Policy, Prefix},
    text::{few::Few, shown::counted},
};

/// How a policy differs from the live one: the schema `portcullis.diff/v1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// Always `portcullis.diff/v1`.
    pub schema: String,
    /// Number of the last change of the live policy, as older clients know it: the same as `revision`.
    pub generation: u64,
    /// Revision of the lists.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the live policy; 0 when an older daemon does not tell.
    #[serde(default)]
    pub policy_generation: u64,
    /// Whether there is none.
    pub same: bool,
    /// Settings, services and limits that differ, by key path.
    pub settings: Vec<SettingChange>,
    /// Lists whose entries differ, by name.
    pub lists: BTreeMap<String, EntryChanges>,
}

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct SettingChange {
    /// Key path such as `services.https.ports`.
    pub key: String,
    /// Its value in the live policy, `None` when it is not there.
    pub live: Option<Value>,
    /// Its value in the other one, `None` when it is not there.
    pub new: Option<Value>,
}

/// The entries that the configuration has in one list; pushed ones are no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct EntryChanges {
    /// Entries of the live policy.
    pub live: usize,
    /// In order.
    pub added: Vec<Prefix>,
    /// In order.
    pub removed: Vec<Prefix>,
}

impl Difference {
    /// What makes `new` of `live`.
    pub fn between(live: &PolicyDocument, new: &PolicyDocument) -> Self {
        let mut lists = BTreeMap::new();
        for name in live.lists.keys().chain(new.lists.keys()) {
            let changes = EntryChanges::between(live.entries(name), new.entries(name));
            if !changes.added.is_empty() || !changes.removed.is_empty() {
                lists.insert(name.clone(), changes);
            }
        }
        let mut keys: Vec<&String> = live.settings.keys().chain(new.settings.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let changed = |key: &String| {
            let (live, new) = (live.settings.get(key), new.settings.get(key));
            (live != new).then(|| SettingChange { key: key.clone(), live: live.cloned(), new: new.cloned() })
        };
        let settings: Vec<SettingChange> = keys.into_iter().filter_map(changed).collect();
        Self {
            schema: "portcullis.diff/v1".into(),
            generation: live.generation,
            revision: live.revision,
            policy_generation: live.policy_generation,
            same: settings.is_empty() && lists.is_empty(),
            settings,
            lists,
        }
    }

    /// What makes `new` of a `live` policy, without a copy of their entries.
    pub fn of(live: &Policy, new: &Policy) -> Self {
        let without_entries = PolicyDocument::without_entries;
        let mut difference = Self::between(&without_entries(live), &without_entries(new));
        let names: BTreeSet<&Name> = live.lists.iter().chain(&new.lists).map(|list| &list.name).collect();
        for name in names {
            difference.add_list(name, entries_of(live, name), entries_of(new, name));
        }
        difference
    }

    fn add_list(&mut self, name: &str, live: &[Prefix], new: &[Prefix]) {
        let changes = EntryChanges::between(live, new);
        if !changes.added.is_empty() || !changes.removed.is_empty() {
            self.same = false;
            self.lists.insert(name.to_owned(), changes);
        }
    }

    /// In one line: `2 settings changed, 1 added; 3 entries added, 1 removed`.
    pub fn summary(&self) -> String {
        let generation = if self.policy_generation > 0 { self.policy_generation } else { self.generation };
        match self.same {
            true => format!("no difference from generation {generation}"),
            false => format!("differs from generation {generation}: {}", self.changes()),
        }
    }

    /// A line for each change as [`Display`](fmt::Display) has it: ten of each kind, then how many more. Kinds are services, limits,
    /// lists, other settings, and entries that come and go.
    pub fn told(&self) -> Vec<String> {
        let mut few = Few::default();
        for change in &self.settings {
            let kind = match change.key.split('.').next().unwrap_or_default() {
                "services" => "settings of services",
                "limits" => "settings of limits",
                "lists" => "lists",
                "interface" => "settings of interfaces",
                _ => "other settings",
            };
            few.add(kind, || change.to_string());
        }
        for (name, changes) in &self.lists {
            let of = |sign: char, prefix: &Prefix| format!("{sign} lists.{name} {prefix}");
            changes.removed.iter().for_each(|prefix| few.add("entries removed", || of('-', prefix)));
            changes.added.iter().for_each(|prefix| few.add("entries added", || of('+', prefix)));
        }
        let more = few.more().map(|(_, more)| more.replacen("from here on, ", "", 1));
        few.first().iter().cloned().chain(more).collect()
    }

    /// The same without naming the live policy: `nothing changed` when there is no difference.
    pub fn changes(&self) -> String {
        if self.same {
            return "nothing changed".to_owned();
        }
        let settings =
            |is_counted: fn(&SettingChange) -> bool| self.settings.iter().filter(|one| is_counted(one)).count();
        let entries = |count: fn(&EntryChanges) -> usize| self.lists.values().map(count).sum();
        let parts = [
            part(
                "setting",
                [
                    ("changed", settings(|one| one.live.is_some() && one.new.is_some())),
                    ("added", settings(|one| one.live.is_none())),
                    ("removed", settings(|one| one.new.is_none())),
                ],
            ),
            part(
                "entry",
                [("added", entries(|list| list.added.len())), ("removed", entries(|list| list.removed.len()))],
            ),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("; ")
    }
}

/// The entries that the configuration has in a list; none when there is no such list.
fn entries_of<'a>(policy: &'a Policy, name: &Name) -> &'a [Prefix] {
    let list = policy.lists.iter().find(|list| list.name == *name);
    list.map_or(&[], |list| &list.entries)
}

/// `2 settings changed, 1 removed`; empty when all counts are zero.
fn part<const N: usize>(thing: &str, counts: [(&str, usize); N]) -> String {
    let mut text = String::new();
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        match text.is_empty() {
            true => text = format!("{} {what}", counted(count, thing)),
            false => text.push_str(&format!(", {count} {what}")),
        }
    }
    text
}

impl EntryChanges {
    /// `live` and `new` are sorted, without repetitions.
    fn between(live: &[Prefix], new: &[Prefix]) -> Self {
        let mut changes = Self { live: live.len(), ..Self::default() };
        let (mut old, mut fresh) = (live.iter().copied().peekable(), new.iter().copied().peekable());
        loop {
            let order = match (old.peek(), fresh.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(fresh)) => old.cmp(fresh),
            };
            let gone = old.next_if(|_| order.is_le());
            let come = fresh.next_if(|_| order.is_ge());
            if order.is_lt() {
                changes.removed.extend(gone);
            } else if order.is_gt() {
                changes.added.extend(come);
            }
        }
    }
}

/// `~ key: live -> new`, `+ key = new` or `- key = live`.
impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, live, new } = self;
        match (live, new) {
            (Some(live), Some(new)) => write!(f, "~ {key}: {live} -> {new}"),
            (None, Some(new)) => write!(f, "+ {key} = {new}"),
            (Some(live), None) => write!(f, "- {key} = {live}"),
            (None, None) => Ok(()),
        }
    }
}

/// A line for each setting and each entry: `~` changed, `+` only in the new policy, `-` only in the live one.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        for (name, changes) in &self.lists {
            let signs = changes.removed.iter().map(|prefix| ('-', prefix));
            for (sign, prefix) in signs.chain(changes.added.iter().map(|prefix| ('+', prefix))) {
                writeln!(f, "{sign} lists.{name} {prefix}")?;
            }
        }
        writeln!(f, "{}", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const CONFIG: &str = r#"
[[interface]]
name = "eth0"
[lists.partners]
entries = ["203.0.113.0/24", "2001:db8:7::/48"]
[limits.standard]
packets = { rate = 2000, per = "90s" }
[services.https]
protocol = "tcp"
ports = [443, "8443-8445"]
allow = ["partners"]
limit = "standard"
"#;

    fn document(text: &str) -> PolicyDocument {
        let loaded = config::load_text(Path::new("x.toml"), text, Path::new("")).unwrap();
        PolicyDocument::of(&loaded.policy, 7)
    }

    fn changed(from: &str, to: &str) -> String {
        assert_eq!(CONFIG.matches(from).count(), 1, "{from}");
        Difference::between(&document(CONFIG), &document(&CONFIG.replace(from, to))).to_string()
    }

    #[test]
    fn a_policy_does_not_differ_from_itself_however_it_is_written() {
        assert_eq!(changed("[443, \"8443-8445\"]", "[8445, \"443\", 8444, 8443]"), "no difference from generation 7\n");
        assert_eq!(changed("\"90s\"", "\"1m30s\""), "no difference from generation 7\n");
        assert_eq!(
            changed("\"203.0.113.0/24\", \"2001:db8:7::/48\"", "\"2001:DB8:7::/48\", \"203.0.113.0/24\""),
            "no difference from generation 7\n"
        );
    }

    #[test]
    fn every_setting_and_every_entry_that_differs_has_its_line() {
        assert_eq!(
            changed("443, ", ""),
            "~ services.https.ports: [\"443\",\"8443-8445\"] -> [\"8443-8445\"]\n\
             differs from generation 7: 1 setting changed\n"
        );
        assert_eq!(
            changed("\"203.0.113.0/24\", ", "\"192.0.2.1\", "),
            "- lists.partners 203.0.113.0/24\n+ lists.partners 192.0.2.1/32\n\
             differs from generation 7: 1 entry added, 1 removed\n"
        );
        assert_eq!(
            changed("limit = \"standard\"", "limit = \"standard\"\n[lists.more]\nentries = [\"::/0\"]"),
            "+ lists.more = {}\n+ lists.more ::/0\ndiffers from generation 7: 1 setting added; 1 entry added\n"
        );
        assert_eq!(
            changed("rate = 2000, per = \"90s\"", "rate = 3000"),
            "~ limits.standard.packets: {\"burst\":2000,\"per\":\"1m30s\",\"rate\":2000} -> \
             {\"burst\":3000,\"per\":\"1s\",\"rate\":3000}\ndiffers from generation 7: 1 setting changed\n"
        );
    }

    #[test]
    fn of_many_changes_ten_of_a_kind_are_told_and_the_others_counted() {
        let entries: Vec<String> = (0..1012).map(|n| format!("\"10.0.{}.{}\"", n >> 8, n & 255)).collect();
        let services: String =
            (0..5).map(|n| format!("[services.s{n}]\nprotocol = \"udp\"\nports = [{}]\n", 1000 + n)).collect();
        let text = CONFIG.replace("\"203.0.113.0/24\"", &entries.join(", ")).replace("2000", "3000") + &services;
        let difference = Difference::between(&document(CONFIG), &document(&text));
        let told = difference.told();
        let count = |wanted: &str| told.iter().filter(|line| line.starts_with(wanted)).count();
        assert_eq!(
            [count("+ services."), count("+ lists.partners 10.0."), count("- lists.partners 203.")],
            [10, 10, 1]
        );
        assert!(told.contains(&"1,002 more: entries added".to_owned()), "{told:?}");
        assert!(told.contains(&"5 more: settings of services".to_owned()), "{told:?}");
        assert_eq!(count("~ limits.standard.packets: "), 1);
        assert_eq!(Difference::between(&document(CONFIG), &document(CONFIG)).told(), [""; 0]);
    }

    #[test]
    fn a_document_survives_its_json() {
        let document = document(CONFIG);
        let json = serde_json::to_vec(&document).unwrap();
        assert_eq!(serde_json::from_slice::<PolicyDocument>(&json).unwrap(), document);
    }
}
