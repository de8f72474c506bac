//! The steps, in the order of a life: installed, observing, enforcing, in trouble, upgraded, removed.

mod first_day;
mod left;
mod removal;
mod sandbox;
mod takeover;
mod trouble;
mod upgrade;

use anyhow::Result;

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
    /// What `status -o json` has at a key, as jq would write it; the machine has no jq.
    fn status(&self, key: &str) -> Result<String> {
        let text = self.machine.ask("portcullis status -o json")?;
        let quoted = format!("\"{key}\":");
        let rest = text.split_once(&quoted).map(|(_, rest)| rest.trim_start()).unwrap_or_default();
        let end = rest.find([',', '}', '\n']).unwrap_or(rest.len());
        Ok(rest[..end].trim_matches('"').to_owned())
    }

    /// Packets of the stranger are dropped, those of the friend are answered.
    fn require_enforced(&self) -> Result<String> {
        let (friend, stranger) =
            (self.wires.gets_a_page(super::network::FRIEND)?, self.wires.gets_a_page(super::network::STRANGER)?);
        require(friend && !stranger, || format!("the friend gets a page: {friend}; the stranger: {stranger}"))?;
        Ok("the friend gets a page, the stranger gets none".into())
    }
}
