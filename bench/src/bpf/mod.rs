//! The few calls of bpf(2) that measuring takes: small programs of our own, and runs of any program by its descriptor.

mod array;
mod call;
pub mod instruction;
mod program;

pub use array::{Array, ProgramArray};
pub use program::{Kind, Link, Program, attach, run, run_live, run_once};
