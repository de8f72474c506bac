//! `portcullis status`.

use serde_json::Value;

use crate::support::{Daemon, Fake, counters, status, timeless};

#[test]
fn status_fits_one_screen() {
    let (code, stdout, stderr) = Daemon::start(Fake::default()).run(&["status"]);
    let wanted = "\
mode  enforce
revision  7
daemon  0.1.0, started 2026-11-21T10:00:00Z ~
config  /etc/portcullis/portcullis.toml
loaded 2026-11-21T10:00:00Z ~
metrics  http://127.0.0.1:9191/metrics
traffic  3 packets passed, 2 dropped; 0/s and 0/s in the last INTERVAL s

INTERFACE  STATE  MODE  CONFIGURED
eth0  attached  native  auto

LIST  IPV4  IPV6  LAYERS  ALLOWED BY  DENIED BY
blocked  1  0  1 runtime  api
partners  1  1  1 config, 1 runtime  api

SERVICE  PROTOCOL  PORTS  MODE  PASS  PER SECOND  DROP  PER SECOND
api  tcp  443, 8443-8445  enforce  3  0  2  0

REASON  VERDICT  PACKETS  PER SECOND
accepted  pass  3  0
denied  drop  2  0
";
    let told = timeless(&stdout);
    let (before, after) = told.split_once("in the last ").unwrap();
    let (seconds, after) = after.split_once(" s\n").unwrap();
    // It asks twice, half a second apart; the machine may be busy.
    assert!(seconds.parse::<f64>().unwrap() >= 0.5, "{stdout}");
    let told = format!("{before}in the last INTERVAL s\n{after}");
    assert_eq!((code, &*told, &*stderr), (0, wanted, ""));
}

#[test]
fn status_as_json_has_numbers_and_says_over_which_interval_rates_are() {
    let (code, stdout, _) = Daemon::start(Fake::default()).run(&["status", "-o", "json"]);
    let traffic = &serde_json::from_str::<Value>(&stdout).unwrap()["traffic"];
    assert_eq!(code, 0);
    assert!(traffic["interval_ms"].as_u64().unwrap() >= 500, "{traffic}");
    let denied = traffic["reasons"].as_array().unwrap().iter().find(|one| one["reason"] == "denied").unwrap();
    let wanted = serde_json::json!({
        "reason": "denied", "verdict": "drop", "packets": 2, "bytes": 200, "packets_per_second": 0.0,
        "bytes_per_second": 0.0,
    });
    assert_eq!(denied, &wanted);
    assert_eq!(
        (&traffic["services"][0]["service"], &traffic["services"][0]["dropped"]["packets"]),
        (&"api".into(), &2.into())
    );
}

#[test]
fn counters_that_cannot_be_read_are_told_and_the_rest_is_shown() {
    let (code, stdout, _) = Daemon::start(Fake { counters: None, ..Fake::default() }).run(&["status"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("TRAFFIC     its counters cannot be read: cannot read map COUNTERS: gone\n"), "{stdout}");
    assert!(stdout.contains("SERVICE  PROTOCOL  PORTS           MODE\n"), "{stdout}");
}

#[test]
fn the_mode_of_a_service_is_the_one_by_which_it_is_judged() {
    let mut status = status();
    status.mode = "observe".into();
    status.services[0].effective_mode = "observe".into();
    let seen = |status: &firewall_userspace::control::Status| {
        let fake = Fake { status: status.clone(), ..Fake::default() };
        Daemon::start(fake).run(&["status"]).1
    };
    let wanted = "443, 8443-8445  observe (the host observes)  3";
    assert!(seen(&status).contains(wanted), "{}", seen(&status));
    assert!(
        seen(&status).contains("3 packets to pass, 2 to drop, which pass while the host observes; "),
        "{}",
        seen(&status)
    );
    // An older daemon does not tell.
    status.services[0].effective_mode.clear();
    assert!(seen(&status).contains(wanted), "{}", seen(&status));
    status.mode = "enforce".into();
    status.services[0].mode = "observe".into();
    let wanted = "3 packets to pass, 2 to drop, which pass where a service observes; ";
    assert!(seen(&status).contains(wanted), "{}", seen(&status));
}

#[test]
fn one_packet_is_one_packet() {
    let mut counters = counters();
    counters.frames.verdicts.values_mut().for_each(|count| count.packets = 1);
    let (_, stdout, _) = Daemon::start(Fake { counters: Some(counters), ..Fake::default() }).run(&["status"]);
    assert!(stdout.contains("traffic     1 packet passed, 1 dropped; "), "{stdout}");
}

#[test]
fn status_shouts_when_the_last_reload_was_refused() {
    let mut status = status();
    status.reload.successful = false;
    status.reload.error = Some("3 errors\nerror: one".into());
    let (code, stdout, _) = Daemon::start(Fake { status, ..Fake::default() }).run(&["status"]);
    assert_eq!(code, 0);
    let told = timeless(&stdout);
    assert!(told.contains("loaded 2026-11-21T10:00:00Z ~; THE LAST RELOAD WAS REFUSED: 3 errors\n"), "{stdout}");
}
