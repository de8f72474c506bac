//! The stages behind the parser, one a file: each settles a packet or leaves it to the next one.
//!
//! A [`Flow`](crate::Flow) comes in with what the lists say about its source, a [`Verdict`](crate::Verdict) goes out.
//! The order is that of [`judge`](crate::judge()), which owns both; what a stage asks for it finds in the
//! [`Tables`](crate::Tables), and it keeps nothing.

pub(crate) mod classify;
pub(crate) mod decide;
pub(crate) mod essential;
pub(crate) mod source;
