//! `portcullis audit`: who asked for which change, and whether that is as it was written.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    client::{Answer, Client},
    failure::{self, Failure},
    output::{self, Output},
    table::TextTable,
};
use crate::{
    config,
    control::{AuditList, Status},
    doctor::{
        Level,
        posture::{LiveFacts, examine},
    },
    exit::Exit,
    state::audit::{AuditHash, AuditRecord, AuditWhat, VerifiedLog, verify},
    text::{
        problem::Problem,
        shown::{counted, grouped},
        when,
    },
};

/// What to do with the audit log.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Show who asked for which change and what came of it, the newest first.
    List(AuditListArgs),
    /// Say whether the log is as it was written: exit code 0 when it is, 1 when a line was changed, removed, reordered or cut off,
    /// with its place.
    ///
    /// It reads the files, and needs no daemon. Whoever can write them can write them anew as a whole: compare the head with what the
    /// log of the daemon has (`journalctl -u portcullis -g 'head of the audit log'`).
    Verify(AuditVerifyArgs),
    /// Look at this installation as an attacker would: who may change what the daemon believes, from where the API can be reached, what
    /// only observes, what nobody filters. Exit code 1 when something is found.
    Posture(PostureArgs),
}

/// Arguments of `posture`.
#[derive(Args, Clone, Debug)]
pub struct PostureArgs {
    /// The configuration of the daemon.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

/// Arguments of `list`.
#[derive(Args, Clone, Debug)]
pub struct AuditListArgs {
    /// Not before this time, or not longer ago than this length of time, such as `1h`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what this one asked for.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only this: `push`, `reload`, `failed_authentication`, ...
    #[arg(long, value_name = "WHAT", value_parser = AuditWhat::ALL.map(AuditWhat::label))]
    what: Option<String>,
    /// At most so many lines.
    #[arg(long, value_name = "NUMBER", default_value_t = AuditList::TOLD)]
    limit: usize,
}

/// Arguments of `verify`.
#[derive(Args, Clone, Debug)]
pub struct AuditVerifyArgs {
    /// The `directory` of [state] in the configuration.
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_STATE_DIRECTORY)]
    state_directory: PathBuf,
    /// A hash that a line has to have: a head that was told before.
    #[arg(long, value_name = "HASH")]
    head: Option<AuditHash>,
}

/// Does it.
pub fn run(client: &Client, output: Output, command: AuditCommand) -> ExitCode {
    match command {
        AuditCommand::List(args) => {
            list(client, output, &args).map_or_else(|failure| failure.report(output), |()| ExitCode::SUCCESS)
        }
        AuditCommand::Verify(args) => verified(output, &args),
        AuditCommand::Posture(args) => posture(client, output, &args),
    }
}

/// Looks; exit code 1 when something is found.
fn posture(client: &Client, output: Output, PostureArgs { config }: &PostureArgs) -> ExitCode {
    let status = client.get::<Status>("/v1/status").map(|answer| answer.value).map_err(|failure| failure.to_string());
    let findings = examine(config, &LiveFacts { status });
    let written = match output {
        Output::Table => output::data(super::doctor::table(&findings).as_bytes()),
        Output::Json => json(&findings).and_then(|json| output::data(&json)),
    };
    match written {
        Err(failure) => failure.report(output),
        Ok(()) if findings.worst() == Level::Ok => ExitCode::SUCCESS,
        Ok(()) => Exit::Negative.into(),
    }
}

fn list(client: &Client, output: Output, args: &AuditListArgs) -> Result<(), Failure> {
    let (mut records, mut next): (Vec<AuditRecord>, Option<u64>) = (Vec::new(), None);
    loop {
        let limit = (args.limit - records.len()).min(AuditList::MOST);
        let path = path(args, limit, next);
        let answer = client.get::<AuditList>(&path).map_err(|failure| failure.told_by(tell))?;
        let Answer { value: AuditList { records: more, next: before, .. }, .. } = answer;
        records.extend(more);
        next = before;
        if next.is_none() || records.len() >= args.limit {
            break;
        }
    }
    match output {
        Output::Json => output::data(&json(&AuditList::new(records, next))?),
        Output::Table if records.is_empty() => {
            output::words("note: the audit log has nothing of this");
            Ok(())
        }
        Output::Table => {
            output::data(table(&records, Timestamp::now()).to_string().as_bytes())?;
            if next.is_some() {
                output::words("note: there are older ones; `--limit` shows more");
            }
            Ok(())
        }
    }
}

