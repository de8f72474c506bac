//! Results for people.
//!
//! - In: the file of a run, and one to compare with.
//! - Out: tables on standard output, and `docs/performance.md` with its plot when asked for.
//! - Owner: nobody. What was measured is in [`Results`], which nothing here changes.

mod compare;
mod document;
mod plot;
mod promise;
mod sections;
mod sizes;
mod table;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use self::{promise::Promises, sections::sections};
use crate::results::{Results, SCHEMA};

/// Shows results, and writes the document when told where.
///
/// # Errors
/// When a file cannot be read or written.
pub fn report(path: &Path, compare: Option<&Path>, json: bool, write: Option<&Path>) -> Result<()> {
    let results = read(path)?;
    let earlier = compare.map(read).transpose()?;
    let mut promises = Promises::default();
    let sections = sections(&results, &mut promises);
    let promises = promises.lines();
    if json {
        // What changed is for people: `--compare` says it on standard error here.
        println!("{}", serde_json::to_string_pretty(&results)?);
        earlier.iter().for_each(|earlier| eprintln!("{}", compare::compare(earlier, &results)));
    } else {
        for (_, table) in sections.iter().filter(|(_, table)| !table.is_empty()) {
            println!("{table}");
        }
        if let Some(earlier) = &earlier {
            println!("{}", compare::compare(earlier, &results));
        }
        promises.iter().for_each(|line| println!("{line}"));
    }
    if let Some(folder) = write {
        let document = document::document(&results, &sections, &promises)?;
        for (name, text) in [("performance.md", document), ("performance.svg", plot::svg(&results))] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("wrote {}", path.display());
        }
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
