//! This host as the kernel describes it: its interfaces, its addresses, its connections.
//!
//! In: sysfs, netlink and sock_diag. Out: facts, true at the moment they were asked. Nothing is changed here, and the caller owns
//! what it is told.

pub mod connections;
pub mod devices;
pub mod netlink;
mod raw;
pub mod reach;
