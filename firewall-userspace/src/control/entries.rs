//! Entries as they are asked for and told.

use serde::{Deserialize, Serialize};

use crate::{
    lists::entry::{Entry, EntryFilter, Layer},
    policy::Prefix,
};

/// Which entries are asked for. There may be millions, so nobody gets all of them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntriesQuery {
    /// Only those of this list.
    pub list: Option<String>,
    /// Only those that this wants.
    pub filter: EntryFilter,
    /// Only those behind this one.
    pub after: Option<Position>,
}

/// Some entries, in their order. An entry that is there all the time is on exactly one page, whatever changes meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Revision they belong to.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// At most [`Page::MOST`].
    pub entries: Vec<Entry>,
    /// How far the lists were looked through, when there may be more behind it: the last of the entries, or one that is not asked for.
    pub next: Option<Position>,
}

impl Page {
    /// Most entries of a page.
    pub const MOST: usize = 1000;

    /// Most entries that are looked at for a page: few of many may be asked for.
    pub const LOOKED_AT: usize = 10_000;
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
    /// Its owner.
    pub owner: String,
}

/// Entries of the lists: the schema `portcullis.entries/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Entries {
    /// Always `portcullis.entries/v1`.
    pub schema: String,
    /// Number of the change they belong to, as older clients know it: the same as `revision`.
    pub generation: u64,
    /// Revision they belong to.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy.
    #[serde(default)]
    pub policy_generation: u64,
    /// Ordered by list, prefix, layer and owner.
    pub entries: Vec<Entry>,
}
