//! What outlives the daemon, in the state folder.
//!
//! In: changes of entries, generations of the policy, who asked for them. Out: the same after a restart. `journal` owns the entries on
//! disk, `history` the generations, `audit` who did what, `answers` what is told again to whoever asks again, `tokens` who may ask;
//! `whole` is how a small file is written, `disk` is the folder, `patient` one that does not wait for ever, `trust` says whose it has
//! to be, and `fake` one for tests that fails on demand.

pub mod answers;
pub mod audit;
pub mod disk;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod frame;
pub mod history;
pub mod journal;
pub mod patient;
pub mod tokens;
pub mod trust;
pub mod whole;