/// A problem with the option that it is about.
fn tell(Problem { pointer, detail }: &Problem) -> String {
    pointer.strip_prefix('/').map_or_else(|| detail.clone(), |field| format!("--{field}: {detail}"))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::Write(error.into()))
}

/// The path of the page before the line `before`.
fn path(args: &AuditListArgs, limit: usize, before: Option<u64>) -> String {
    let mut path = format!("/v1/audit?limit={limit}");
    for (name, value) in [("since", &args.since), ("who", &args.who), ("what", &args.what)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", in_query(value)));
        }
    }
    if let Some(before) = before {
        path.push_str(&format!("&before={before}"));
    }
    path
}

/// `text` as a value in a query (RFC 3986 section 2.1).
fn in_query(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(octet.into()),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn table(records: &[AuditRecord], now: Timestamp) -> TextTable<6> {
    let mut table = TextTable::new(["WHEN", "WHO", "BY", "WHAT", "RESULT", "SUMMARY"]);
    for record in records {
        let by = record.peer.as_ref().map(|peer| format!("{} {peer}", record.method));
        table.push([
            when::told(record.time, now),
            record.who.clone(),
            by.unwrap_or_else(|| record.method.clone()),
            record.what.label().into(),
            record.result.clone(),
            record.summary.clone(),
        ]);
    }
    table
}

/// What `verify` found, as data.
#[derive(Serialize)]
struct VerificationDocument {
    schema: &'static str,
    folder: PathBuf,
    #[serde(flatten)]
    verified: VerifiedLog,
}

fn verified(output: Output, AuditVerifyArgs { state_directory, head }: &AuditVerifyArgs) -> ExitCode {
    let folder = state_directory.join("audit");
    let verified = match verify(&folder, *head) {
        Ok(verified) => verified,
        Err(error) => {
            let words = format!("error: cannot read the audit log in {}: {error}", folder.display());
            return failure::refuse(output, "refused", Exit::Refused, &words);
        }
    };
    let exit = if verified.fault.is_some() { Exit::Negative.into() } else { ExitCode::SUCCESS };
    let written = match output {
        Output::Json => {
            let schema = "portcullis.audit_verification/v1";
            json(&VerificationDocument { schema, folder, verified }).and_then(|json| output::data(&json))
        }
        Output::Table => output::data(said(&verified).as_bytes()),
    };
    written.map_or_else(|failure| failure.report(output), |()| exit)
}

/// It in words.
fn said(verified: &VerifiedLog) -> String {
    let VerifiedLog { lines, files, first, last, last_hash, torn, fault, .. } = verified;
    let count = |count: u64, thing| counted(usize::try_from(count).unwrap_or(usize::MAX), thing);
    if let Some(fault) = fault {
        return format!("{}: {fault}", fault.kind.label());
    }
    let Some((last, hash)) = last.zip(*last_hash) else { return "the log has no line".into() };
    let from = usize::try_from(first.unwrap_or(1)).map(grouped).unwrap_or_default();
    let to = usize::try_from(last).map(grouped).unwrap_or_default();
    let mut text = format!(
        "{} in {}, from {from} to {to}, as they were written; the hash of the last one is {hash}",
        count(*lines, "line"),
        counted(*files, "file")
    );
    if *torn > 0 {
        let torn = count(*torn, "octet");
        text.push_str(&format!(
            "\n{torn} behind it are no whole line: a daemon was killed, and the next one cuts them off"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_written_into_the_path_as_it_is() {
        let args =
            AuditListArgs { since: Some("1h".into()), who: Some("a&b=ä".into()), what: Some("push".into()), limit: 5 };
        assert_eq!(path(&args, 5, Some(7)), "/v1/audit?limit=5&since=1h&who=a%26b%3D%C3%A4&what=push&before=7");
    }
}
