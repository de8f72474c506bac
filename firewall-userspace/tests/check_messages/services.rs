//! `[services.*]`.

use super::{check, check_more};

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
