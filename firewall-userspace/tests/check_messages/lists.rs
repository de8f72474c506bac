//! `[lists.*]`, with their files.

use super::{check, check_more};

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
        &["6:8 lists.a.file: cannot read tests/data/lists: it is a folder and no regular file"],
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
