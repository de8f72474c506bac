//! Entries as they are asked for and told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::Prefix;

/// Which entries are asked for. There may be millions, so nobody gets all of them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntriesQuery {
    /// Only those of this list.
    pub list: Option<String>,
    /// Only those behind this one.
    pub after: Option<Position>,
}

/// Some entries, in their order. An entry that is there all the time is on exactly one page, whatever changes meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Generation they belong to.
    pub generation: u64,
    /// At most [`Page::MOST`].
    pub entries: Vec<Entry>,
    /// The last of them, when there may be more behind it.
    pub next: Option<Position>,
}

impl Page {
    /// Most entries of a page.
    pub const MOST: usize = 1000;
}

/// Where an entry is in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its list.
    pub list: String,
    /// Its prefix.
    pub prefix: Prefix,
    /// Its layer.
    pub layer: Layer,
}

/// Entries of the lists: the schema `portcullis.entries/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entries {
    /// Always `portcullis.entries/v1`.
    pub schema: String,
    /// Generation they belong to.
    pub generation: u64,
    /// Ordered by list, prefix and layer.
    pub entries: Vec<Entry>,
}

/// One entry of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// Name of its list.
    pub list: String,
    /// Its prefix.
    pub prefix: String,
    /// Who owns it.
    pub layer: Layer,
    /// Who added it.
    pub owner: String,
    /// For people.
    pub comment: Option<String>,
    /// When it was added.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// A source of entries. A change of one layer never touches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The configuration and its list files.
    Config,
    /// Pushes by hand.
    Runtime,
    /// Lists that others publish.
    Feed,
    /// What the hosts of a fleet share.
    Fleet,
    /// Sources that something has found to misbehave.
    Ban,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 5] = [Self::Config, Self::Runtime, Self::Feed, Self::Fleet, Self::Ban];
    /// The first in order.
    pub const FIRST: Self = Self::Config;
    /// The last in order.
    pub const LAST: Self = Self::Ban;

    /// Its name, also the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Runtime => "runtime",
            Self::Feed => "feed",
            Self::Fleet => "fleet",
            Self::Ban => "ban",
        }
    }
}
