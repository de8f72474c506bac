//! `portcullis token create|list|rotate|revoke`: secrets of programs that use the API over a network.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::Duration,
};

use axum::body::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    client::{Answer, Client},
    failure::Failure,
    lists::PushLayer,
    output::{self, Output},
    table::TextTable,
};
use crate::{
    control::{CreateToken, IssuedToken, RevokedTokenView, RotateToken, TokenView, Tokens},
    policy::{EntryVerb, Name, Prefix, Role, Scope},
    text::{duration, problem::Problem, shown::escaped, when},
};

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: it is shown this once. Words go to standard error.
    ///
    /// Whoever has it may do over the network what its role says. Without `--ttl` it ends after 90 days.
    Create(CreateTokenArgs),
    /// Show the tokens that there are, without their secrets.
    List,
    /// Give a token another secret and print it. The one before counts for a while, so that whoever has it can take the new one.
    Rotate(RotateTokenArgs),
    /// Remove a token: the next request with it is refused.
    Revoke(RevokeTokenArgs),
}

/// Arguments of `create`.
#[derive(Args, Clone, Debug)]
pub struct CreateTokenArgs {
    /// Its name: what its holder pushes belongs to `token:NAME`.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What its holder may do: look, change entries, or everything.
    #[arg(long, value_name = "ROLE", value_enum)]
    role: RoleName,
    /// Only entries of this list; may be repeated. This and what follows narrows the role of an operator.
    #[arg(long, value_name = "LIST", value_parser = name)]
    list: Vec<String>,
    /// Only entries inside this prefix; may be repeated.
    #[arg(long, value_name = "PREFIX")]
    inside: Vec<Prefix>,
    /// Only entries that end after this time or before, such as `24h`.
    #[arg(long, value_name = "TIME", value_parser = length)]
    max_ttl: Option<Duration>,
    /// Only IPv4 prefixes of this length or longer.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    min_length: Option<u8>,
    /// Only IPv6 prefixes of this length or longer.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    min_length_v6: Option<u8>,
    /// Only entries of this layer; may be repeated.
    #[arg(long, value_name = "LAYER", value_enum)]
    layer: Vec<PushLayer>,
    /// Only this; may be repeated.
    #[arg(long, value_name = "VERB", value_enum)]
    verb: Vec<VerbName>,
    /// How long it counts, such as `90d`; `never`: until it is revoked.
    #[arg(long, value_name = "TIME", default_value = CreateToken::TTL)]
    ttl: String,
    #[command(flatten)]
    place: TokenPlace,
}

/// Arguments of `rotate`.
#[derive(Args, Clone, Debug)]
pub struct RotateTokenArgs {
    /// Its name.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// How long the secret before still counts, at most `7d`; `0s`: not at all.
    #[arg(long, value_name = "TIME", default_value = RotateToken::OVERLAP)]
    overlap: String,
    #[command(flatten)]
    place: TokenPlace,
}

/// Arguments of `revoke`.
#[derive(Args, Clone, Debug)]
pub struct RevokeTokenArgs {
    /// Its name.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
}

/// Where a new secret goes.
#[derive(Args, Clone, Debug)]
struct TokenPlace {
    /// Write it to this file, which is made with mode 0600, instead of standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// A role, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Look.
    Viewer,
    /// Change entries.
    Operator,
    /// Everything.
    Admin,
}

/// What a change does with an entry, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerbName {
    /// Add to lists that let in.
    Allow,
    /// Add to lists that keep out.
    Deny,
    /// Remove.
    Remove,
}

/// Does it.
pub fn run(client: &Client, output: Output, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => {
            let place = args.place.clone();
            let body = json(&args.asked())?;
            issue(client, output, "/v1/tokens", body, place)
        }
        TokenCommand::Rotate(RotateTokenArgs { name, overlap, place }) => {
            let body = json(&RotateToken { overlap: Some(overlap) })?;
            issue(client, output, &format!("/v1/tokens/{name}/rotate"), body, place)
        }
        TokenCommand::List => list(client, output),
        TokenCommand::Revoke(RevokeTokenArgs { name }) => {
            let Answer { json, .. } = client.remove::<RevokedTokenView>(&format!("/v1/tokens/{name}"))?;
            match output {
                Output::Json => output::data(&json),
                Output::Table => {
                    output::data(format!("revoked {name}: the next request with it is refused").as_bytes())
                }
            }
        }
    }
}

impl CreateTokenArgs {
    /// What the daemon is asked for.
    fn asked(self) -> CreateToken {
        let Self { name, role, list, inside, max_ttl, min_length, min_length_v6, layer, verb, ttl, place: _ } = self;
        let scope = Scope {
            lists: set(list),
            prefixes: set(inside),
            max_ttl_seconds: max_ttl.map(|ttl| ttl.as_secs().max(1)),
            min_length_v4: min_length,
            min_length_v6,
            layers: set(layer.into_iter().map(Into::into).collect()),
            verbs: set(verb.into_iter().map(Into::into).collect()),
        };
        CreateToken { name, role: role.into(), scope, ttl: Some(ttl) }
    }
}

/// Asks for a secret and hands it over.
fn issue(client: &Client, output: Output, path: &str, body: Bytes, place: TokenPlace) -> Result<(), Failure> {
    // A secret that cannot be written anywhere would be lost: the file is there first.
    let mut file = place.to.map(TokenFile::create).transpose()?;
    let answer = client.change::<IssuedToken>(path, body, false).map_err(|failure| failure.told_by(tell))?;
    let Answer { value, json } = answer;
    let IssuedToken { token, about, .. } = &value;
    let now = Timestamp::now();
    match &mut file {
        Some(file) => file.fill(token.reveal())?,
        None if output == Output::Table => output::data(token.reveal().as_bytes())?,
        None => output::data(&json)?,
    }
    if let (Some(_), Output::Json) = (&file, output) {
        output::data(&without_secret(&json)?)?;
    }
    output::words(&escaped(&said(about, now)));
    output::words(match file {
        Some(_) => "note: the secret is in the file, and nowhere else",
        None => "note: the secret is not shown again",
    });
    Ok(())
}

