//! One mistake at a time: every message with its place, and nothing besides.

use std::path::Path;

use firewall_userspace::config::{Diagnostic, Report, Severity, load_text};

/// A configuration without mistakes and without warnings.
const GOOD: &str = r#"[[interface]]
name = "eth0"
[policy]
management = ["198.51.100.1"]
[lists.a]
entries = ["192.0.2.0/24"]
[limits.l]
packets = { rate = 5 }
[services.s]
protocol = "tcp"
ports = [443]
allow = ["a"]
limit = "l"
"#;

/// What is said about `text`, one line a problem.
fn said(text: &str) -> Vec<String> {
    let report = match load_text(Path::new("x.toml"), text, Path::new("tests/data")) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors().count(), 0, "a configuration with errors was accepted");
            loaded.warnings
        }
        Err(report) => {
            assert_ne!(report.errors().count(), 0, "a configuration without errors was refused");
            report
        }
    };
    assert!(report.is_empty() || !report.render(true).is_empty());
    lines(&report)
}

fn lines(report: &Report) -> Vec<String> {
    let line = |diagnostic: &Diagnostic| {
        let place = diagnostic.position().map_or(String::new(), |(line, column)| format!("{line}:{column} "));
        let mark = if diagnostic.severity == Severity::Warning { "(warning) " } else { "" };
        format!("{place}{mark}{}", diagnostic.title())
    };
    report.diagnostics().iter().map(line).collect()
}

/// Replaces `from`, which stands in [`GOOD`] once, by `to` and compares all that is said.
fn check(from: &str, to: &str, wanted: &[&str]) {
    assert_eq!(GOOD.matches(from).count(), 1, "`{from}` must stand in the good file once");
    let text = GOOD.replace(from, to);
    assert_eq!(said(&text), wanted, "in this file:\n{text}");
}

/// Appends `more` (which begins in line 14) to [`GOOD`] and compares all that is said.
fn check_more(more: &str, wanted: &[&str]) {
    let text = format!("{GOOD}{more}");
    assert_eq!(said(&text), wanted, "in this file:\n{text}");
}

#[test]
fn nothing_is_said_about_a_good_file() {
    check_more("", &[]);
    assert_eq!(said(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))), [""; 0]);
}

#[test]
fn keys_that_are_unknown_missing_or_of_the_wrong_type() {
    check("[policy]", "[polcy]", &["3:2 polcy: unknown key"]);
    check("management", "mangement", &["4:1 policy.mangement: unknown key"]);
    check("entries", "entrys", &["6:1 lists.a.entrys: unknown key"]);
    check("packets", "\"pack ets\" = 1\npackets", &["8:1 limits.l.\"pack ets\": unknown key"]);
    check("rate = 5", "rate = 5, brust = 3", &["8:23 limits.l.packets.brust: unknown key"]);
    check("limit = \"l\"", "limit = \"l\"\nport = 3", &["14:1 services.s.port: unknown key"]);
    check("name = \"eth0\"\n", "", &["1:1 interface[0].name: this key is required"]);
    check("protocol = \"tcp\"\n", "", &["9:1 services.s.protocol: this key is required"]);
    check("ports = [443]\n", "", &["9:1 services.s.ports: this key is required"]);
    check("rate = 5", "per = \"1s\"", &["8:11 limits.l.packets.rate: this key is required"]);
    check(
        "name = \"eth0\"",
        "name = 0",
        &["2:8 interface[0].name: expected the name of an interface, found an integer"],
    );
    check("[443]", "443", &["11:9 services.s.ports: expected an array of ports, found an integer"]);
    check(
        "[443]",
        "[true]",
        &["11:10 services.s.ports[0]: expected a port such as 443 or \"8443-8445\", found a boolean"],
    );
    check("[\"a\"]", "\"a\"", &["12:9 services.s.allow: expected an array of list names, found a string"]);
    check("[\"a\"]", "[1]", &["12:10 services.s.allow[0]: expected the name of a list, found an integer"]);
    check("{ rate = 5 }", "5", &["8:11 limits.l.packets: expected a rate, found an integer"]);
    check("[[interface]]", "[interface]", &["1:1 interface: expected an array of tables, found a table"]);
    check(
        "[lists.a]",
        "lists = 3\n[x]",
        &["5:1 policy.lists: unknown key", "6:2 x: unknown key", "13:10 services.s.allow[0]: no list is called `a`"],
    );
    check_more(
        "[admin]\nlisten = 9191\n",
        &["15:10 admin.listen: expected an address with a port, for example \"127.0.0.1:9191\", found an integer"],
    );
}

