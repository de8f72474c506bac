//! Changes of the whole policy, and what waits for a confirmation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Force,
    terms::{is_false, request},
};
use crate::{
    config::{Bundle, BundledFile},
    policy::Mode,
    preview::diff::{Difference, PolicyDocument},
    state::history::Generation,
};

request! {
    /// How the configuration is to be loaded anew.
    #[derive(Default)]
    pub struct Reload {
    }
}

request! {
    /// A configuration that is to become the policy.
    #[derive(Default)]
    pub struct Apply {
        /// How messages call the configuration; what it includes, and its list files, are relative to its folder.
        pub name: String,
        /// Its text.
        pub config: String,
        /// The files that it includes, with the folder of the configuration; no other file is read.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::text::object::array")]
        pub included: Vec<BundledFile>,
        /// The list files that they name, each with the folder of the file that names it; no other file is read.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::text::object::array")]
        pub files: Vec<BundledFile>,
    }
}

request! {
    /// A generation that is to come back.
    #[derive(Default)]
    pub struct Rollback {
        /// Which; absent: what waits for a confirmation is undone, or else the one before the live one comes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub generation: Option<u64>,
    }
}

request! {
    /// A mode that the policy is to have, whatever its configuration says.
    pub struct SetMode {
        /// The mode.
        pub mode: Mode,
        /// End it after this time, such as `10m`: the mode before comes back by itself, also after a restart.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        pub length: Option<String>,
        /// Why, for whoever finds it; needed with `for`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<String>,
    }
}

impl SetMode {
    /// Asks for a mode.
    pub fn to(mode: Mode) -> Self {
        Self {
            mode,
            length: None,
            reason: None,
            dry_run: false,
            force: Force::Nothing,
            confirm: None,
            caller: None,
            expect: None,
        }
    }
}

/// A policy that came into force: by a reload, or in another way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// Number of the change, as older clients know it: the same number as `revision`.
    pub generation: u64,
    /// Revision of the lists after it; grows when entries are added, refreshed, removed or end, and when the policy changes.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy.
    #[serde(default)]
    pub policy_generation: u64,
    /// Warnings, rendered.
    pub warnings: String,
    /// Nothing was changed: this is what would be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// With `dry_run`: what would change in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// What changed in the configuration, in one line; empty when an older daemon does not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What changed, line by line: ten of a kind, then how many more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The generation whose configuration came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// With `dry_run`: where that generation comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Generation>,
    /// What waits for a confirmation now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// A push that waited for a confirmation was undone, and the policy is what it was.
    #[serde(default, skip_serializing_if = "is_false")]
    pub push_undone: bool,
}

/// What is to be confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Only say what would be confirmed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Only what made this: the generation of a policy, or the revision of a push. Without it, whatever waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// What was confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Confirmed {
    /// It.
    pub confirmed: Pending,
    /// Nothing was changed: this is what would be confirmed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// A change that is undone unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Pending {
    /// What it is.
    pub change: PendingChange,
    /// Generation of the policy, or revision of the lists, that it made.
    pub generation: u64,
    /// With a policy: the generation that comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// With a push: how many entries are put back to what they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
    /// Who made it.
    pub owner: String,
    /// When it is undone.
    pub deadline: Timestamp,
    /// Seconds until then.
    pub seconds_left: u64,
}

impl Pending {
    /// In words: `generation 7` or `the push of revision 7`.
    pub fn name(&self) -> String {
        match self.change {
            PendingChange::Policy => format!("generation {}", self.generation),
            PendingChange::Push => format!("the push of revision {}", self.generation),
        }
    }
}

/// What waits for a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PendingChange {
    /// A policy.
    Policy,
    /// A push.
    Push,
}

impl PendingChange {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Policy, Self::Push];

    /// Its name, also the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Push => "push",
        }
    }
}

/// One generation that is kept: the schema `portcullis.generation/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct GenerationDocument {
    /// Always `portcullis.generation/v1`.
    pub schema: String,
    /// Whether it is the one in force.
    pub active: bool,
    /// Where it comes from.
    pub generation: Generation,
    /// Its configuration with what it includes and the list files.
    pub bundle: Bundle,
    /// What it says; `None` when this daemon cannot use it.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Why this daemon cannot use it: a report as `portcullis check` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
}

/// A generation that is kept, as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGeneration {
    /// Where it comes from.
    pub generation: Generation,
    /// Whether it is the one in force.
    pub is_active: bool,
    /// Its configuration.
    pub bundle: Bundle,
}

/// The generations that are kept: the schema `portcullis.history/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Generations {
    /// Always `portcullis.history/v1`.
    pub schema: String,
    /// The one in force.
    pub active: Option<u64>,
    /// What waits for a confirmation.
    pub pending: Option<Pending>,
    /// The oldest first.
    pub generations: Vec<Generation>,
}
