//! `portcullis history`: the generations of the policy that are kept.

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
    policies::until_confirmed,
    table::TextTable,
};
use crate::{
    control::Generations,
    policy::mode_label,
    state::history::{Generation, Standing},
};

/// Shows them, the newest first.
pub fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let Answer { value, json } = client.get::<Generations>("/v1/history")?;
    match output {
        Output::Json => output::data(&json),
        Output::Table => {
            output::data(table(&value).to_string().as_bytes())?;
            let pending = value.pending.iter().map(until_confirmed);
            output::words(&pending.map(|words| format!("note: {words}")).collect::<String>());
            Ok(())
        }
    }
}

fn table(history: &Generations) -> TextTable<7> {
    let mut table = TextTable::new(["", "GENERATION", "SINCE", "BY", "HOW", "CHANGES", "FROM"]);
    for generation in history.generations.iter().rev() {
        let is_active = history.active == Some(generation.number);
        table.push([
            if is_active { "*".into() } else { String::new() },
            generation.number.to_string(),
            format!("{:.0}", generation.at),
            generation.owner.clone(),
            how(generation),
            generation.summary.clone(),
            generation.source.clone(),
        ]);
    }
    table
}

/// `rollback to 3`, `apply, rolled back`.
fn how(generation: &Generation) -> String {
    let mut how = generation.how.label().to_owned();
    if let Some(of) = generation.of {
        how.push_str(&format!(" to {of}"));
    }
    if let Some(mode) = generation.mode {
        how.push_str(&format!(", {}", mode_label(mode)));
    }
    match generation.standing {
        Standing::Confirmed => {
            if let Some(who) = &generation.confirmed_by {
                how.push_str(&format!(", confirmed by {who}"));
            }
        }
        Standing::Pending => how.push_str(", not confirmed yet"),
        Standing::RolledBack => how.push_str(", rolled back"),
    }
    how
}
