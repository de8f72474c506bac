//! `portcullis history`: the generations of the policy that are kept, what each says, and how two of them differ.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{
    client::{Answer, Client},
    diff,
    failure::Failure,
    output::{self, Output},
    policies::until_confirmed,
    table::TextTable,
};
use crate::{
    control::{GenerationDocument, Generations},
    policy::mode_label,
    preview::diff::{Difference, PolicyDocument},
    serve::http::problem::codes,
    state::history::{Generation, Standing},
    text::{
        shown::{counted, escaped},
        when,
    },
};

/// Arguments of `portcullis history`.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    #[command(subcommand)]
    command: Option<HistoryCommand>,
}

/// What to do with the generations; without it they are listed.
#[derive(Clone, Debug, Subcommand)]
enum HistoryCommand {
    /// Show the configuration of a generation, and where it comes from.
    Show {
        /// Number of the generation.
        #[arg(value_name = "GENERATION")]
        generation: u64,
    },
    /// Show what one generation has and another has not: exit code 0 when nothing, 1 when they differ.
    Diff {
        /// Number of the generation to begin with.
        #[arg(value_name = "GENERATION")]
        from: u64,
        /// Number of the generation to compare it with.
        #[arg(value_name = "OTHER")]
        to: u64,
    },
}

/// Lines of a list file that are shown.
const LINES: usize = 10;

/// Does it.
pub fn run(client: &Client, output: Output, HistoryArgs { command }: HistoryArgs) -> Result<ExitCode, Failure> {
    match command {
        None => list(client, output).map(|()| ExitCode::SUCCESS),
        Some(HistoryCommand::Show { generation }) => show(client, output, generation).map(|()| ExitCode::SUCCESS),
        Some(HistoryCommand::Diff { from, to }) => compare(client, output, from, to),
    }
}

/// Shows all, the newest first.
fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let Answer { value, json } = client.get::<Generations>("/v1/history")?;
    match output {
        Output::Json => output::data(&json),
        Output::Table => {
            output::data(table(&value, Timestamp::now()).to_string().as_bytes())?;
            let pending = value.pending.iter().map(until_confirmed);
            output::words(&pending.map(|words| format!("note: {words}")).collect::<String>());
            Ok(())
        }
    }
}

fn one(client: &Client, number: u64) -> Result<Answer<GenerationDocument>, Failure> {
    let answer = client.get::<GenerationDocument>(&format!("/v1/history/{number}"));
    answer.map_err(|failure| failure.with_hint(codes::NO_GENERATION, "`portcullis history` shows what is kept"))
}

fn show(client: &Client, output: Output, number: u64) -> Result<(), Failure> {
    let Answer { value, json } = one(client, number)?;
    match output {
        Output::Json => output::data(&json),
        Output::Table => {
            output::data(shown(&value, Timestamp::now()).as_bytes())?;
            let unusable = value.unusable.iter().flat_map(|report| report.lines());
            let unusable: Vec<_> = unusable.map(|line| escaped(line).into_owned()).collect();
            output::words(&unusable.join("\n"));
            Ok(())
        }
    }
}

fn compare(client: &Client, output: Output, from: u64, to: u64) -> Result<ExitCode, Failure> {
    let [from, to] = [policy(client, from)?, policy(client, to)?];
    diff::answer(&Difference::between(&from, &to), output)
}

fn policy(client: &Client, number: u64) -> Result<PolicyDocument, Failure> {
    let GenerationDocument { policy, unusable, .. } = one(client, number)?.value;
    policy.ok_or_else(|| Failure::Unusable { generation: number, report: unusable.unwrap_or_default() })
}

/// The configuration of a generation, behind comments that say where it comes from: what is shown is TOML.
fn shown(GenerationDocument { generation, active, bundle, .. }: &GenerationDocument, now: Timestamp) -> String {
    let live = if *active { ", in force" } else { "" };
    let mut facts = vec![
        format!("generation {}{live}", generation.number),
        format!("since    {}", when::told(generation.at, now)),
        format!("by       {}", generation.owner),
        format!("how      {}", how(generation)),
        format!("changes  {}", generation.summary),
        format!("from     {}", generation.source),
    ];
    if let Some(mode) = generation.mode {
        facts.push(format!("mode     {}, whatever the configuration says", mode_label(mode)));
    }
    let mut text: String = facts.iter().map(|fact| format!("# {}\n", escaped(fact))).collect();
    text.push('\n');
    bundle.config.lines().for_each(|line| text.push_str(&format!("{}\n", with_tabs(line))));
    for file in &bundle.included {
        text.push_str(&format!("\n# included {}\n", escaped(&file.path)));
        file.text.lines().for_each(|line| text.push_str(&format!("#   {}\n", with_tabs(line))));
    }
    for file in &bundle.files {
        let count = file.text.lines().count();
        text.push_str(&format!("\n# list file {}: {}\n", escaped(&file.path), counted(count, "line")));
        file.text.lines().take(LINES).for_each(|line| text.push_str(&format!("#   {}\n", with_tabs(line))));
        if count > LINES {
            let more = counted(count - LINES, "more line");
            text.push_str(&format!("#   {more}; `-o json` has all of them\n"));
        }
    }
    text
}

/// A line without what a terminal would act on, but for tabs.
fn with_tabs(line: &str) -> String {
    line.split('\t').map(escaped).collect::<Vec<_>>().join("\t")
}

fn table(history: &Generations, now: Timestamp) -> TextTable<7> {
    let mut table = TextTable::new(["", "GENERATION", "SINCE", "BY", "HOW", "CHANGES", "FROM"]);
    for generation in history.generations.iter().rev() {
        let is_active = history.active == Some(generation.number);
        table.push([
            if is_active { "*".into() } else { String::new() },
            generation.number.to_string(),
            when::told(generation.at, now),
            generation.owner.clone(),
            how(generation),
            generation.summary.clone(),
            generation.source.clone(),
        ]);
    }
    table
}

/// `rollback to 3`, `apply, rolled back`.
pub fn how(generation: &Generation) -> String {
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
