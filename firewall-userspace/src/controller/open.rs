//! Changes that are not over: one that may still be undone, and one that is carried out piece by piece.

use super::{sync::Underway, waiting::Waiting};

/// Changes that are not over.
#[derive(Default)]
pub(super) struct OpenChanges {
    /// What waits for a confirmation.
    pub(super) waiting: Option<Waiting>,
    /// The sync that is under way.
    pub(super) sync: Option<Underway>,
}
