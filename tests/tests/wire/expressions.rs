//! Expressions of the alerts and of the dashboard, asked of a Prometheus that scrapes a daemon.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The alerts that come with the product.
pub const ALERTS: &str = include_str!("../../../config/alerts.yml");

const DASHBOARD: &str = include_str!("../../../config/dashboard.json");

/// Alerts whose series are there only on failure, and why; of all others each side of each comparison has an answer.
pub const ONLY_ON_FAILURE: [(&str, &str); 2] = [
    ("PortcullisAbsent", "absent() answers when nothing is scraped"),
    ("PortcullisGenericMode", "the mode is a label of the series"),
];

/// Every expression of the dashboard, as Grafana would ask for all hosts and interfaces.
pub fn of_dashboard() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let panels = dashboard["panels"].as_array().context("the dashboard has no panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<String> = targets
        .map(|target| {
            let expression = target["expr"].as_str().with_context(|| format!("no expression: {target}"))?;
            let asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
            let asked = asked.replace("$interface", ".*");
            ensure!(!asked.contains('$'), "unknown variable: {asked}");
            Ok(asked)
        })
        .collect::<Result<_>>()?;
    ensure!(expressions.len() > 30, "{expressions:?}");
    Ok(expressions)
}

/// What an alert compares, each as an expression that has an answer whether or not the alert fires.
pub fn sides(expression: &str) -> Vec<String> {
    let parts = expression.split(" unless ").flat_map(|part| part.split(" and "));
    let parts = parts.map(|part| match part.strip_prefix("on").and_then(|labels| labels.split_once(") ")) {
        Some((_, side)) => side,
        None => part,
    });
    parts.map(|part| part.replace(" == ", " == bool ").replace(" > ", " > bool ")).collect()
}

/// `text` in the query of a URL.
pub fn in_query(text: &str) -> String {
    let one = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}
