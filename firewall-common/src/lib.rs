//! What Portcullis decides about a frame, and nothing else.
//!
//! One source, compiled twice: into the XDP program (`firewall-ebpf`) and for the host, where tests, the model and
//! the command line use it. No allocation, no clock, no maps: whatever a verdict depends on besides the bytes comes
//! in through [`Tables`].
//!
//! ```text
//! bytes --parse--> Flow --impossible, essential, management--> classify --> decide --> Judgement
//!        parse/    judge/ source.rs  essential.rs              classify.rs  decide.rs  verdict.rs
//! ```
//!
//! Start with [`judge`], then read [`Verdict`], the one table of everything that can be said about a frame.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
mod address;
mod flow;
mod frame;
mod judge;
mod parse;
pub mod prefix_table;
pub mod rate;
pub mod rate_table;
mod tables;
mod verdict;
pub mod verifier;

pub use address::{Address, Family};
pub use flow::{Flow, Fragment, Transport};
pub use frame::{Frame, Header, MAX_OFFSET};
pub use judge::{Judgement, Settled, judge, settle};
pub use parse::parse;
pub use prefix_table::Membership;
pub use rate::{Quantity, Quota};
pub use tables::{Bucket, Essential, FragmentPolicy, HostDefault, Tables};
pub use verdict::{Action, Verdict};
