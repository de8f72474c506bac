//! The audit log: who asked for which change, and what came of it, in lines that are chained by their hashes.
//!
//! In: what happened. Out: lines that nobody can change, remove or reorder unseen, and pages of them for readers. `record` is a line,
//! `log` the files that lines are appended to, `found` what a start finds of them, `thread` writes them, `writer` is what those who record
//! share with it and how long they wait, `failures` sums up what others can cause at will, `verify` looks whether all is as it was
//! written, and `read` reads back. The thread owns the files. Decision 16 says what holds.

mod failures;
mod files;
mod found;
mod log;
mod read;
mod record;
mod sink;
#[cfg(test)]
mod tests;
mod thread;
mod verify;
mod writer;

pub use read::{AuditPage, AuditQuery, read_back};
pub use record::{AuditEvent, AuditHash, AuditPoint, AuditRecord, AuditWhat, ChainBegin, ChainLink, NoHash, OK};
pub use sink::{AuditHandle, AuditSink, AuditView, Unrecorded};
pub use verify::{AuditFault, FaultKind, VerifiedLog, verify};
pub use writer::AuditWriter;

/// The folder of the log in the state folder.
pub const AUDIT: &str = "audit";
