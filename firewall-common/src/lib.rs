//! What Portcullis decides about a frame, and nothing else.
//!
//! One source, compiled twice: into the XDP program (`firewall-ebpf`) and for the host, where tests, the model and
//! the command line use it. No allocation, no clock, no maps: whatever a verdict depends on besides the bytes comes
//! in through [`Tables`].
//!
//! # A frame
//! ```text
//! bytes --parse--> Flow --impossible, essential, management--> classify --> decide --> Judgement
//!        parse/    judge/ source.rs  essential.rs              classify.rs  decide.rs  verdict.rs
//! ```
//!
//! Start with [`judge`](judge()), then read [`Verdict`], the one table of everything that can be said about a frame.
//!
//! # The map
//! Top first: a module names modules below it, and none beside it.
//! ```text
//! judge/         the pipeline, and its stages: source, essential, classify, decide; what the host sent to itself
//! parse/         bytes -> Flow, or the verdict that refuses them
//! tables.rs      the trait Tables: the policy and the state that a verdict depends on
//! abi/           what the kernel program and userspace agree on, one file for each kind of table
//! prefix_table/  source -> its lists             rate_table/  source and limit -> its rate state
//! flow.rs        what is known of a packet       frame.rs     read access to the bytes
//! verdict.rs     everything that can be said     rate.rs      GCRA, in integers
//! address.rs     addresses and families          verifier.rs  words to the kernel's verifier
//! numbers.rs     EtherTypes, protocols, extension headers
//! ```
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
mod address;
mod flow;
mod frame;
mod judge;
pub mod numbers;
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
