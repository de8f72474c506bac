//! The kernel side of the controller, and the only place with aya: load, fill, attach, swap, count.

mod adopt;
mod attach;
mod audit;
mod counters;
mod error;
mod explain;
mod facts;
mod floor;
mod foreign;
mod generation;
mod link;
mod lists;
mod mapped;
mod names;
mod pins;
mod plain;
pub mod probe;
mod rate_base;
mod syscall;
mod trace;

pub use adopt::adopt;
pub use attach::{Attached, Attachments, Change, Presence};
pub use audit::{Part, Step};
pub use counters::SharedMaps;
pub use error::DatapathError;
pub use foreign::ForeignProgram;
pub use generation::{Generation, LoadOptions, load_policy};
pub use lists::{ListSize, TableError};
pub use names::Names;
pub use pins::{PinFolder, Pinned};

/// The eBPF object, empty in a build without it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/firewall.bpf.o"));
