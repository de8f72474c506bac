//! `portcullis status`: one screen.

use std::fmt::Write;

use jiff::Timestamp;

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
    policies::until_confirmed,
    table::TextTable,
};
use crate::{
    control::{ClockStatus, Condition, InterfaceStatus, ListStatus, Status},
    lists::entry::Layer,
    text::shown::escaped,
};

/// Shows what the daemon does.
pub fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let Answer { value, json } = client.get::<Status>("/v1/status")?;
    match output {
        Output::Json => output::data(&json),
        Output::Table => output::data(screen(&value).as_bytes()),
    }
}

fn screen(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, value) in facts(status) {
        let _ = writeln!(text, "{name:<12}{}", escaped(&value));
    }
    let mut interfaces = TextTable::new(["INTERFACE", "STATE", "MODE", "CONFIGURED"]);
    for interface in &status.interfaces {
        interfaces.push([
            interface.name.clone(),
            standing(interface),
            interface.mode.clone(),
            interface.configured.clone(),
        ]);
    }
    let mut lists = TextTable::new(["LIST", "IPV4", "IPV6", "LAYERS", "ALLOWED BY", "DENIED BY"]);
    for list in &status.lists {
        let family = |family: &str| sum(list, |entries_family, _| entries_family == family);
        let layer = |layer: Layer| sum(list, |_, entries_layer| entries_layer == layer);
        let (allowed, denied) = (list.allowed_by.join(", "), list.denied_by.join(", "));
        let [v4, v6] = [family("ipv4"), family("ipv6")].map(|count| count.to_string());
        let layers: Vec<String> = Layer::ALL
            .into_iter()
            .filter(|one| layer(*one) > 0)
            .map(|one| format!("{} {}", layer(one), one.label()))
            .collect();
        lists.push([list.name.clone(), v4, v6, layers.join(", "), allowed, denied]);
    }
    let mut services = TextTable::new(["SERVICE", "PROTOCOL", "PORTS", "MODE"]);
    for service in &status.services {
        services.push([service.name.clone(), service.protocol.clone(), service.ports.join(", "), service.mode.clone()]);
    }
    let _ = write!(text, "\n{interfaces}\n{lists}\n{services}");
    text
}

/// How an interface stands, in a few words.
fn standing(interface: &InterfaceStatus) -> String {
    let InterfaceStatus { state, now, was, pinned, cause, .. } = interface;
    let mut text = state.clone();
    if let Some(was) = was {
        text.push_str(&format!(", was {was}"));
    } else if let Some(now) = now {
        text.push_str(&format!(", now {now}"));
    }
    if let Some(first_line) = cause.iter().flat_map(|cause| cause.lines()).next() {
        text.push_str(&format!(": {first_line}"));
    }
    if matches!(state.as_str(), "attached" | "renamed") && !pinned {
        text.push_str(", NOT PINNED");
    }
    text
}

fn facts(status: &Status) -> Vec<(&'static str, String)> {
    let reload = &status.reload;
    let loaded = reload.last_success.map_or_else(|| "never loaded".to_owned(), |last| format!("loaded {last:.0}"));
    let config = match (&reload.error, reload.successful) {
        (_, true) => loaded,
        (error, false) => {
            let first_line = error.iter().flat_map(|error| error.lines()).next().unwrap_or("no reason given");
            format!("{loaded}; THE LAST RELOAD WAS REFUSED: {first_line}")
        }
    };
    let policy = status.policy.as_ref().map(|policy| {
        let file = if status.differs_from_file { "; the configuration file says something else" } else { "" };
        ("policy", format!("generation {}, {} from {}{file}", policy.number, policy.how.label(), policy.source))
    });
    let pending = status
        .pending
        .as_ref()
        .map(|pending| ("PENDING", format!("{} is not confirmed: {}", pending.name(), until_confirmed(pending))));
    let clock = status.clock.why.as_ref().map(|why| ("CLOCK", in_doubt(&status.clock, why)));
    let mut facts = vec![
        ("mode", status.mode.clone()),
        ("revision", status.revision.max(status.generation).to_string()),
        ("daemon", format!("{}, started {:.0}", status.version, status.started)),
        ("config", status.config.display().to_string()),
        ("", config),
        ("metrics", format!("http://{}/metrics", status.admin_listen)),
    ];
    let pins = status.pin_failure.iter().flat_map(|cause| cause.lines()).next();
    let pins = pins.map(|cause| ("PINS", format!("nothing is filtered when the daemon ends: {cause}")));
    let doing = status.doing.as_ref().map(|doing| {
        let seconds = status.age_ms as f64 / 1e3;
        ("busy", format!("{doing} for {seconds:.1} s; what is here was so before it"))
    });
    let log = match status.log_lines_lost {
        0 => None,
        1 => Some("1 line of the log is lost: standard error could not be written".to_owned()),
        lost => Some(format!("{lost} lines of the log are lost: standard error could not be written")),
    };
    facts.extend(
        policy.into_iter().chain(pending).chain(clock).chain(pins).chain(doing).chain(log.map(|log| ("LOG", log))),
    );
    let told = |condition: &Condition| {
        let first = condition.message.lines().next().unwrap_or_default().to_owned();
        (if condition.blocks { "NOT READY" } else { "WARNING" }, first)
    };
    facts.extend(status.conditions.iter().map(told));
    facts
}

fn in_doubt(clock: &ClockStatus, why: &str) -> String {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "unknown".to_owned(), |time| format!("{time:.0}"));
    let (earliest, latest) = (time(clock.earliest), time(clock.latest));
    format!(
        "IN DOUBT: {why}. It is between {earliest}, by which denied entries end, and {latest}, by which all others do; settled as \
         soon as the clock is synchronised (NTP; chrony needs `rtcsync`)"
    )
}

fn sum(list: &ListStatus, is_counted: impl Fn(&str, Layer) -> bool) -> u64 {
    list.entries.iter().filter(|entries| is_counted(&entries.family, entries.layer)).map(|entries| entries.count).sum()
}