#[test]
fn syntax_errors_are_all_reported_without_what_follows_from_them() {
    check("name = \"eth0\"", "name = eth0", &["2:8 `eth0` is not a value"]);
    check("name = \"eth0\"", "name =", &["2:7 a value is missing"]);
    check("[443]", "[443,, 444]", &["11:14 extra comma in array, expected value"]);
    check("[policy]", "[policy", &["3:8 unclosed table, expected `]`"]);
    check("limit = \"l\"", "limit = \"l\"\nlimit = \"m\"", &["14:1 the key `limit` is written twice"]);
    check("[services.s]", "[lists.a]", &["9:8 the key `a` is written twice"]);
    check_more("x = [", &["14:6 unclosed array, expected `]`"]);
    let text = GOOD.replace("\"eth0\"", "eth0").replace("[443]", "[70000]").replace("\"tcp\"", "tcp");
    assert_eq!(
        said(&text),
        [
            "2:8 `eth0` is not a value",
            "10:12 `tcp` is not a value",
            "11:10 services.s.ports[0]: 70000 is not a port; ports end at 65535",
        ]
    );
}

#[test]
fn interfaces() {
    check("[[interface]]\nname = \"eth0\"\n", "", &["interface: no interface is named, so nothing would be filtered"]);
    check(
        "[[interface]]\nname = \"eth0\"\n",
        "interface = []\n",
        &["1:13 interface: no interface is named, so nothing would be filtered"],
    );
    check(
        "eth0",
        "lo",
        &["2:8 interface[0].name: `lo` is the loopback interface: its packets all come from this host itself, and as \
           sources that no packet from outside can have they would all be dropped"],
    );
    check("eth0", "eth0/1", &["2:8 interface[0].name: `eth0/1` cannot be the name of an interface"]);
    check(
        "eth0",
        "an-interface-too-long",
        &["2:8 interface[0].name: `an-interface-too-long` cannot be the name of an interface"],
    );
    check(
        "\"eth0\"",
        "\"eth0\"\nmode = \"nativ\"",
        &["3:8 interface[0].mode: `nativ` is not known; expected \"native\", \"generic\" or \"auto\""],
    );
    check_more(
        "[[interface]]\nname = \"eth0\"\n",
        &["15:8 interface[1].name: `eth0` is named twice (first in line 2)"],
    );
    let many: String = (0..16).map(|index| format!("[[interface]]\nname = \"veth{index}\"\n")).collect();
    check_more(&many, &["44:1 interface[16]: 17 interfaces are named; at most 16 are possible"]);
}

#[test]
fn policy() {
    check(
        "[policy]",
        "[policy]\nmode = \"enforced\"",
        &["4:8 policy.mode: `enforced` is not known; expected \"enforce\" or \"observe\""],
    );
    check(
        "[policy]",
        "[policy]\nhost_default = \"drop\"",
        &[
            "4:16 policy.host_default: \"drop\" is not possible yet: return traffic is not recognised, so every reply to the host's own connections would be dropped",
        ],
    );
    check(
        "[policy]",
        "[policy]\nhost_default = \"reject\"",
        &["4:16 policy.host_default: `reject` is not known; expected \"pass\" or \"drop\""],
    );
    check(
        "[policy]",
        "[policy]\nfragments = true",
        &["4:13 policy.fragments: expected \"drop\" or \"source\", found a boolean"],
    );
    check(
        "198.51.100.1",
        "198.51.100.1/24",
        &[
            "4:15 policy.management[0]: `198.51.100.1/24` has host bits set; write `198.51.100.0/24` or `198.51.100.1/32`",
        ],
    );
    check(
        "198.51.100.1",
        "::/0",
        &[
            "4:15 (warning) policy.management[0]: `::/0` is every source of its family: no list and no limit would drop any",
        ],
    );
}

