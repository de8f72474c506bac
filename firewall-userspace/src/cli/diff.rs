//! `portcullis diff`: what a configuration would change.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    client::Client,
    failure::Failure,
    output::{self, Output},
    policies,
};
use crate::{
    config,
    exit::Exit,
    preview::diff::{Difference, PolicyDocument},
    text::shown::escaped,
};

/// Arguments of `portcullis diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// Configuration to compare with the live policy, `-` for standard input.
    #[arg(value_name = "FILE", default_value = config::DEFAULT_PATH)]
    file: PathBuf,
}

/// Compares; exit code 1 when there is a difference.
pub fn run(client: &Client, output: Output, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let policy = policies::load(&args.file)?.policy;
    let live = client.get::<PolicyDocument>("/v1/policy")?.value;
    let difference = Difference::between(&live, &PolicyDocument::of(&policy, 0));
    answer(&difference, output)
}

/// Shows `difference`; exit code 1 when there is one.
pub fn answer(difference: &Difference, output: Output) -> Result<ExitCode, Failure> {
    match output {
        Output::Json => {
            output::data(&serde_json::to_vec_pretty(difference).map_err(|error| Failure::Write(error.into()))?)?;
        }
        Output::Table => show(difference)?,
    }
    Ok(if difference.same { ExitCode::SUCCESS } else { Exit::Negative.into() })
}

/// Shows every line of `difference`.
pub fn show(difference: &Difference) -> Result<(), Failure> {
    let lines: Vec<_> = difference.to_string().lines().map(|line| escaped(line).into_owned()).collect();
    output::data(lines.join("\n").as_bytes())
}