/// `token ci (operator): ends 2026-12-01T00:00:00Z (in 90d)`.
fn said(token: &TokenView, now: Timestamp) -> String {
    let mut text = format!("token {} ({}): ", token.name, rights(token));
    match token.expires {
        Some(end) => text.push_str(&format!("ends {}", when::told(end, now))),
        None => text.push_str("never ends"),
    }
    if let Some(until) = token.overlaps_until {
        text.push_str(&format!("; the secret before counts until {}", when::told(until, now)));
    }
    text
}

fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let Answer { value: Tokens { tokens, .. }, json } = client.get::<Tokens>("/v1/tokens")?;
    if output == Output::Json {
        return output::data(&json);
    }
    if tokens.is_empty() {
        output::words("note: there are no tokens; `portcullis token create` makes one");
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table = TextTable::new(["NAME", "ROLE", "MADE", "ENDS", "LAST USED"]);
    for token in &tokens {
        let ends = match (token.expires, token.overlaps_until) {
            (None, _) => "never".to_owned(),
            (Some(end), _) if token.expired => format!("OVER: {}", when::told(end, now)),
            (Some(end), _) => when::told(end, now),
        };
        table.push([
            token.name.clone(),
            rights(token),
            format!("{} by {}", when::told(token.created, now), token.created_by),
            ends,
            token.last_used.map_or_else(|| "never".to_owned(), |at| when::told(at, now)),
        ]);
    }
    output::data(table.to_string().as_bytes())
}

/// `operator; lists partners, other; inside 198.51.100.0/24`.
fn rights(token: &TokenView) -> String {
    let Scope { lists, prefixes, max_ttl_seconds, min_length_v4, min_length_v6, layers, verbs } = &token.scope;
    let joined = |what: &str, all: Vec<String>| {
        format!("{what} {}", if all.is_empty() { "none".into() } else { all.join(", ") })
    };
    let narrowed = [
        lists.as_ref().map(|all| joined("lists", all.iter().cloned().collect())),
        prefixes.as_ref().map(|all| joined("inside", all.iter().map(ToString::to_string).collect())),
        max_ttl_seconds.map(|most| format!("at most {most} s")),
        min_length_v4.map(|least| format!("IPv4 /{least} or longer")),
        min_length_v6.map(|least| format!("IPv6 /{least} or longer")),
        layers.as_ref().map(|all| joined("layers", all.iter().map(|layer| layer.label().to_owned()).collect())),
        verbs.as_ref().map(|all| joined("may", all.iter().map(|verb| verb.label().to_owned()).collect())),
    ];
    let all: Vec<String> = [token.role.label().to_owned()].into_iter().chain(narrowed.into_iter().flatten()).collect();
    all.join("; ")
}

/// A file that a secret is to be written to; it is gone unless it was.
struct TokenFile {
    path: PathBuf,
    file: File,
    is_filled: bool,
}

impl TokenFile {
    fn create(path: PathBuf) -> Result<Self, Failure> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Self { path, file, is_filled: false }),
            Err(source) => Err(Failure::File { file: path, source }),
        }
    }

    fn fill(&mut self, secret: &str) -> Result<(), Failure> {
        let written: io::Result<()> = writeln!(self.file, "{secret}").and_then(|()| self.file.sync_all());
        written.map_err(|source| Failure::File { file: self.path.clone(), source })?;
        self.is_filled = true;
        Ok(())
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if !self.is_filled {
            // It has nothing in it that anybody needs.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The answer without its secret.
fn without_secret(json: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |error: serde_json::Error| Failure::Write(error.into());
    let mut value: Value = serde_json::from_slice(json).map_err(failed)?;
    if let Some(members) = value.as_object_mut() {
        members.remove("token");
    }
    serde_json::to_vec(&value).map_err(failed)
}

/// A problem with the option that it is about.
fn tell(Problem { pointer, detail }: &Problem) -> String {
    match pointer.strip_prefix('/') {
        None => detail.clone(),
        Some(field) => format!("{}: {detail}", option_of(field)),
    }
}

fn option_of(field: &str) -> String {
    match field {
        "name" => "NAME".to_owned(),
        "scope" => "the options that narrow it".to_owned(),
        "scope/lists" => "--list".to_owned(),
        "scope/prefixes" => "--inside".to_owned(),
        "scope/max_ttl_seconds" => "--max-ttl".to_owned(),
        "scope/min_length_v4" => "--min-length".to_owned(),
        "scope/min_length_v6" => "--min-length-v6".to_owned(),
        field => format!("--{field}"),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(value).map(Into::into).map_err(|error| Failure::Write(error.into()))
}

fn set<T: Ord>(all: Vec<T>) -> Option<std::collections::BTreeSet<T>> {
    if all.is_empty() { None } else { Some(all.into_iter().collect()) }
}

fn name(text: &str) -> Result<String, String> {
    Name::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

fn length(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

impl From<VerbName> for EntryVerb {
    fn from(verb: VerbName) -> Self {
        match verb {
            VerbName::Allow => Self::Allow,
            VerbName::Deny => Self::Deny,
            VerbName::Remove => Self::Remove,
        }
    }
}
