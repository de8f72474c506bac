//! `portcullis schema`: the JSON Schema of the configuration file.

use super::{failure::Failure, output};
use crate::config;

/// Prints it; there is no other form of it.
pub fn run() -> Result<(), Failure> {
    let schema = serde_json::to_vec_pretty(&config::schema()).map_err(|error| Failure::Write(error.into()))?;
    output::data(&schema)
}
