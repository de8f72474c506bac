//! A scrape as a whole: no series twice, every family with its words and its type, and no more series than promised.
//!
//! `PORTCULLIS_BLESS=1 cargo test -p firewall-userspace --test remote exposition` writes the table of docs/metrics.md anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use firewall_common::{
    Family, Verdict,
    abi::{Count, MAX_INTERFACES, MAX_LIMITS, MAX_LISTS, MAX_SERVICES},
};
use firewall_userspace::{
    control::{InterfaceStatus, ListStatus, SandboxStatus, ServiceStatus, Status},
    controller::Counters,
    lists::{entry::Layer, tally::Happening},
};

use crate::support::{Daemon, Fake, counters, get, status};

/// Most series of a scrape, at the limits of the product.
const MOST: usize = 8000;

/// Tables that are put right, as the filter names them.
const REPAIRED: [&str; 13] = [
    "ROOT_V4",
    "ROOT_V6",
    "LINES",
    "PLACES",
    "CLASSES",
    "ADDRESSES",
    "PORTS",
    "FRAGMENTS",
    "SERVICES",
    "LIMITS",
    "ESSENTIAL_CAPS",
    "link",
    "pin",
];

/// What a family of a scrape is, and its samples without their values.
#[derive(Debug, Default)]
pub struct Exposed {
    help: String,
    kind: String,
    series: Vec<String>,
}

/// The families of a scrape by name; what is wrong with it otherwise.
pub fn read(text: &str) -> Result<BTreeMap<String, Exposed>, String> {
    let (mut families, mut all) = (BTreeMap::<String, Exposed>::new(), BTreeSet::new());
    let mut name = String::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            let (of, help) = line.split_once(' ').ok_or(format!("no help: {line}"))?;
            name = of.to_owned();
            let family = Exposed { help: help.trim().to_owned(), ..Exposed::default() };
            if families.insert(name.clone(), family).is_some() {
                return Err(format!("{name} is there twice"));
            }
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            let (of, kind) = line.split_once(' ').ok_or(format!("no type: {line}"))?;
            let family = families.get_mut(of).filter(|family| of == name && family.kind.is_empty());
            family.ok_or(format!("{of} has no help, or two types"))?.kind = kind.to_owned();
        } else {
            let (series, _) = line.rsplit_once(' ').ok_or(format!("no value: {line}"))?;
            let family = families.get_mut(&name).filter(|family| !family.kind.is_empty());
            let family = family.ok_or(format!("{series} is in no family with a type"))?;
            let rest = series.split('{').next().and_then(|of| of.strip_prefix(&name));
            let is_of_it = match &*family.kind {
                "histogram" => matches!(rest, Some("_bucket" | "_sum" | "_count")),
                _ => rest == Some(""),
            };
            if !is_of_it || !all.insert(series.to_owned()) {
                return Err(format!("{series} is there twice, or in another family"));
            }
            family.series.push(series.to_owned());
        }
    }
    match families.iter().find(|(_, family)| family.help.is_empty() || family.series.is_empty()) {
        Some((name, _)) => Err(format!("{name} has no help or no series")),
        None => Ok(families),
    }
}

/// The scrape of a daemon with the largest policy that there may be.
pub fn largest() -> String {
    let daemon = Daemon::start(Fake { status: large_status(), counters: Some(large_counters()), ..Fake::default() });
    daemon.api(get("/v1/status"));
    daemon.admin(get("/metrics")).body
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}{number}")).collect()
}

fn large_status() -> Status {
    let small = status();
    let of = |interface: &InterfaceStatus, name: String| InterfaceStatus { name, ..interface.clone() };
    let interfaces = names("eth", MAX_INTERFACES).into_iter().map(|name| of(&small.interfaces[0], name)).collect();
    let list = |name| ListStatus { name, ..small.lists[0].clone() };
    let service = |name| ServiceStatus { name, ..small.services[0].clone() };
    Status {
        interfaces,
        lists: names("list", MAX_LISTS).into_iter().map(list).collect(),
        services: names("service", MAX_SERVICES).into_iter().map(service).collect(),
        sandbox: Some(SandboxStatus::default()),
        ..small
    }
}

