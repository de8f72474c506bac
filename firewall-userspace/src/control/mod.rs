//! What can be asked of the controller, and how it answers.
//!
//! In: requests as others write them. Out: answers and refusals, as others read them: data only. Nobody owns anything here.
//! [`Controller`](crate::controller::Controller) passes requests on.

mod audit;
mod caller;
mod entries;
mod force;
mod lists;
mod policies;
mod push;
mod refusal;
mod sandbox;
mod status;
mod sync;
mod terms;
mod tokens;
mod undo;

pub use audit::AuditList;
pub use caller::{Caller, Way};
pub use entries::{Entries, EntriesQuery, Page, Position};
pub use force::Force;
pub use lists::{EntryHolders, EntryPage, EntryWish, ListAnswer, ListDocument, ListSet, ListVerb};
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
pub use terms::{Expected, NoTag, Terms};
pub use tokens::{CreateToken, IssuedToken, RevokedTokenView, RotateToken, TokenView, Tokens};
pub use undo::{KeptEntry, NotUndoable, PushSummary, Pushes, Undo};
