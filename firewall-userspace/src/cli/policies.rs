//! `portcullis apply`, `reload`, `rollback` and `mode`: changes of the whole policy.

use std::{io, path::Path, path::PathBuf};

use clap::{Args, ValueEnum, error::ErrorKind};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    client::{Answer, Client},
    diff,
    failure::Failure,
    history,
    output::{self, Output},
    reconnect::{self, MadeChange},
    terms::TermsArgs,
};
use crate::{
    config,
    control::{Apply, Pending, Reload, Reloaded, Rollback, SetMode, Status, Terms},
    policy::{Mode, ephemeral::EphemeralPorts},
    serve::http::problem::codes,
    state::history::Generation,
    text::{problem::Problem, shown, when},
};

/// Arguments of `portcullis apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// Configuration, `-` for standard input; files that it includes and list files are sent with it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Arguments of `portcullis rollback`.
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    /// Number of a generation in `portcullis history`; without it, what waits for a confirmation is undone, or else the
    /// generation before the live one comes back.
    #[arg(value_name = "GENERATION")]
    generation: Option<u64>,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Arguments of `portcullis mode`.
#[derive(Args, Clone, Debug)]
pub struct ModeArgs {
    /// The mode to have; without it, the mode is shown.
    #[arg(value_name = "MODE", value_enum)]
    mode: Option<ModeName>,
    /// End it after this time, such as `10m`: the mode of before comes back by itself, also after a restart of the daemon.
    #[arg(long = "for", value_name = "TIME", requires = "reason", conflicts_with = "confirm")]
    length: Option<String>,
    /// Why, for those who find it in `portcullis status`; needed with `--for`.
    #[arg(long, value_name = "TEXT", requires = "length")]
    reason: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Modes of a policy.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    /// Drops are dropped.
    Enforce,
    /// Everything passes, and is counted as it would have been judged.
    Observe,
}

/// Makes the configuration in a file the policy.
pub fn apply(client: &Client, output: Output, ApplyArgs { file, terms }: ApplyArgs) -> Result<(), Failure> {
    let config::Bundle { name, config, included, files } = load(&file)?.bundle;
    let apply = Apply { name, config, included, files, ..Apply::default() };
    change(client, output, ("/v1/apply", terms), |terms| apply.on(terms), &Done::WithChanges("applied"))
}

/// Has the daemon load its configuration anew.
pub fn reload(client: &Client, output: Output, terms: TermsArgs) -> Result<(), Failure> {
    let done = Done::WithChanges("configuration loaded");
    change(client, output, ("/v1/reload", terms), |terms| Reload::default().on(terms), &done)
}

/// Brings a generation back.
pub fn rollback(
    client: &Client,
    output: Output,
    RollbackArgs { generation, terms }: RollbackArgs,
) -> Result<(), Failure> {
    let rollback = Rollback { generation, ..Rollback::default() };
    change(client, output, ("/v1/rollback", terms), |terms| rollback.on(terms), &Done::WithChanges("rolled back"))
}

/// Gives the policy another mode, or shows which it has.
pub fn mode(
    client: &Client,
    output: Output,
    ModeArgs { mode, length, reason, terms }: ModeArgs,
) -> Result<(), Failure> {
    let Some(mode) = mode else {
        // Nobody asks for a confirmation of nothing.
        if terms.dry_run || terms.force.is_some() || terms.confirm.is_some() || length.is_some() {
            let message = "--dry-run, --force, --confirm and --for need a mode to change to: `enforce` or `observe`";
            super::refuse_usage(ErrorKind::MissingRequiredArgument, message);
        }
        let mode = client.get::<Status>("/v1/status")?.value.mode;
        return match output {
            Output::Json => output::data(serde_json::json!({ "mode": mode }).to_string().as_bytes()),
            Output::Table => output::data(shown::escaped(&mode).as_bytes()),
        };
    };
    let (mode, done) = match mode {
        ModeName::Enforce => (Mode::Enforce, "drops are dropped"),
        ModeName::Observe => (Mode::Observe, "drops are only counted"),
    };
    let done = match &length {
        Some(length) => format!("{done} for {length}, then the mode of before comes back"),
        None => done.to_owned(),
    };
    let set = SetMode { length, reason, ..SetMode::to(mode) };
    change(client, output, ("/v1/mode", terms), |terms| set.on(terms), &Done::Words(done))
}

