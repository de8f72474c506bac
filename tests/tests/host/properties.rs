//! Laws that hold for every frame. `PORTCULLIS_SEED` and `PORTCULLIS_FRAMES` repeat or lengthen a run.

use std::{
    cell::Cell,
    collections::BTreeMap,
    ops::ControlFlow::{Break, Continue},
};

use firewall_common::{Family, Fragment, Frame, Header, Transport, Verdict, judge, parse};
use firewall_tests::{
    generate,
    model::Model,
    mutate::Frames,
    peek::{ip_header, packet_end},
    random::{Random, frames, seed},
    show::{hex, scapy},
    spec,
};
use firewall_userspace::{
    policy::{Policy, Prefix},
    preview::model::{HostModel, configured_members},
};

/// Frames of a run in a debug build.
const FRAMES: usize = 200_000;
/// Merged packets for each policy: they are long.
const MERGED: usize = 250;
/// Policies of a run.
const POLICIES: usize = 40;

#[test]
fn two_readings_of_the_contract_agree_on_odd_frames() {
    let mut seen: BTreeMap<Verdict, usize> = BTreeMap::new();
    for_each_frame(|policy, own, model, frame, _| {
        let judgement = judge(frame, model);
        let said = spec::judge(policy, own, frame);
        let service = model.service_name(judgement.service);
        assert!(
            judgement.verdict == said.verdict && judgement.family == said.family && service == said.service.as_deref(),
            "judge: {judgement:?} ({service:?})\nspec:  {said:?}\n{}\n{}",
            scapy(frame),
            hex(frame)
        );
        *seen.entry(judgement.verdict).or_default() += 1;
    });
    println!("{seen:#?}");
    for verdict in Verdict::ALL {
        let has_state = matches!(
            verdict,
            Verdict::EssentialLimited | Verdict::OverPackets | Verdict::OverBytes | Verdict::OverConnections
        );
        let never = has_state || matches!(verdict, Verdict::HostDefault | Verdict::Internal);
        assert_eq!(!never, seen.contains_key(verdict), "{verdict:?}");
    }
}

#[test]
fn two_readings_of_the_contract_agree_on_merged_packets() {
    let mut seen: BTreeMap<Verdict, usize> = BTreeMap::new();
    let seed = seed();
    for part in 0..POLICIES {
        let mut random = Random::part(seed, part as u64);
        let (policy, own) = generate::policy(&mut random);
        let model = Model::new(&policy, &own);
        let source = Frames::new(&policy, &own);
        for _ in 0..MERGED {
            let frame = source.merged(&mut random);
            let (judgement, said) = (judge(&*frame, &model), spec::judge(&policy, &own, &frame));
            let service = model.service_name(judgement.service);
            assert!(
                judgement.verdict == said.verdict
                    && judgement.family == said.family
                    && service == said.service.as_deref(),
                "judge: {judgement:?} ({service:?})\nspec:  {said:?}\n{}",
                hex(&frame[..160.min(frame.len())])
            );
            *seen.entry(judgement.verdict).or_default() += 1;
        }
    }
    println!("{seen:#?}");
    for verdict in [Verdict::BadIpLength, Verdict::BadExtensionChain, Verdict::BadTransportHeader, Verdict::Accepted] {
        assert!(seen.contains_key(&verdict), "{verdict:?}");
    }
}

/// The model that the daemon and `check --tests` judge with, which reads what is loaded into the kernel, against the one
/// that reads the policy.
#[test]
fn the_host_model_of_the_command_line_agrees_with_the_contract() {
    let seed = seed();
    for part in 0..POLICIES {
        let mut random = Random::part(seed, part as u64);
        let (policy, own) = generate::policy(&mut random);
        let model = Model::new(&policy, &own);
        let host = HostModel::new(&policy);
        let members = configured_members(&policy, &own.iter().copied().collect());
        let source = Frames::new(&policy, &own);
        for _ in 0..frames(FRAMES).div_ceil(POLICIES) {
            let frame = source.next(&mut random, 0);
            let (wanted, got) = (judge(&*frame, &model), host.judge_frame(&frame, |source| members.lookup(source)));
            let service = model.service_name(wanted.service);
            assert!(
                got.verdict == wanted.verdict && got.service.as_deref() == service,
                "model: {wanted:?} ({service:?})\nhost:  {got:?}\n{}\n{}",
                scapy(&frame),
                hex(&frame)
            );
        }
    }
}

#[test]
fn octets_that_are_no_frame_are_judged_all_the_same() {
    let mut random = Random::new(seed());
    let (policy, own) = generate::policy(&mut random);
    let model = Model::new(&policy, &own);
    for _ in 0..frames(FRAMES) / 4 {
        let length = random.below(200);
        let frame: Vec<u8> = (0..length).map(|_| random.octet()).collect();
        let judgement = judge(frame.as_slice(), &model);
        assert_ne!(judgement.verdict, Verdict::Internal);
    }
}

