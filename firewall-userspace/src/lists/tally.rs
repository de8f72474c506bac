//! How many entries pushes and the time have changed, by list, layer and what happened to them.

use super::{entry::Layer, pushed::RuntimeEntry};
use crate::policy::Name;

/// What happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Happening {
    /// It is new.
    Added,
    /// It has another end, comment or person.
    Refreshed,
    /// Somebody has taken it out.
    Removed,
    /// Its time was over.
    Expired,
}

/// Counts of what happened to entries. A list that is not configured any more goes on when it comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryTally {
    rows: Vec<(Name, Layer, [u64; Happening::ALL.len()])>,
    /// The row that was asked for last: changes of one list come one after the other.
    last: usize,
}

impl Happening {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Added, Self::Refreshed, Self::Removed, Self::Expired];

    /// Its name, also the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Added => "add",
            Self::Refreshed => "refresh",
            Self::Removed => "remove",
            Self::Expired => "expire",
        }
    }

    /// What has happened to an entry that was this and is that; `None` when it is what it was.
    pub fn between(before: Option<&RuntimeEntry>, after: Option<&RuntimeEntry>) -> Option<Self> {
        match (before, after) {
            (None, Some(_)) => Some(Self::Added),
            (Some(before), Some(after)) if before != after => Some(Self::Refreshed),
            (Some(_), None) => Some(Self::Removed),
            _ => None,
        }
    }
}

impl EntryTally {
    /// Something happened to an entry.
    pub fn count(&mut self, list: &Name, layer: Layer, what: Happening) {
        *self.of_mut(list, layer, what) += 1;
    }

    /// It did not.
    pub fn discount(&mut self, list: &Name, layer: Layer, what: Happening) {
        let count = self.of_mut(list, layer, what);
        *count = count.saturating_sub(1);
    }

    /// All of `other` happened too.
    pub fn add(&mut self, other: &Self) {
        for (list, layer, counts) in &other.rows {
            for (what, count) in Happening::ALL.into_iter().zip(counts) {
                *self.of_mut(list, *layer, what) += count;
            }
        }
    }

    /// How often it happened to entries of a list in a layer.
    pub fn of(&self, list: &Name, layer: Layer, what: Happening) -> u64 {
        let row = self.rows.iter().find(|(of, at, _)| of == list && *at == layer);
        row.and_then(|(.., counts)| counts.get(what as usize)).copied().unwrap_or_default()
    }

    /// How often it happened, to entries of all lists.
    pub fn all(&self, what: Happening) -> u64 {
        self.rows.iter().filter_map(|(.., counts)| counts.get(what as usize)).sum()
    }

    fn of_mut(&mut self, list: &Name, layer: Layer, what: Happening) -> &mut u64 {
        let is_it = |(of, at, _): &(Name, Layer, _)| *at == layer && of == list;
        if !self.rows.get(self.last).is_some_and(is_it) {
            self.last = self.rows.iter().position(is_it).unwrap_or(self.rows.len());
        }
        if self.last == self.rows.len() {
            self.rows.push((list.clone(), layer, Default::default()));
        }
        let (.., counts) = &mut self.rows[self.last];
        &mut counts[what as usize]
    }
}
