//! Sections of a few keys: `[essentials]`, `[admin]`, `[api]`, `[state]` and `[guard]`.

use super::check_more;

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
