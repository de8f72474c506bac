//! `explain` against a daemon that only pretends: what is asked, and how several answers are told.

use std::{fs, io::Write, process::Stdio};

use serde_json::Value;

use crate::support::{Daemon, Fake, get, json_request, seen, timeless};

/// A pcap file of little-endian octets: frames with what they had on the wire.
fn pcap(link_type: u32, frames: &[(Vec<u8>, u32)]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 262_144, link_type];
    let mut octets: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (frame, original) in frames {
        octets.extend([0, 0, frame.len() as u32, *original].iter().flat_map(|word| word.to_le_bytes()));
        octets.extend(frame);
    }
    octets
}

/// A frame that passes when `last` is even.
fn frame(last: u8) -> (Vec<u8>, u32) {
    let mut frame = vec![2; 60];
    *frame.last_mut().unwrap() = last;
    (frame, 60)
}

fn explain(daemon: &Daemon, capture: &[u8], more: &[&str]) -> (i32, String, String) {
    let file = daemon.folder.path().join("frames.pcap");
    fs::write(&file, capture).unwrap();
    daemon.run(&[&["explain", "--frame", file.to_str().unwrap()][..], more].concat())
}

fn documents(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_source_alone_is_answered_for_every_service_with_its_destination() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["explain", "198.51.100.7"]);
    assert_eq!((code, &*stderr), (1, ""), "{stdout}");
    let wanted = "\
source  198.51.100.7
destination 192.0.2.10 (this host answers the source from it)

SERVICE  PACKET  VERDICT  REASON  DESTINATION  BECAUSE
api  tcp/443 syn  drop  denied  192.0.2.10  blocked denies 198.51.100.0/24 (ban, guard, until 2026-11-21T10:00:00Z ~)
";
    assert_eq!(timeless(&stdout), wanted);
    let (code, stdout, _) = daemon.run(&["explain", "203.0.113.7", "-o", "json"]);
    let answers = documents(&stdout);
    assert_eq!((code, answers.len()), (0, 1));
    let answer = &answers[0];
    assert_eq!((&answer["schema"], &answer["action"]), (&"portcullis.explain/v1".into(), &"pass".into()));
    assert_eq!((&answer["destination_by"], &answer["asked"]["service"]), (&"route".into(), &"api".into()));
}

#[test]
fn what_a_source_is_in_needs_no_service_and_no_port() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, _) = daemon.run(&["explain", "198.51.100.7", "--lists"]);
    let wanted = "\
source  198.51.100.7

