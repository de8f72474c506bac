//! The kernel side of the controller, and the only place with aya: load, fill, attach, swap, count.
//!
//! In: a policy with its members, changes of both. Out: what packets meet, counters, explanations. [`KernelFilter`] owns programs,
//! tables, links, pins and identifiers; [`Filter`] is what the controller sees of it.

mod adopt;
mod attach;
mod audit;
mod background;
mod capabilities;
mod carried;
mod counters;
mod distrust;
mod drift;
mod ending;
mod error;
mod explain;
mod facts;
#[cfg(test)]
pub(crate) mod fake;
mod filter;
mod fitness;
mod floor;
mod foreign;
mod holder;
mod kernel;
mod link;
mod link_path;
mod lists;
mod loaded;
mod mapped;
mod names;
mod object;
mod own;
mod pins;
mod plain;
pub mod probe;
mod rate_base;
mod syscall;
mod trace;
mod traced;
mod upkeep;

pub use attach::{Attached, AttachmentState, Attachments, Presence, Unwilling};
pub use audit::{Part, Step};
pub use background::give_way;
pub use carried::carried;
pub use counters::{FrameCounters, SharedMaps};
pub use distrust::Distrust;
pub use drift::DriftCounters;
pub use ending::{Ending, LeftFilter, end, left};
pub use error::{DatapathError, MOUNT};
pub use filter::{CounterReader, Explainer, Filter, FilterReport, Judgement, Upkeep};
pub use foreign::ForeignProgram;
pub use holder::{Holder, look_before as look_at_holders};
pub use kernel::KernelFilter;
pub use link_path::PinnedLink;
pub use lists::{ListSize, TableError};
pub use loaded::{LoadOptions, LoadedPolicy, load_policy};
pub use names::Names;
pub use own::Origin;
pub use pins::{DEFAULT_PINS, PINS_VARIABLE, PinFolder, Pinned};

/// The eBPF object, empty in a build without it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/firewall.bpf.o"));
