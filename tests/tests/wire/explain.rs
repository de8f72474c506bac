//! `explain`, against what happens to packets on the wire.

use anyhow::{Context, Result, ensure};
use firewall_tests::{
    api,
    daemon::{COUNT_LIMIT, Daemon},
    lab::{
        FOE4, FOE6, FRIEND4, FRIEND6, HOST_MAC, HOST4, HOST6, Lab, MANAGER4, MANAGER6, PEER_MAC, STRANGER4, STRANGER6,
    },
    packet::Packet,
    random::{Random, seed},
    running::wait_until,
    scrape::Packets,
    show::scapy,
    traffic::RawSocket,
};
use firewall_userspace::preview::explain::to_hex;
use serde_json::{Value, json};

use crate::policy::{DATA, POLICY};

/// Frames of the comparison.
const FRAMES: usize = 2000;

/// Limits that do not give back during a test, and one service that observes.
fn policy() -> String {
    let services = r#"
[limits.small]
packets = { rate = 1, per = "1d", burst = 60 }
connections = { rate = 1, per = "1d", burst = 20 }

[services.limited]
protocol = "tcp"
ports = [81]
deny = ["foes"]
limit = "small"

[services.watched]
protocol = "udp"
ports = [9001]
mode = "observe"
allow = ["friends"]
limit = "small"
"#;
    format!("{POLICY}{services}").replace("[policy]\n", "[policy]\nfragments = \"source\"\n")
}

fn frame(random: &mut Random) -> (Vec<u8>, bool) {
    let v4 = [FRIEND4, STRANGER4, FOE4, MANAGER4, HOST4, "192.0.2.70", "192.0.2.71", "127.0.0.9"];
    let v6 = [FRIEND6, STRANGER6, FOE6, MANAGER6, HOST6, "2001:db8:1::70", "2001:db8:2::70", "::1"];
    let is_v4 = random.once_in(2);
    let source = *random.pick(if is_v4 { &v4 } else { &v6 });
    let packet = if is_v4 { Packet::v4(source, HOST4) } else { Packet::v6(source, HOST6) };
    let packet = packet.macs(HOST_MAC, PEER_MAC);
    let port = *random.pick(&[80, 81, 81, 82]);
    let data = *random.pick(&[DATA, 9001, 9001, 9002]);
    let payload = random.below(600);
    let packet = match random.below(10) {
        0..=2 => packet.tcp(40_000, port).flags("S"),
        3 => packet.tcp(40_000, port).flags("R").payload(payload),
        4 => packet.tcp(40_000, port).flags("SF"),
        5..=7 => packet.udp(40_000, data).payload(payload),
        8 if is_v4 => packet.ip_fragment(185, false).other(17, 64),
        8 => packet.fragment(185, false).other(17, 64),
        _ => packet.claims_length(2000),
    };
    (packet.build(), is_v4)
}

fn explain(daemon: &Daemon<'_>, question: &Value) -> Result<Value> {
    let answer = api::ask(&daemon.site().socket, "/v1/explain", Some(&question.to_string()))?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value[key].as_str().with_context(|| format!("no {key} in {value}"))
}