LIST  PREFIX  LAYER  OWNER  EXPIRES  SERVICES  COMMENT
blocked  198.51.100.0/24  ban  guard  2026-11-21T10:00:00Z ~  api denies  scans \\u{1b}[2J
";
    assert_eq!((code, &*timeless(&stdout)), (0, wanted));
    let (code, stdout, _) = daemon.run(&["explain", "2001:db8::1", "--lists", "-o", "json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["schema"]), (1, &"portcullis.membership/v1".into()), "it is in nothing");
    for wrong in [&["--dport", "1"][..], &["--syn"], &["--dst", "192.0.2.1"]] {
        assert_eq!(daemon.run(&[&["explain", "192.0.2.1", "--lists"][..], wrong].concat()).0, 2, "{wrong:?}");
    }
    assert_eq!(daemon.api(get("/v1/membership?source=192.0.2.0/24")).problem().0, 422);
    assert_eq!(daemon.api(get("/v1/membership")).problem().0, 422);
}

#[test]
fn frames_that_cannot_be_judged_are_told_and_the_others_are_judged() {
    let daemon = Daemon::start(Fake::default());
    let (mut refused, _) = frame(0);
    refused[0] = 0xff;
    let frames = [frame(0), (vec![2; 60], 1514), frame(1), (refused, 60), (vec![2; 9], 9), (vec![2; 70_000], 70_000)];
    let (code, stdout, stderr) = explain(&daemon, &pcap(1, &frames), &[]);
    assert_eq!((code, &*stderr), (1, ""), "{stdout}");
    let rows: Vec<&str> = stdout.lines().collect();
    for (row, wanted) in [
        (1, "1      pass        accepted"),
        (2, "captured 60 of 1514 octets: the snapshot length was too short"),
        (3, "blocked denies 198.51.100.0/24"),
        (4, "cannot explain a frame: refused as told"),
        (5, "9 octets are less than an Ethernet header"),
        (6, "70000 octets are more than any frame"),
        (8, "6 frames, 2 of them judged"),
        (10, "1       drop        denied"),
        (11, "1       pass        accepted"),
        (12, "1       not judged  cut"),
    ] {
        assert!(rows[row].contains(wanted), "{row}: {stdout}");
    }
    let (code, stdout, _) = explain(&daemon, &pcap(1, &frames), &["-o", "json"]);
    let documents = documents(&stdout);
    assert_eq!((code, documents.len()), (1, 7));
    assert_eq!((&documents[2]["frame"], &documents[2]["octets"]), (&3.into(), &60.into()));
    let cut = &documents[1];
    assert_eq!(cut["schema"], "portcullis.explain.skipped/v1");
    assert_eq!((&cut["reason"], &cut["captured"], &cut["octets"]), (&"cut".into(), &60.into(), &1514.into()));
    let summary = &documents[6];
    assert_eq!(summary["schema"], "portcullis.explain.summary/v1");
    assert_eq!((&summary["frames"], &summary["judged"]), (&6.into(), &2.into()));
    assert_eq!(summary["skipped"].as_array().unwrap().len(), 4);
}

#[test]
fn another_link_type_is_named_and_nothing_of_it_is_judged() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = explain(&daemon, &pcap(113, &[frame(0), frame(0)]), &[]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stdout.contains("no Ethernet frame: LINKTYPE_LINUX_SLL (113)"), "{stdout}");
    assert!(stderr.contains("none of its 2 frames can be judged") && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_capture_that_ends_too_early_is_told_behind_what_was_judged() {
    let daemon = Daemon::start(Fake::default());
    let capture = pcap(1, &[frame(0), frame(0)]);
    let (code, stdout, _) = explain(&daemon, &capture[..capture.len() - 1], &[]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("1 frame, 1 of them judged; it ends in the middle of a frame, behind frame 1"), "{stdout}");
    let (_, stdout, _) = explain(&daemon, &capture[..capture.len() - 1], &["-o", "json"]);
    assert_eq!(documents(&stdout).last().unwrap()["cut"], "it ends in the middle of a frame");
}

#[test]
fn the_only_frame_of_a_capture_is_told_whole() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, _) = explain(&daemon, &pcap(1, &[frame(1)]), &[]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.starts_with("verdict     drop (denied): it is denied\nsource "), "{stdout}");
    assert!(stdout.contains("1 frame, 1 of them judged"), "{stdout}");
}

#[test]
fn ten_thousand_frames_come_through_standard_input_in_pieces() {
    let daemon = Daemon::start(Fake::default());
    let frames: Vec<_> = (0..10_000_u32).map(|number| frame((number % 4) as u8)).collect();
    let capture = pcap(1, &frames);
    let mut command = daemon.command(&["explain", "--frame", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let (header, rest) = capture.split_at(10);
        [header].into_iter().chain(rest.chunks(7001)).for_each(|piece| stdin.write_all(piece).unwrap());
    });
    let (code, stdout, stderr) = seen(&child.wait_with_output().unwrap());
    writer.join().unwrap();
    assert_eq!((code, &*stderr), (1, ""));
    assert!(stdout.contains("10,000 frames, 10,000 of them judged"), "{}", &stdout[stdout.len() - 300..]);
    assert!(
        stdout.contains("\n5000    drop     denied\n5000    pass     accepted\n"),
        "{}",
        &stdout[stdout.len() - 300..]
    );
    // The header of the table, a line each, and what ends it.
    assert_eq!(stdout.lines().count(), 10_000 + 6);
}

#[test]
fn what_is_no_capture_is_refused_with_the_reason() {
    let daemon = Daemon::start(Fake::default());
    let whole = pcap(1, &[frame(0)]);
    for (capture, why) in [
        (&b""[..], "it is empty"),
        (b"[policy]\n", "it is no capture"),
        (&[0x1f, 0x8b, 8, 0, 0], "it is compressed; `zcat FILE | portcullis explain --frame -"),
        (&whole[..24], "it has no frame"),
        (&whole[..20], "it ends in its header"),
        (&whole[..30], "it ends in the middle of a frame"),
    ] {
        let (code, _, stderr) = explain(&daemon, capture, &[]);
        assert!(code == 5 && stderr.contains(why), "{why}: {code} {stderr}");
    }
    let (code, _, stderr) = daemon.run(&["explain", "--frame", "/nowhere.pcap"]);
    assert!(code == 5 && stderr.contains("No such file"), "{stderr}");
}

#[test]
fn frames_over_the_api_are_answered_in_their_order() {
    let daemon = Daemon::start(Fake::default());
    let body = r#"{"frames":["0200000000000000000000000000","ff","0200000000000000000000000001"]}"#;
    let answer = daemon.api(json_request("POST", "/v1/explanations", body)).json();
    assert_eq!(answer["schema"], "portcullis.explanations/v1");
    let answers = answer["answers"].as_array().unwrap();
    assert_eq!(answers[0]["explained"]["action"], "pass");
    assert_eq!(answers[1]["refused"], "cannot explain a frame: refused as told");
    assert_eq!(answers[2]["explained"]["action"], "drop");
    let answer = daemon.api(json_request("POST", "/v1/explanations", r#"{"frame":"00"}"#));
    assert_eq!(answer.problem(), (422, "invalid".into()), "{answer:?}");
}
