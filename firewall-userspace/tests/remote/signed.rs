//! The example of a signed push, run as it is: what it sends is checked by a second reading of RFC 9421.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{digest, signature};

use crate::support::{
    Folder,
    https::{Seen, plain},
    seen,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/signed-push.sh");

const COVERED: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;

/// What stands between the colons of a byte sequence (RFC 8941 section 3.3.5).
fn octets(text: &str) -> Vec<u8> {
    let text = text.strip_prefix(':').and_then(|text| text.strip_suffix(':')).unwrap_or_else(|| panic!("{text}"));
    BASE64_STANDARD.decode(text).unwrap()
}

/// Checks that a request is signed with this key, of now; its nonce.
fn check(request: &Seen, public: &[u8]) -> Result<String, String> {
    let header =
        |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).ok_or(format!("no {name}"));
    let params = header("signature-input")?.strip_prefix("sig1=").ok_or("no sig1")?;
    let signed = octets(header("signature")?.strip_prefix("sig1=").ok_or("no sig1")?);
    let rest = params.strip_prefix(COVERED).ok_or(format!("not covered: {params}"))?;
    let value = |name: &str| {
        let mut all = rest.split(';').filter_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        all.next().map(|value| value.trim_matches('"').to_owned()).ok_or(format!("no {name}"))
    };
    let created: i64 = value("created")?.parse().map_err(|_| "created is no number")?;
    let now = jiff::Timestamp::now().as_second();
    if !(now - 60..=now + 1).contains(&created) {
        return Err(format!("created at {created}, and it is {now}"));
    }
    if value("keyid")? != "ada-laptop" {
        return Err("unknown key".into());
    }
    let sent = header("content-digest")?;
    let wanted = octets(sent.strip_prefix("sha-256=").ok_or("no sha-256")?);
    if digest::digest(&digest::SHA256, &request.body).as_ref() != wanted {
        return Err("the body is another one".into());
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let base = format!(
        "\"@method\": {}\n\"@authority\": {}\n\"@path\": {path}\n\"@query\": ?{query}\n\"content-digest\": {sent}\n\"@signature-params\": {params}",
        request.method,
        // As the standard has it: in small letters.
        header("host")?.to_ascii_lowercase(),
    );
    let key = signature::UnparsedPublicKey::new(&signature::ED25519, public);
    key.verify(base.as_bytes(), &signed).map_err(|_| format!("the signature is not of\n{base}"))?;
    value("nonce")
}

/// A new key in `folder`, and its public half.
fn key(folder: &Folder) -> (String, Vec<u8>) {
    let file = folder.path().join("push.key").to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .output()
            .expect("openssl is needed: `cargo xtask setup` installs it");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &file]);
    let public = openssl(&["pkey", "-in", &file, "-pubout", "-outform", "DER"]);
    // The last 32 octets are the key (RFC 8410 section 4).
    (file, public[public.len() - 32..].to_vec())
}

fn push(url: &str, key: &str, more: &[&str]) -> Output {
    let mut command = Command::new(SCRIPT);
    command.args([url, key, "ada-laptop", "partners"]).args(more).env_remove("CA").env("TTL", "1h");
    command.output().unwrap()
}

#[test]
fn the_example_of_a_signed_push_is_signed_as_the_standard_has_it() {
    let folder = Folder::new();
    let (file, public) = key(&folder);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let nonces = Mutex::new(HashSet::new());
    let took = Arc::clone(&bodies);
    let (address, _runtime) = plain(move |request| {
        let nonce = check(request, &public).unwrap();
        assert!(nonce.len() >= 22 && nonces.lock().unwrap().insert(nonce), "a nonce of 128 bits, used once");
        assert_eq!((&*request.method, &*request.target), ("POST", "/v1/entries"));
        took.lock().unwrap().push(serde_json::from_slice::<serde_json::Value>(&request.body).unwrap());
        (200, r#"{"revision":8}"#.into())
    });
    for url in [format!("http://{address}"), format!("http://LocalHost:{}/", address.port())] {
        let output = seen(&push(&url, &file, &["192.0.2.1", "2001:db8::/32"]));
        assert_eq!(output, (0, r#"{"revision":8}"#.into(), String::new()));
    }
    let addition = |prefix: &str| serde_json::json!({ "list": "partners", "prefix": prefix, "ttl": "1h" });
    let wanted = serde_json::json!({ "add": [addition("192.0.2.1"), addition("2001:db8::/32")] });
    assert_eq!(*bodies.lock().unwrap(), [wanted.clone(), wanted.clone()]);
    // The daemon takes this body.
    serde_json::from_value::<firewall_userspace::control::Push>(wanted).unwrap();
}

#[test]
fn the_example_says_what_the_daemon_refuses_and_what_it_cannot_use() {
    let folder = Folder::new();
    let (file, public) = key(&folder);
    let (_, other) = key(&Folder::new());
    assert_ne!(public, other);
    let (address, _runtime) = plain(move |request| match check(request, &other) {
        Ok(_) => (200, String::new()),
        Err(why) => (401, why),
    });
    let url = format!("http://{address}");
    let (code, stdout, _) = seen(&push(&url, &file, &["192.0.2.1"]));
    assert_eq!((code, stdout.starts_with("the signature is not of\n")), (22, true), "{stdout}");
    let (code, _, stderr) = seen(&push(&url, &file, &["192.0.2.1\"},{\"list\":\"x"]));
    assert!(code == 2 && stderr.contains("odd characters"), "{stderr}");
    let (code, _, stderr) = seen(&push(&url, "/nonexistent", &["192.0.2.1"]));
    assert!(code != 0 && stderr.contains("/nonexistent"), "{stderr}");
    assert_eq!(fs::metadata(SCRIPT).unwrap().permissions().mode() & 0o111, 0o111);
}
