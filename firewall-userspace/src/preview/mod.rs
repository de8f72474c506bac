//! What a policy would do, found out on the host before anything is written.
//!
//! In: a policy with its members, packets, connections. Out: verdicts, differences and harm. Nothing is written and nobody owns
//! anything here.

pub mod diff;
pub mod explain;
pub mod guard;
pub mod model;
pub mod packet_tests;
