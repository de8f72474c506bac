//! `portcullis undo`: takes a push back, or shows those that can be.

use clap::Args;
use jiff::Timestamp;

use super::{
    client::{Answer, Client},
    failure::Failure,
    lists::{changes, person, tell_answers},
    output::{self, Output},
    reconnect::{self, MadeChange},
    table::TextTable,
    terms::TermsArgs,
};
use crate::{
    control::{KeptEntry, PushSummary, Pushed, Pushes, Undo},
    text::{
        problem::Problem,
        shown::{escaped, grouped},
        when,
    },
};

/// Arguments of `portcullis undo`.
#[derive(Args, Clone, Debug)]
pub struct UndoArgs {
    /// The revision that the push made: its answer begins with it, and the log of the daemon has it.
    #[arg(value_name = "REVISION", required_unless_present = "list", conflicts_with = "list")]
    revision: Option<u64>,
    /// Show the last pushes that can be undone, the newest first.
    #[arg(long, conflicts_with_all = ["dry_run", "force", "confirm"])]
    list: bool,
    /// With `--list`: at most so many, up to 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = Pushes::TOLD, conflicts_with = "revision")]
    limit: usize,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Does it.
pub fn run(client: &Client, output: Output, args: UndoArgs) -> Result<(), Failure> {
    match args.revision {
        Some(revision) => undo(client, output, revision, args.terms),
        None => list(client, output, args.limit),
    }
}

fn undo(client: &Client, output: Output, revision: u64, terms: TermsArgs) -> Result<(), Failure> {
    let is_auto = terms.is_auto();
    let undo = Undo { person: person(), ..Undo::of(revision) }.on(terms.asked(client));
    let body = serde_json::to_vec(&undo).map_err(|error| Failure::Write(error.into()))?;
    let answer = client.change::<Pushed>("/v1/undo", body, undo.dry_run);
    let Answer { value, json } = answer.map_err(|failure| reconnect::unanswered(failure, is_auto).told_by(tell))?;
    tell_answers(&value);
    for KeptEntry { list, prefix, layer, owner, detail } in &value.kept {
        let words = format!("note: {prefix} in `{list}` ({} of {owner}) {detail}", layer.label());
        output::words(&escaped(&words));
    }
    if let Some(more @ 1..) = value.kept_count.checked_sub(value.kept.len()) {
        output::words(&format!("note: {} more that stay", grouped(more)));
    }
    match output {
        Output::Json if value.dry_run => output::data(&json),
        output => {
            let (text, pending) = (said(&value, revision, Timestamp::now()), value.pending.as_ref());
            let pending = pending.filter(|_| !value.dry_run);
            reconnect::tell(client, output, MadeChange { json: &json, text, pending, is_auto })
        }
    }
}

/// A problem with the option that it is about.
fn tell(Problem { pointer, detail }: &Problem) -> String {
    match pointer.strip_prefix('/') {
        None => detail.clone(),
        Some(field) => format!("--{field}: {detail}"),
    }
}

/// `revision 9: undid revision 5 (2 added by ada, 2026-11-27T20:00:00Z (3m ago)): 2 removed, 1 kept`.
fn said(pushed: &Pushed, revision: u64, now: Timestamp) -> String {
    let of = pushed
        .undone
        .as_ref()
        .map(|push| format!(" ({} by {}, {})", counts(push), who(push), when::told(push.at, now)));
    let of = escaped(&of.unwrap_or_default()).into_owned();
    let (is_dry, done) =
        (pushed.dry_run, counts_of([pushed.added, pushed.refreshed, pushed.removed], pushed.kept_count));
    if is_dry {
        return changes(pushed) + &format!("dry run: would undo revision {revision}{of}: {done}; nothing was changed");
    }
    if [pushed.added, pushed.refreshed, pushed.removed] == [0; 3] {
        return format!("revision {revision} stays{of}: {done}; nothing was changed");
    }
    format!("revision {}: undid revision {revision}{of}: {done}", pushed.revision)
}

/// `2 added, 1 removed`, or `nothing`.
fn counts(push: &PushSummary) -> String {
    counts_of([push.added, push.refreshed, push.removed], 0)
}

fn counts_of([added, refreshed, removed]: [usize; 3], kept: usize) -> String {
    let all = [(added, "added"), (refreshed, "refreshed"), (removed, "removed"), (kept, "kept")];
    let told: Vec<String> =
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// `root (ada)`.
fn who(PushSummary { owner, person, .. }: &PushSummary) -> String {
    person.as_ref().map_or_else(|| owner.clone(), |person| format!("{owner} ({person})"))
}

fn list(client: &Client, output: Output, limit: usize) -> Result<(), Failure> {
    let answer = client.get::<Pushes>(&format!("/v1/pushes?limit={limit}"));
    let Answer { value, json } = answer.map_err(|failure| failure.told_by(tell))?;
    match output {
        Output::Json => output::data(&json),
        Output::Table if value.pushes.is_empty() => {
            output::words("note: there is no push since the daemon started that can be undone");
            Ok(())
        }
        Output::Table => {
            output::data(table(&value, Timestamp::now()).to_string().as_bytes())?;
            if let Some(more @ 1..) = value.count.checked_sub(value.pushes.len()) {
                output::words(&format!("note: {} older ones; `--limit` shows more", grouped(more)));
            }
            Ok(())
        }
    }
}

fn table(pushes: &Pushes, now: Timestamp) -> TextTable<5> {
    let mut table = TextTable::new(["REVISION", "WHEN", "BY", "LISTS", "CHANGES"]);
    for push in &pushes.pushes {
        let undoes = push.undoes.map(|of| format!(" (undid {of})")).unwrap_or_default();
        table.push([
            push.revision.to_string(),
            when::told(push.at, now),
            who(push),
            push.lists.join(", "),
            counts(push) + &undoes,
        ]);
    }
    table
}
