//! On what terms a change is asked for.

use clap::{Args, error::ErrorKind};

use super::{client::Client, refuse_usage};
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
    /// Undo it after this time, such as `60s`, unless `portcullis confirm` comes before. With --url also `auto`: keep it if the daemon
    /// can be reached by a new connection afterwards.
    #[arg(long, value_name = "TIME")]
    pub confirm: Option<String>,
}

/// What `--force` without names stands for.
const EVERY_GUARD: &str = "all";

/// What `--confirm` is given to have this program confirm.
const AUTO: &str = "auto";

/// How long a change waits for that, as the daemon is told.
const AUTO_TIME: &str = "60s";

impl TermsArgs {
    /// What the daemon at the other end of `client` is asked for. Ends the process when that daemon is none whose changes confirm
    /// themselves.
    pub fn asked(self, client: &Client) -> control::Terms {
        let is_auto = self.is_auto();
        if is_auto && !client.is_remote() {
            let why = "it shows that a change has not cut the way off, and the socket of this host cannot be cut off";
            refuse_usage(
                ErrorKind::ValueValidation,
                format!("--confirm auto is for the daemon of a --url: {why}\nhint: give a time, such as --confirm 60s"),
            );
        }
        let Self { dry_run, force, confirm } = self;
        let confirm = if is_auto { Some(AUTO_TIME.to_owned()) } else { confirm };
        // The connection that this is typed into ends at this host, which that of another daemon is not.
        let caller = if client.is_remote() { None } else { caller::ssh_connection() };
        control::Terms { dry_run, force: force.unwrap_or_default(), confirm, caller, expect: None }
    }

    /// Whether the change is kept if the daemon can be reached by a new connection afterwards.
    pub fn is_auto(&self) -> bool {
        self.confirm.as_deref() == Some(AUTO)
    }
}

/// Reads what is written behind `--force=`.
fn force(text: &str) -> Result<Force, String> {
    if text == EVERY_GUARD { Ok(Force::All) } else { text.parse::<Force>().map_err(|error| error.to_string()) }
}