/// What is said of a change that happened.
enum Done {
    /// These words.
    Words(String),
    /// These words, and what has changed in the configuration.
    WithChanges(&'static str),
}

/// Asks for a change on these terms, and says what became of it.
fn change<R: Serialize>(
    client: &Client,
    output: Output,
    (path, terms): (&str, TermsArgs),
    request: impl FnOnce(Terms) -> R,
    done: &Done,
) -> Result<(), Failure> {
    let (is_dry, is_auto) = (terms.dry_run, terms.is_auto());
    let body = serde_json::to_vec(&request(terms.asked(client))).map_err(|error| Failure::Write(error.into()))?;
    let answer = client.change::<Reloaded>(path, body, is_dry);
    let Answer { value, json } = answer.map_err(|failure| {
        reconnect::unanswered(failure, is_auto)
            .told_by(tell)
            .with_hint(codes::NO_GENERATION, "`portcullis history` shows what is kept")
    })?;
    let warnings: Vec<_> = value.warnings.lines().map(shown::escaped).collect();
    output::words(&warnings.join("\n"));
    match output {
        Output::Json if value.dry_run => output::data(&json),
        Output::Table if value.dry_run && value.push_undone => {
            output::data(b"the push that waits for a confirmation would be undone\ndry run: nothing was changed")
        }
        Output::Table if value.dry_run => {
            value.difference.iter().try_for_each(diff::show)?;
            output::data(format!("dry run: {}nothing was changed", target(&value)).as_bytes())
        }
        output => {
            let (text, pending) = (said(&value, done), value.pending.as_ref());
            reconnect::tell(client, output, MadeChange { json: &json, text, pending, is_auto })
        }
    }
}

fn tell(Problem { pointer, detail }: &Problem) -> String {
    match pointer.as_str() {
        "" => detail.clone(),
        "/confirm" | "/for" | "/reason" => format!("--{}: {detail}", pointer.trim_start_matches('/')),
        pointer => format!("{pointer}: {detail}"),
    }
}

/// Where a rollback would go to: `would roll back to generation 3 (apply by root, 2026-11-27T20:00:00Z (2d ago), from x.toml); `.
fn target(Reloaded { of, target, .. }: &Reloaded) -> String {
    let facts = |one: &Generation| {
        let since = when::told(one.at, Timestamp::now());
        shown::escaped(&format!(" ({} by {}, {since}, from {})", history::how(one), one.owner, one.source)).into_owned()
    };
    let facts = target.as_ref().map(facts).unwrap_or_default();
    of.map(|of| format!("would roll back to generation {of}{facts}; ")).unwrap_or_default()
}

fn said(reloaded: &Reloaded, done: &Done) -> String {
    let words = match done {
        Done::Words(words) => words,
        Done::WithChanges(words) => *words,
    };
    let Reloaded { generation: revision, policy_generation, of, push_undone, summary, changes, .. } = reloaded;
    // An older daemon does not tell them apart.
    let generation = if *policy_generation > 0 { policy_generation } else { revision };
    let mut text = match of {
        _ if *push_undone => format!("revision {revision}: undid the push that waited for a confirmation"),
        Some(of) => format!("generation {generation}: {words} to generation {of}"),
        None => format!("generation {generation}: {words}"),
    };
    if matches!(done, Done::WithChanges(_)) && !summary.is_empty() {
        text.push_str(&format!(": {}", shown::escaped(summary)));
        changes.iter().for_each(|line| text.push_str(&format!("\n{}", shown::escaped(line))));
    }
    text
}

/// What happens without a confirmation.
pub fn until_confirmed(pending: &Pending) -> String {
    let Pending { previous, entries, seconds_left, .. } = pending;
    let comes_back = match (previous, entries) {
        (Some(previous), _) => format!("generation {previous} comes back"),
        (None, Some(1)) => "1 entry becomes what it was".to_owned(),
        (None, entries) => format!("{} entries become what they were", entries.unwrap_or(0)),
    };
    format!("{comes_back} in {seconds_left} s; `portcullis confirm` keeps it")
}

/// The configuration in `file`, `-` for standard input.
pub fn load(file: &Path) -> Result<config::Loaded, Failure> {
    let is_stdin = file == Path::new("-");
    let result =
        if is_stdin { config::load_stdin(io::stdin().lock(), &EphemeralPorts::default()) } else { config::load(file) };
    result.map_err(|report| Failure::Config {
        file: if is_stdin { config::STDIN.into() } else { file.to_owned() },
        report: Box::new(report),
    })
}
