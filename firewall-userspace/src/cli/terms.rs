//! On what terms a change is asked for.

use std::env;

use clap::Args;

use crate::connections::{self, Connection};

/// Options of every command that changes what the daemon does.
#[derive(Args, Clone, Copy, Debug)]
pub struct Terms {
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it also when it would cut off connections or remove most of a list.
    #[arg(long)]
    pub force: bool,
}

/// The SSH connection that this command is run in.
pub fn caller() -> Option<Connection> {
    connections::of_ssh(&env::var("SSH_CONNECTION").ok()?)
}
