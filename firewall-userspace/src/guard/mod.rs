//! What a change would hurt, asked before anything is written. What it finds is refused unless the caller insists.

mod shrink;

use std::fmt;

pub use self::shrink::shrink;

/// `[guard]`: when a change is refused unless the caller insists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// A reload may remove this percentage of the entries that a list has in the configuration.
    pub shrink_percent: u8,
    /// It may always remove so many.
    pub shrink_entries: usize,
}

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
}

impl Default for Guard {
    fn default() -> Self {
        Self { shrink_percent: 50, shrink_entries: 20 }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrink { list, removed, live, percent } => write!(
                f,
                "list `{list}` would lose {removed} of its {live} entries, more than the {percent} % of `guard.shrink_percent`"
            ),
        }
    }
}
