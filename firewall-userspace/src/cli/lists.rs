//! `portcullis allow|deny add|remove|replace|list`.

use std::{env, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    batch::{self, BatchItem},
    client::{Answer, Client},
    entries::{self, EntryForm},
    failure::Failure,
    output::{self, Output},
    reconnect::{self, MadeChange},
    sync,
    terms::TermsArgs,
};
use crate::{
    control::{Addition, AddressAnswer, EntryChange, EntryChangeKind, Push, Pushed, Removal, Sync, SyncLine, Verb},
    lists::entry::Layer,
    serve::http::problem::codes,
    text::{problem::Problem, shown},
};

/// What the first line of an export says that it is.
pub const EXPORT: &str = "portcullis.export/v1";

/// What to do with a list.
#[derive(Clone, Debug, Subcommand)]
pub enum ListCommand {
    /// Add prefixes to a list: all of them, or none.
    ///
    /// They stay over reloads, restarts and reboots. Adding a prefix again refreshes its time to live and comment.
    Add(AddArgs),
    /// Remove prefixes that this user added: all of them, or none.
    ///
    /// What others and the configuration have in the list stays, and the answer names it.
    Remove(RemoveArgs),
    /// Make these prefixes all that a list has of this user in a layer: all of it happens, or nothing.
    ///
    /// What the configuration and other layers have in the list stays.
    Replace(AddArgs),
    /// Show the entries of one list, or of all that services use this way.
    List(ListArgs),
}

/// A layer that can be pushed into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PushLayer {
    /// By hand.
    #[default]
    Runtime,
    /// A list that others publish.
    Feed,
    /// What the hosts of a fleet share.
    Fleet,
    /// Sources that something has found to misbehave.
    Ban,
}

impl From<PushLayer> for Layer {
    fn from(layer: PushLayer) -> Self {
        match layer {
            PushLayer::Runtime => Self::Runtime,
            PushLayer::Feed => Self::Feed,
            PushLayer::Fleet => Self::Fleet,
            PushLayer::Ban => Self::Ban,
        }
    }
}

/// Which prefixes.
#[derive(Args, Clone, Debug)]
pub struct Prefixes {
    /// Name of the list.
    #[arg(value_name = "LIST")]
    list: String,
    /// Addresses (`192.0.2.1`) and prefixes (`192.0.2.0/24`, `2001:db8::/32`).
    #[arg(value_name = "PREFIX", required_unless_present = "file")]
    prefixes: Vec<String>,
    /// File with one prefix a line and `#` comments, `-` for standard input; may be repeated.
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// Whose entries they are: a change of one layer leaves the others alone.
    #[arg(long, value_name = "LAYER", value_enum, default_value_t)]
    layer: PushLayer,
}

