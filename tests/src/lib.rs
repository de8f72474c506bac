//! What the tests share: packets, policies, two models of the contract, the table of cases, and network namespaces.
//!
//! The library itself needs no root; the tests under `tests/kernel` and `tests/wire` do.

pub mod cases;
pub mod draft;
pub mod generate;
pub mod kernel;
pub mod model;
pub mod mutate;
pub mod packet;
pub mod peek;
pub mod random;
pub mod show;
pub mod spec;
