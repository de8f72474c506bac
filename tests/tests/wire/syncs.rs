//! Pushes of any size: streamed, told, cancelled, exported and restored.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::{FRIEND4, HOST4, Lab, MANAGER4},
    traffic::Probe,
};
use serde_json::Value;

use crate::policy::{DATA, POLICY};

/// Entries of a push that is taken back as a sync.
const VERY_MANY: u32 = 70_000;

/// Entries of a push that the command line streams.
const MANY: u32 = 20_000;

fn file(lab: &Lab, name: &str, numbers: std::ops::Range<u32>, and: &str) -> Result<String> {
    let mut text: String =
        numbers.map(|number| format!("{}\n", std::net::Ipv4Addr::from(0x0a00_0000 + number))).collect();
    text.push_str(and);
    let file = lab.trial.write(name, &text)?;
    Ok(file.to_str().context("the path is text")?.to_owned())
}

/// The revision that an answer begins with.
fn revision_of(said: &str) -> Result<&str> {
    let begin = said.strip_prefix("revision ").and_then(|rest| rest.split(':').next());
    begin.with_context(|| format!("no revision: {said}"))
}

/// Entries of a list that were pushed.
fn count(daemon: &Daemon<'_>, list: &str) -> Result<usize> {
    let listed: Value = serde_json::from_str(&daemon.ok(&["deny", "list", list, "-o", "json"])?)?;
    let entries = listed["entries"].as_array().context("entries")?;
    Ok(entries.iter().filter(|entry| entry["layer"] != "config").count())
}

#[test]
fn a_push_of_thousands_is_streamed_and_exported_and_restored_with_owner_and_comment() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, MANAGER4)?;
    ensure!(probe.arrives(FRIEND4)?, "friends may");
    let first = file(&lab, "first.txt", 0..MANY, FRIEND4)?;
    let said =
        daemon.ok(&["deny", "replace", "foes", "--file", &first, "--ttl", "2h", "--comment", "feed of today"])?;
    ensure!(said.contains("20001 added, 0 removed, 0 unchanged"), "{said}");
    ensure!(!probe.arrives(FRIEND4)?, "it is denied");
    let export = daemon.ok(&["deny", "list", "foes", "--export"])?;
    ensure!(export.lines().count() == MANY as usize + 2, "{} lines", export.lines().count());

    let second = file(&lab, "second.txt", MANY / 2..MANY * 2, "")?;
    let said = daemon.ok(&["deny", "replace", "foes", "--file", &second, "--force"])?;
    ensure!(said.contains("20000 added, 10000 refreshed, 10001 removed, 0 unchanged"), "{said}");
    ensure!(probe.arrives(FRIEND4)?, "it is out again");
    let revision = revision_of(&said)?.to_owned();
    daemon.kill()?;
    drop(daemon);
    let daemon = Daemon::start_at(&lab, Site::of(&lab.trial))?;
    ensure!(count(&daemon, "foes")? == 30_000, "{} of {revision}", count(&daemon, "foes")?);

    let saved = lab.trial.write("foes.jsonl", &export)?;
    let said = daemon.ok(&["restore", saved.to_str().context("text")?])?;
    ensure!(said.contains("10001 added, 0 removed, 10000 unchanged"), "{said}");
    ensure!(!probe.arrives(FRIEND4)?, "it is denied again");
    let twice = lab.trial.write("twice.jsonl", &format!("{export}{export}"))?;
    let again = daemon.ok(&["restore", "--dry-run", twice.to_str().context("text")?])?;
    ensure!(again.contains("0 to add, 0 to remove, 40002 unchanged"), "{again}");
    // One that is over is in nobody's way, and one that changes nothing has nobody in its way.
    daemon.ok(&["deny", "add", "foes", "203.0.113.1", "--confirm", "60s"])?;
    daemon.ok(&["restore", "--dry-run", twice.to_str().context("text")?])?;
    daemon.ok(&["confirm"])?;
    let wrong = lab.trial.write("wrong.jsonl", &export.replace("\"10.0.0.7/32\"", "\"10.0.0.7/33\""))?;
    let wrong = wrong.to_str().context("text")?;
    let refused = daemon.cli(&["restore", wrong])?;
    ensure!(refused.code == 5 && refused.stderr.contains(&format!("{wrong}:9: ")), "{refused:?}");
    let listed: Value =
        serde_json::from_str(&daemon.ok(&["deny", "list", "foes", "--covers", FRIEND4, "-o", "json"])?)?;
    let entry = listed["entries"].get(0).context("an entry")?;
    ensure!(entry["comment"] == "feed of today" && entry["owner"] == "root", "{entry}");
    ensure!(entry["expires"].is_string() && export.contains(entry["created"].as_str().context("created")?), "{entry}");
    let said = daemon.ok(&["undo", revision_of(&said)?])?;
    ensure!(said.contains(": 10001 removed"), "{said}");
    Ok(())
}

#[test]
fn a_push_of_very_many_is_taken_back() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, MANAGER4)?;
    let very_many = file(&lab, "very-many.txt", 0..VERY_MANY, FRIEND4)?;
    let said = daemon.ok(&["deny", "add", "foes", "--file", &very_many])?;
    ensure!(!probe.arrives(FRIEND4)?, "it is denied");
    let revision = revision_of(&said)?;
    let all = VERY_MANY as usize + 1;
    let previewed = daemon.ok(&["undo", revision, "--dry-run"])?;
    ensure!(previewed.contains(&format!("{all} removed")) && count(&daemon, "foes")? == all, "{previewed}");
    let undone = daemon.ok(&["undo", revision])?;
    ensure!(undone.contains(&format!("undid revision {revision} ({all} added by root")), "{undone}");
    ensure!(count(&daemon, "foes")? == 0 && probe.arrives(FRIEND4)?, "{undone}");
    let again = daemon.cli(&["undo", revision])?;
    ensure!(again.code != 0 && again.stderr.contains("hint: "), "{again:?}");
    Ok(())
}

#[test]
fn a_sync_that_is_cancelled_before_it_is_promised_says_so_and_changes_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let (daemon, site) = (Daemon::start(&lab, POLICY)?, Site::of(&lab.trial));
    let mut stream = UnixStream::connect(&site.socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let lines = "{\"verb\":\"deny\"}\n{\"list\":\"foes\",\"prefix\":\"10.0.0.1\"}\n";
    write!(
        stream,
        "POST /v1/sync HTTP/1.1\r\nHost: portcullis\r\nContent-Type: application/x-ndjson\r\n\
         Accept: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{lines}\r\n",
        lines.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("{\"progress\"") {
        line.clear();
        ensure!(answer.read_line(&mut line)? > 0, "the answer ended early");
    }
    let progress: Value = serde_json::from_str(&line)?;
    let number = progress["progress"]["sync"].as_u64().context("its number")?;
    let mut other = UnixStream::connect(&site.socket)?;
    other.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(other, "DELETE /v1/sync/{number} HTTP/1.1\r\nHost: portcullis\r\nConnection: close\r\n\r\n")?;
    let mut said = String::new();
    other.read_to_string(&mut said)?;
    ensure!(said.contains("\"cancelled\":true"), "{said}");
    let mut rest = String::new();
    answer.read_to_string(&mut rest)?;
    ensure!(rest.contains("\"problem\"") && rest.contains("\"code\":\"cancelled\""), "{rest}");
    ensure!(count(&daemon, "foes")? == 0);
    Ok(())
}
