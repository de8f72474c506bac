//! `portcullis reload`.

use super::{
    client::{Answer, Client},
    diff,
    failure::Failure,
    output::{self, Output},
    terms::{self, Terms},
};
use crate::control::{Reload, Reloaded};

/// Has the daemon load its configuration anew.
pub fn run(client: &Client, output: Output, terms: Terms) -> Result<(), Failure> {
    let Terms { dry_run, force } = terms;
    let body = serde_json::to_vec(&Reload { dry_run, force, caller: terms::caller() })
        .map_err(|error| Failure::Write(error.into()))?;
    let Answer { value, json } = client.post::<Reloaded>("/v1/reload", body)?;
    let warnings: Vec<_> = value.warnings.lines().map(output::printable).collect();
    output::words(&warnings.join("\n"));
    match output {
        Output::Json => output::data(&json),
        Output::Table if value.dry_run => {
            value.difference.iter().try_for_each(diff::show)?;
            output::data(b"dry run: nothing was changed")
        }
        Output::Table => output::data(format!("generation {}: configuration loaded", value.generation).as_bytes()),
    }
}
