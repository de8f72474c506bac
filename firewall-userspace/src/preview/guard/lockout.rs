//! Connections that a change would cut off.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use firewall_common::Verdict;

use super::Harm;
use crate::{
    host::connections::{Connection, Established},
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
    /// Whether this host opened it, so that what is dropped are the replies.
    pub is_outgoing: bool,
    /// What the new policy says about its packets.
    pub judged: Judged,
}

impl Cut {
    /// Whether a push must not cut it off. To ban somebody who is connected is what a ban is for, whoever opened the connection;
    /// `sshd` tells the ports of running sshd.
    pub fn must_stay<'a>(&self, guard: &Guard, sshd: impl FnOnce() -> &'a [u16]) -> bool {
        let port = self.connection.destination.port();
        match self.judged.verdict {
            _ if self.is_callers => true,
            Verdict::Denied => !self.is_outgoing && guard.protects_from_denial(port, sshd),
            _ => self.is_outgoing || guard.protects(port),
        }
    }

    /// What is cut off, after whatever says whose it is, and why.
    pub(super) fn words(&self) -> (String, String) {
        let Self { connection: ends, is_outgoing, judged, .. } = self;
        match is_outgoing {
            true => (
                format!("a connection that this host opened to {}", ends.source),
                format!("its replies come to port {}, {judged}", ends.destination.port()),
            ),
            false => (ends.to_string(), judged.to_string()),
        }
    }
}

/// Connections that `new` drops and `live` does not; without a live policy, all that `new` drops. Of those that others opened, only
/// those to the ports of `guard`, and the caller's, which comes first, whatever its port.
pub fn cut_off(
    guard: &Guard,
    live: Option<&Side<'_>>,
    new: &Side<'_>,
    mut established: Vec<Established>,
    caller: Option<Connection>,
) -> Vec<Harm> {
    established.retain(|one| one.is_outgoing || guard.protects(one.connection.destination.port()));
    harms(cuts(live, new, &established, caller))
}

/// The harm of cutting all of these off.
pub fn harms(cuts: impl IntoIterator<Item = Cut>) -> Vec<Harm> {
    let mut harms = Vec::new();
    let mut count = 0;
    for cut in cuts {
        if harms.len() < MOST_NAMED {
            harms.push(Harm::CutOff(cut));
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
    let words = |cut: &Cut| {
        let (connection, why) = cut.words();
        format!("cuts off {connection}: {why}")
    };
    let mut words: Vec<String> = cuts.iter().take(MOST_TOLD).map(words).collect();
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
    established: &[Established],
    caller: Option<Connection>,
) -> Vec<Cut> {
    let mut known = [HashMap::new(), HashMap::new()];
    let [known_live, known_new] = &mut known;
    let mut is_cut_off = |connection: &Connection| {
        let judged = judge(new, connection, known_new)?;
        let passed = live.is_none_or(|live| judge(live, connection, known_live).is_none());
        passed.then_some(judged)
    };
    let others: BTreeSet<&Established> = established.iter().filter(|one| caller != Some(one.connection)).collect();
    let callers = caller.map(|connection| (Established { connection, is_outgoing: false }, true));
    let all = callers.into_iter().chain(others.into_iter().map(|other| (*other, false)));
    let cut = |(Established { connection, is_outgoing }, is_callers): (Established, bool)| {
        let judged = is_cut_off(&connection)?;
        Some(Cut { connection, is_callers, is_outgoing, judged })
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

    fn told(live: Option<&Policy>, new: &Policy, established_here: &[&str], caller: Option<&str>) -> Vec<String> {
        let members = |policy: &Policy| configured_members(policy, &BTreeSet::from(["192.0.2.10".parse().unwrap()]));
        let new_members = members(new);
        let live_members = live.map(&members).unwrap_or_default();
        let (new_model, live_model) = (HostModel::new(new), live.map(HostModel::new));
        let before = |source: IpAddr| live_members.lookup(source);
        let live_side = live_model.as_ref().map(|model| Side { model, members: &before });
        let new_side = Side { model: &new_model, members: &|source| new_members.lookup(source) };
        // A port above 32767 of this host is one that it was given.
        let established = |text: &&str| {
            let connection = of_ssh(text).unwrap();
            Established { connection, is_outgoing: connection.destination.port() > 32_767 }
        };
        let established: Vec<_> = established_here.iter().map(established).collect();
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

    const ALL_PORTS: &str = include_str!("../../../tests/data/all-ports.toml");
    /// The reply of a server that no list names.
    const OUTGOING: &str = "203.0.113.7 443 192.0.2.10 45678";

    /// `../shared/field/all-ports.toml` (talos#13926, cilium#34107).
    #[test]
    fn a_connection_that_this_host_opened_is_guarded_and_named_as_such_whatever_the_ports_of_the_guard() {
        let harm = "a connection that this host opened to 203.0.113.7:443 would be cut off: its replies come to port 45678, \
                    drop (not_allowed) by service `everything_tcp` (guard `cut-off`)";
        let live = policy("", "");
        let of = |text: &str| config::load_text(Path::new("x.toml"), text, Path::new("")).unwrap().policy;
        let partner = "192.0.2.2 443 192.0.2.10 45678";
        assert_eq!(told(Some(&live), &of(ALL_PORTS), &[OUTGOING, partner], None), [harm]);
        let unguarded = of(&format!("{ALL_PORTS}\n[guard]\nports = []\n"));
        let incoming = "203.0.113.7 50412 192.0.2.10 22";
        assert_eq!(told(Some(&live), &unguarded, &[OUTGOING, incoming], None), [harm]);
        assert_eq!(told(None, &unguarded, &[OUTGOING], None), [harm], "at a start");
        assert_eq!(told(Some(&unguarded), &unguarded, &[OUTGOING], None), [""; 0]);
    }

    #[test]
    fn a_push_that_denies_may_cut_off_what_this_host_opened_and_one_that_admits_no_more_may_not() {
        let cut = |verdict, is_outgoing| Cut {
            connection: of_ssh(OUTGOING).unwrap(),
            is_callers: false,
            is_outgoing,
            judged: Judged { verdict, service: None, observes: false },
        };
        let stays = |cut: Cut, ports: &[u16]| {
            let ports = ports.iter().map(|port| *port..=*port).collect();
            cut.must_stay(&Guard { ports: Some(ports), ..Guard::default() }, || &[])
        };
        assert!(!stays(cut(Verdict::Denied, true), &[45_678]));
        assert!(stays(cut(Verdict::NotAllowed, true), &[]));
        assert!(stays(cut(Verdict::Denied, false), &[45_678]));
        assert!(!stays(cut(Verdict::NotAllowed, false), &[]));
        let words = super::told(&[cut(Verdict::Denied, true)]);
        let wanted = "cuts off a connection that this host opened to 203.0.113.7:443: its replies come to port 45678, drop (denied)";
        assert_eq!(words, [wanted]);
    }

    #[test]
    fn a_push_is_answered_with_ten_of_those_it_cuts_off_and_a_count() {
        let judged = Judged { verdict: Verdict::Denied, service: None, observes: false };
        let cut = |port: u16| Cut {
            connection: of_ssh(&format!("198.51.100.7 {port} 192.0.2.10 80")).unwrap(),
            is_callers: false,
            is_outgoing: false,
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
