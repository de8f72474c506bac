//! Connections that a change would cut off.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::Harm;
use crate::{
    host::connections::Connection,
    lists::members::Member,
    policy::{
        guard::Guard,
        packet::{ACK, Packet, Transport},
    },
    preview::model::{HostModel, Judged},
    text::shown::counted,
};

/// A policy that judges connections.
pub struct Side<'a> {
    /// The policy.
    pub model: &'a HostModel,
    /// What a source is in.
    pub members: &'a dyn Fn(IpAddr) -> Member,
}

/// Connections that are named each by itself.
const MOST_NAMED: usize = 20;

/// Connections that the answer to a push tells of.
const MOST_TOLD: usize = 10;

/// A connection that is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The connection.
    pub connection: Connection,
    /// Whether it is the one that the change is asked for through.
    pub is_callers: bool,
    /// What the new policy says about its packets.
    pub judged: Judged,
}

/// Connections to the ports of `guard` that `new` drops and `live` does not; without a live policy, all that `new` drops. The caller's
/// comes first, whatever its port.
pub fn cut_off(
    guard: &Guard,
    live: Option<&Side<'_>>,
    new: &Side<'_>,
    mut established: Vec<Connection>,
    caller: Option<Connection>,
) -> Vec<Harm> {
    established.retain(|connection| guard.protects(connection.destination.port()));
    harms(cuts(live, new, &established, caller))
}

/// The harm of cutting all of these off.
pub fn harms(cuts: impl IntoIterator<Item = Cut>) -> Vec<Harm> {
    let mut harms = Vec::new();
    let mut count = 0;
    for Cut { connection, is_callers, judged } in cuts {
        if harms.len() < MOST_NAMED {
            harms.push(Harm::CutOff { connection, is_callers, judged });
        } else {
            count += 1;
        }
    }
    if count > 0 {
        harms.push(Harm::Others { count });
    }
    harms
}

/// What a push that cuts these off is answered: ten, then how many more.
pub fn told(cuts: &[Cut]) -> Vec<String> {
    let mut words: Vec<String> = cuts
        .iter()
        .take(MOST_TOLD)
        .map(|Cut { connection, judged, .. }| format!("cuts off {connection}: {judged}"))
        .collect();
    let more = cuts.len().saturating_sub(MOST_TOLD);
    if more > 0 {
        words.push(format!("cuts off {}", counted(more, "more connection")));
    }
    words
}

/// Connections that `new` drops and `live` does not; without a live policy, all that `new` drops. The caller's comes first.
pub fn cuts(
    live: Option<&Side<'_>>,
    new: &Side<'_>,
    established: &[Connection],
    caller: Option<Connection>,
) -> Vec<Cut> {
    let mut known = [HashMap::new(), HashMap::new()];
    let [known_live, known_new] = &mut known;
    let mut is_cut_off = |connection: &Connection| {
        let judged = judge(new, connection, known_new)?;
        let passed = live.is_none_or(|live| judge(live, connection, known_live).is_none());
        passed.then_some(judged)
    };
    let others: BTreeSet<&Connection> = established.iter().filter(|connection| caller != Some(**connection)).collect();
    let all = caller.iter().map(|caller| (caller, true)).chain(others.into_iter().map(|other| (other, false)));
    let cut = |(connection, is_callers): (&Connection, bool)| {
        let judged = is_cut_off(connection)?;
        Some(Cut { connection: *connection, is_callers, judged })
    };
    all.filter_map(cut).collect()
}

