//! Words and numbers as people write and read them.
//!
//! In: text of a configuration, a command line or a request. Out: values, or what is wrong in words. Nobody owns anything here, and
//! nothing is read or written.

pub mod duration;
pub mod few;
pub mod location;
pub mod object;
pub mod ports;
pub mod problem;
pub mod shown;
pub mod size;
pub mod suggest;
pub mod when;
