//! Syncs: pushes of any size, line by line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Push, Pushed, Verb,
    terms::{is_false, request},
};
use crate::lists::entry::Layer;

request! {
    /// The first line of a sync: what its entries are, and on what terms they are changed. All of it happens, or nothing.
    ///
    /// `confirm` cannot be said: a sync waits for nobody.
    pub struct Sync {
        /// `allow` or `deny`: as for a [`Push`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub verb: Option<Verb>,
        /// Whose entries they are; any layer but that of the configuration.
        #[serde(default = "runtime")]
        pub layer: Layer,
        /// Lists of which the layer is to hold what is added and nothing else of the same owner.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub replace: Vec<String>,
        /// Remove what this owner holds in the layers `runtime` and `ban`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub remove_of: Option<String>,
        /// Remove what anybody holds in the layers `runtime` and `ban`.
        #[serde(default, skip_serializing_if = "is_false")]
        pub remove_all: bool,
        /// The lines say who holds each entry, in which layer, since when and until when: what an export has written.
        #[serde(default, skip_serializing_if = "is_false")]
        pub restore: bool,
        /// Who the caller is in person, as the client says. A remark for people, never a right.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub person: Option<String>,
    }
}

const fn runtime() -> Layer {
    Layer::Runtime
}

impl Sync {
    /// Nothing yet, of entries in `layer`.
    pub fn of(layer: Layer) -> Self {
        Self {
            verb: None,
            layer,
            replace: Vec::new(),
            remove_of: None,
            remove_all: false,
            restore: false,
            person: None,
            dry_run: false,
            force: super::Force::Nothing,
            confirm: None,
            caller: None,
            expect: None,
        }
    }

    /// The push that says the same, without its entries.
    pub fn into_push(self) -> Push {
        let terms = self.terms();
        let Self { verb, layer, replace, remove_of, remove_all, person, .. } = self;
        Push { verb, layer, replace, remove_of, remove_all, person, ..Push::default() }.on(terms)
    }
}

/// Every other line of a sync: one entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an entry as an object")]
pub struct SyncLine<'a> {
    /// Name of a list.
    #[serde(borrow)]
    pub list: Cow<'a, str>,
    /// A prefix or a bare address.
    #[serde(borrow)]
    pub prefix: Cow<'a, str>,
    /// Take it out instead.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remove: bool,
    /// Time to live, such as `1h30m`; absent: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9][0-9a-z.,]*$")]
    pub ttl: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// With `restore`: the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// With `restore`: who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// With `restore`: who that was in person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// With `restore`: when it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// With `restore`: when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct SyncProgress {
    /// Its number, by which it can be cancelled.
    pub sync: u64,
    /// What is being done.
    pub stage: SyncStage,
    /// Entries that this is done with.
    pub done: u64,
    /// Entries that it is to be done with; absent while nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// What is being done of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncStage {
    /// Its lines come.
    Receiving,
    /// It waits for another sync, or is compared with what is there.
    Comparing,
    /// It is written to the disk.
    Writing,
    /// It is promised: it is on disk as a whole, and goes into what filters.
    Enforcing,
}

/// One line of the answer to a sync, for a client that takes `application/x-ndjson`; the last one has no `progress`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncEvent<P> {
    /// How far it is.
    Progress(SyncProgress),
    /// It has happened.
    Pushed(Box<Pushed>),
    /// It has not, and why: `application/problem+json`.
    Problem(P),
}

/// What became of the wish to cancel a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Cancelled {
    /// Its number.
    pub sync: u64,
    /// Nothing of it happens; `false`: it was promised before.
    pub cancelled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_entry_is_refused_in_words_of_its_reader() {
        for line in ["198.51", "\"198.51.100.1\"", "[\"partners\"]"] {
            let error = serde_json::from_str::<SyncLine<'_>>(line).unwrap_err().to_string();
            assert!(!error.contains("SyncLine"), "{error}");
        }
    }
}
