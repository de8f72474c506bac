//! The few calls of bpf(2) that measuring takes: small programs of our own, and runs of any program by its descriptor.
//!
//! - In: instructions, or the descriptor of a program, and a frame.
//! - Out: what a run returned and how long it took.
//! - Owner: whoever makes a map, a program or a link; the kernel lets go of it when its descriptor is dropped.

mod array;
mod call;
pub mod instruction;
mod program;

pub use array::{Array, ProgramArray};
pub use program::{Kind, Link, Program, attach, run, run_live, run_once};
