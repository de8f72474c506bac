//! A change of one entry of one holder.

use std::sync::Arc;

use super::{entry::Holding, pushed::RuntimeEntry};
use crate::policy::Name;

/// What becomes of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its list.
    pub list: Name,
    /// Its prefix, and who holds it.
    pub holding: Holding,
    /// What it is from now on, shared with all that are like it; `None`: it is gone.
    pub entry: Option<Arc<RuntimeEntry>>,
}

impl Change {
    /// Its parts.
    pub fn borrowed(&self) -> (&Name, &Holding, Option<&RuntimeEntry>) {
        (&self.list, &self.holding, self.entry.as_deref())
    }
}
