//! The metrics as Prometheus and its tools see them.

use std::{
    fs::File,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, said},
    lab::{FOE4, FRIEND4, HOST4, Lab},
    running::{Running, wait_until},
    scrape::get,
    traffic::Probe,
};
use serde_json::Value;

use crate::{
    expressions,
    policy::{DATA, POLICY},
};

/// Where Prometheus answers, inside the host.
const PROMETHEUS: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);

/// How long Prometheus may take to its first samples: it starts, and then waits for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn promtool_has_nothing_to_say_about_a_live_scrape() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    daemon.ok(&["allow", "add", "friends", "203.0.113.0/24", "2001:db8:7::/48"])?;
    let answer = daemon.get("/metrics")?;
    assert_eq!(answer.status, 200);
    let page = lab.trial.write("metrics.txt", &answer.body)?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::from(File::open(page)?));
    let checked = said(&mut promtool).context("hint: run `cargo xtask setup --for test`")?;
    assert_eq!((checked.code, checked.stdout.as_str(), checked.stderr.as_str()), (0, "", ""), "{}", answer.body);

    let metrics = daemon.metrics()?;
    let entries = |family| {
        metrics.value("portcullis_list_entries", &[("list", "friends"), ("layer", "runtime"), ("family", family)])
    };
    assert_eq!((entries("ipv4"), entries("ipv6")), (Some(1.0), Some(1.0)));
    let service =
        |verdict| metrics.count("portcullis_service_packets_total", &[("service", "data"), ("verdict", verdict)]);
    assert_eq!((service("pass"), service("drop")), (1, 1));
    assert_eq!(metrics.value("portcullis_scrape_errors_total", &[]), Some(0.0));
    Ok(())
}

#[test]
fn a_daemon_that_filters_is_alive_and_ready() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    for path in ["/livez", "/readyz"] {
        assert_eq!(daemon.get(path)?.status, 200, "{path}");
    }
    assert_eq!(daemon.get("/nothing")?.status, 404);
    daemon.stop()?;
    assert!(daemon.get("/readyz").is_err(), "nobody answers any more");
    Ok(())
}

#[test]
fn prometheus_has_an_answer_to_every_expression_of_the_alerts_and_the_dashboard() -> Result<()> {
    let lab = Lab::new()?;
    let limit = "[limits.standard]\npackets = { rate = 1000 }\n";
    let service = "[services.open]\nprotocol = \"udp\"\nports = [9001]\nlimit = \"standard\"\n";
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n{limit}\n{service}"))?;
    daemon.ok(&["allow", "add", "friends", "203.0.113.0/24"])?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    for _ in 0..3 {
        assert!(!probe.arrives(FOE4)?);
    }
    lab.trial.write("alerts.yml", expressions::ALERTS)?;
    let config = "global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [alerts.yml]\n\
        scrape_configs: [{ job_name: portcullis, static_configs: [{ targets: ['127.0.0.1:9191'] }] }]\n";
    let config = lab.trial.write("prometheus.yml", config)?;
    let mut command = lab.host.command("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", lab.trial.folder().join("tsdb").display()));
    command.args(["--web.listen-address=127.0.0.1:9090", "--log.level=warn"]);
    let mut prometheus = Running::start(&lab.trial, "prometheus", command)?;

    let samples = wait_until("samples of Prometheus", PATIENCE, || {
        prometheus.must_run()?;
        let samples = query(&lab, "portcullis_packets_total").unwrap_or_default();
        Ok((!samples.is_empty()).then_some(samples))
    })?;
    let denied = samples.iter().find(|sample| {
        let label = |name: &str| sample["metric"][name].as_str().unwrap_or_default();
        (label("interface"), label("family"), label("reason")) == ("eth0", "ipv4", "denied")
    });
    let denied = denied.context("no sample of denied packets")?;
    assert_eq!(denied["value"][1], "3", "{denied}");
    assert_eq!(denied["metric"]["verdict"], "drop", "{denied}");
    let up = query(&lab, "up")?;
    assert_eq!(up.first().map(|sample| sample["value"][1].clone()), Some("1".into()), "{up:?}");
    for expression in expressions::of_dashboard()? {
        wait_until(&format!("an answer to {expression}"), PATIENCE, || {
            prometheus.must_run()?;
            Ok((!query(&lab, &expression)?.is_empty()).then_some(()))
        })?;
    }
    let alerts = wait_until("a look at every alert", PATIENCE, || {
        prometheus.must_run()?;
        let alerts = alerts(&lab)?;
        Ok(alerts.iter().all(|alert| alert["health"] != "unknown").then_some(alerts))
    })?;
    for alert in &alerts {
        assert_eq!(alert["health"], "ok", "{alert}");
        let (name, expression) =
            (alert["name"].as_str().unwrap_or_default(), alert["query"].as_str().unwrap_or_default());
        if let Some((_, why)) = expressions::ONLY_ON_FAILURE.iter().find(|(of, _)| *of == name) {
            query(&lab, expression).with_context(|| format!("{name}: {why}"))?;
            continue;
        }
        for side in expressions::sides(expression) {
            assert!(!query(&lab, &side)?.is_empty(), "{name}: no answer to {side}");
        }
    }
    assert_eq!(query(&lab, "ALERTS{severity=\"critical\"}")?, Vec::<Value>::new(), "the daemon is well");
    drop(daemon);
    Ok(())
}

/// The alerts as Prometheus has read them.
fn alerts(lab: &Lab) -> Result<Vec<Value>> {
    let answer = get(&lab.host, SocketAddr::from(PROMETHEUS), "/api/v1/rules?type=alert")?;
    ensure!(answer.status == 200, "{answer:?}");
    let mut answer: Value = serde_json::from_str(&answer.body)?;
    match answer["data"]["groups"][0]["rules"].take() {
        Value::Array(alerts) if alerts.len() == expressions::ALERTS.matches("- alert: ").count() => Ok(alerts),
        other => anyhow::bail!("not all alerts: {other}"),
    }
}

/// Asks Prometheus.
fn query(lab: &Lab, expression: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/query?query={}", expressions::in_query(expression));
    let answer = get(&lab.host, SocketAddr::from(PROMETHEUS), &path)?;
    ensure!(answer.status == 200, "{answer:?}");
    let mut answer: Value = serde_json::from_str(&answer.body)?;
    match answer["data"]["result"].take() {
        Value::Array(samples) => Ok(samples),
        other => anyhow::bail!("no samples: {other}"),
    }
}
