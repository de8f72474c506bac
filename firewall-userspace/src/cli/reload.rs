//! `portcullis reload`.

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
};
use crate::control::Reloaded;

/// Has the daemon load its configuration anew.
pub fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let Answer { value, json } = client.post::<Reloaded>("/v1/reload", Vec::new())?;
    let warnings: Vec<_> = value.warnings.lines().map(output::printable).collect();
    output::words(&warnings.join("\n"));
    match output {
        Output::Json => output::data(&json),
        Output::Table => output::data(format!("generation {}: configuration loaded", value.generation).as_bytes()),
    }
}
