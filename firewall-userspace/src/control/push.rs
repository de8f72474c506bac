//! Pushes: changes of the entries of one layer.

use serde::{Deserialize, Serialize};

use super::{
    Force, KeptEntry, Pending, PushSummary,
    terms::{is_false, request},
};
use crate::{lists::entry::Layer, policy::Prefix};

request! {
    /// A batch of changes of one layer: all of it happens, or nothing.
    pub struct Push {
        /// `allow` or `deny`: the batch is refused when a list has the opposite meaning in every service that uses it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub verb: Option<Verb>,
        /// Whose entries they are; any layer but that of the configuration.
        #[serde(default = "runtime", skip_serializing_if = "is_runtime")]
        pub layer: Layer,
        /// Lists of which the layer is to hold what is in `add` and nothing else of the same owner.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub replace: Vec<String>,
        /// Entries to add, which the caller holds from now on; adding an entry again refreshes its comment and its time to live.
        #[serde(default, deserialize_with = "crate::text::object::array")]
        pub add: Vec<Addition>,
        /// Entries to remove: those that the caller holds in the layer.
        #[serde(default, deserialize_with = "crate::text::object::array")]
        pub remove: Vec<Removal>,
        /// Remove what this owner holds in the layers `runtime` and `ban` instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub remove_of: Option<String>,
        /// Remove what anybody holds in the layers `runtime` and `ban` instead.
        #[serde(default, skip_serializing_if = "is_false")]
        pub remove_all: bool,
        /// Who the caller is in person, as the client says: the user behind `sudo`. A remark for people, never a right.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub person: Option<String>,
    }
}

impl Default for Push {
    fn default() -> Self {
        Self {
            verb: None,
            layer: Layer::Runtime,
            replace: Vec::new(),
            add: Vec::new(),
            remove: Vec::new(),
            remove_of: None,
            remove_all: false,
            person: None,
            dry_run: false,
            force: Force::Nothing,
            confirm: None,
            caller: None,
            expect: None,
        }
    }
}

const fn runtime() -> Layer {
    Layer::Runtime
}

fn is_runtime(layer: &Layer) -> bool {
    *layer == Layer::Runtime
}

/// What the caller takes the lists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Lists that admit.
    Allow,
    /// Lists that deny.
    Deny,
}

impl Verb {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Allow => Self::Deny,
            Self::Deny => Self::Allow,
        }
    }
}

/// One entry to add, as written by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Name of a list.
    pub list: String,
    /// A prefix or a bare address.
    #[schema(pattern = "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$", example = "192.0.2.0/24")]
    pub prefix: String,
    /// Time to live, such as `1h30m`; absent: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9][0-9a-z.,]*$")]
    pub ttl: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One entry to remove, as written by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Name of a list.
    pub list: String,
    /// A prefix or a bare address.
    #[schema(pattern = "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$", example = "192.0.2.0/24")]
    pub prefix: String,
}

/// A push that happened: every packet judged after this reply, on any CPU, meets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Pushed {
    /// Number of the change, as older clients know it: the same number as `revision`.
    pub generation: u64,
    /// Revision of the lists after it; grows when entries are added, refreshed, removed or end, and when the policy changes.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy.
    #[serde(default)]
    pub policy_generation: u64,
    /// Entries that are new.
    pub added: usize,
    /// Entries that were there, and have another end or comment now.
    #[serde(default)]
    pub refreshed: usize,
    /// Entries that are gone.
    pub removed: usize,
    /// Entries that were already so.
    pub unchanged: usize,
    /// What the caller should know: whom it cuts off, lists that no service uses, prefixes that stand in the push more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How many of the addresses meet something else now than what was asked: the first ten of a kind are in `answers`.
    #[serde(default)]
    pub differing: usize,
    /// What addresses meet now, where that is not what was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AddressAnswer>,
    /// Nothing was changed: this is what would be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// With `dry_run`: what would happen to entries, the first ten of a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<EntryChange>,
    /// It waits for a confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The push that this took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<PushSummary>,
    /// How many of the entries of that push are not what they were before it: the first ten are in `kept`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_count: usize,
    /// Entries of that push that are not what they were before it, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptEntry>,
}

impl Pushed {
    /// Whether any entry is another one than before.
    pub fn changes_anything(&self) -> bool {
        self.added + self.refreshed + self.removed > 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What an address meets after a push that asked for something else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct AddressAnswer {
    /// The list.
    pub list: String,
    /// The prefix.
    pub prefix: Prefix,
    /// What it meets, and because of what.
    pub detail: String,
}

/// What a push does to one entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct EntryChange {
    /// Its list.
    pub list: String,
    /// Its prefix.
    pub prefix: Prefix,
    /// What happens.
    pub change: EntryChangeKind,
}

/// What happens to an entry of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryChangeKind {
    /// It is new.
    Added,
    /// It is there already and gets a new time to live and comment.
    Refreshed,
    /// It goes.
    Removed,
}
