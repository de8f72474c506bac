//! Entries as they are told, and the layers that own them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// When it ends, by the wall clock of the host as it stands.
    pub expires: Option<Timestamp>,
    /// Whether nobody knows when that is: the clock of the host has to be synchronised first. What is denied ends later then, and
    /// everything else earlier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
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
