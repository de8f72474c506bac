//! Entries as they are told, and who holds them.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::Prefix;

/// One entry of one holder.
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
    /// Who that was in person, as the client says: the user behind `sudo`. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
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

/// Who holds a prefix in a list: a layer and an owner. Each holder has its own end and comment, and the longest end holds.
///
/// Ordered by prefix, layer, owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holding {
    /// The prefix.
    pub prefix: Prefix,
    /// The layer.
    pub layer: Layer,
    /// Who added it.
    pub owner: Owner,
}

/// Who added an entry: a user of this host. A clone shares the name.
/// The default is before all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl From<&str> for Owner {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<Arc<str>> for Owner {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl std::ops::Deref for Owner {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which entries are asked for: those for which everything holds that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only those that cover this prefix.
    pub covers: Option<Prefix>,
    /// Only those inside this prefix, itself included.
    pub inside: Option<Prefix>,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those of this layer.
    pub layer: Option<Layer>,
    /// Only those that end before this time.
    pub expires_before: Option<Timestamp>,
}

impl EntryFilter {
    /// Whether `entry`, which is for `prefix`, is asked for.
    pub fn wants(&self, entry: &Entry, prefix: Prefix) -> bool {
        self.covers.is_none_or(|covered| prefix.covers(covered))
            && self.inside.is_none_or(|inside| inside.covers(prefix))
            && self.owner.as_ref().is_none_or(|owner| *owner == entry.owner)
            && self.layer.is_none_or(|layer| layer == entry.layer)
            && self.expires_before.is_none_or(|time| entry.expires.is_some_and(|expires| expires < time))
    }
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

    /// Those that people and bans have: one of them can take out what another has put in.
    pub const OF_PEOPLE: [Self; 2] = [Self::Runtime, Self::Ban];

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
