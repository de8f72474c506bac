//! Portcullis in userspace, from the top floor down; an import only goes down (docs/architecture.md has the table).
//!
//! ```text
//! cli        one file a verb
//! first      the first configuration of a host
//! doctor     can this host be filtered?              daemon   `portcullis run`: starts all, follows netlink
//! serve      what others connect to: API, metrics
//! controller the one thread that changes what is enforced, and what it publishes for readers
//! control    requests and answers as data
//! datapath   the kernel: the only place with aya     preview  what a policy would do, on the host
//! state      what outlives the daemon: journal, history
//! lists      what every prefix is in                 config   from a file to a policy
//! host       this host as the kernel describes it
//! policy     what a configuration means
//! text       words and numbers for people            clock    time             files    how files are opened
//! logging    standard error, which never stops whoever logs                       exit     exit codes
//! made       what this binary is made of
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod controller;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod exit;
pub mod files;
pub mod first;
pub mod host;
pub mod lists;
pub mod logging;
pub mod made;
pub mod policy;
pub mod preview;
pub mod serve;
pub mod state;
pub mod text;
