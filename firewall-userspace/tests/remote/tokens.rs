//! `portcullis token`, and what the API says of tokens.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::{Daemon, Fake, get, json_request, request, timeless, words};

/// The form that secret scanners know; docs/security.md has it.
fn is_token(text: &str) -> bool {
    regex::Regex::new(r"\Apcl_[0-9A-Za-z]{60}\z").unwrap().is_match(text)
}

#[test]
fn a_token_is_printed_alone_and_never_again() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) =
        daemon.run(&["token", "create", "ci", "--role", "operator", "--list", "partners", "--max-ttl", "24h"]);
    assert!(code == 0 && is_token(stdout.trim_end()), "{stdout}{stderr}");
    assert!(stderr.starts_with("token ci (operator; lists partners; at most 86400 s): ends 20"), "{stderr}");
    assert!(stderr.ends_with("(in 90d)\nnote: the secret is not shown again\n"), "{stderr}");
    let secret = stdout.trim_end();
    let (code, stdout, stderr) = daemon.run(&["token", "list"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("operator; lists partners; at most 86400 s") && !stdout.contains(secret), "{stdout}");
    let answer = daemon.api(get("/v1/tokens"));
    let token = &answer.json()["tokens"][0];
    assert_eq!((answer.status, &token["name"], &token["role"]), (200, &json!("ci"), &json!("operator")));
    assert_eq!(
        (&token["scope"], &token["last_used"]),
        (&json!({"lists": ["partners"], "max_ttl_seconds": 86_400}), &Value::Null)
    );
    assert!(!answer.body.contains("hash") && !answer.body.contains(secret));
    let file = fs::read(daemon.folder.path().join("state/tokens.json")).unwrap();
    let file = String::from_utf8_lossy(&file).into_owned();
    assert!(!file.contains(&secret[15..58]), "{file}");
}

