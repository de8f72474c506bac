//! What the program in the kernel counted.

use std::collections::BTreeSet;

use firewall_common::{
    Action, Family as AddressFamily, Verdict,
    abi::{Count, RateEvent},
};

use super::family::Family;
use crate::{control::Status, controller::Counters, lists::entry::Layer};

/// The families of `counters`; `status` adds zeros for what has not been counted yet.
pub fn families(counters: &Counters, status: Option<&Status>) -> prometheus::Result<Vec<Family>> {
    let mut families = Vec::new();
    families.extend(verdicts(counters, status)?);
    families.extend(services(counters)?);
    families.extend(limits(counters)?);
    families.push(newcomers(counters)?);
    families.extend(store(counters)?);
    families.extend(drift(counters)?);
    families.push(list_tables(counters)?);
    families.push(list_entries(counters, status)?);
    families.push(list_changes(counters)?);
    families.extend(rooms(counters)?);
    Ok(families)
}

/// Every verdict of every family, so that `rate()` is right from the first drop on.
fn verdicts(counters: &Counters, status: Option<&Status>) -> prometheus::Result<[Family; 2]> {
    let labels = ["interface", "family", "verdict", "reason"];
    let mut both = counted("portcullis", "Frames judged.", "Frame bytes judged, as XDP sees them.", &labels)?;
    let attached = status.into_iter().flat_map(|status| &status.interfaces).map(|interface| interface.name.as_str());
    let interfaces: BTreeSet<&str> =
        counters.frames.verdicts.keys().map(|(interface, _, _)| interface.as_str()).chain(attached).collect();
    for interface in interfaces {
        for family in AddressFamily::ALL {
            for &verdict in Verdict::ALL {
                let key = (interface.to_owned(), family as u8, verdict);
                let count = counters.frames.verdicts.get(&key).copied().unwrap_or_default();
                let values = [interface, family.label(), verdict.action().label(), verdict.label()];
                push(&mut both, &values, count);
            }
        }
    }
    Ok(both)
}

fn services(counters: &Counters) -> prometheus::Result<[Family; 2]> {
    let packets = "Packets of a service, passed and dropped.";
    let bytes = "Frame bytes of a service, passed and dropped.";
    let mut both = counted("portcullis_service", packets, bytes, &["service", "verdict"])?;
    for (service, counts) in &counters.frames.services {
        push_pair(&mut both, service, *counts);
    }
    Ok(both)
}

fn limits(counters: &Counters) -> prometheus::Result<[Family; 2]> {
    let packets = "Packets held against a limit: conforming ones pass, exceeding ones drop.";
    let bytes = "Frame bytes held against a limit: conforming ones pass, exceeding ones drop.";
    let mut both = counted("portcullis_limit", packets, bytes, &["limit", "verdict"])?;
    for (limit, counts) in &counters.frames.limits {
        push_pair(&mut both, limit, *counts);
    }
    Ok(both)
}

fn newcomers(counters: &Counters) -> prometheus::Result<Family> {
    let help = "Sources that came to a limit anew: inserted (a bucket of their own), full (every bucket where they could be \
                is in debt) or gated (too many strangers at once); the last two share the overflow bucket of the limit.";
    let mut family = Family::counter("portcullis_rate_newcomers_total", help, &["outcome"])?;
    for event in RateEvent::ALL {
        let count = counters.frames.newcomers.get(event.label()).copied().unwrap_or_default();
        family.push(&[event.label()], count as f64);
    }
    Ok(family)
}

fn store(counters: &Counters) -> prometheus::Result<[Family; 4]> {
    let store = &counters.store;
    let help = "Times that a change could not be kept on disk; a push is refused then.";
    let failures = Family::counter("portcullis_state_write_failures_total", help, &[])?.with(store.failures as f64);
    let help = "Snapshots of pushed entries.";
    let mut snapshots = Family::counter("portcullis_state_snapshots_total", help, &["result"])?;
    snapshots.push(&["success"], store.snapshots as f64);
    snapshots.push(&["failure"], store.snapshot_failures as f64);
    let help = "Size of the journal of pushed entries.";
    let journal = Family::gauge("portcullis_state_journal_bytes", help, &[])?.with(store.journal_octets as f64);
    let help =
        "Times that somebody else had changed the state folder, and everything that was pushed was written anew.";
    let rewrites = Family::counter("portcullis_state_rewrites_total", help, &[])?.with(store.rewrites as f64);
    Ok([failures, snapshots, rewrites, journal])
}

