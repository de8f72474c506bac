//! A change of one entry of one layer.

use super::{entry::Layer, pushed::RuntimeEntry};
use crate::policy::{Name, Prefix};

/// What becomes of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its list.
    pub list: Name,
    /// Its prefix.
    pub prefix: Prefix,
    /// Its layer.
    pub layer: Layer,
    /// What it is from now on; `None`: it is gone.
    pub entry: Option<RuntimeEntry>,
}

impl Change {
    /// Its parts.
    pub fn borrowed(&self) -> (&Name, Prefix, Layer, Option<&RuntimeEntry>) {
        (&self.list, self.prefix, self.layer, self.entry.as_ref())
    }
}
