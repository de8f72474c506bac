//! `[[interface]]`.

use super::{check, check_more};

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
