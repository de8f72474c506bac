//! `[[test]]`.

use super::check_more;

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