/// What a packet consists of, and not more of it than there is.
#[test]
fn what_the_parser_finds_is_inside_the_frame() {
    for_each_frame(|_, _, _, frame, _| {
        let mut family = Family::Other;
        let probe = Probe { frame, end: Cell::new(0) };
        let flow = match parse(&probe, &mut family) {
            Continue(flow) => flow,
            Break(verdict) => return assert_ne!(verdict, Verdict::Internal),
        };
        let context = || format!("{flow:?}\n{}\n{}", scapy(frame), hex(frame));
        assert_eq!(flow.frame_length, frame.len(), "{}", context());
        assert_eq!(flow.source.family, family, "{}", context());
        assert_eq!(flow.destination.family, family, "{}", context());
        let header = match flow.transport {
            Transport::Tcp => 20,
            Transport::Udp | Transport::Icmp | Transport::Icmpv6 => 8,
            Transport::Other | Transport::Every => 0,
        };
        let is_later = flow.fragment == Fragment::Later;
        if is_later {
            assert_eq!((flow.transport_length, flow.has_ports(), flow.opens_connection), (0, false, false));
            assert_eq!((flow.source_port, flow.destination_port, flow.icmp_type), (0, 0, 0), "{}", context());
        } else {
            assert!(flow.transport_length >= header, "{}", context());
            assert_ne!(flow.transport, Transport::Every, "{}", context());
        }
        let ip = if family == Family::Ipv4 { 20 } else { 40 };
        assert!(14 + ip + flow.transport_length <= frame.len(), "{}", context());
        assert!(probe.end.get() <= frame.len(), "{}", context());
    });
}

/// "Padding after the packet is not packet."
#[test]
fn what_is_behind_the_packet_changes_nothing() {
    for_each_frame(|_, _, model, frame, random| {
        let before = judge(frame, model);
        // A length that ends inside the header leaves no header: other octets there are another header.
        let Some((at, is_v4)) = ip_header(frame) else { return };
        let header = at + if is_v4 { 20 } else { 40 };
        let Some(end) = packet_end(frame).filter(|end| (header..=frame.len()).contains(end)) else { return };
        let mut other = frame.to_vec();
        other.truncate(end);
        other.extend((0..random.below(80)).map(|_| random.octet()));
        let after = judge(other.as_slice(), model);
        // The length of what the host sent to itself is that of the frame.
        if [before.verdict, after.verdict].contains(&Verdict::Looped) {
            return;
        }
        let same = before.verdict == after.verdict && before.service == after.service && before.limit == after.limit;
        assert!(same, "{before:?}\n{after:?}\n{}\n{}\n{}", scapy(frame), hex(frame), hex(&other));
    });
}

/// "Checksums, TTL, DSCP, MAC addresses are not looked at", except the hop limit of neighbour and listener discovery.
#[test]
fn checksums_ttl_dscp_and_mac_addresses_change_nothing() {
    for_each_frame(|_, _, model, frame, random| {
        let Some((at, is_v4)) = ip_header(frame) else { return };
        let mut other = frame.to_vec();
        let mut set = |at: usize, octet: u8| {
            if let Some(place) = other.get_mut(at) {
                *place = octet;
            }
        };
        (0..12).for_each(|at| set(at, random.octet()));
        if is_v4 {
            [at + 1, at + 4, at + 5, at + 8, at + 10, at + 11].into_iter().for_each(|at| set(at, random.octet()));
        } else {
            let version = frame.get(at).copied().unwrap_or(0);
            set(at, version & 0xf0 | random.octet() & 0x0f);
            (at + 1..at + 4).for_each(|at| set(at, random.octet()));
        }
        let before = judge(frame, model);
        let after = judge(other.as_slice(), model);
        // What the host sent to itself has no MAC addresses: its IP header stands there.
        if [before.verdict, after.verdict].contains(&Verdict::Looped) {
            return;
        }
        assert_eq!(before, after, "{}\n{}\n{}", scapy(frame), hex(frame), hex(&other));
    });
}

/// Calls `check` with odd frames for many policies.
fn for_each_frame(mut check: impl FnMut(&Policy, &[Prefix], &Model, &[u8], &mut Random)) {
    let seed = seed();
    for part in 0..POLICIES {
        let mut random = Random::part(seed, part as u64);
        let (policy, own) = generate::policy(&mut random);
        let model = Model::new(&policy, &own);
        let source = Frames::new(&policy, &own);
        for _ in 0..frames(FRAMES) / POLICIES {
            let frame = source.next(&mut random, 0);
            check(&policy, &own, &model, &frame, &mut random);
        }
    }
}

/// A frame that notes how far it was read.
struct Probe<'a> {
    frame: &'a [u8],
    end: Cell<usize>,
}

impl Frame for Probe<'_> {
    fn read<H: Header>(&self, offset: usize) -> Option<H> {
        let header = self.frame.read(offset)?;
        self.end.set(self.end.get().max(offset + size_of::<H>()));
        Some(header)
    }

    /// Makes the parser take the long way, which names every octet that it looks at.
    fn start<H: Header>(&self) -> Option<&H> {
        None
    }

    fn whole_length(&self) -> Option<usize> {
        self.frame.whole_length()
    }

    fn length_if_holds(&self, end: usize) -> Option<usize> {
        self.frame.length_if_holds(end)
    }
}