#[test]
fn lists() {
    let syntax =
        "is not a prefix; write an address (`192.0.2.1`, `2001:db8::1`) or a prefix (`192.0.2.0/24`, `2001:db8::/32`)";
    let length = "has a length that no prefix of its family has: IPv4 has at most 32, IPv6 at most 128";
    let name = "is a host name; write the addresses that it has, as `getent ahosts` prints them";
    check("192.0.2.0/24", "192.0.2.0/24x", &[&format!("6:12 lists.a.entries[0]: `192.0.2.0/24x` {syntax}")]);
    check("192.0.2.0/24", "192.0.2.0/33", &[&format!("6:12 lists.a.entries[0]: `192.0.2.0/33` {length}")]);
    check("192.0.2.0/24", "example.org", &[&format!("6:12 lists.a.entries[0]: `example.org` {name}")]);
    check(
        "192.0.2.0/24",
        "192.0.2.1/24",
        &["6:12 lists.a.entries[0]: `192.0.2.1/24` has host bits set; write `192.0.2.0/24` or `192.0.2.1/32`"],
    );
    check(
        "192.0.2.0/24",
        "::ffff:192.0.2.1",
        &[
            "6:12 lists.a.entries[0]: `::ffff:192.0.2.1` is an IPv4-mapped address, which no packet carries; write `192.0.2.1/32`",
        ],
    );
    check("\"192.0.2.0/24\"", "192", &["6:12 lists.a.entries[0]: expected a prefix in quotes, found an integer"]);
    check(
        "\"192.0.2.0/24\"",
        "\"::1\", \"0:0::1/128\"",
        &["6:19 (warning) lists.a.entries[1]: `::1/128` is repeated; `lists.a.entries[0]` is the same"],
    );
    let name = "is not a name; use 1 to 32 of a-z, 0-9, `_` and `-`, starting with a letter or digit";
    check_more("[lists.A]\n", &[&format!("14:8 lists.A: `A` {name}")]);
    check_more(
        "[lists.\"ä b\"]\nentries = [1]\n",
        &[
            &format!("14:8 lists.\"ä b\": `ä b` {name}"),
            "15:12 lists.\"ä b\".entries[0]: expected a prefix in quotes, found an integer",
        ],
    );
    check_more("[lists.unused]\n", &["14:1 (warning) lists.unused: no service uses this list"]);
    let many: String = (0..64).map(|index| format!("[lists.l{index}]\n")).collect();
    check_more(&many, &["77:8 lists.l63: 65 lists are defined; at most 64 are possible"]);
}

#[test]
fn list_files() {
    check("entries", "file = \"\"\nentries", &["6:8 lists.a.file: `` is not the path of a file"]);
    check(
        "entries",
        "file = \"lists/none.txt\"\nentries",
        &["6:8 lists.a.file: cannot read tests/data/lists/none.txt: No such file or directory (os error 2)"],
    );
    check(
        "entries",
        "file = \"lists\"\nentries",
        &["6:8 lists.a.file: cannot read tests/data/lists: Is a directory (os error 21)"],
    );
    check("entries", "file = \"lists/partners.txt\"\nentries", &[]);
    check(
        "entries",
        "file = \"lists/bad.txt\"\nentries",
        &[
            "2:1 lists.a.file: `10.0.0.7/24` has host bits set; write `10.0.0.0/24` or `10.0.0.7/32`",
            "4:3 lists.a.file: `fe80::1%eth0` has a zone, which no packet carries; write `fe80::1/128`",
        ],
    );
    check(
        "entries",
        "file = \"lists/latin1.txt\"\nentries",
        &["2:18 lists.a.file: tests/data/lists/latin1.txt is not UTF-8: octet 0xe9"],
    );
    check(
        "entries",
        "file = \"lists/repeated.txt\"\nentries",
        &[
            "7:12 (warning) lists.a.entries[0]: `192.0.2.0/24` is repeated; tests/data/lists/repeated.txt has it too",
            "3:1 (warning) lists.a.file: 1 line of tests/data/lists/repeated.txt repeats an earlier entry",
        ],
    );
}