/// Arguments of `add`.
#[derive(Args, Clone, Debug)]
pub struct AddArgs {
    #[command(flatten)]
    prefixes: Prefixes,
    /// Remove them again after this time, such as `90s`, `1h30m`, `7d` or `3600` (seconds).
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Arguments of `remove`.
#[derive(Args, Clone, Debug)]
pub struct RemoveArgs {
    #[command(flatten)]
    prefixes: Prefixes,
    /// Remove what this user added, by hand or as a ban.
    #[arg(long, value_name = "NAME", conflicts_with = "layer")]
    owner: Option<String>,
    /// Remove what anybody added, by hand or as a ban.
    #[arg(long, conflicts_with_all = ["layer", "owner"])]
    all: bool,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Arguments of `list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Name of the list; without it, all.
    #[arg(value_name = "LIST")]
    list: Option<String>,
    /// Only entries that cover this address or prefix.
    #[arg(long, value_name = "PREFIX")]
    covers: Option<String>,
    /// Only entries inside this prefix.
    #[arg(long, value_name = "PREFIX")]
    inside: Option<String>,
    /// Only entries of this owner.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only entries of this layer.
    #[arg(long, value_name = "LAYER", value_enum)]
    layer: Option<ListedLayer>,
    /// Write what was pushed, and nothing of the configuration, for `portcullis restore`: one JSON object a line, with owner, layer,
    /// times and comment.
    #[arg(long)]
    export: bool,
    /// Only entries that end before this time (`2026-12-01T00:00:00Z`), or within this length of time (`7d`).
    #[arg(long, value_name = "TIME")]
    expires_before: Option<String>,
}

/// A layer of entries, that of the configuration included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListedLayer {
    /// The configuration and its list files.
    Config,
    /// By hand.
    Runtime,
    /// A list that others publish.
    Feed,
    /// What the hosts of a fleet share.
    Fleet,
    /// Sources that something has found to misbehave.
    Ban,
}

impl ListArgs {
    /// The query of `GET /v1/entries`: names and values.
    fn query(self) -> Vec<(&'static str, String)> {
        let layer = self.layer.map(|layer| match layer {
            ListedLayer::Config => Layer::Config,
            ListedLayer::Runtime => Layer::Runtime,
            ListedLayer::Feed => Layer::Feed,
            ListedLayer::Fleet => Layer::Fleet,
            ListedLayer::Ban => Layer::Ban,
        });
        let fields = [
            ("list", self.list),
            ("covers", self.covers),
            ("inside", self.inside),
            ("owner", self.owner),
            ("layer", layer.map(|layer| layer.label().to_owned())),
            ("expires_before", self.expires_before),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Does it.
pub fn run(client: &Client, output: Output, verb: Verb, command: ListCommand) -> Result<(), Failure> {
    match command {
        ListCommand::List(args) => {
            let (list, is_export) = (args.list.clone(), args.export);
            entries::run(
                client,
                if is_export { EntryForm::Export } else { output.into() },
                verb,
                list.as_deref(),
                &args.query(),
            )
        }
        ListCommand::Add(args) => add(client, output, verb, args, false),
        ListCommand::Replace(args) => add(client, output, verb, args, true),
        ListCommand::Remove(RemoveArgs { prefixes: Prefixes { list, prefixes, file, layer }, owner, all, terms }) => {
            let items = batch::read(prefixes, &file)?;
            if items.len() >= sync::STREAMED_FROM && terms.confirm.is_none() {
                let asked = Sync { remove_of: owner, remove_all: all, ..synced(client, verb, layer.into(), terms) };
                let line = move |item: BatchItem| SyncLine { remove: true, ..plain_line(&list, &item) };
                return stream(client, output, &asked, items, line, "remove");
            }
            let is_auto = terms.is_auto();
            let removal = |item: &BatchItem| Removal { list: list.clone(), prefix: item.text.clone() };
            let remove = items.iter().map(removal).collect();
            let push =
                Push { remove, layer: layer.into(), remove_of: owner, remove_all: all, ..asked(client, verb, terms) };
            change(client, output, (&push, is_auto), &items, "remove")
        }
    }
}

/// Adds prefixes; with `replaces`, so that the list has no other ones.
fn add(client: &Client, output: Output, verb: Verb, args: AddArgs, replaces: bool) -> Result<(), Failure> {
    let AddArgs { prefixes: Prefixes { list, prefixes, file, layer }, ttl, comment, terms } = args;
    let items = batch::read(prefixes, &file)?;
    let action = if replaces { "replace" } else { "add" };
    if items.len() >= sync::STREAMED_FROM && terms.confirm.is_none() {
        let replace = if replaces { vec![list.clone()] } else { Vec::new() };
        let asked = Sync { replace, ..synced(client, verb, layer.into(), terms) };
        let line =
            move |item: BatchItem| SyncLine { ttl: ttl.clone(), comment: comment.clone(), ..plain_line(&list, &item) };
        return stream(client, output, &asked, items, line, action);
    }
    let addition = |item: &BatchItem| Addition {
        list: list.clone(),
        prefix: item.text.clone(),
        ttl: ttl.clone(),
        comment: comment.clone(),
    };
    let add = items.iter().map(addition).collect();
    let replace = if replaces { vec![list.clone()] } else { Vec::new() };
    let is_auto = terms.is_auto();
    let push = Push { add, replace, layer: layer.into(), ..asked(client, verb, terms) };
    change(client, output, (&push, is_auto), &items, action)
}

/// A sync on these terms.
fn synced(client: &Client, verb: Verb, layer: Layer, terms: TermsArgs) -> Sync {
    Sync { verb: Some(verb), person: person(), ..Sync::of(layer) }.on(terms.asked(client))
}

/// The line of a prefix of `list`.
fn plain_line(list: &str, item: &BatchItem) -> SyncLine<'static> {
    SyncLine {
        list: list.to_owned().into(),
        prefix: item.text.clone().into(),
        remove: false,
        ttl: None,
        comment: None,
        layer: None,
        owner: None,
        person: None,
        created: None,
        expires: None,
    }
}

/// Carries out a push of many entries.
fn stream(
    client: &Client,
    output: Output,
    sync: &Sync,
    items: Vec<BatchItem>,
    line: impl Fn(BatchItem) -> SyncLine<'static> + Send + 'static,
    action: &'static str,
) -> Result<(), Failure> {
    let items = Arc::new(items);
    let lines = {
        let items = Arc::clone(&items);
        (0..items.len()).filter_map(move |index| items.get(index).cloned()).map(line)
    };
    let answer = sync::push(client, sync, lines);
    let answer = answer.map_err(|failure| refused(failure, sync.verb, &items, action))?;
    tell_pushed(client, output, &answer, false)
}

fn asked(client: &Client, verb: Verb, terms: TermsArgs) -> Push {
    Push { verb: Some(verb), person: person(), ..Push::default() }.on(terms.asked(client))
}

/// The user behind `sudo` (sudo(8), `SUDO_USER`).
pub fn person() -> Option<String> {
    env::var("SUDO_USER").ok().filter(|person| !person.is_empty())
}

fn change(
    client: &Client,
    output: Output,
    (push, is_auto): (&Push, bool),
    items: &[BatchItem],
    action: &str,
) -> Result<(), Failure> {
    let body = serde_json::to_vec(push).map_err(|error| Failure::Write(error.into()))?;
    let too_large = if push.confirm.is_some() {
        "without `--confirm` it can have any size"
    } else {
        "push in parts; each part is all or nothing"
    };
    let answer = client
        .change::<Pushed>("/v1/entries", body, push.dry_run)
        .map_err(|failure| reconnect::unanswered(failure, is_auto))
        .map_err(|failure| refused(failure, push.verb, items, action).with_hint(codes::BODY_TOO_LARGE, too_large))?;
    tell_pushed(client, output, &answer, is_auto)
}

/// What the daemon refused, in the words of the caller.
fn refused(failure: Failure, verb: Option<Verb>, items: &[BatchItem], action: &str) -> Failure {
    let opposite = verb.unwrap_or(Verb::Allow).opposite().name();
    failure
        .told_by(|problem| tell(problem, items))
        .with_hint(codes::WRONG_VERB, format!("use `portcullis {opposite} {action}`"))
        .with_hint(codes::INVALID, "nothing was changed; correct the batch and push all of it again")
}

/// Writes what became of a push, which with `is_auto` a new connection confirms.
pub fn tell_pushed(
    client: &Client,
    output: Output,
    Answer { value, json }: &Answer<Pushed>,
    is_auto: bool,
) -> Result<(), Failure> {
    tell_answers(value);
    match output {
        Output::Json if value.dry_run => output::data(json),
        Output::Table if value.dry_run => output::data(preview(value).as_bytes()),
        output => {
            let revision = value.revision.max(value.generation);
            let text = format!("revision {revision}: {}", counts(value, ["added", "refreshed", "removed"]));
            reconnect::tell(client, output, MadeChange { json, text, pending: value.pending.as_ref(), is_auto })
        }
    }
}

/// Says what the caller should know of a push, and what addresses meet now.
pub fn tell_answers(pushed: &Pushed) {
    for note in &pushed.notes {
        output::words(&format!("note: {}", shown::escaped(note)));
    }
    for AddressAnswer { prefix, detail, .. } in &pushed.answers {
        output::words(&format!("note: {prefix} {}", shown::escaped(detail)));
    }
    if let Some(more @ 1..) = pushed.differing.checked_sub(pushed.answers.len()) {
        output::words(&format!("note: {} more of these", shown::grouped(more)));
    }
}

/// What a push would do.
fn preview(pushed: &Pushed) -> String {
    let counts = counts(pushed, ["to add", "to refresh", "to remove"]);
    changes(pushed) + &format!("dry run: {counts}; nothing was changed")
}

/// What a push would do, entry by entry, each in a line.
pub fn changes(pushed: &Pushed) -> String {
    let mut text = String::new();
    for EntryChange { list, prefix, change } in &pushed.changes {
        let sign = match change {
            EntryChangeKind::Added => '+',
            EntryChangeKind::Refreshed => '~',
            EntryChangeKind::Removed => '-',
        };
        text.push_str(&format!("{sign} {} {prefix}\n", shown::escaped(list)));
    }
    let shown = |change| pushed.changes.iter().filter(|one| one.change == change).count();
    for (kind, change, count) in [
        ("to add", EntryChangeKind::Added, pushed.added),
        ("to refresh", EntryChangeKind::Refreshed, pushed.refreshed),
        ("to remove", EntryChangeKind::Removed, pushed.removed),
    ] {
        if let Some(more @ 1..) = count.checked_sub(shown(change)) {
            text.push_str(&format!("and {} more {kind}\n", shown::grouped(more)));
        }
    }
    text
}

/// `2 added, 1 refreshed, 0 removed, 0 unchanged`; what is refreshed only when something is.
fn counts(pushed: &Pushed, [added, refreshed, removed]: [&str; 3]) -> String {
    let mut text = format!("{} {added}", pushed.added);
    if pushed.refreshed > 0 {
        text.push_str(&format!(", {} {refreshed}", pushed.refreshed));
    }
    text + &format!(", {} {removed}, {} unchanged", pushed.removed, pushed.unchanged)
}

/// A problem with the place where the caller wrote what is wrong, instead of a pointer into the request.
fn tell(Problem { pointer, detail }: &Problem, items: &[BatchItem]) -> String {
    let mut steps = pointer.split('/').skip(2);
    let item = steps.next().and_then(|index| index.parse::<usize>().ok()).and_then(|index| items.get(index));
    match (steps.next(), item) {
        _ if pointer.starts_with("/replace/") => detail.clone(),
        // The same for all prefixes; the detail names the list.
        (Some("list"), Some(_)) => detail.clone(),
        (Some(option @ ("ttl" | "comment")), Some(_)) => format!("--{option}: {detail}"),
        (_, Some(BatchItem { place: Some((file, line)), .. })) => format!("{file}:{line}: {detail}"),
        (_, Some(BatchItem { text, place: None })) => {
            let why = detail.strip_prefix(&format!("`{text}` ")).unwrap_or(detail);
            format!("{text}: {why}")
        }
        (_, None) if pointer == "/confirm" => format!("--confirm: {detail}"),
        (_, None) if pointer.is_empty() => detail.clone(),
        (_, None) => format!("{pointer}: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_where_it_was_written() {
        let item = |text: &str, place| BatchItem { text: text.to_owned(), place };
        let items = [item("10.0.0.7/24", None), item("x", Some((Arc::from("a.txt"), 7)))];
        for (pointer, detail, wanted) in [
            ("/add/0/prefix", "`10.0.0.7/24` has host bits set", "10.0.0.7/24: has host bits set"),
            ("/remove/0", "it is both", "10.0.0.7/24: it is both"),
            ("/add/1/prefix", "`x` is not a prefix", "a.txt:7: `x` is not a prefix"),
            ("/add/1/list", "there is no list `y`", "there is no list `y`"),
            ("/add/1/ttl", "`1` has no unit", "--ttl: `1` has no unit"),
            ("/add/2/prefix", "strange", "/add/2/prefix: strange"),
            ("", "strange", "strange"),
        ] {
            assert_eq!(tell(&Problem { pointer: pointer.into(), detail: detail.into() }, &items), wanted);
        }
    }
}
