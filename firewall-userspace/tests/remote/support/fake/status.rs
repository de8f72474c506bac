//! What it says of itself: its status and its counters.

use std::path::PathBuf;

use firewall_common::{Family, Verdict, abi::Count};
use firewall_userspace::{
    control::{
        ClockStatus, InterfaceStatus, ListEntries, ListStatus, ReloadStatus, ReloadTally, ServiceStatus, Status, Way,
    },
    controller::Counters,
    lists::{entry::Layer, tally::Happening},
};

use super::time;

/// The state of a daemon with two lists and one service.
pub fn status() -> Status {
    let list = |name: &str, allowed_by: &[&str], denied_by: &[&str], entries: &[(Layer, &str, u64)]| ListStatus {
        name: name.into(),
        entries: entries
            .iter()
            .map(|&(layer, family, count)| ListEntries { layer, family: family.into(), count })
            .collect(),
        allowed_by: allowed_by.iter().map(|&name| name.into()).collect(),
        denied_by: denied_by.iter().map(|&name| name.into()).collect(),
    };
    Status {
        schema: "portcullis.status/v1".into(),
        version: "0.1.0".into(),
        source_revision: "0123abc".into(),
        started: time(),
        generation: 7,
        revision: 7,
        policy_generation: 3,
        age_ms: 0,
        doing: None,
        log_lines_lost: 0,
        sandbox: None,
        clock: ClockStatus { synchronised: true, ..ClockStatus::default() },
        mode: "enforce".into(),
        config: PathBuf::from("/etc/portcullis/portcullis.toml"),
        admin_listen: "127.0.0.1:9191".parse().unwrap(),
        reload: reload(),
        policy: None,
        differs_from_file: false,
        pending: None,
        automatic_rollbacks: 0,
        pin_failure: None,
        interfaces: vec![InterfaceStatus {
            name: "eth0".into(),
            was: None,
            now: None,
            ifindex: 2,
            mode: "native".into(),
            configured: "auto".into(),
            state: "attached".into(),
            cause: None,
            pinned: true,
            reattachments: 1,
        }],
        lists: vec![
            list("blocked", &[], &["api"], &[(Layer::Runtime, "ipv4", 1)]),
            list("partners", &["api"], &[], &[(Layer::Config, "ipv4", 1), (Layer::Runtime, "ipv6", 1)]),
        ],
        services: vec![ServiceStatus {
            mode: "enforce".into(),
            name: "api".into(),
            protocol: "tcp".into(),
            ports: vec!["443".into(), "8443-8445".into()],
            effective_mode: "enforce".into(),
        }],
        conditions: Vec::new(),
        traffic: None,
        traffic_failure: None,
    }
}

/// Counters of a daemon that has accepted 3 packets and denied 2.
pub fn counters() -> Counters {
    let count = |packets| Count { packets, bytes: packets * 100 };
    let mut counters = Counters::default();
    for (verdict, packets) in [(Verdict::Accepted, 3), (Verdict::Denied, 2)] {
        counters.frames.verdicts.insert(("eth0".into(), Family::Ipv4 as u8, verdict), count(packets));
    }
    counters.frames.services.insert("api".into(), [count(3), count(2)]);
    counters.frames.limits.insert("standard".into(), [count(3), count(0)]);
    counters.list_entries.insert(("partners".into(), Layer::Config, "ipv4"), 1);
    counters.list_changes.insert(("partners".into(), Layer::Runtime, Happening::Expired), 4);
    counters.rooms.insert("classes", [65, 65_536]);
    counters
}

/// A start and a reload that went well, and one that did not.
fn reload() -> ReloadStatus {
    let mut triggers = ReloadTally::of(Way::Daemon, true);
    triggers.count(Way::Socket, true);
    triggers.count(Way::Signal, false);
    ReloadStatus { successful: true, last_success: Some(time()), successes: 2, failures: 1, triggers, error: None }
}