#[test]
fn limits() {
    check(
        "rate = 5",
        "rate = 0",
        &["8:20 limits.l.packets.rate: the rate is zero; a limit that admits nothing is a `deny` list"],
    );
    check("rate = 5", "rate = -5", &["8:20 limits.l.packets.rate: -5 is negative; expected a number of packets"]);
    check("rate = 5", "rate = 1.5", &["8:20 limits.l.packets.rate: expected a number of packets, found a float"]);
    check("rate = 5", "rate = \"5\"", &["8:20 limits.l.packets.rate: expected a number of packets, found a string"]);
    check(
        "rate = 5",
        "rate = 99999999999999999999",
        &["8:20 limits.l.packets.rate: 99999999999999999999 is too large; expected a number of packets"],
    );
    check(
        "rate = 5",
        "rate = 100000001",
        &[
            "8:20 limits.l.packets.rate: the rate is above 100,000,000 packets or 100 GB a second, more than is kept exactly",
        ],
    );
    check(
        "rate = 5",
        "rate = 5, burst = 0",
        &["8:31 limits.l.packets.burst: the burst is zero, so nothing would ever pass; write at least 1"],
    );
    check(
        "rate = 5",
        "rate = 1, per = \"1d\", burst = 99999",
        &["8:43 limits.l.packets.burst: the burst takes more than a hundred years to regain at this rate"],
    );
    check(
        "rate = 5",
        "rate = 5, per = \"0s\"",
        &["8:29 limits.l.packets.per: `0s` is no time at all; write for example \"1s\""],
    );
    check("rate = 5", "rate = 5, per = 1", &["8:29 limits.l.packets.per: expected a length of time, found an integer"]);
    check(
        "rate = 5",
        "rate = 5, per = \"1 fortnight\"",
        &[
            "8:29 limits.l.packets.per: `1 fortnight` has the unknown unit `fortnight`; use w, d, h, m, s or ms, for example \"1h30m\"",
        ],
    );
    check(
        "packets = { rate = 5 }",
        "bytes = { rate = \"20KB\" }",
        &[
            "8:18 limits.l.bytes.rate: `20KB` has the unknown unit `KB`; use B, kB, MB, GB (powers of 1000), KiB, MiB or GiB (of 1024)",
        ],
    );
    check(
        "packets = { rate = 5 }",
        "bytes = { rate = 1513 }",
        &[
            "8:18 (warning) limits.l.bytes.rate: a burst of 1,513 bytes is smaller than one full frame (1,514 octets), so such frames never pass",
        ],
    );
    check(
        "packets = { rate = 5 }",
        "bytes = { rate = 5, burst = \"1kB\" }",
        &[
            "8:29 (warning) limits.l.bytes.burst: a burst of 1,000 bytes is smaller than one full frame (1,514 octets), so such frames never pass",
        ],
    );
    check("packets = { rate = 5 }", "bytes = { rate = 5, burst = 1514 }", &[]);
    check(
        "packets = { rate = 5 }\n",
        "",
        &["7:1 limits.l: nothing is limited: `packets`, `bytes` and `connections` are missing"],
    );
    check(
        "[limits.l]",
        "[limits.l]\nsource_prefix = { v4 = 0, v6 = 129 }",
        &[
            "8:24 limits.l.source_prefix.v4: 0 is out of range; expected a prefix length from 1 to 32",
            "8:32 limits.l.source_prefix.v6: 129 is out of range; expected a prefix length from 1 to 128",
        ],
    );
    check_more(
        "[limits.unused]\npackets = { rate = 1 }\n",
        &["14:1 (warning) limits.unused: no service uses this limit"],
    );
    let many: String = (0..255).map(|index| format!("[limits.m{index}]\npackets.rate = 1\n")).collect();
    check_more(&many, &["522:9 limits.m254: 256 limits are defined; at most 255 are possible"]);
}