#[test]
fn explain_agrees_with_the_fate_of_two_thousand_frames_and_counts_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &policy())?;
    let socket = RawSocket::open(&lab.peer)?;
    let seed = seed();
    let mut random = Random::part(seed, 0);
    let mut verdicts = Packets::new();
    for number in 0..FRAMES {
        let (frame, is_v4) = frame(&mut random);
        let before = daemon.metrics()?;
        let explained = explain(&daemon, &json!({ "frame": to_hex(&frame) }))?;
        let family = if is_v4 { "ipv4" } else { "ipv6" };
        let wanted = format!("{family} {} {}", text(&explained, "verdict")?, text(&explained, "reason")?);
        socket.send(&frame)?;
        // Neighbours are looked for now and then.
        let of_test = |packets: Packets| {
            let of_test =
                |(verdict, _): &(String, u64)| !verdict.ends_with("essential") && !verdict.ends_with("not_ip");
            packets.into_iter().filter(of_test).collect::<Packets>()
        };
        let moved = wait_until("a counter that moves", COUNT_LIMIT, || {
            Ok(Some(of_test(daemon.metrics()?.packets_since(&before))).filter(|moved| !moved.is_empty()))
        })?;
        let context = || format!("PORTCULLIS_SEED={seed}, frame {number}: {explained}\n{}", scapy(&frame));
        assert_eq!(moved, Packets::from([(wanted.clone(), 1)]), "{}", context());
        *verdicts.entry(wanted).or_default() += 1;
    }
    println!("{verdicts:?}");
    assert!(verdicts.len() >= 14, "{verdicts:?}");
    Ok(())
}

#[test]
fn explain_names_every_entry_that_covers_a_source_with_its_layer_and_owner() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", "192.0.2.2", "--ttl", "1h", "--comment", "on call"])?;
    daemon.ok(&["allow", "add", "friends", "192.0.2.0/29", "--comment", "the rack"])?;
    daemon.ok(&["deny", "add", "foes", "192.0.2.2/31", "--layer", "feed", "--force", "--comment", "noisy"])?;
    daemon.ok(&["deny", "add", "foes", "192.0.2.2", "--layer", "ban", "--force", "--ttl", "1h"])?;
    let said = daemon.cli(&["explain", FRIEND4, "--dport", "80", "--syn", "-o", "json"])?;
    assert_eq!(said.code, 1, "{said:?}");
    let explained: Value = serde_json::from_str(&said.stdout)?;
    assert_eq!((&explained["action"], &explained["reason"]), (&json!("drop"), &json!("denied")));
    assert_eq!((&explained["service"], &explained["destination"]), (&json!("web"), &json!(HOST4)));
    let entries = explained["entries"].as_array().context("entries")?;
    let seen: Vec<_> = entries
        .iter()
        .map(|one| (&one["list"], &one["prefix"], &one["layer"], &one["comment"], &one["effect"], &one["decides"]))
        .map(|(list, prefix, layer, comment, effect, decides)| {
            [list, prefix, layer, comment, effect, decides].map(Value::to_string).join(" ")
        })
        .collect();
    assert_eq!(
        seen,
        [
            r#""foes" "192.0.2.2/32" "ban" null "denies" true"#,
            r#""foes" "192.0.2.2/31" "feed" "noisy" "denies" true"#,
            r#""friends" "192.0.2.2/32" "config" null "admits" false"#,
            r#""friends" "192.0.2.2/32" "runtime" "on call" "admits" false"#,
            r#""friends" "192.0.2.0/29" "runtime" "the rack" "admits" false"#,
        ]
    );
    assert!(entries.iter().all(|one| one["layer"] == "config" || one["owner"] == "root"), "{entries:?}");
    let said = daemon.cli(&["explain", FRIEND4, "--dport", "80", "--syn"])?;
    assert!(said.stdout.starts_with("verdict     drop (denied)"), "{said:?}");

    daemon.ok(&["deny", "remove", "foes", "192.0.2.2/31", "--layer", "feed"])?;
    assert_eq!(daemon.cli(&["explain", FRIEND4, "--dport", "80", "--syn"])?.code, 1, "the ban stays");
    daemon.ok(&["deny", "remove", "foes", "192.0.2.2", "--layer", "ban"])?;
    let said = daemon.cli(&["explain", FRIEND4, "--dport", "80", "--syn"])?;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("verdict     pass (accepted)"), "{said:?}");
    Ok(())
}

