//! `portcullis diff`: what a configuration would change.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{
    client::Client,
    failure::Failure,
    output::{self, Output},
};
use crate::{
    config::{self, Loaded},
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
    let policy = load(&args.file)?.policy;
    let live = client.get::<PolicyDocument>("/v1/policy")?.value;
    let difference = Difference::between(&live, &PolicyDocument::of(&policy, 0));
    match output {
        Output::Json => {
            output::data(&serde_json::to_vec_pretty(&difference).map_err(|error| Failure::Write(error.into()))?)?;
        }
        Output::Table => show(&difference)?,
    }
    Ok(if difference.same { ExitCode::SUCCESS } else { Exit::Negative.into() })
}

/// Shows every line of `difference`.
pub fn show(difference: &Difference) -> Result<(), Failure> {
    let lines: Vec<_> = difference.to_string().lines().map(|line| escaped(line).into_owned()).collect();
    output::data(lines.join("\n").as_bytes())
}

fn load(file: &Path) -> Result<Loaded, Failure> {
    let is_stdin = file == Path::new("-");
    let result = if is_stdin { config::load_stdin(io::stdin().lock()) } else { config::load(file) };
    result.map_err(|report| Failure::Config {
        file: if is_stdin { config::STDIN.into() } else { file.to_owned() },
        report: Box::new(report),
    })
}
