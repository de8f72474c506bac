//! What can be asked of the controller, and how it answers.
//!
//! In: requests as others write them. Out: answers and refusals, as others read them: data only. Nobody owns anything here.
//! [`Controller`](crate::controller::Controller) passes requests on.

mod caller;
mod entries;
mod force;
mod policies;
mod push;
mod refusal;
mod sandbox;
mod status;
mod sync;
mod terms;
mod undo;

pub use caller::{Caller, Way};
pub use entries::{Entries, EntriesQuery, Page, Position};
pub use force::Force;
pub use policies::{
    Apply, Confirm, Confirmed, GenerationDocument, Generations, KeptGeneration, Pending, PendingChange, Reload,
    Reloaded, Rollback, SetMode,
};
pub use push::{Addition, AddressAnswer, EntryChange, EntryChangeKind, Push, Pushed, Removal, Verb};
pub use refusal::{Refusal, guarded};
pub use sandbox::{LandlockForce, LandlockView, SandboxStatus};
pub use status::{
    ClockStatus, Condition, InterfaceStatus, ListEntries, ListStatus, ReasonTraffic, ReloadAttempts, ReloadStatus,
    ReloadTally, ServiceStatus, ServiceTraffic, Status, TrafficCounts, TrafficStatus,
};
pub use sync::{Cancelled, Sync, SyncEvent, SyncLine, SyncProgress, SyncStage};
pub use terms::Terms;
pub use undo::{KeptEntry, NotUndoable, PushSummary, Pushes, Undo};
