//! `cargo xtask demo`: Portcullis at work, each step with what was expected and what was seen.

mod counters;
mod flood;
mod steps;

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    lab::{self, Lab},
    report::{Report, Seen},
    tree::Tree,
};

/// Shows every step; an error when one differs from what was expected, or when something is left behind.
pub fn demo(tree: &Tree, built: Option<PathBuf>) -> Result<()> {
    const KIND: &str = "demo";
    let Some(binary) = lab::prepare(tree, KIND, built)? else { return Ok(()) };
    let mut report = Report::default();
    let mut lab = Lab::start(KIND, &binary)?;
    let trace = lab.trace();
    let result = steps::all(&mut lab, &mut report);
    if report.differs() || result.is_err() {
        eprintln!("the log of portcullis ends with\n{}", lab.last_words());
    }
    drop(lab);
    let left = trace.remaining();
    result?;
    report.step("the demo removes everything it made", "no namespace, process, folder or pin is left", || {
        let seen = if left.is_empty() { "nothing left".to_owned() } else { left.join(", ") };
        Ok(Seen { as_expected: left.is_empty(), seen })
    })?;
    report.conclude(KIND)
}
