//! The sections of a configuration file, a file each.
//!
//! In: a table of the document. Out: a draft of that part of the policy; `None` after an error. Problems go to the reader, which
//! owns them.

pub mod api;
pub mod drift;
pub mod guard;
pub mod limits;
pub mod log;
pub mod named;
pub mod overlap;
pub mod packet_tests;
pub mod prefixes;
pub mod rates;
pub mod services;
pub mod settings;
pub mod state;
