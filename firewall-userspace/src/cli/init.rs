//! `portcullis init`: the first configuration of this host.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, error::ErrorKind};
use serde_json::{Value, json};

use super::{failure, output, output::Output, refuse_usage};
use crate::{
    config,
    exit::Exit,
    first::{self, FirstPlace, FirstPolicy, FirstSight, Profile},
    text::shown::shown_path,
};

/// Arguments of `portcullis init`.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// File to write. One that is there stays, unless it has no setting, only comments and blank lines, as the package installs it.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// What this host is for: its services are written too, although nobody listens there yet. May be given several times.
    #[arg(long, value_name = "NAME", value_enum)]
    profile: Vec<Profile>,
    /// Write without asking.
    #[arg(long)]
    yes: bool,
    /// Print the configuration, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Where units of systemd are (systemd.unit(5)), by the precedence of packages and administrators.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// There when systemd is the first process (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Looks at the host and writes its first configuration, unless somebody says no.
pub fn run(args: &InitArgs, output: Output) -> ExitCode {
    let is_asking = !args.yes && !args.dry_run;
    if is_asking && (output == Output::Json || !io::stdin().is_terminal()) {
        let message = "nobody can be asked here whether to write the configuration\nhint: `--yes` writes it, `--dry-run` prints it";
        refuse_usage(ErrorKind::MissingRequiredArgument, message);
    }
    match attempt(args, output, is_asking) {
        Ok(exit) => exit,
        Err((code, exit, words)) => failure::refuse(output, code, exit, &words),
    }
}

/// Why nothing was written: its code, its exit code, its words.
type Unwritten = (&'static str, Exit, String);

fn attempt(args: &InitArgs, output: Output, is_asking: bool) -> Result<ExitCode, Unwritten> {
    let path = &args.config;
    let refused = |words: &dyn std::fmt::Display| ("refused", Exit::Refused, format!("error: {words}"));
    let place = if args.dry_run { None } else { Some(FirstPlace::look(path).map_err(|error| refused(&error))?) };
    let sight = FirstSight::read().map_err(|error| refused(&error))?;
    let profiles: BTreeSet<Profile> = args.profile.iter().copied().collect();
    let policy = first::propose(&sight, &profiles);
    if policy.interfaces.is_empty() {
        let words = "no interface of this host can be filtered: none that is up has an Ethernet header and an address\n\
                     hint: `portcullis doctor` says what is in the way";
        return Err(refused(&words));
    }
    let text = policy.text();
    if let Err(report) = FirstPolicy::read(&text, &sight.given) {
        let words = format!(
            "{}error: the configuration for this host cannot be used, and is not written\nhint: this is a mistake of Portcullis; \
             please report it with what `portcullis init --dry-run` prints",
            report.render(false)
        );
        if !args.dry_run {
            return Err(("invalid_config", Exit::Invalid, words));
        }
        output::words(&words);
    }
    let next = next(path);
    let document = with(policy.document(path), &[("next", json!(next)), ("written", json!(place.is_some()))]);
    let Some(place) = place else { return print(output, &with(document, &[("text", json!(text))]), &text) };
    if is_asking && !is_agreed(&policy, path).map_err(|error| refused(&format!("cannot ask: {error}")))? {
        output::words("nothing was written");
        return Ok(Exit::Negative.into());
    }
    place.write(path, &text).map_err(|error| refused(&error))?;
    let steps: String = next.iter().map(|step| format!("\n  {step}")).collect();
    let said = format!("{}wrote {}; next:{steps}", policy.summary(), shown_path(path));
    print(output, &document, &said)
}

/// Shows what would be written, and asks.
fn is_agreed(policy: &FirstPolicy, path: &Path) -> io::Result<bool> {
    let mut stderr = io::stderr();
    write!(stderr, "{}Write {}? [y/N] ", policy.summary(), shown_path(path))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn print(output: Output, document: &Value, text: &str) -> Result<ExitCode, Unwritten> {
    let document = document.to_string();
    let data = if output == Output::Json { &document } else { text };
    match output::data(data.as_bytes()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Ok(failure.report(output)),
    }
}

fn with(mut document: Value, members: &[(&str, Value)]) -> Value {
    for (name, value) in members {
        document[*name] = value.clone();
    }
    document
}

/// The commands from a file to a filter that enforces, each with what it is for.
fn next(path: &Path) -> Vec<String> {
    let is_default = path == Path::new(config::DEFAULT_PATH);
    let has_unit = UNITS.iter().any(|folder| Path::new(folder).join("portcullis.service").exists());
    let file = shown_path(path);
    let start = match is_default && has_unit && Path::new(BOOTED).exists() {
        true => "systemctl enable --now portcullis".to_owned(),
        false => format!("portcullis run --config {file}"),
    };
    let steps = [
        (format!("portcullis check --host {file}"), "does it fit this host?"),
        (start, "count, and drop nothing yet"),
        ("portcullis status".to_owned(), "what would be dropped; `portcullis explain ADDRESS` says why"),
        ("portcullis mode enforce --confirm 5m".to_owned(), "drop; undone after five minutes without the next one"),
        ("portcullis confirm".to_owned(), "keep it"),
        (
            format!("sed -i 's/^mode = \"observe\"/mode = \"enforce\"/' {file}"),
            "and say so in the file, for `apply` and a new state folder",
        ),
    ];
    let widest = steps.iter().map(|(step, _)| step.chars().count()).max().unwrap_or(0);
    steps.iter().map(|(step, what)| format!("{step:<widest$}  # {what}")).collect()
}
