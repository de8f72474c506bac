//! State folders that something has happened to: what the operator reads, and what goes on meanwhile.

use std::{fmt::Write as _, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result};
use firewall_tests::{
    daemon::{Daemon, Said, Site, said},
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    mounted::Disk,
    running::wait_until,
    traffic::Probe,
    trial::binary,
};
use firewall_userspace::{
    lists::{
        change::Change,
        entry::{Holding, Layer},
        pushed::RuntimeEntry,
    },
    policy::Name,
    state::{
        disk::Folder,
        journal::{Store, VERSION},
    },
};
use jiff::{SignedDuration, Timestamp};

use crate::policy::{DATA, POLICY};

#[test]
fn a_full_disk_refuses_pushes_and_nothing_else() -> Result<()> {
    let lab = Lab::new()?;
    let disk = Disk::mount(&lab.trial, "256k")?;
    let site = Site { state: disk.path().to_owned(), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let before = (daemon.generation()?, daemon.ok(&["allow", "list", "friends", "-o", "json"])?);
    let mut many = String::new();
    (0..1000).for_each(|number| writeln!(many, "10.0.{}.{}", number / 250, number % 250).expect("a string takes all"));
    let many = lab.trial.write("many.txt", &many)?;
    let push = ["allow", "add", "friends", "--file", many.to_str().context("the path is text")?];

    let filler = disk.fill()?;
    let words = [
        "error: cannot write to ",
        "disk/journal-0000000001: No space left on device",
        "hint: make room on its file system; pushes work again as soon as there is some",
    ];
    daemon.cli(&push)?.assert_refused(&words);
    assert_eq!((daemon.generation()?, daemon.ok(&["allow", "list", "friends", "-o", "json"])?), before);
    assert!(probe.arrives(STRANGER4)? && !probe.arrives(FOE4)?);
    assert_eq!(daemon.metrics()?.value("portcullis_state_write_failures_total", &[]), Some(1.0));
    daemon.must_run()?;

    fs::remove_file(filler)?;
    let said = daemon.ok(&push)?;
    assert!(said.contains("1000 added"), "{said}");
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(daemon.log().contains("entries=1001"), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_read_only_folder_is_enforced_from_and_takes_no_pushes() -> Result<()> {
    let lab = Lab::new()?;
    let disk = Disk::mount(&lab.trial, "256k")?;
    let site = Site { state: disk.path().to_owned(), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    // Nothing is there to be enforced: the operator learns at once that nothing could be kept.
    disk.set_read_only(true)?;
    let words = ["cannot ", "disk/", "Read-only file system", "hint: mount its file system writable"];
    site.attempt(&lab)?.assert_refused(&words);
    assert!(site.is_gone());

    disk.set_read_only(false)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.stop()?;
    disk.set_read_only(true)?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(probe.arrives(STRANGER4)?, "what was pushed is enforced");
    let log = daemon.log();
    assert!(log.contains("pushes are refused for now: cannot") && log.contains("Read-only file system"), "{log}");
    daemon.cli(&["deny", "add", "foes", STRANGER4])?.assert_refused(&words);
    assert!(probe.arrives(STRANGER4)?);
    disk.set_read_only(false)?;
    daemon.ok(&["deny", "add", "foes", STRANGER4])?;
    assert!(!probe.arrives(STRANGER4)?);
    drop(daemon);
    Ok(())
}

#[test]
fn a_damaged_journal_is_refused_while_the_last_policy_filters_and_can_be_repaired() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    for number in 1..=3 {
        daemon.ok(&["allow", "add", "friends", &format!("10.0.0.{number}")])?;
    }
    daemon.kill()?;
    let site = daemon.site().clone();
    let journal = site.state.join("journal-0000000001");
    let mut octets = fs::read(&journal)?;
    let middle = octets.len() / 2;
    octets[middle] ^= 0x10;
    fs::write(&journal, &octets)?;
    let words = [
        "cannot read pushed entries from ",
        "journal-0000000001: it is damaged at octet ",
        "`portcullis state repair /",
    ];
    let mut worn = Daemon::start_at(&lab, site.clone())?;
    assert!(probe.arrives(FRIEND4)? && !probe.arrives(FOE4)?, "the policy filters");
    let listed = worn.ok(&["allow", "list", "friends"])?;
    let readable = [1, 2, 3].map(|number| listed.contains(&format!("10.0.0.{number}/32")));
    assert_eq!(readable.iter().filter(|there| **there).count(), 2, "{listed}");
    worn.cli(&["allow", "add", "friends", STRANGER4])?.assert_refused(&words);
    assert!(!probe.arrives(STRANGER4)?);
    let (ready, log) = (worn.get("/readyz")?, worn.log());
    assert!(ready.status == 200 && words.iter().all(|words| ready.body.contains(words)), "{ready:?}");
    assert!(log.contains("PUSHES ARE REFUSED") && words.iter().all(|words| log.contains(words)), "{log}");
    assert_eq!(worn.metrics()?.value("portcullis_condition", &[("code", "pushes_refused")]), Some(1.0));
    worn.stop()?;
    assert_eq!(fs::read(&journal)?, octets, "nothing was changed");

    let repaired = repair(&site.state)?;
    assert_eq!((repaired.code, &*repaired.stdout), (0, "2 entries kept; set aside journal-0000000001.damaged\n"));
    assert!(repaired.stderr.contains("note: lost what was in "), "{repaired:?}");
    assert_eq!(repair(&site.state)?.stdout, "nothing to repair: 2 entries kept\n");
    let mut daemon = Daemon::start_at(&lab, site)?;
    let listed = daemon.ok(&["allow", "list", "friends"])?;
    let there = [1, 2, 3].map(|number| listed.contains(&format!("10.0.0.{number}/32")));
    assert_eq!(there.iter().filter(|there| **there).count(), 2, "{listed}");
    let said = repair(&daemon.site().state)?;
    said.assert_refused(&["cannot lock the state folder", "another process holds it"]);
    daemon.stop()
}

#[test]
fn a_truncated_snapshot_is_skipped_with_a_word_and_without_a_loss() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(&format!("{POLICY}[state]\ndirectory = \"{}\"\nsnapshot_after = 1\n", site.state.display()))?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    for number in 1..=9 {
        daemon.ok(&["allow", "add", "friends", &format!("10.0.0.{number}")])?;
    }
    // Two at least, so that there is one to fall back on.
    wait_until("two snapshots", firewall_tests::daemon::LIMIT, || {
        daemon.ok(&["allow", "add", "friends", STRANGER4])?;
        Ok((snapshots(&site.state)?.len() == 2).then_some(()))
    })?;
    daemon.kill()?;
    let newest = snapshots(&site.state)?.pop().context("there is a snapshot")?;
    let octets = fs::read(site.state.join(&newest))?;
    fs::write(site.state.join(&newest), &octets[..octets.len() - 5])?;
    let daemon = Daemon::start_at(&lab, site)?;
    let log = daemon.log();
    assert!(log.contains(&format!("{newest}: it ends too early; read the one before and all changes since")), "{log}");
    assert!(log.contains("entries=10"), "{log}");
    Ok(())
}

#[test]
fn a_journal_of_a_newer_daemon_is_refused_with_words() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.kill()?;
    let site = daemon.site().clone();
    let mut octets = fs::read(site.state.join("journal-0000000001"))?;
    // A whole frame with a payload of the next format; its checksum is that of "length 1" and this octet.
    octets.extend_from_slice(b"pcj1\x01\0\0\0");
    let next = VERSION + 1;
    octets.extend_from_slice(&crc_of(&[1, 0, 0, 0, next]).to_le_bytes());
    octets.push(next);
    fs::write(site.state.join("journal-0000000001"), &octets)?;
    let newer = format!("it has format {next}, and this daemon knows up to {VERSION}");
    let words = [&*newer, "hint: start the newer portcullis that wrote it"];
    let mut older = Daemon::start_at(&lab, site.clone())?;
    assert!(Probe::new(&lab, HOST4, DATA, FRIEND4)?.arrives(STRANGER4)?, "what can be read is enforced");
    older.cli(&["allow", "add", "friends", "10.0.0.1"])?.assert_refused(&words);
    older.stop()?;
    assert_eq!(fs::read(site.state.join("journal-0000000001"))?, octets, "nothing was changed");
    Ok(())
}

#[test]
fn a_clock_that_was_set_back_by_a_day_gives_no_entry_more_time() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    // As a daemon would have left it that ran while the clock was a day ahead.
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let mut store = Store::open(Folder::open(&site.state)?, tomorrow, u64::MAX)?.store;
    let entry = |hours| RuntimeEntry {
        person: None,
        comment: None,
        created: tomorrow,
        expires: Some(tomorrow + SignedDuration::from_hours(hours)),
        era: 0,
    };
    let list = Name::parse("friends")?;
    let change = |prefix: &str, entry| {
        let holding = Holding { prefix: prefix.parse()?, layer: Layer::Runtime, owner: "root".into() };
        anyhow::Ok(Change { list: list.clone(), holding, entry: Some(Arc::new(entry)) })
    };
    store.append(tomorrow, vec![change("10.0.0.1", entry(1))?, change("10.0.0.2", entry(48))?])?;
    drop(store);
    let daemon = Daemon::start_at(&lab, site)?;
    let log = daemon.log();
    assert!(log.contains("the clock is 23h 59m") || log.contains("the clock is 24h behind"), "{log}");
    assert!(log.contains("entries keep the time that they had left, none comes back"), "{log}");
    let listed: serde_json::Value = serde_json::from_str(&daemon.ok(&["allow", "list", "friends", "-o", "json"])?)?;
    let expires = listed["entries"][0]["expires"].as_str().context("it expires")?.parse::<Timestamp>()?;
    let left = expires.duration_since(Timestamp::now());
    assert_eq!(listed["entries"][0]["prefix"], "10.0.0.1/32");
    assert!(left <= SignedDuration::from_hours(1) && left > SignedDuration::from_mins(50), "{left:?}");
    Ok(())
}

fn repair(state: &Path) -> Result<Said> {
    said(Command::new(binary()?).args(["state", "repair"]).arg(state))
}

/// Names of the snapshots, in order.
fn snapshots(state: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(state)?.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.retain(|name| name.starts_with("snapshot-0"));
    names.sort();
    Ok(names)
}

/// CRC-32C, bit by bit.
fn crc_of(octets: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !octets.iter().fold(!0, |crc, octet| (0..8).fold(crc ^ u32::from(*octet), |crc, _| step(crc)))
}
