//! `portcullis detach`: stop filtering when no daemon is there to do it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    exit::Exit,
    output::{self, Output},
};
use crate::datapath::{DatapathError, PinFolder};

/// Arguments of `portcullis detach`.
#[derive(Args, Clone, Debug)]
pub struct DetachArgs {
    /// Folder on a BPF file system that keeps what outlived the daemon.
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_PIN_DIRECTORY",
        hide_env_values = true,
        default_value = super::run::DEFAULT_PINS
    )]
    pin_directory: PathBuf,
    /// Say what would be detached, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Removes every pinned link and map, and says which interfaces are not filtered any more.
pub fn run(args: &DetachArgs, output: Output) -> ExitCode {
    match detach(args) {
        Ok(interfaces) => {
            let written = match output {
                Output::Table if interfaces.is_empty() => output::data(b"nothing was attached"),
                Output::Table => {
                    let done = if args.dry_run { "dry run: would detach from" } else { "detached from" };
                    output::data(format!("{done} {}", interfaces.join(", ")).as_bytes())
                }
                Output::Json => {
                    let mut answer = serde_json::json!({ "schema": "portcullis.detach/v1", "interfaces": interfaces });
                    if args.dry_run {
                        answer["dry_run"] = true.into();
                    }
                    output::data(answer.to_string().as_bytes())
                }
            };
            match written {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    output::words(&failure.to_string());
                    failure.exit().into()
                }
            }
        }
        Err(error) => {
            output::words(&format!("error: {error}"));
            Exit::Refused.into()
        }
    }
}

fn detach(args: &DetachArgs) -> Result<Vec<String>, DatapathError> {
    if args.dry_run {
        return PinFolder::look(&args.pin_directory);
    }
    let pins = PinFolder::open(&args.pin_directory)?;
    let interfaces = pins.interfaces();
    pins.clear()?;
    Ok(interfaces)
}
