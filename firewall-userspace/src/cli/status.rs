//! `portcullis status`: one screen.

use std::{cmp::Reverse, fmt::Write, process::ExitCode, thread, time::Duration};

use clap::Args;
use jiff::Timestamp;

use super::{
    client::{Answer, Client},
    failure::Failure,
    left,
    output::{self, Output},
    pins::PinsArgs,
    policies::until_confirmed,
    table::TextTable,
};
use crate::{
    control::{
        ClockStatus, Condition, InterfaceStatus, LandlockForce, ListStatus, SandboxStatus, ServiceStatus, Status,
        TrafficCounts, TrafficStatus,
    },
    lists::entry::Layer,
    text::{
        shown::{counted, escaped, grouped},
        when,
    },
};

/// Arguments of `portcullis status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pins: PinsArgs,
}

/// Between two questions, when the daemon has nothing to measure rates by.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest interval of rates that are shown without a second question.
const RECENT_MS: u64 = 10_000;

/// Shows what the daemon does; when none answers, what filters on without it.
pub fn run(client: &Client, output: Output, args: &StatusArgs) -> ExitCode {
    let shown = ask(client).and_then(|Answer { value, json }| match output {
        Output::Json => output::data(&json),
        Output::Table => output::data(screen(&value, Timestamp::now()).as_bytes()),
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        // The pins of this host are those of another daemon.
        Err(failure @ Failure::Unreachable { .. }) if !client.is_remote() => {
            left::report(&failure, &args.pins.pin_directory, output)
        }
        Err(failure) => failure.report(output),
    }
}

/// The status with rates: where the daemon was not asked a short time ago, it is asked twice.
fn ask(client: &Client) -> Result<Answer<Status>, Failure> {
    let first = client.get::<Status>("/v1/status")?;
    let wants_rates = |traffic: &TrafficStatus| traffic.interval_ms.is_none_or(|interval| interval > RECENT_MS);
    if !first.value.traffic.as_ref().is_some_and(wants_rates) {
        return Ok(first);
    }
    thread::sleep(PAUSE);
    // A daemon that ends meanwhile has answered all the same.
    Ok(client.get::<Status>("/v1/status").unwrap_or(first))
}

fn screen(status: &Status, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, value) in facts(status, now) {
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
    let _ = write!(text, "\n{interfaces}\n{lists}\n{}", services(status));
    if let Some(traffic) = &status.traffic {
        let _ = write!(text, "\n{}", reasons(traffic));
    }
    text
}

/// The services, with what goes to them when that is known.
fn services(status: &Status) -> String {
    let facts = |service: &ServiceStatus| {
        let effective = service.effective(&status.mode);
        let why = if effective == service.mode { "" } else { " (the host observes)" };
        let mode = format!("{effective}{why}");
        [service.name.clone(), service.protocol.clone(), service.ports.join(", "), mode]
    };
    let Some(traffic) = &status.traffic else {
        let mut services = TextTable::new(["SERVICE", "PROTOCOL", "PORTS", "MODE"]);
        status.services.iter().for_each(|service| services.push(facts(service)));
        return services.to_string();
    };
    let header = ["SERVICE", "PROTOCOL", "PORTS", "MODE", "PASS", "PER SECOND", "DROP", "PER SECOND"];
    let mut services = TextTable::new(header);
    for service in &status.services {
        let its = traffic.services.iter().find(|one| one.service == service.name);
        let [passed, dropped] = its.map(|one| [told(&one.passed), told(&one.dropped)]).unwrap_or_default();
        let ([name, protocol, ports, mode], [passed, pass_rate]) = (facts(service), passed);
        let [dropped, drop_rate] = dropped;
        services.push([name, protocol, ports, mode, passed, pass_rate, dropped, drop_rate]);
    }
    services.to_string()
}

/// What was said about packets, the most frequent first; what was never said is left out.
fn reasons(traffic: &TrafficStatus) -> TextTable<4> {
    let mut table = TextTable::new(["REASON", "VERDICT", "PACKETS", "PER SECOND"]);
    let mut reasons: Vec<_> = traffic.reasons.iter().filter(|one| one.counts.packets > 0).collect();
    reasons.sort_by_key(|one| Reverse(one.counts.packets));
    for one in reasons {
        let [packets, rate] = told(&one.counts);
        table.push([one.reason.clone(), one.verdict.clone(), packets, rate]);
    }
    table
}

/// How many packets, and how many a second.
fn told(counts: &TrafficCounts) -> [String; 2] {
    let packets = grouped(usize::try_from(counts.packets).unwrap_or(usize::MAX));
    [packets, counts.packets_per_second.map_or_else(|| "?".to_owned(), rate)]
}

/// `0`, `2.5` or `1,234` a second.
fn rate(per_second: f64) -> String {
    match per_second {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 9.95 => format!("{few:.1}"),
        many => grouped(many.round() as usize),
    }
}

/// All traffic in one line.
fn total(traffic: &TrafficStatus, status: &Status) -> String {
    let ([_, pass_rate], [dropped, drop_rate]) = (told(&traffic.passed), told(&traffic.dropped));
    let passed = counted(usize::try_from(traffic.passed.packets).unwrap_or(usize::MAX), "packet");
    // What was counted before a mode was set is counted on: only the verdict is known of all.
    let (pass, drop) = match status.mode.as_str() {
        "observe" => ("to pass", "to drop, which pass while the host observes"),
        host if status.services.iter().any(|service| service.effective(host) == "observe") => {
            ("to pass", "to drop, which pass where a service observes")
        }
        _ => ("passed", "dropped"),
    };
    let rates = match traffic.interval_ms {
        Some(interval) => {
            let seconds = interval as f64 / 1e3;
            format!("; {pass_rate}/s and {drop_rate}/s in the last {seconds:.1} s")
        }
        None => String::new(),
    };
    format!("{passed} {pass}, {dropped} {drop}{rates}")
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

fn facts(status: &Status, now: Timestamp) -> Vec<(&'static str, String)> {
    let reload = &status.reload;
    let loaded = reload
        .last_success
        .map_or_else(|| "never loaded".to_owned(), |last| format!("loaded {}", when::told(last, now)));
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
        ("daemon", format!("{}, started {}", status.version, when::told(status.started, now))),
        ("config", status.config.display().to_string()),
        ("", config),
        ("metrics", format!("http://{}/metrics", status.admin_listen)),
    ];
    facts.extend(status.sandbox.as_ref().map(confinement));
    let traffic = status.traffic.as_ref().map(|traffic| ("traffic", total(traffic, status)));
    let unread = status.traffic_failure.iter().flat_map(|cause| cause.lines()).next();
    let unread = unread.map(|cause| ("TRAFFIC", format!("its counters cannot be read: {cause}")));
    let pins = status.pin_failure.iter().flat_map(|cause| cause.lines()).next();
    let pins = pins.map(|cause| ("PINS", format!("nothing is filtered when the daemon ends: {cause}")));
    let doing = status.doing.as_ref().map(|doing| {
        let seconds = status.age_ms as f64 / 1e3;
        ("busy", format!("{doing} for {seconds:.1} s; what is here was so before it"))
    });
    facts.extend(
        policy
            .into_iter()
            .chain(traffic)
            .chain(unread)
            .chain(pending)
            .chain(clock)
            .chain(pins)
            .chain(doing)
            .chain(lost_lines(status.log_lines_lost).map(|log| ("LOG", log))),
    );
    let said = |condition: &Condition| {
        let first = condition.message.lines().next().unwrap_or_default().to_owned();
        (if condition.blocks { "NOT READY" } else { "WARNING" }, first)
    };
    facts.extend(status.conditions.iter().map(said));
    facts
}

/// How the daemon is confined.
fn confinement(sandbox: &SandboxStatus) -> (&'static str, String) {
    let SandboxStatus { landlock, seccomp, user, why, .. } = sandbox;
    let landlock = match landlock.state {
        LandlockForce::Full => "Landlock".to_owned(),
        LandlockForce::Partial => format!("Landlock as far as the kernel has it (ABI {})", landlock.abi),
        LandlockForce::None => "NO Landlock".to_owned(),
    };
    let seccomp = if *seccomp { "seccomp" } else { "NO seccomp" };
    let user = user.map_or_else(|| "?".to_owned(), |user| user.to_string());
    let capabilities = sandbox.powers();
    let why = why.iter().flat_map(|why| why.lines()).next().map_or_else(String::new, |why| format!(": {why}"));
    let name = if why.is_empty() { "sandbox" } else { "SANDBOX" };
    (name, format!("{landlock}, {seccomp}; user {user}, {capabilities}{why}"))
}

/// What of the log is lost.
fn lost_lines(lost: u64) -> Option<String> {
    match lost {
        0 => None,
        1 => Some("1 line of the log is lost: standard error could not be written".to_owned()),
        lost => Some(format!("{lost} lines of the log are lost: standard error could not be written")),
    }
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