fn large_counters() -> Counters {
    let mut large = counters();
    let none = || [Count::default(); 2];
    large.frames.verdicts = BTreeMap::new();
    for interface in names("eth", MAX_INTERFACES) {
        for family in Family::ALL {
            for verdict in Verdict::ALL {
                large.frames.verdicts.insert((interface.clone(), family as u8, *verdict), Count::default());
            }
        }
    }
    large.frames.services = names("service", MAX_SERVICES).into_iter().map(|name| (name, none())).collect();
    large.frames.limits = names("limit", MAX_LIMITS).into_iter().map(|name| (name, none())).collect();
    (large.list_entries, large.list_changes) = Default::default();
    for list in names("list", MAX_LISTS) {
        for layer in Layer::ALL {
            for what in Happening::ALL {
                large.list_changes.insert((list.clone(), layer, what), 0);
            }
        }
        large.list_changes.retain(|(_, layer, _), _| *layer != Layer::Config);
    }
    for map in ["prefixes_ipv4", "prefixes_ipv6", "classes"] {
        large.rooms.insert(map, [0, 1]);
    }
    large.drift.repairs = REPAIRED.into_iter().map(|part| (part, 0)).collect();
    large
}

#[test]
fn every_series_stands_once_in_a_family_with_its_help_and_one_type() {
    for text in [largest(), Daemon::start(Fake::default()).admin(get("/metrics")).body] {
        assert!(read(&text).unwrap().len() > 40, "{text}");
    }
}

#[test]
fn a_scrape_with_a_series_twice_or_without_words_is_found() {
    let good = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    assert!(read(good).is_ok());
    for (bad, why) in [
        (format!("{good}a_total{{b=\"c\"}} 2\n"), "a_total{b=\"c\"} is there twice, or in another family"),
        (format!("{good}{good}"), "a_total is there twice"),
        (good.replace("Of a.", ""), "a_total has no help or no series"),
        (good.replace("# HELP a_total Of a.\n", ""), "a_total has no help, or two types"),
        (good.replace("# TYPE a_total counter\n", ""), "a_total{b=\"c\"} is in no family with a type"),
        (good.replace("a_total{", "b_total{"), "b_total{b=\"c\"} is there twice, or in another family"),
        (good.replace("counter\n", "counter\n# TYPE a_total gauge\n"), "a_total has no help, or two types"),
    ] {
        assert_eq!(read(&bad).unwrap_err(), why, "{bad}");
    }
}

#[test]
fn a_scrape_of_the_largest_policy_has_fewer_than_8000_series() {
    let families = read(&largest()).unwrap();
    let count: usize = families.values().map(|family| family.series.len()).sum();
    assert!(count < MOST, "{count}");
    // It is as large as it may be: each kind of thing is there as often as the product allows.
    let of = |name: &str| families[name].series.len();
    assert_eq!(of("portcullis_packets_total"), MAX_INTERFACES * Family::ALL.len() * Verdict::ALL.len());
    assert_eq!((of("portcullis_limit_packets_total"), of("portcullis_service_bytes_total")), (2 * 255, 2 * 256));
    assert_eq!((of("portcullis_list_entries"), of("portcullis_list_changes_total")), (64 * 5 * 2, 64 * 4 * 4));
}

#[test]
fn the_table_of_the_documents_is_what_a_scrape_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("\n| Name |").unwrap();
    let table = table(&read(&largest()).unwrap());
    if env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::write(&file, format!("{head}\n{table}")).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{head}\n{table}"), "hint: PORTCULLIS_BLESS=1 writes it");
}

fn table(families: &BTreeMap<String, Exposed>) -> String {
    let mut table = "| Name | Type | Labels | Series at most | Meaning |\n|-|-|-|-|-|\n".to_owned();
    for (name, Exposed { help, kind, series }) in families {
        let labels = series[0].split_once('{').map_or("", |(_, labels)| labels);
        // Values have none of these signs but in a path, whose braces are between quotes.
        let labels = labels.split('"').step_by(2).map(|label| label.trim_matches([',', '=', '}']));
        let labels: Vec<String> =
            labels.filter(|label| !label.is_empty() && *label != "le").map(|label| format!("`{label}`")).collect();
        // How many answers there were depends on what clients ask.
        let most = if name == "portcullis_http_requests_total" { "by answer".into() } else { series.len().to_string() };
        table += &format!("| `{name}` | {kind} | {} | {most} | {help} |\n", labels.join(", "));
    }
    table
}
