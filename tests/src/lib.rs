//! What the tests share: packets, policies, two models of the contract, the table of cases, and network namespaces.
//!
//! The library itself needs no root; the tests under `tests/kernel` and `tests/wire` do.

pub mod api;
pub mod bpf;
pub mod cases;
pub mod corpus;
pub mod daemon;
pub mod draft;
pub mod frozen;
pub mod generate;
pub mod guest;
pub mod kernel;
pub mod lab;
pub mod listening;
pub mod live;
pub mod merging;
pub mod model;
pub mod mounted;
pub mod mutate;
pub mod netns;
pub mod nginx;
pub mod packet;
pub mod page;
pub mod peek;
pub mod random;
pub mod running;
pub mod scrape;
pub mod session;
pub mod show;
pub mod spec;
pub mod traffic;
pub mod transcript;
pub mod trial;
pub mod until;