fn drift(counters: &Counters) -> prometheus::Result<[Family; 4]> {
    let drift = &counters.drift;
    let help =
        "Entries of the kernel's tables that somebody else had changed, found and put right in the last whole check.";
    let entries = Family::gauge("portcullis_drift_entries", help, &[])?.with(drift.entries as f64);
    let help = "Whole checks of the kernel's tables.";
    let checks = Family::counter("portcullis_drift_checks_total", help, &[])?.with(drift.checks as f64);
    let help = "Times that a table could not be compared or put right.";
    let failures = Family::counter("portcullis_drift_failures_total", help, &[])?.with(drift.failures as f64);
    let help = "Entries that were put right, by table; `link` is the program on an interface, `pin` what keeps it without a daemon.";
    let mut repairs = Family::counter("portcullis_drift_repairs_total", help, &["table"])?;
    for (table, count) in &drift.repairs {
        repairs.push(&[table], *count as f64);
    }
    Ok([entries, checks, failures, repairs])
}

fn list_tables(counters: &Counters) -> prometheus::Result<Family> {
    let mut family = Family::gauge("portcullis_list_table_bytes", "Kernel memory of the list tables.", &["state"])?;
    for (state, octets) in ["used", "reserved"].into_iter().zip(counters.list_tables) {
        family.push(&[state], octets as f64);
    }
    Ok(family)
}

fn list_entries(counters: &Counters, status: Option<&Status>) -> prometheus::Result<Family> {
    let help = "Entries of a list by layer; a prefix in two layers counts twice.";
    let mut family = Family::gauge("portcullis_list_entries", help, &["list", "family", "layer"])?;
    let counted = counters.list_entries.keys().map(|(list, _, _)| list.as_str());
    let known = status.into_iter().flat_map(|status| &status.lists).map(|list| list.name.as_str());
    for list in counted.chain(known).collect::<BTreeSet<_>>() {
        for layer in Layer::ALL {
            for address_family in [AddressFamily::Ipv4.label(), AddressFamily::Ipv6.label()] {
                let key = (list.to_owned(), layer, address_family);
                let count = counters.list_entries.get(&key).copied().unwrap_or_default();
                family.push(&[list, address_family, layer.label()], count as f64);
            }
        }
    }
    Ok(family)
}

fn list_changes(counters: &Counters) -> prometheus::Result<Family> {
    let help = "Entries that pushes have added, refreshed or removed, and those whose time was over, since the daemon started.";
    let mut family = Family::counter("portcullis_list_changes_total", help, &["list", "layer", "action"])?;
    for ((list, layer, what), count) in &counters.list_changes {
        family.push(&[list, layer.label(), what.label()], *count as f64);
    }
    Ok(family)
}

fn rooms(counters: &Counters) -> prometheus::Result<[Family; 2]> {
    let help = "What is in the kernel's tables: prefixes of all lists, and classes, each of which is another set of lists or another end; \
                those not used any more count until the tables are made anew.";
    let mut entries = Family::gauge("portcullis_map_entries", help, &["map"])?;
    let help = "How much there may be. More prefixes are refused; with more classes the tables are made anew.";
    let mut most = Family::gauge("portcullis_map_max_entries", help, &["map"])?;
    for (map, [count, capacity]) in &counters.rooms {
        entries.push(&[map], *count as f64);
        most.push(&[map], *capacity as f64);
    }
    Ok([entries, most])
}

/// A family of packets and one of bytes.
fn counted(prefix: &str, packets: &str, bytes: &str, labels: &[&str]) -> prometheus::Result<[Family; 2]> {
    Ok([
        Family::counter(&format!("{prefix}_packets_total"), packets, labels)?,
        Family::counter(&format!("{prefix}_bytes_total"), bytes, labels)?,
    ])
}

fn push([packets, bytes]: &mut [Family; 2], values: &[&str], count: Count) {
    packets.push(values, count.packets as f64);
    bytes.push(values, count.bytes as f64);
}

fn push_pair(both: &mut [Family; 2], name: &str, [passed, dropped]: [Count; 2]) {
    push(both, &[name, Action::Pass.label()], passed);
    push(both, &[name, Action::Drop.label()], dropped);
}
