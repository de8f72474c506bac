//! `portcullis confirm`.

use clap::Args;

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
};
use crate::control::{Confirm, Confirmed};

/// Arguments of `portcullis confirm`.
#[derive(Args, Clone, Copy, Debug)]
pub struct ConfirmArgs {
    /// Say what would be confirmed, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Keeps what waits for a confirmation.
pub fn run(client: &Client, output: Output, ConfirmArgs { dry_run }: ConfirmArgs) -> Result<(), Failure> {
    let body =
        serde_json::to_vec(&Confirm { dry_run, generation: None }).map_err(|error| Failure::Write(error.into()))?;
    let Answer { value, json } = client.change::<Confirmed>("/v1/confirm", body, false)?;
    match output {
        Output::Json => output::data(&json),
        Output::Table if value.dry_run => output::data(
            format!("{} would be confirmed\ndry run: nothing was changed", value.confirmed.name()).as_bytes(),
        ),
        Output::Table => output::data(format!("confirmed {}", value.confirmed.name()).as_bytes()),
    }
}
