//! The steps, in the order of a life: installed, observing, enforcing, in trouble, upgraded, removed.

mod first_day;
mod left;
mod removal;
mod sandbox;
mod takeover;
mod trouble;
mod upgrade;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, require, traffic};
use crate::{interrupt, report::Report};

/// Takes them all.
pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let before = left::Left::look(&bench.machine)?;
    for part in [first_day::all, sandbox::all, trouble::all, upgrade::all] {
        interrupt::check()?;
        part(bench, report)?;
    }
    removal::all(bench, report, &before)?;
    takeover::all(bench, report)
}

impl Bench {
    /// The mode, as `status -o json` has it.
    fn mode(&self) -> Result<String> {
        let status: Value = serde_json::from_str(&self.machine.ask("portcullis status -o json")?)?;
        Ok(status["mode"].as_str().context("status tells no mode")?.to_owned())
    }

    /// Packets of the stranger are dropped, those of the friend are answered.
    fn require_enforced(&self) -> Result<String> {
        let (friend, stranger) =
            (self.wires.gets_a_page(super::network::FRIEND)?, self.wires.gets_a_page(super::network::STRANGER)?);
        require(friend && !stranger, || format!("the friend gets a page: {friend}; the stranger: {stranger}"))?;
        Ok("the friend gets a page, the stranger gets none".into())
    }
}
