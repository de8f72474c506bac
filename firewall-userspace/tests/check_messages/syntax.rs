//! What is no TOML, no key that is known, or of the wrong type.

use super::{GOOD, check, check_more, said};

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
fn control_characters_of_the_file_reach_no_message() {
    let text = GOOD.replace("\"a\"", "\"\\u001b[2J\\u202e\"").replace("[limits.l]", "[limits.\"\\u001b\"]");
    let said = said(&text);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|line| !line.contains(['\u{1b}', '\u{202e}'])), "{said:?}");
}