#[test]
fn a_token_goes_to_a_file_that_only_its_owner_reads() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("token");
    let place = file.to_str().unwrap();
    let (code, stdout, stderr) =
        daemon.run(&["token", "create", "ci", "--role", "viewer", "--ttl", "never", "--to", place]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(stderr, "token ci (viewer): never ends\nnote: the secret is in the file, and nowhere else\n");
    assert!(is_token(fs::read_to_string(&file).unwrap().trim_end()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _, stderr) = daemon.run(&["token", "create", "other", "--role", "viewer", "--to", place]);
    assert!(code == 4 && stderr.contains("cannot write a secret to") && stderr.contains("\nhint: "), "{stderr}");
    let other = daemon.folder.path().join("other");
    let place = other.to_str().unwrap();
    assert_eq!(daemon.run(&["token", "create", "ci", "--role", "viewer", "--to", place]).0, 6);
    assert!(!other.exists(), "there is no secret in it");
    let (code, stdout, _) = daemon.run(&["token", "rotate", "ci", "--to", place, "-o", "json"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, document.get("token"), &document["schema"]), (0, None, &json!("portcullis.token/v1")));
}

#[test]
fn a_token_is_rotated_and_revoked() {
    let daemon = Daemon::start(Fake::default());
    let created = daemon.api(json_request("POST", "/v1/tokens", r#"{"name":"ci","role":"operator"}"#));
    assert_eq!((created.status, created.header("cache-control")), (200, Some("no-store")));
    let (code, stdout, stderr) = daemon.run(&["token", "rotate", "ci", "--overlap", "2h"]);
    assert!(
        code == 0 && is_token(stdout.trim_end()) && stderr.contains("; the secret before counts until"),
        "{stderr}"
    );
    assert_ne!(created.json()["token"].as_str(), Some(stdout.trim_end()));
    let (code, _, stderr) = daemon.run(&["token", "rotate", "ci", "--overlap", "8d"]);
    assert!(
        code == 5 && stderr.starts_with("error: --overlap: a secret that was replaced counts for at most 7 days"),
        "{stderr}"
    );
    assert_eq!(daemon.run(&["token", "rotate", "ci", "--overlap", "0s"]).0, 0);
    let (code, stdout, _) = daemon.run(&["token", "revoke", "ci"]);
    assert_eq!((code, stdout.as_str()), (0, "revoked ci: the next request with it is refused\n"));
    for arguments in [&["token", "revoke", "ci"][..], &["token", "rotate", "ci"]] {
        let (code, stdout, stderr) = daemon.run(arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.starts_with("error: there is no token `ci`\n"), "{stderr}");
    }
    let (code, stdout, stderr) = daemon.run(&["token", "list"]);
    assert_eq!(
        (code, stdout, stderr.as_str()),
        (0, String::new(), "note: there are no tokens; `portcullis token create` makes one\n")
    );
}

#[test]
fn what_cannot_be_asked_for_is_told_at_its_place() {
    let daemon = Daemon::start(Fake::default());
    let body = json!({
        "name": "Not a name", "role": "viewer", "ttl": "soon",
        "scope": {"lists": ["BAD"], "min_length_v4": 33, "max_ttl_seconds": 0},
    });
    let answer = daemon.api(json_request("POST", "/v1/tokens", &body.to_string()));
    assert_eq!(answer.problem(), (422, "invalid".into()));
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let mut pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    let wanted = ["/name", "/scope", "/scope/lists", "/scope/max_ttl_seconds", "/scope/min_length_v4", "/ttl"];
    assert_eq!(pointers, wanted);
    for (method, path, body, status) in [
        ("POST", "/v1/tokens", r#"{"name":"ci"}"#, 422),
        ("POST", "/v1/tokens", r#"{"name":"ci","role":"root"}"#, 422),
        ("POST", "/v1/tokens", r#"{"name":"ci","role":"viewer","surprise":1}"#, 422),
        ("POST", "/v1/tokens/ci/rotate", r#"{"overlap":"1h"}"#, 404),
        ("POST", "/v1/tokens/ci/rotate", r#"{"overlap":"x"}"#, 422),
        ("PUT", "/v1/tokens", "{}", 405),
    ] {
        assert_eq!(daemon.api(json_request(method, path, body)).status, status, "{method} {path} {body}");
    }
    assert_eq!(daemon.api(request("DELETE", "/v1/tokens/ci")).problem(), (404, "no_token".into()));
    assert_eq!(daemon.api(json_request("POST", "/v1/tokens", r#"{"name":"ci","role":"admin"}"#)).status, 200);
    let twice = daemon.api(json_request("POST", "/v1/tokens", r#"{"name":"ci","role":"admin"}"#));
    assert_eq!(twice.problem(), (409, "token_exists".into()));
    for wrong in [
        &["token"][..],
        &["token", "create", "x"],
        &["token", "create", "NOT A NAME", "--role", "viewer"],
        &["token", "create", "x", "--role", "root"],
        &["token", "create", "x", "--role", "operator", "--inside", "10.0.0.1/8"],
        &["token", "create", "x", "--role", "operator", "--min-length", "33"],
        &["token", "revoke", "../x"],
    ] {
        assert_eq!(daemon.run(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn the_list_of_tokens_is_a_table() {
    let daemon = Daemon::start(Fake::default());
    assert_eq!(daemon.run(&["token", "create", "b", "--role", "admin", "--ttl", "never"]).0, 0);
    assert_eq!(
        daemon.run(&["token", "create", "a", "--role", "operator", "--inside", "198.51.100.0/24", "--verb", "allow"]).0,
        0
    );
    let (code, stdout, _) = daemon.run(&["token", "list"]);
    let told = timeless(&stdout);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((code, lines.len(), lines[0]), (0, 3, words(&["NAME  ROLE  MADE  ENDS  LAST USED"]).trim_end()));
    assert!(
        lines[1].starts_with("a  operator; inside 198.51.100.0/24; may allow  20") && lines[1].ends_with("  never"),
        "{told}"
    );
    assert!(lines[2].starts_with("b  admin  20") && lines[2].ends_with("  never  never"), "{told}");
}
