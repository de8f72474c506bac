//! Why a frame passes, and which entries hold a source.

use std::net::IpAddr;

use firewall_userspace::{
    controller::Inquiry,
    lists::entry::{Entry, Layer},
    preview::explain::{
        Answered, AskedPacket, AskedProtocol, DestinationBy, Effect, Explained, ListedEntry, ListedUse, Match,
        Membership,
    },
};

use super::time;

/// Knows one service, `api`, which denies 198.51.100.0/24. A frame passes unless its last octet is odd; it has nothing to say of one
/// whose first octet is 0xff.
pub(super) fn explanations(inquiry: &Inquiry) -> Vec<Answered> {
    let questions = match inquiry {
        Inquiry::Packet(question) => return vec![explained(question.source, false)],
        Inquiry::Packets(questions) => questions,
    };
    if questions.frames.is_empty() {
        return vec![explained(questions.source, true)];
    }
    let judge = |frame: &String| match frame.starts_with("ff") {
        true => Answered::Refused("cannot explain a frame: refused as told".into()),
        false => {
            let is_denied = "13579bdf".contains(frame.chars().next_back().unwrap());
            explained(is_denied.then(|| "198.51.100.7".parse().unwrap()), false)
        }
    };
    questions.frames.iter().map(judge).collect()
}

fn explained(source: Option<IpAddr>, is_about_service: bool) -> Answered {
    let is_denied = source.is_some_and(|source| source.to_string().starts_with("198.51.100."));
    let (action, reason) = if is_denied { ("drop", "denied") } else { ("pass", "accepted") };
    let matches = Match { entry: blocked(), effect: Effect::Denies, decides: true };
    let asked = AskedPacket { service: "api".into(), protocol: AskedProtocol::Tcp, port: 443, syn: true };
    Answered::Explained(Box::new(Explained {
        schema: "portcullis.explain/v1".into(),
        generation: 7,
        revision: 7,
        policy_generation: 3,
        source,
        destination: Some("192.0.2.10".parse().unwrap()),
        destination_by: is_about_service.then_some(DestinationBy::Route),
        asked: is_about_service.then_some(asked),
        frame: None,
        octets: None,
        action: action.into(),
        verdict: action.into(),
        reason: reason.into(),
        meaning: format!("it is {reason}"),
        service: Some("api".into()),
        own: false,
        management: false,
        limit: None,
        entries: is_denied.then_some(matches).into_iter().collect(),
        notes: Vec::new(),
    }))
}

pub(super) fn membership(source: IpAddr) -> Membership {
    let services = vec![ListedUse { service: "api".into(), effect: Effect::Denies, limit: None }];
    let entry = source.to_string().starts_with("198.51.100.").then(|| ListedEntry { entry: blocked(), services });
    Membership {
        schema: "portcullis.membership/v1".into(),
        revision: 7,
        policy_generation: 3,
        source,
        own: false,
        management: Vec::new(),
        entries: entry.into_iter().collect(),
    }
}

fn blocked() -> Entry {
    Entry {
        list: "blocked".into(),
        prefix: "198.51.100.0/24".into(),
        layer: Layer::Ban,
        owner: "guard".into(),
        person: None,
        comment: Some("scans \u{1b}[2J".into()),
        created: time(),
        expires: Some(time()),
        in_doubt: false,
    }
}