#[test]
fn services() {
    check("\"tcp\"", "\"TCP\"", &["10:12 services.s.protocol: `TCP` is not known; expected \"tcp\" or \"udp\""]);
    check("[443]", "[]", &["11:9 services.s.ports: no ports: the service would protect nothing"]);
    check("[443]", "[65536]", &["11:10 services.s.ports[0]: 65536 is not a port; ports end at 65535"]);
    check(
        "[443]",
        "[-1]",
        &["11:10 services.s.ports[0]: -1 is negative; expected a port such as 443 or \"8443-8445\""],
    );
    check("[443]", "[\"9-8\"]", &["11:10 services.s.ports[0]: `9-8` ends before it begins; write \"8-9\""]);
    check(
        "[443]",
        "[\"https\"]",
        &["11:10 services.s.ports[0]: `https` is not a port; write for example 443, \"443\" or \"8443-8445\""],
    );
    check("[443]", "[0, \"7-7\", 65535, 0x1bb]", &[]);
    check(
        "[443]",
        "[443, \"440-450\"]",
        &["11:15 (warning) services.s.ports[1]: `440-450` overlaps `services.s.ports[0]`"],
    );
    check("[\"a\"]", "[]", &["12:9 services.s.allow: nobody is allowed"]);
    check("[\"a\"]", "[\"b\"]", &["12:10 services.s.allow[0]: no list is called `b`"]);
    check("[\"a\"]", "[\"a\", \"a\"]", &["12:15 services.s.allow[1]: list `a` is named twice"]);
    check(
        "[\"a\"]",
        "[\"a\"]\ndeny = [\"a\"]",
        &["13:9 services.s.deny[0]: list `a` is in `allow` too; deny beats allow, so nobody in it passes"],
    );
    check("limit = \"l\"", "limit = \"m\"", &["13:9 services.s.limit: no limit is called `m`"]);
    check(
        "limit = \"l\"",
        "limit_for = [{ list = \"a\", limit = \"l\" }, { list = \"a\", limit = \"l\" }]",
        &["13:52 services.s.limit_for[1].list: list `a` is named twice; only its first row would ever match"],
    );
    check(
        "limit = \"l\"",
        "limit_for = [{ list = \"x\", limit = \"y\" }]",
        &[
            "13:23 services.s.limit_for[0].list: no list is called `x`",
            "13:36 services.s.limit_for[0].limit: no limit is called `y`",
        ],
    );
    check(
        "limit = \"l\"",
        "limit_for = [{ limit = \"l\" }]",
        &["13:14 services.s.limit_for[0].list: this key is required"],
    );
    check_more("addresses = []\n", &["14:13 services.s.addresses: no addresses: the service would protect nothing"]);
    check_more(
        "addresses = [\"192.0.2.0/24\", \"host\"]\n",
        &[
            "14:14 services.s.addresses[0]: `192.0.2.0/24` is not an IP address",
            "14:30 services.s.addresses[1]: `host` is not an IP address",
        ],
    );
    check_more(
        "addresses = [\"::ffff:192.0.2.1\"]\n",
        &["14:14 services.s.addresses[0]: `::ffff:192.0.2.1` is an IPv4-mapped address, which no packet carries"],
    );
    check_more("addresses = [\"::\"]\n", &["14:14 services.s.addresses[0]: `::` is no packet's destination"]);
    check_more(
        "addresses = [\"::1\", \"0::1\"]\n",
        &["14:21 services.s.addresses[1]: `::1` is written twice; `services.s.addresses[0]` is the same"],
    );
    let many: String =
        (0..256).map(|index| format!("[services.t{index}]\nprotocol = \"udp\"\nports = [{index}]\n")).collect();
    check_more(&many, &["779:11 services.t255: 257 services are defined; at most 256 are possible"]);
    let addresses: Vec<String> = (0..257).map(|index| format!("\"2001:db8::{index:x}\"")).collect();
    check_more(
        &format!("addresses = [{}]\n", addresses.join(", ")),
        &["9:1 services.s: with this service, 257 different `addresses` are named; at most 256 are possible"],
    );
}

