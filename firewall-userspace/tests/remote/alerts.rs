//! The alerts and the dashboard that come with the product.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{
    exposition::{largest, read},
    support::promtool::promtool,
};

const ALERTS: &str = include_str!("../../../config/alerts.yml");
const TESTS: &str = include_str!("../../../config/alerts.test.yml");
const DASHBOARD: &str = include_str!("../../../config/dashboard.json");

fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name).display().to_string()
}

/// What stands behind `key` on the lines that begin with it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).collect()
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alerts() {
    let Some((is_content, words)) =
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", &path("alerts.yml")], "")
    else {
        return;
    };
    assert!(is_content, "{words}");
}

#[test]
fn every_alert_fires_on_its_series_and_none_on_a_daemon_that_is_well() {
    let Some((is_content, words)) = promtool(&["test", "rules", &path("alerts.test.yml")], "") else { return };
    assert!(is_content, "{words}");
}

#[test]
fn every_alert_has_a_test_a_severity_a_summary_and_a_command_that_exists() {
    let rules: Vec<&str> = ALERTS.split("\n      - alert: ").skip(1).collect();
    assert!(rules.len() > 10, "{ALERTS}");
    for rule in &rules {
        let name = rule.lines().next().unwrap();
        assert!(TESTS.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test");
        let severity = values(rule, "labels: { severity: ");
        assert!(matches!(*severity, ["critical }" | "warning }" | "info }"]), "{name}: {severity:?}");
        let [summary] = *values(rule, "summary: ") else { panic!("{name} has no summary") };
        assert!(!summary.is_empty() && rule.contains("description: >-\n"), "{name}");
        assert!(
            ["`portcullis ", "`journalctl ", "`systemctl ", "`promtool "].iter().any(|one| rule.contains(one)),
            "{name}"
        );
    }
    let helps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/help");
    for command in ALERTS.split("`portcullis ").skip(1).map(|rest| rest.split('`').next().unwrap()) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let verb = if matches!(words[0], "allow" | "deny" | "state" | "audit" | "token") {
            words[..2].join("-")
        } else {
            words[0].to_owned()
        };
        assert!(helps.join(format!("{verb}.txt")).exists(), "{command}");
    }
}

#[test]
fn alerts_and_dashboard_ask_only_for_what_a_scrape_has() {
    let families = read(&largest()).unwrap();
    let known = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        families.contains_key(name) || of_histogram.is_some_and(|name| families.contains_key(name))
    };
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut asked = BTreeSet::new();
    for text in [ALERTS, DASHBOARD] {
        for start in ["portcullis_", "process_"] {
            asked.extend(text.match_indices(start).map(|(at, _)| text[at..].split(|c| !is_of_name(c)).next().unwrap()));
        }
    }
    assert!(asked.len() > 30, "{asked:?}");
    let unknown: Vec<_> = asked.into_iter().filter(|name| !known(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_panel_has_a_number_a_place_of_its_own_and_words() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert_eq!((&dashboard["schemaVersion"], &dashboard["uid"]), (&39.into(), &"portcullis".into()));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "instance", "interface"]);
    let (mut numbers, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{panel} lies on another");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}
