//! On what terms a change is asked for.

use clap::Args;

/// Options of every command that changes what the daemon does.
#[derive(Args, Clone, Copy, Debug)]
pub struct Terms {
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it also when it would remove most of a list.
    #[arg(long)]
    pub force: bool,
}
