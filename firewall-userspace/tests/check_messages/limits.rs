//! `[limits.*]`.

use super::{check, check_more};

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
