//! The option that names the pin folder, of every command that looks into it.

use std::path::PathBuf;

use clap::Args;

use crate::datapath::{DEFAULT_PINS, PINS_VARIABLE};

/// Where pins are.
#[derive(Args, Clone, Debug)]
pub struct PinsArgs {
    /// Folder on a BPF file system that keeps what outlives the daemon.
    #[arg(
        long,
        value_name = "DIR",
        env = PINS_VARIABLE,
        hide_env_values = true,
        default_value = DEFAULT_PINS
    )]
    pub pin_directory: PathBuf,
}