#[test]
fn services_that_claim_the_same_packet() {
    let other = |protocol: &str, rest: &str| format!("[services.t]\nprotocol = \"{protocol}\"\n{rest}\n");
    check_more(
        &other("tcp", "ports = [1, \"400-500\"]"),
        &["16:13 services.t.ports[1]: tcp port 443 belongs to `services.s` already (line 11)"],
    );
    check_more(&other("udp", "ports = [443]"), &[]);
    check_more(&other("tcp", "ports = [442, 444]"), &[]);
    check_more(&other("tcp", "ports = [443]\naddresses = [\"192.0.2.1\"]"), &[]);
    check_more(
        &[
            "[services.t]\nprotocol = \"udp\"\nports = [\"5-9\"]\naddresses = [\"192.0.2.1\", \"2001:db8::1\"]\n",
            "[services.r]\nprotocol = \"udp\"\nports = [\"7-20\"]\naddresses = [\"2001:db8::2\", \"2001:db8::1\"]\n",
            "[services.q]\nprotocol = \"udp\"\nports = [\"7-20\"]\naddresses = [\"192.0.2.2\"]\n",
        ]
        .concat(),
        &["20:10 services.r.ports[0]: udp ports 7-9 on 2001:db8::1 belong to `services.t` already (line 16)"],
    );
}

#[test]
fn essentials_admin_and_api() {
    check_more(
        "[essentials]\nmld = { rate = 0 }\nndp = { rate = 1 }\n",
        &[
            "15:16 essentials.mld.rate: the rate is zero; a limit that admits nothing is a `deny` list",
            "16:1 essentials.ndp: unknown key",
        ],
    );
    check_more(
        "[admin]\nlisten = \"0.0.0.0:9191\"\n",
        &["15:10 admin.listen: `0.0.0.0` is not a loopback address; metrics are served without a password"],
    );
    check_more(
        "[admin]\nlisten = \"localhost:9191\"\n",
        &["15:10 admin.listen: `localhost:9191` is not an address with a port"],
    );
    check_more("[admin]\nlisten = \"[::1]:9191\"\n", &[]);
    check_more(
        "[api]\nsocket = \"api.sock\"\n",
        &["15:10 api.socket: `api.sock` is not the absolute path of a socket"],
    );
    check_more(
        "[state]\ndirectory = \"state\"\nsnapshot_after = \"1 MB\"\n",
        &[
            "15:13 state.directory: `state` is not the absolute path of a folder",
            "16:18 state.snapshot_after: `1 MB` has a blank before its unit; write \"1MB\"",
        ],
    );
    let long = format!("[api]\nsocket = \"/{}\"\n", "s".repeat(107));
    check_more(&long, &["15:10 api.socket: the path has 108 octets; a socket's path has at most 107"]);
}

#[test]
fn what_a_valid_policy_probably_does_not_mean() {
    check(
        "management = [\"198.51.100.1\"]\n",
        "",
        &[
            "3:1 (warning) policy.management: no source is protected from a mistake in the lists: a wrong entry can lock you out",
        ],
    );
    check(
        "[\"192.0.2.0/24\"]",
        "[]",
        &[
            "12:9 (warning) services.s.allow: every list here is empty, so nobody but `management` is admitted until entries are added",
        ],
    );
    assert_eq!(
        said("[[interface]]\nname = \"eth0\"\n"),
        ["(warning) services: no service is protected: only malformed and impossible packets would be dropped"]
    );
}

