//! Lists and their entries as resources.

use serde::{Deserialize, Serialize};

use super::{ListEntries, ListStatus};
use crate::lists::entry::Entry;

/// The lists: the schema `portcullis.lists/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListSet {
    /// Always `portcullis.lists/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// By name.
    pub lists: Vec<ListDocument>,
}

/// One list: the schema `portcullis.list/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListAnswer {
    /// Always `portcullis.list/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// The list.
    pub list: ListDocument,
}

/// A list, as a resource.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListDocument {
    /// Its name.
    pub name: String,
    /// What services do with it.
    pub verb: ListVerb,
    /// Entries by layer and family; only those that exist.
    pub entries: Vec<ListEntries>,
    /// Services that allow it.
    pub allowed_by: Vec<String>,
    /// Services that deny it.
    pub denied_by: Vec<String>,
}

/// What services do with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListVerb {
    /// Some allow it, and none denies it.
    Allow,
    /// Some deny it, and none allows it.
    Deny,
    /// Some allow it, and others deny it.
    Both,
    /// None allows or denies it; one may have a limit for it.
    None,
}

impl From<ListStatus> for ListDocument {
    fn from(ListStatus { name, entries, allowed_by, denied_by }: ListStatus) -> Self {
        let verb = match (allowed_by.is_empty(), denied_by.is_empty()) {
            (false, true) => ListVerb::Allow,
            (true, false) => ListVerb::Deny,
            (false, false) => ListVerb::Both,
            (true, true) => ListVerb::None,
        };
        Self { name, verb, entries, allowed_by, denied_by }
    }
}

/// Some entries of a list: the schema `portcullis.page/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct EntryPage {
    /// Always `portcullis.page/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// Ordered by prefix, layer and owner. There may be none although there is a `next`: many were looked at, and none is asked for.
    pub entries: Vec<Entry>,
    /// The `cursor` of what is behind them; absent: nothing is. An entry that is there all the time is on exactly one page, whatever
    /// changes between two of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Who holds one prefix in a list: the schema `portcullis.holders/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct EntryHolders {
    /// Always `portcullis.holders/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// The entry of each holder, of exactly this prefix, by layer and owner; at least one.
    pub holders: Vec<Entry>,
}

/// An entry that the caller is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryWish {
    /// Time to live, such as `1h30m`; absent: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9][0-9a-z.,]*$")]
    pub ttl: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
