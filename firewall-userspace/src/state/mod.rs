//! What outlives the daemon, in the state folder.
//!
//! In: changes of entries and generations of the policy. Out: the same after a restart. `journal` owns the entries on disk,
//! `history` the generations, `whole` how a small file is written; `disk` is the folder, `patient` one that does not wait for ever,
//! `trust` says whose it has to be, and `fake` one for tests that fails on demand.

pub mod disk;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod frame;
pub mod history;
pub mod journal;
pub mod patient;
pub mod trust;
pub mod whole;