#[test]
fn control_characters_of_the_file_reach_no_message() {
    let text = GOOD.replace("\"a\"", "\"\\u001b[2J\\u202e\"").replace("[limits.l]", "[limits.\"\\u001b\"]");
    let said = said(&text);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|line| !line.contains(['\u{1b}', '\u{202e}'])), "{said:?}");
}

/// A test without mistakes, in lines 14 to 19 of a file.
const TEST: &str =
    "[[test]]\nname = \"t\"\nsource = \"192.0.2.1\"\nprotocol = \"tcp\"\nport = 443\nexpect = \"pass\"\n";

#[test]
fn tests_that_say_nothing_that_can_be() {
    let with = |from: &str, to: &str, wanted: &[&str]| {
        assert_eq!(TEST.matches(from).count(), 1, "`{from}` must stand in the test once");
        check_more(&TEST.replace(from, to), wanted);
    };
    with("port = 443", "port = 443", &[]);
    with("name = \"t\"\n", "", &["14:1 test[0].name: this key is required"]);
    with("\"t\"", "\"\"", &["15:8 test[0].name: a test without a name cannot be told apart from others"]);
    with("source", "sorce", &["14:1 test[0].source: this key is required", "16:1 test[0].sorce: unknown key"]);
    with("\"192.0.2.1\"", "\"192.0.2.0/24\"", &["16:10 test[0].source: `192.0.2.0/24` is not an IP address"]);
    with("port = 443\n", "", &["14:1 test[0].port: this key is required"]);
    with("port = 443", "fragment = true", &[]);
    with(
        "port = 443",
        "port = 443\nfragment = 1",
        &["19:12 test[0].fragment: expected true or false, found an integer"],
    );
    with("port = 443", "port = 65536", &["18:8 test[0].port: 65536 is not a port; ports end at 65535"]);
    with("\"tcp\"", "\"udp\"", &[]);
    with("\"tcp\"", "\"icmp\"", &["18:8 test[0].port: a test with protocol \"icmp\" has no `port`"]);
    with(
        "port = 443",
        "port = 443\nicmp_type = 8",
        &["19:13 test[0].icmp_type: a test with protocol \"tcp\" has no `icmp_type`"],
    );
    with(
        "\"tcp\"\nport = 443",
        "\"icmp\"\nicmp_type = 256",
        &["18:13 test[0].icmp_type: 256 is out of range; expected a number from 0 to 255"],
    );
    with(
        "port = 443",
        "port = 443\nflags = [\"sny\"]",
        &[
            "19:10 test[0].flags[0]: `sny` is not known; expected \"syn\", \"ack\", \"fin\", \"rst\", \"psh\" or \"urg\"",
        ],
    );
    with(
        "port = 443",
        "port = 443\ndestination = \"::2\"",
        &["19:15 test[0].destination: source and destination are of different families: no packet has both"],
    );
    with("expect = \"pass\"\n", "", &["14:1 test[0].expect: this key is required"]);
    with(
        "\"pass\"",
        "\"denyed\"",
        &["19:10 test[0].expect: `denyed` is no verdict; expected \"pass\", \"drop\" or the name of one"],
    );
    with("port = 443", "port = 443\nservice = \"t\"", &["19:11 test[0].service: no service is called `t`"]);
    check_more(&TEST.repeat(2), &["21:8 test[1].name: `t` is the name of two tests (first in line 15)"]);
    check_more("[test]\n", &["14:1 test: expected an array of tables, found a table"]);
}

#[test]
fn a_guard_out_of_range() {
    check_more("[guard]\nshrink_percent = 100\nshrink_entries = 0\n", &[]);
    check_more(
        "[guard]\nshrink_percent = 101\n",
        &["15:18 guard.shrink_percent: 101 is out of range; expected a percentage from 0 to 100"],
    );
    check_more(
        "[guard]\nshrink_entries = \"x\"\n",
        &["15:18 guard.shrink_entries: expected a number of entries, found a string"],
    );
}