#[test]
fn explain_says_what_is_wrong_with_a_question() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let said = daemon.cli(&["explain", FRIEND4, "--proto", "udp", "--syn"])?;
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("--dport: TCP and UDP have a destination port"), "{said:?}");
    assert!(said.stderr.contains("--syn: only TCP opens connections"), "{said:?}");
    let answer = api::ask(&daemon.site().socket, "/v1/explain", Some(r#"{"frame":"0102"}"#))?;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("it has 2 octets"), "{answer:?}");
    let file = lab.trial.write("no.pcap", "no capture")?;
    let said = daemon.cli(&["explain", "--frame", file.to_str().context("text")?])?;
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("it is no capture"), "{said:?}");
    Ok(())
}

#[test]
fn explain_of_a_source_takes_the_address_that_the_route_back_has() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    // A smaller address than that of the cable, which no route to the peer has.
    lab.host.ip("address add 192.0.0.9/32 dev lo")?;
    wait_until("the new address", COUNT_LIMIT, || {
        let said = daemon.cli(&["explain", "192.0.0.9", "--lists", "-o", "json"])?;
        let membership: Value = serde_json::from_str(&said.stdout)?;
        Ok((membership["own"] == true).then_some(()))
    })?;
    let said = daemon.cli(&["explain", FRIEND4, "-o", "json"])?;
    let answers: Vec<Value> = said.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(answers.len() >= 2, "{said:?}");
    for answer in &answers {
        assert_eq!((&answer["destination"], &answer["destination_by"]), (&json!(HOST4), &json!("route")), "{said:?}");
        assert_eq!(answer["asked"]["service"], answer["service"], "{said:?}");
    }
    let web = answers.iter().find(|answer| answer["service"] == "web").context("web")?;
    assert_eq!((&web["action"], &web["reason"]), (&json!("pass"), &json!("accepted")));
    let said = daemon.cli(&["explain", FOE6])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains(&format!("destination {HOST6} (this host answers the source from it)")), "{said:?}");
    let said = daemon.cli(&["explain", FRIEND4, "--dst", "192.0.2.99", "--dport", "80"])?;
    assert!(said.stdout.contains("192.0.2.99 is not an address of this host"), "{said:?}");
    let said = daemon.cli(&["explain", FRIEND4, "--lists"])?;
    assert!(said.code == 0 && said.stdout.contains("friends  192.0.2.2/32"), "{said:?}");
    assert_eq!(daemon.cli(&["explain", "198.18.7.7", "--lists"])?.code, 1);
    Ok(())
}

#[test]
fn a_capture_of_ten_thousand_frames_is_judged_by_the_live_program() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let mut random = Random::part(seed(), 1);
    let mut octets: Vec<u8> =
        [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 262_144, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut add = |frame: &[u8], original: usize| {
        octets.extend([0, 0, frame.len() as u32, original as u32].iter().flat_map(|word| word.to_le_bytes()));
        octets.extend(frame);
    };
    for _ in 0..10_000 {
        let (frame, _) = frame(&mut random);
        add(&frame, frame.len());
    }
    add(&[2; 60], 1500);
    // The longest frame there is: more than a page, which not every kernel takes.
    let longest = Packet::v4(STRANGER4, HOST4).macs(HOST_MAC, PEER_MAC).udp(1, 2).payload(65_000).build();
    add(&longest, longest.len());
    let file = lab.trial.folder().join("many.pcap");
    std::fs::write(&file, &octets)?;
    let begun = std::time::Instant::now();
    let said = daemon.cli(&["explain", "--frame", file.to_str().context("text")?, "-o", "json"])?;
    println!("{:?} for 10,002 frames", begun.elapsed());
    let documents: Vec<Value> = said.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((said.code, documents.len()), (1, 10_003), "{}", said.stderr);
    let summary = documents.last().context("a summary")?;
    assert_eq!(summary["frames"], 10_002);
    assert!(summary["judged"].as_u64().context("judged")? >= 10_000, "{summary}");
    let skipped = summary["skipped"].as_array().context("skipped")?;
    assert!(skipped.contains(&json!({"reason": "cut", "frames": 1})), "{summary}");
    println!("{}\n{}", documents[10_001], summary);
    Ok(())
}
