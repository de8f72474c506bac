//! Entries as they are told, and who holds them.

use std::{
    cmp::Ordering,
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::policy::Layer;
use crate::policy::Prefix;

/// One entry of one holder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
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

/// Who added an entry: a user of this host. Ordered by name; the default is before all others.
///
/// Every entry has one, so it is a number, in four octets. Names stay until the process ends: there are as many as this host has users
/// who push.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner(u32);

/// The names of all owners, in the order in which they came up.
#[derive(Default)]
struct OwnerNames {
    names: Vec<&'static str>,
    numbers: HashMap<&'static str, u32>,
}

/// Number 0 is that of the empty name, which is the default.
static OWNERS: LazyLock<RwLock<OwnerNames>> = LazyLock::new(|| {
    let mut owners = OwnerNames::default();
    owners.number("");
    RwLock::new(owners)
});

impl OwnerNames {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Nobody can push by 2^32 names; if so, those behind share the last number.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: &'static str = Box::leak(name.into());
        self.names.push(name);
        self.numbers.insert(name, number);
        number
    }
}

impl Owner {
    /// The owner of this name, if anybody came by it since the process began: a name that somebody makes up takes no room.
    pub fn known(name: &str) -> Option<Self> {
        OWNERS.read().unwrap_or_else(PoisonError::into_inner).numbers.get(name).copied().map(Self)
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        let owners = OWNERS.read().unwrap_or_else(PoisonError::into_inner);
        owners.names.get(self.0 as usize).copied().unwrap_or_default()
    }
}

impl From<&str> for Owner {
    fn from(name: &str) -> Self {
        let known = OWNERS.read().unwrap_or_else(PoisonError::into_inner).numbers.get(name).copied();
        Self(known.unwrap_or_else(|| OWNERS.write().unwrap_or_else(PoisonError::into_inner).number(name)))
    }
}

impl From<Arc<str>> for Owner {
    fn from(name: Arc<str>) -> Self {
        Self::from(&*name)
    }
}

impl PartialOrd for Owner {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Owner {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.name().cmp(other.name()) }
    }
}

impl std::ops::Deref for Owner {
    type Target = str;

    fn deref(&self) -> &str {
        self.name()
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
