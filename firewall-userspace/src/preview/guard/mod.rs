//! What a change would hurt, asked before anything is written. What it finds is refused unless the caller insists.
//!
//! In: the live policy and the new one with their members, connections of this host. Out: harm, each with its reason. Both policies
//! are judged on the host ([`crate::preview::model`]): only what the live one lets through can be cut off.

mod lockout;
mod management;
mod shrink;

use std::fmt;

use firewall_common::Verdict;

pub use self::{
    lockout::{Side, cut_off},
    management::management,
};
use super::model::Judged;
use crate::{host::connections::Connection, policy::Prefix};

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
    /// A connection would be cut off.
    CutOff {
        /// The connection.
        connection: Connection,
        /// Whether it is the one that the change is asked for through.
        is_callers: bool,
        /// What the new policy says about its packets.
        judged: Judged,
    },
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

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrink { list, removed, live, percent } => write!(
                f,
                "list `{list}` would lose {removed} of its {live} entries, more than the {percent} % of `guard.shrink_percent`"
            ),
            Self::CutOff { connection, is_callers, judged } => {
                let whose = if *is_callers { "your own connection" } else { "the established connection" };
                write!(f, "{whose} {connection} would be cut off: {judged}")
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
