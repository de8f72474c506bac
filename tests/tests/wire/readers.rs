//! Readers never wait for the controller: they are answered while it waits for the disk, or loads a policy.

use std::{
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use firewall_tests::{
    api,
    daemon::{Daemon, Site},
    frozen::FreezableDisk,
    lab::{FRIEND4, Lab, STRANGER4},
    scrape::Answer,
};
use serde_json::{Value, json};

use crate::policy::{DATA, POLICY, addresses};

/// Entries of the list that takes a while to load.
const LONG: usize = 200_000;

/// How often readers ask while the reload cannot end, at most: once at least, and for less time than the daemon gives the disk.
const ASKED: usize = 20;
const ASKING: Duration = Duration::from_secs(2);

#[test]
fn readers_are_answered_while_a_push_waits_for_the_disk() -> Result<()> {
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let daemon = Daemon::start_at(&lab, site)?;
    daemon.wait_until_kept()?;
    let membership = format!("/v1/membership?source={FRIEND4}");
    let same = ["/v1/entries", "/v1/policy", "/v1/history", &membership];
    let bodies = || same.into_iter().map(|path| body(&daemon, path)).collect::<Result<Vec<_>>>();
    let before = (revision(&status(&daemon)?)?, bodies()?);
    let push = json!({"add": [{"list": "friends", "prefix": STRANGER4}]}).to_string();

    let pushed = thread::scope(|scope| {
        let frozen = disk.freeze()?;
        let push = scope.spawn(|| api::ask(&daemon.site().socket, "/v1/entries", Some(&push)));
        daemon.wait_until_doing("push")?;
        let during = status(&daemon)?;
        assert!(during["doing"] == "push" && during["age_ms"].as_u64() > Some(0), "{during}");
        assert_eq!((revision(&during)?, bodies()?), before);
        for path in ["/readyz", "/livez"] {
            assert_eq!(daemon.get(path)?.status, 200, "{path}");
        }
        let metrics = daemon.metrics()?;
        assert_eq!(metrics.count("portcullis_config_generation", &[]), before.0, "{during}");
        assert!(metrics.value("portcullis_status_age_seconds", &[]).is_some_and(|age| age > 0.0));
        assert_eq!(metrics.value("portcullis_scrape_errors_total", &[]), Some(0.0));
        assert!(!push.is_finished(), "{:?}", push.join());
        frozen.thaw()?;
        answered(push)
    })?;

    // Whoever has an answer finds the push told.
    let after = revision(&status(&daemon)?)?;
    assert_eq!(after, revision(&pushed)?);
    assert!(after > before.0);
    assert!(body(&daemon, "/v1/entries")?.contains(STRANGER4));
    Ok(())
}

#[test]
fn readers_see_one_policy_or_the_other_while_a_long_list_is_loaded() -> Result<()> {
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    let list = lab.trial.write("friends.txt", &format!("{FRIEND4}\n"))?;
    let policy = "[lists.friends]\nfile = \"friends.txt\"\n\
        [services.data]\nprotocol = \"udp\"\nports = [9000]\nallow = [\"friends\"]\n";
    site.configure(policy)?;
    let daemon = Daemon::start_at(&lab, site)?;
    daemon.wait_until_kept()?;
    let old = (generation(&status(&daemon)?)?, 1);
    std::fs::write(list, format!("{FRIEND4}\n{}", addresses(LONG - 1)))?;

    let reloaded = thread::scope(|scope| {
        // Loaded, but kept and in force only once the disk is thawed.
        let frozen = disk.freeze()?;
        let reload = scope.spawn(|| api::ask(&daemon.site().socket, "/v1/reload", Some("{}")));
        daemon.wait_until_doing("reload")?;
        let start = Instant::now();
        for round in 0..ASKED {
            if round > 0 && start.elapsed() > ASKING {
                break;
            }
            assert_eq!(seen(&daemon)?, [old; 3]);
            let during = status(&daemon)?;
            assert_eq!(during["doing"], "reload", "{during}");
        }
        assert!(!reload.is_finished(), "{:?}", reload.join());
        frozen.thaw()?;
        let mut last = old;
        while !reload.is_finished() {
            for one in seen(&daemon)? {
                ensure!(one == last || (last == old && one.0 > old.0 && one.1 == LONG), "{one:?} after {last:?}");
                last = one;
            }
        }
        answered(reload)
    })?;

    let new = (generation(&reloaded)?, LONG);
    assert!(new.0 > old.0);
    assert_eq!(seen(&daemon)?, [new; 3]);
    // The first of this generation.
    let question = json!({"source": "10.0.0.9", "protocol": "udp", "port": DATA}).to_string();
    let explained = json(&api::ask(&daemon.site().socket, "/v1/explain", Some(&question))?)?;
    assert_eq!((generation(&explained)?, &explained["reason"]), (new.0, &json!("accepted")), "{explained}");
    Ok(())
}

/// Generation of the policy, and how long the list is, as the status, the entries and the metrics tell it.
fn seen(daemon: &Daemon<'_>) -> Result<[(u64, usize); 3]> {
    let status = status(daemon)?;
    let of_status = status["lists"][0]["entries"].as_array().context("the status has no entries")?;
    let of_status: u64 = of_status.iter().filter_map(|one| one["count"].as_u64()).sum();
    let listed: Value = serde_json::from_str(&body(daemon, "/v1/entries?list=friends")?)?;
    let of_list = listed["entries"].as_array().context("there is no list of entries")?.len();
    let metrics = daemon.metrics()?;
    let of_metrics = metrics.count("portcullis_list_entries", &[("list", "friends")]);
    Ok([
        (generation(&status)?, usize::try_from(of_status)?),
        (generation(&listed)?, of_list),
        (metrics.count("portcullis_policy_generation", &[]), usize::try_from(of_metrics)?),
    ])
}

fn status(daemon: &Daemon<'_>) -> Result<Value> {
    Ok(serde_json::from_str(&body(daemon, "/v1/status")?)?)
}

fn body(daemon: &Daemon<'_>, path: &str) -> Result<String> {
    let answer = api::ask(&daemon.site().socket, path, None)?;
    ensure!(answer.status == 200, "{path}: {answer:?}");
    Ok(answer.body)
}

/// What the thread was answered that asked for a change.
fn answered(asking: ScopedJoinHandle<'_, Result<Answer>>) -> Result<Value> {
    json(&asking.join().map_err(|_| anyhow!("the thread that asked panicked"))??)
}

fn json(answer: &Answer) -> Result<Value> {
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}

fn revision(answer: &Value) -> Result<u64> {
    answer["revision"].as_u64().with_context(|| format!("no revision in {answer}"))
}

fn generation(answer: &Value) -> Result<u64> {
    answer["policy_generation"].as_u64().with_context(|| format!("no generation of the policy in {answer}"))
}
