//! What a change would hurt, asked before anything is written. What it finds is refused unless the caller insists.
//!
//! In: the live policy and the new one with their members, connections and surroundings of this host. Out: harm, each with its reason and
//! the name of its guard. Both policies are judged on the host ([`crate::preview::model`]): only what the live one lets through can be cut off.

mod covers;
mod empty;
mod lockout;
mod management;
mod name;
mod shrink;

use std::{collections::BTreeSet, fmt};

use firewall_common::Verdict;

pub use self::{
    covers::{Covered, covers},
    empty::{emptied, is_of_emptied},
    lockout::{Cut, Side, cut_off, cuts, harms, told},
    management::{denied_management, management},
    name::{GuardName, UnknownGuard, insisting},
};
use crate::{
    policy::Prefix,
    text::shown::{counted, grouped},
};

/// Something that a change would hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A list would lose most of its entries.
    Shrink {
        /// The list.
        list: String,
        /// How many would go.
        removed: usize,
        /// How many there are.
        live: usize,
        /// How many percent may go.
        percent: u8,
    },
    /// A list that admits would become empty.
    Empty {
        /// The list.
        list: String,
        /// How many entries would go.
        live: usize,
    },
    /// Entries that deny cover what this host needs.
    Covers {
        /// Their list.
        list: String,
        /// The entry; `None`: several together.
        entry: Option<Prefix>,
        /// What kind of thing it covers.
        covered: Covered,
        /// How many such things.
        count: usize,
        /// The first of them, in words.
        things: String,
    },
    /// Entries that deny name sources from which this host is administered.
    DeniedManagement {
        /// Their list.
        list: String,
        /// The first of them.
        entry: Prefix,
        /// How many more there are.
        more: usize,
        /// The management prefix that they are in.
        management: Prefix,
    },
    /// A connection would be cut off.
    CutOff(Cut),
    /// Connections that would be cut off too.
    Others {
        /// How many.
        count: usize,
    },
    /// Sources from which this host is administered would be dropped.
    Management {
        /// A management prefix of the live policy.
        prefix: Prefix,
        /// Services they would be dropped by, and why.
        services: Vec<(String, Verdict)>,
    },
}

/// Names of the guards that refuse `harms`, each once.
pub fn guards_of(harms: &[Harm]) -> Vec<&'static str> {
    let guards: BTreeSet<GuardName> = harms.iter().map(Harm::guard).collect();
    guards.into_iter().map(GuardName::label).collect()
}

impl Harm {
    /// The guard that refuses it.
    pub const fn guard(&self) -> GuardName {
        match self {
            Self::Shrink { .. } => GuardName::Shrink,
            Self::Empty { .. } => GuardName::Empty,
            Self::Covers { covered: Covered::Everything, .. } => GuardName::Everything,
            Self::Covers { covered: Covered::Networks, .. } => GuardName::OwnNetwork,
            Self::Covers { covered: Covered::Gateways, .. } => GuardName::Gateway,
            Self::Covers { covered: Covered::Resolvers, .. } => GuardName::Resolver,
            Self::CutOff(cut) if cut.is_callers => GuardName::Caller,
            Self::CutOff(_) | Self::Others { .. } => GuardName::CutOff,
            Self::DeniedManagement { .. } | Self::Management { .. } => GuardName::Management,
        }
    }

    /// What is wrong, without the name of the guard.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrink { list, removed, live, percent } => write!(
                f,
                "list `{list}` would lose {removed} of its {live} entries, more than the {percent} % of `guard.shrink_percent`"
            ),
            Self::Empty { list, live: 1 } => write!(f, "list `{list}` would lose its only entry and admit nobody"),
            Self::Empty { list, live } => {
                write!(f, "list `{list}` would lose all of its {} and admit nobody", counted(*live, "entry"))
            }
            Self::Covers { list, entry, covered, count, things } => {
                match entry {
                    Some(entry) => write!(f, "entry {entry} of list `{list}`, which is denied, covers")?,
                    None => write!(f, "new entries of list `{list}`, which is denied, together cover")?,
                }
                write!(f, " {things}, {}", covered.role(*count))
            }
            Self::DeniedManagement { list, entry, more, management } => {
                match more {
                    0 => write!(f, "entry {entry} of list `{list}`, which is denied, is")?,
                    more => write!(f, "{entry} and {} more of list `{list}`, which is denied, are", grouped(*more))?,
                }
                write!(f, " in management prefix {management}, which no list drops")
            }
            Self::CutOff(cut) => {
                let whose = match (cut.is_callers, cut.is_outgoing) {
                    (true, _) => "your own connection ",
                    (false, false) => "the established connection ",
                    (false, true) => "",
                };
                let (connection, why) = cut.words();
                write!(f, "{whose}{connection} would be cut off: {why}")
            }
            Self::Others { count } => write!(f, "{count} more established connections would be cut off"),
            Self::Management { prefix, services } => {
                let services: Vec<String> =
                    services.iter().map(|(service, verdict)| format!("`{service}` ({})", verdict.label())).collect();
                write!(f, "management prefix {prefix} would be dropped by {}", services.join(", "))
            }
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)?;
        write!(f, " (guard `{}`)", self.guard())
    }
}
