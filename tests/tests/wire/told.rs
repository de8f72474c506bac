//! What is told of packets, of a filter without a daemon, of generations, and in the log.

use std::fs;

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site, command_line},
    lab::{FOE4, FRIEND4, HOST4, Lab},
    running::wait_until,
    traffic::Probe,
};
use serde_json::Value;

use crate::policy::{DATA, POLICY};

#[test]
fn the_status_has_packets_and_drops_by_reason_and_by_service_with_rates() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(daemon.status()?["traffic"]["interval_ms"].as_u64().is_some_and(|interval| interval >= 400));
    for _ in 0..20 {
        assert!(!probe.arrives(FOE4)?);
    }
    let denied = |status: &Value| {
        let reasons = status["traffic"]["reasons"].as_array().context("no reasons")?;
        reasons.iter().find(|one| one["reason"] == "denied").cloned().context("denied is no reason")
    };
    let status = wait_until("a rate of what was denied", LIMIT, || {
        let status = daemon.status()?;
        let rate = denied(&status)?["packets_per_second"].as_f64();
        Ok(rate.is_some_and(|rate| rate > 0.0).then_some(status))
    })?;
    let (traffic, denied) = (&status["traffic"], denied(&status)?);
    assert_eq!((&denied["packets"], &denied["verdict"]), (&20.into(), &"drop".into()), "{traffic}");
    let services = traffic["services"].as_array().context("no services")?;
    let data = services.iter().find(|one| one["service"] == "data").context("data is no service")?;
    assert_eq!((&data["dropped"]["packets"], &data["passed"]["packets"]), (&20.into(), &0.into()), "{traffic}");
    let table = daemon.ok(&["status"])?;
    assert!(table.contains("REASON") && table.lines().any(|line| line.starts_with("denied ")), "{table}");

    assert_eq!(status["services"][0]["effective_mode"], "enforce");
    daemon.ok(&["mode", "observe"])?;
    let service = &daemon.status()?["services"][0];
    assert_eq!((&service["mode"], &service["effective_mode"]), (&"enforce".into(), &"observe".into()));
    assert!(daemon.ok(&["status"])?.contains("observe (the host observes)"));
    Ok(())
}

#[test]
fn without_a_daemon_the_status_says_what_filters_on() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let Site { socket, pins, .. } = daemon.site().clone();
    let pins = pins.to_str().context("a path that is no text")?.to_owned();
    let says = "the daemon is not running; the filter is attached to eth0 (native)";
    let asked =
        |more: &[&str]| command_line(&socket, &[&["status", "--pin-directory", pins.as_str()][..], more].concat());
    daemon.kill()?;
    let said = asked(&[])?;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.starts_with(says) && said.stderr.contains(says), "{said:?}");
    assert!(said.stderr.starts_with("error: cannot reach the daemon at "), "{said:?}");
    let said = asked(&["-o", "json"])?;
    let json: Value = serde_json::from_str(&said.stdout)?;
    assert_eq!((said.code, &json["schema"], &json["code"]), (3, &"portcullis.error/v1".into(), &"unreachable".into()));
    assert_eq!(json["filter"]["attached"], true, "{json}");
    assert_eq!(json["filter"]["interfaces"], serde_json::json!([{ "interface": "eth0", "mode": "native" }]));

    // A daemon that has the pins runs, wherever its socket is.
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    let elsewhere = lab.trial.folder().join("elsewhere.sock");
    let said = command_line(&elsewhere, &["status", "--pin-directory", &pins])?;
    assert!(said.code == 3 && said.stdout.is_empty() && !said.stderr.contains("not running"), "{said:?}");
    assert!(said.stderr.contains("note: a daemon runs, and does not answer at this socket: "), "{said:?}");
    drop(daemon);
    // What is severed filters nothing.
    lab.cut_cable()?;
    let said = asked(&["-o", "json"])?;
    let json: Value = serde_json::from_str(&said.stdout)?;
    assert_eq!((said.code, &json["filter"]["attached"]), (3, &false.into()), "{json}");
    Ok(())
}