/// Why `side` drops a packet of `connection`; `None` when it passes. Addresses of this host are no peers: their packets do
/// not cross an interface.
fn judge(side: &Side<'_>, connection: &Connection, known: &mut HashMap<IpAddr, Member>) -> Option<Judged> {
    let source = connection.source.ip();
    let member = known.entry(source).or_insert_with(|| (side.members)(source));
    let packet = Packet {
        source,
        destination: connection.destination.ip(),
        transport: Transport::Tcp {
            source_port: connection.source.port(),
            port: connection.destination.port(),
            flags: ACK,
        },
        is_later_fragment: false,
    };
    side.model.judge(&packet, member).filter(|judged| !judged.passes() && !judged.observes && !member.own)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;
    use crate::{config, host::connections::of_ssh, policy::Policy, preview::model::configured_members};

    const CONFIG: &str = r#"
[[interface]]
name = "eth0"
[lists.office]
entries = ["203.0.113.0/24"]
[services.ssh]
protocol = "tcp"
ports = [22]
allow = ["office"]
"#;

    fn policy(from: &str, to: &str) -> Policy {
        let text = CONFIG.replace(from, to);
        config::load_text(Path::new("x.toml"), &text, Path::new("")).unwrap().policy
    }

    fn told(live: Option<&Policy>, new: &Policy, established: &[&str], caller: Option<&str>) -> Vec<String> {
        let members = |policy: &Policy| configured_members(policy, &BTreeSet::from(["192.0.2.10".parse().unwrap()]));
        let new_members = members(new);
        let live_members = live.map(&members).unwrap_or_default();
        let (new_model, live_model) = (HostModel::new(new), live.map(HostModel::new));
        let before = |source: IpAddr| live_members.lookup(source);
        let live_side = live_model.as_ref().map(|model| Side { model, members: &before });
        let new_side = Side { model: &new_model, members: &|source| new_members.lookup(source) };
        let established: Vec<_> = established.iter().map(|text| of_ssh(text).unwrap()).collect();
        let caller = caller.and_then(of_ssh);
        let harms = cut_off(&new.guard, live_side.as_ref(), &new_side, established, caller);
        harms.iter().map(Harm::to_string).collect()
    }

    const OFFICE: &str = "203.0.113.7 50412 192.0.2.10 22";
    const STRANGER: &str = "198.51.100.7 50412 192.0.2.10 22";
    const WEB: &str = "198.51.100.7 50412 192.0.2.10 80";
    const OWN: &str = "192.0.2.10 50412 192.0.2.10 22";

    #[test]
    fn only_what_the_live_policy_lets_through_can_be_cut_off() {
        let (live, new) = (policy("", ""), policy("203.0.113.0/24", "192.0.2.128/25"));
        assert_eq!(
            told(Some(&live), &new, &[STRANGER, OFFICE, WEB, OWN], None),
            [
                "the established connection 203.0.113.7:50412 -> 192.0.2.10:22 would be cut off: drop (not_allowed) by service `ssh` (guard `cut-off`)"
            ]
        );
        assert_eq!(told(Some(&live), &live, &[STRANGER, OFFICE, WEB, OWN], None), [""; 0]);
        assert_eq!(
            told(None, &new, &[STRANGER, OFFICE, WEB, OWN], None).len(),
            2,
            "at a start nothing was dropped before"
        );
    }

    #[test]
    fn the_callers_connection_is_named_first_and_once() {
        let (live, new) = (policy("", ""), policy("203.0.113.0/24", "192.0.2.128/25"));
        let other = "203.0.113.1 50412 192.0.2.10 22";
        let told = told(Some(&live), &new, &[other, OFFICE], Some(OFFICE));
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("your own connection 203.0.113.7:50412 -> 192.0.2.10:22"), "{told:?}");
    }

    #[test]
    fn a_policy_that_only_observes_cuts_nothing_off_and_enforcing_it_does() {
        let observe = policy("[lists", "[policy]\nmode = \"observe\"\n[lists");
        assert_eq!(told(Some(&policy("", "")), &observe, &[STRANGER], None), [""; 0]);
        assert_eq!(told(Some(&observe), &policy("", ""), &[STRANGER], None).len(), 1);
    }

    #[test]
    fn connections_to_other_ports_than_those_of_the_guard_may_be_cut_off() {
        let (live, new) = (policy("[22]", "[2222]"), policy("[lists", "[guard]\nports = [80]\n[lists"));
        assert_eq!(told(Some(&live), &new, &[STRANGER], None), [""; 0]);
        assert_eq!(told(Some(&live), &new, &[], Some(STRANGER)).len(), 1, "the caller's own is always protected");
    }

    #[test]
    fn a_push_is_answered_with_ten_of_those_it_cuts_off_and_a_count() {
        let judged = Judged { verdict: firewall_common::Verdict::Denied, service: None, observes: false };
        let cut = |port: u16| Cut {
            connection: of_ssh(&format!("198.51.100.7 {port} 192.0.2.10 80")).unwrap(),
            is_callers: false,
            judged: judged.clone(),
        };
        let cuts: Vec<Cut> = (1..=35).map(cut).collect();
        let words = super::told(&cuts);
        assert_eq!((words.len(), &*words[10]), (11, "cuts off 25 more connections"));
        assert_eq!(words[0], "cuts off 198.51.100.7:1 -> 192.0.2.10:80: drop (denied)");
        assert_eq!(super::told(&cuts[..10]).len(), 10);
    }

    #[test]
    fn a_thousand_connections_are_twenty_lines_and_a_count() {
        let connections: Vec<String> = (1..=1000).map(|port| format!("198.51.100.7 {port} 192.0.2.10 22")).collect();
        let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
        let told = told(None, &policy("", ""), &connections, None);
        assert_eq!(
            (told.len(), &*told[20]),
            (21, "980 more established connections would be cut off (guard `cut-off`)")
        );
    }
}
