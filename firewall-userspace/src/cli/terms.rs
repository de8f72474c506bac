//! On what terms a change is asked for.

use std::env;

use clap::Args;

use crate::{
    control,
    host::connections::{self, Connection},
};

/// Options of every command that changes what the daemon does.
#[derive(Args, Clone, Debug)]
pub struct TermsArgs {
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it also when it would cut off connections or remove most of a list.
    #[arg(long)]
    pub force: bool,
    /// Undo it after this time, such as `60s`, unless `portcullis confirm` comes before.
    #[arg(long, value_name = "TIME")]
    pub confirm: Option<String>,
}

impl TermsArgs {
    /// What the daemon is asked for.
    pub fn asked(self) -> control::Terms {
        let Self { dry_run, force, confirm } = self;
        control::Terms { dry_run, force, confirm, caller: caller() }
    }
}

/// The SSH connection that this command is run in.
fn caller() -> Option<Connection> {
    connections::of_ssh(&env::var("SSH_CONNECTION").ok()?)
}