#[test]
fn traced_packets_have_names_and_addresses() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let mut command = site.command(&lab.host)?;
    command.arg("--trace-packets");
    let daemon = Daemon::start_by(&lab, site, command)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(probe.arrives(FRIEND4)? && !probe.arrives(FOE4)?);
    let has = |source: &str, verdict: &str| {
        wait_until("a packet in the log", LIMIT, || {
            let log = daemon.log();
            let mut lines = log.lines().filter(|line| line.contains(&format!("eth0: {source}:")));
            let end = format!(" -> {HOST4}:{DATA} udp, service data: {verdict}");
            Ok(lines.any(|line| line.contains(&end)).then_some(()))
        })
        .with_context(|| daemon.log())
    };
    has(FRIEND4, "pass (accepted)")?;
    has(FOE4, "drop (denied)")?;
    daemon.ok(&["mode", "observe"])?;
    assert!(probe.arrives(FOE4)?);
    has(FOE4, "drop (denied), but it passes")?;
    Ok(())
}

#[test]
fn generations_are_shown_compared_and_not_used_up_by_a_mode() -> Result<()> {
    let lab = Lab::new()?;
    let policy =
        format!("{POLICY}\n[state]\ndirectory = \"{}\"\ngenerations = 2\n", Site::of(&lab.trial).state.display());
    let daemon = Daemon::start(&lab, &policy)?;
    let file = lab.trial.folder().join("other.toml");
    fs::write(&file, fs::read_to_string(&daemon.site().config)?.replace("ports = [9000]", "ports = [9001]"))?;
    let applied = daemon.ok(&["apply", file.to_str().context("a path that is no text")?])?;
    let changed = "~ services.data.ports: [\"9000\"] -> [\"9001\"]\n";
    assert_eq!(applied, format!("generation 2: applied: 1 setting changed\n{changed}"));
    for mode in ["observe", "enforce", "observe", "enforce", "observe"] {
        daemon.ok(&["mode", mode])?;
    }
    let shown = daemon.ok(&["history", "show", "1"])?;
    assert!(shown.starts_with("# generation 1\n# since    ") && shown.contains("ports = [9000]\n"), "{shown}");
    assert!(daemon.ok(&["history", "show", "7"])?.contains("# generation 7, in force\n"));
    let said = daemon.cli(&["history", "diff", "1", "7"])?;
    assert_eq!(said.code, 1, "{said:?}");
    let wanted =
        format!("~ policy.mode: \"enforce\" -> \"observe\"\n{changed}differs from generation 1: 2 settings changed\n");
    assert_eq!(said.stdout, wanted);
    let dry = daemon.ok(&["rollback", "1", "--dry-run"])?;
    assert!(dry.contains("\ndry run: would roll back to generation 1 (start by "), "{dry}");
    let back = "~ policy.mode: \"observe\" -> \"enforce\"\n~ services.data.ports: [\"9001\"] -> [\"9000\"]\n";
    let wanted = format!("generation 8: rolled back to generation 1: 2 settings changed\n{back}");
    assert_eq!(daemon.ok(&["rollback", "1"])?, wanted);
    Ok(())
}

#[test]
fn refused_reloads_by_the_thousand_are_a_short_log() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let entries: String = (0..5000).map(|number| format!("\"no prefix {number}\",\n")).collect();
    daemon.site().configure(&POLICY.replace("\"192.0.2.66\"", &format!("{entries}\"192.0.2.66\"")))?;
    for _ in 0..30 {
        assert_eq!(daemon.cli(&["reload"])?.code, 5);
    }
    let log = daemon.log();
    assert_eq!(log.matches("refused the configuration, the old policy goes on").count(), 10, "{log}");
    assert!(log.len() < 64 << 10, "{} octets", log.len());
    daemon.stop()?;
    let log = daemon.log();
    assert!(log.contains("20 more not logged within a minute: configurations that were refused"), "{log}");
    Ok(())
}

#[test]
fn a_log_in_json_is_json_from_its_first_line() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n[log]\nformat = \"json\"\n"))?;
    let log = daemon.log();
    let (whole, _) = log.rsplit_once('\n').context("nothing was logged")?;
    for line in whole.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| format!("this is no JSON: {line}"))?;
        assert!(event.is_object(), "{line}");
    }
    assert!(whole.contains("confined") && whole.contains("filtering"), "{whole}");
    Ok(())
}
