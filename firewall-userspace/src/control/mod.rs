//! What can be asked of the controller, and how it answers.
//!
//! One thread owns the layers and the tables ([`crate::controller`]); everybody else holds a [`Controller`] and sends it
//! messages, so changes from files, pushes and timers come one after the other.

mod counters;
mod entries;
mod policies;
mod push;
mod refusal;
mod status;
mod terms;

pub use counters::{Counters, DriftCounters, StoreCounters};
pub use entries::{Entries, EntriesQuery, Page, Position};
pub use policies::{
    Apply, Confirm, Confirmed, Generations, Pending, PendingChange, Reload, Reloaded, Rollback, SetMode,
};
pub use push::{Addition, Change, ChangeKind, Push, Pushed, Removal, Verb};
pub use refusal::Refusal;
pub use status::{InterfaceStatus, ListEntries, ListStatus, ReloadStatus, ServiceStatus, Status};
pub use terms::Terms;
