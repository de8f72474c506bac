//! What can be seen of the daemon from outside its process: its sockets, HTTP, metrics and command line, in front of a
//! controller that only pretends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod admin;
mod alerts;
mod api;
mod archive;
mod cli;
mod completions;
mod explain;
mod exposition;
mod help;
mod init;
mod listings;
mod lists;
mod metrics;
mod openapi;
mod output;
mod policies;
mod progress;
mod pushes;
mod reconnect;
mod remote;
mod signed;
mod socket;
mod status;
mod support;
mod tokens;
mod unanswered;
mod undo;
mod unreached;
mod version;
