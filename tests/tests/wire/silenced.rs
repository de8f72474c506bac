//! A daemon whose standard error cannot be written: full, closed by its reader, not read, or closed from the start. It goes on, and
//! says afterwards what is lost.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    api,
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    mounted::Disk,
    running::wait_until,
    traffic::Probe,
};
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
    sys::stat::Mode,
    unistd::mkfifo,
};
use serde_json::json;

use crate::policy::{DATA, POLICY};

/// Each is a line of the log; together they are more than a pipe of one page holds.
const PUSHES: usize = 60;

/// The daemon by way of a shell that does `before`, and opens what `redirections` say.
fn by_a_shell(lab: &Lab, site: &Site, before: &str, redirections: &str) -> Result<Command> {
    let daemon = site.command(&lab.host)?;
    let mut command = Command::new("sh");
    let script = format!("{before} exec \"$@\" {redirections}");
    command.args(["-c", &script, "sh"]).arg(daemon.get_program()).args(daemon.get_args());
    Ok(command)
}

/// Starts it so, with the policy of most tests.
pub fn start<'a>(lab: &'a Lab, before: &str, redirections: &str) -> Result<Daemon<'a>> {
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let command = by_a_shell(lab, &site, before, redirections)?;
    Daemon::start_by(lab, site, command)
}

fn push(daemon: &Daemon<'_>, prefix: &str) -> Result<()> {
    let body = json!({"add": [{"list": "friends", "prefix": prefix}]}).to_string();
    let answer = api::ask(&daemon.site().socket, "/v1/entries", Some(&body))?;
    ensure!(answer.status == 200, "{prefix}: {answer:?}");
    Ok(())
}

/// Pushes, reloads, asks, and lets a push go unconfirmed: all of it as ever.
fn everything_works(lab: &Lab, daemon: &mut Daemon<'_>) -> Result<()> {
    let probe = Probe::new(lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--confirm", "1s"])?;
    (0..PUSHES).try_for_each(|number| push(daemon, &format!("10.9.{number}.0/24")))?;
    let undone = || Ok((!daemon.ok(&["deny", "list", "foes"])?.contains(FRIEND4)).then_some(()));
    wait_until("a push that is undone because nobody confirms it", LIMIT, undone)?;
    daemon.reload()?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.ok(&["explain", STRANGER4, "--proto", "udp", "--dport", &DATA.to_string()])?;
    ensure!(probe.arrives(STRANGER4)? && probe.arrives(FRIEND4)? && !probe.arrives(FOE4)?, "it filters otherwise");
    ensure!(daemon.get("/livez")?.status == 200 && daemon.get("/readyz")?.status == 200, "it says otherwise");
    Ok(())
}

/// Lines that are lost, as the metric says, and the status says no fewer.
pub fn lost(daemon: &Daemon<'_>) -> Result<u64> {
    let metric = daemon.metrics()?.count("portcullis_log_lines_lost_total", &[]);
    let status = daemon.status()?["log_lines_lost"].as_u64().context("the status does not say")?;
    ensure!(status >= metric, "{status} after {metric}");
    Ok(metric)
}

#[test]
fn a_log_that_is_refused_or_closed_ends_nothing_and_is_counted() -> Result<()> {
    for (redirections, is_lost) in [("2>/dev/full", true), ("<&- >&- 2>&-", false)] {
        let lab = Lab::new()?;
        let mut daemon = start(&lab, "", redirections)?;
        everything_works(&lab, &mut daemon).context(redirections)?;
        assert_eq!(lost(&daemon)? > 0, is_lost, "{redirections}");
        daemon.stop().context(redirections)?;
    }
    Ok(())
}

#[test]
fn a_log_whose_reader_is_gone_ends_nothing_and_is_counted() -> Result<()> {
    let lab = Lab::new()?;
    let (mut daemon, reader) = into_a_pipe(&lab)?;
    drop(reader);
    everything_works(&lab, &mut daemon)?;
    assert!(lost(&daemon)? > 0);
    daemon.stop()
}

#[test]
fn a_log_that_nobody_reads_blocks_nothing_not_even_the_end() -> Result<()> {
    let lab = Lab::new()?;
    let (mut daemon, mut reader) = into_a_pipe(&lab)?;
    everything_works(&lab, &mut daemon)?;
    let before = all_of(&mut reader)?;
    assert!(before.contains("started") && before.len() <= 4096, "{before}");
    // Somebody reads: what has waited comes, and nothing was lost.
    let mut after = String::new();
    wait_until("what has waited", LIMIT, || {
        after += &all_of(&mut reader)?;
        Ok(after.contains("applied a push").then_some(()))
    })?;
    assert_eq!(lost(&daemon)?, 0);
    (0..PUSHES).try_for_each(|number| push(&daemon, &format!("10.10.{number}.0/24")))?;
    daemon.stop()
}

#[test]
fn a_log_on_a_disk_that_was_full_says_what_is_lost() -> Result<()> {
    let lab = Lab::new()?;
    let disk = Disk::mount(&lab.trial, "64k")?;
    let log = disk.path().join("log");
    let mut daemon = start(&lab, "", &format!("2>>{}", log.display()))?;
    let filler = disk.fill()?;
    let mut number = 0;
    // The last page of the file has room for some lines.
    wait_until("a lost line", LIMIT, || {
        number += 1;
        push(&daemon, &format!("10.8.{number}.0/24"))?;
        Ok((lost(&daemon)? > 0).then_some(()))
    })?;
    fs::remove_file(filler)?;
    wait_until("a word on what is lost", LIMIT, || {
        Ok(fs::read_to_string(&log)?.contains(" of this log ").then_some(()))
    })?;
    daemon.stop()?;
    let log = fs::read_to_string(&log)?;
    assert!(log.contains("stopped; the last policy"), "{log}");
    Ok(())
}

/// A daemon that logs into a pipe of one page, and the end that nobody has read from yet.
fn into_a_pipe(lab: &Lab) -> Result<(Daemon<'_>, File)> {
    let path = lab.trial.folder().join("log");
    mkfifo(&path, Mode::from_bits_truncate(0o600))?;
    // Does not wait for a writer, and the shell finds a reader.
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).context("cannot make the pipe small")?;
    Ok((start(lab, "", &format!("2>{}", path.display()))?, reader))
}

/// What the pipe holds now; twice as much as it has room for would be read.
fn all_of(reader: &mut File) -> Result<String> {
    let mut octets = vec![0; 8192];
    match reader.read(&mut octets) {
        Ok(count) => Ok(String::from_utf8_lossy(octets.get(..count).unwrap_or_default()).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(String::new()),
        Err(error) => Err(error).context("cannot read the log"),
    }
}
