//! On what terms a change is asked for.

use clap::Args;

use crate::{
    control::{self, Force},
    host::caller,
};

/// Options of every command that changes what the daemon does.
#[derive(Args, Clone, Debug)]
pub struct TermsArgs {
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it although a guard refuses it: cut off connections, empty a list, deny this host's own networks. With names, only past
    /// the guards that are named, as the refusal names them.
    #[arg(
        long,
        value_name = "GUARD,...",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = EVERY_GUARD,
        value_parser = force
    )]
    pub force: Option<Force>,
    /// Undo it after this time, such as `60s`, unless `portcullis confirm` comes before.
    #[arg(long, value_name = "TIME")]
    pub confirm: Option<String>,
}

/// What `--force` without names stands for.
const EVERY_GUARD: &str = "all";

impl TermsArgs {
    /// What the daemon is asked for.
    pub fn asked(self) -> control::Terms {
        let Self { dry_run, force, confirm } = self;
        control::Terms { dry_run, force: force.unwrap_or_default(), confirm, caller: caller::ssh_connection() }
    }
}

/// Reads what is written behind `--force=`.
fn force(text: &str) -> Result<Force, String> {
    if text == EVERY_GUARD { Ok(Force::All) } else { text.parse::<Force>().map_err(|error| error.to_string()) }
}
