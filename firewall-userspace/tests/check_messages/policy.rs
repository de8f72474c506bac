//! `[policy]`, and what a policy without mistakes probably does not mean.

use super::{check, said};

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
fn what_a_valid_policy_probably_does_not_mean() {
    check(
        "management = [\"198.51.100.1\"]\n",
        "",
        &[
            "3:1 (warning) policy.management: no source is protected from a mistake in the lists: a wrong entry can lock you out",
        ],
    );
    // Nobody, on purpose.
    check("[\"198.51.100.1\"]", "[]", &[]);
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
