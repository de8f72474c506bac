//! What a scrape sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use firewall_common::{Verdict, abi::Count};
use firewall_userspace::controller::{Activity, Counters};

use crate::support::{Daemon, Fake, counters, get, json_request, promtool::promtool, request, status};

/// Series of a scrape with their values.
fn scrape(daemon: &Daemon) -> BTreeMap<String, f64> {
    let text = text(daemon);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, n)| (series.to_owned(), n.parse().unwrap()))
        .collect()
}

fn text(daemon: &Daemon) -> String {
    let answer = daemon.admin(get("/metrics"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    answer.body
}

fn family(series: &str) -> &str {
    series.split('{').next().unwrap()
}

#[test]
fn counters_are_exported_under_their_names_and_labels() {
    let series = scrape(&Daemon::start(Fake::default()));
    for (name, value) in [
        (r#"portcullis_packets_total{interface="eth0",family="ipv4",verdict="pass",reason="accepted"}"#, 3.0),
        (r#"portcullis_bytes_total{interface="eth0",family="ipv4",verdict="drop",reason="denied"}"#, 200.0),
        (r#"portcullis_packets_total{interface="eth0",family="ipv6",verdict="drop",reason="truncated"}"#, 0.0),
        (r#"portcullis_service_packets_total{service="api",verdict="pass"}"#, 3.0),
        (r#"portcullis_service_bytes_total{service="api",verdict="drop"}"#, 200.0),
        (r#"portcullis_limit_packets_total{limit="standard",verdict="pass"}"#, 3.0),
        (r#"portcullis_limit_bytes_total{limit="standard",verdict="drop"}"#, 0.0),
        (r#"portcullis_list_entries{list="partners",family="ipv4",layer="config"}"#, 1.0),
        (r#"portcullis_list_entries{list="blocked",family="ipv6",layer="runtime"}"#, 0.0),
        (r#"portcullis_interface_attached{interface="eth0",mode="native"}"#, 1.0),
        ("portcullis_enforcing", 1.0),
        ("portcullis_config_generation", 7.0),
        ("portcullis_policy_generation", 3.0),
        ("portcullis_status_age_seconds", 0.0),
        (r#"portcullis_controller_job_seconds{job="reload"}"#, 0.0),
        ("portcullis_log_lines_lost_total", 0.0),
        ("portcullis_panics_total", 0.0),
        ("portcullis_config_last_reload_successful", 1.0),
        ("portcullis_config_last_reload_success_timestamp_seconds", 1_795_255_200.123),
        (r#"portcullis_config_reloads_total{trigger="start",result="success"}"#, 1.0),
        (r#"portcullis_config_reloads_total{trigger="api",result="success"}"#, 1.0),
        (r#"portcullis_config_reloads_total{trigger="api",result="failure"}"#, 0.0),
        (r#"portcullis_config_reloads_total{trigger="signal",result="failure"}"#, 1.0),
        (r#"portcullis_scrape_errors_total{collector="status"}"#, 0.0),
        (r#"portcullis_list_changes_total{list="partners",layer="runtime",action="expire"}"#, 4.0),
        (r#"portcullis_map_entries{map="classes"}"#, 65.0),
        (r#"portcullis_map_max_entries{map="classes"}"#, 65_536.0),
        (r#"portcullis_controller_job_duration_seconds_count{task="reload"}"#, 0.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{series:#?}");
    }
    for name in [
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    ] {
        assert!(series.contains_key(name), "{name}\n{series:#?}");
    }
}

#[test]
fn every_verdict_of_every_family_is_there_before_the_first_packet() {
    let series = scrape(&Daemon::start(Fake { counters: Some(Counters::default()), ..Fake::default() }));
    for name in ["portcullis_packets_total", "portcullis_bytes_total"] {
        let all: Vec<_> = series.iter().filter(|(series, _)| family(series) == name).collect();
        assert_eq!(all.len(), 3 * Verdict::ALL.len());
        assert!(all.iter().all(|(_, value)| **value == 0.0), "{all:?}");
    }
}

#[test]
fn traffic_changes_values_and_never_the_series() {
    let mut busy = counters();
    for verdict in Verdict::ALL {
        for family in 0..3 {
            busy.frames.verdicts.insert(("eth0".into(), family, *verdict), Count { packets: 7, bytes: 7 });
        }
    }
    let [quiet, busy] = [counters(), busy].map(|counters| {
        let series = scrape(&Daemon::start(Fake { counters: Some(counters), ..Fake::default() }));
        // What other tests of this process asked is counted here too.
        series
            .into_keys()
            .filter(|series| !family(series).starts_with("portcullis_http_request"))
            .collect::<BTreeSet<_>>()
    });
    assert_eq!(quiet, busy);
}

#[test]
fn no_label_has_an_address_a_prefix_or_a_port() {
    let daemon = Daemon::start(Fake::default());
    daemon.api(json_request("POST", "/v1/entries", r#"{"add":[{"list":"partners","prefix":"192.0.2.0/24"}]}"#));
    for series in scrape(&daemon).keys() {
        let values = series.split('"').skip(1).step_by(2);
        for value in values.filter(|_| !series.starts_with("portcullis_build_info")) {
            let address = value.split('/').next().unwrap();
            assert!(address.parse::<IpAddr>().is_err() && !value.contains(':'), "{series}");
        }
    }
}

#[test]
fn observing_is_not_enforcing() {
    let mut status = status();
    status.mode = "observe".into();
    status.reload.successful = false;
    let series = scrape(&Daemon::start(Fake { status, ..Fake::default() }));
    assert_eq!(series["portcullis_enforcing"], 0.0);
    assert_eq!(series["portcullis_config_last_reload_successful"], 0.0);
}

#[test]
fn a_scrape_without_counters_is_incomplete_and_says_so() {
    let daemon = Daemon::start(Fake { counters: None, ..Fake::default() });
    for errors in [1.0, 2.0] {
        let series = scrape(&daemon);
        assert_eq!(series[r#"portcullis_scrape_errors_total{collector="counters"}"#], errors);
        assert_eq!(series["portcullis_enforcing"], 1.0);
        assert!(!series.keys().any(|series| family(series) == "portcullis_packets_total"));
    }
}

#[test]
fn a_scrape_without_the_controller_still_tells_about_the_process() {
    let series = scrape(&Daemon::start(Fake { is_alive: false, ..Fake::default() }));
    for collector in ["status", "counters"] {
        assert_eq!(series[&format!("portcullis_scrape_errors_total{{collector=\"{collector}\"}}")], 1.0);
    }
    assert!(series.contains_key("process_start_time_seconds"));
    assert!(!series.contains_key("portcullis_enforcing"));
}

#[test]
fn requests_are_counted_by_route_and_never_by_path() {
    let daemon = Daemon::start(Fake::default());
    let name = |route: &str, method: &str, code: u16| {
        format!(r#"portcullis_http_requests_total{{listener="api",route="{route}",method="{method}",code="{code}"}}"#)
    };
    let wanted = [name("/v1/status", "HEAD", 200), name("unmatched", "other", 404), name("/v1/reload", "PATCH", 405)];
    let before = scrape(&daemon);
    daemon.api(request("HEAD", "/v1/status"));
    daemon.api(request("BREW", "/coffee/192.0.2.1"));
    daemon.api(request("PATCH", "/v1/reload"));
    let after = scrape(&daemon);
    for series in &wanted {
        assert_eq!(after[series] - before.get(series).unwrap_or(&0.0), 1.0, "{series}");
    }
    assert!(!after.keys().any(|series| series.contains("coffee")), "{after:#?}");
}

#[test]
fn requests_are_timed_by_route_and_jobs_by_what_they_are() {
    let daemon = Daemon::start(Fake::default());
    let pushes = r#"portcullis_http_request_duration_seconds_count{listener="api",route="/v1/pushes",method="GET"}"#;
    let long = r#"portcullis_controller_job_duration_seconds_bucket{task="apply",le="2"}"#;
    let within = r#"portcullis_controller_job_duration_seconds_bucket{task="apply",le="10"}"#;
    let before = scrape(&daemon);
    assert!(before.contains_key(pushes), "a route that nobody asked is there, so that the first request is seen");
    daemon.api(get("/v1/pushes"));
    daemon.work.end(Activity::Apply, Duration::from_secs(3));
    let after = scrape(&daemon);
    assert!(after[pushes] > before[pushes], "other tests of this process may ask too");
    assert_eq!((before[within], after[long], after[within]), (0.0, 0.0, 1.0));
    assert_eq!(after[r#"portcullis_controller_job_duration_seconds_sum{task="apply"}"#], 3.0);
}

#[test]
fn promtool_finds_nothing_wrong() {
    let daemon = Daemon::start(Fake::default());
    // A first request, so that the scrape has a count of requests.
    daemon.api(get("/v1/status"));
    let text = text(&daemon);
    assert!(text.contains("portcullis_http_requests_total{"), "{text}");
    if let Some((is_content, words)) = promtool(&["check", "metrics"], &text) {
        assert!(is_content && words.trim().is_empty(), "{words}\n{text}");
    }
}
