//! The API over HTTPS, from another namespace, against a real daemon.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Said, said},
    lab::{FRIEND4, HOST4, Lab, STRANGER4},
    netns::output,
    running::wait_until,
    trial::binary,
};

use crate::policy::POLICY;

/// Where it is served.
const PORT: u16 = 8443;

/// Certificates of a trial.
struct Authority<'a> {
    lab: &'a Lab,
}

impl<'a> Authority<'a> {
    /// An authority, and a certificate of it for the host.
    fn new(lab: &'a Lab) -> Result<Self> {
        let this = Self { lab };
        this.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem")?;
        this.issue("server", &format!("IP:{HOST4}"))?;
        Ok(this)
    }

    /// A certificate for `name`, as `name.pem` and `name.key`.
    fn issue(&self, name: &str, alternative: &str) -> Result<()> {
        self.lab.trial.write(&format!("{name}.ext"), &format!("subjectAltName={alternative}\n"))?;
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ))?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile {name}.ext -out {name}.pem"
        ))?;
        fs::set_permissions(self.file(&format!("{name}.key")), fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    fn openssl(&self, words: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        output(command.current_dir(self.lab.trial.folder()).args(words.split(' '))).map(drop)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.lab.trial.folder().join(name)
    }

    /// `[api]` with HTTPS, and a service that lets the friends of the policy in.
    fn config(&self, more: &str) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "{POLICY}\n[services.control]\nprotocol = \"tcp\"\nports = [{PORT}]\nallow = [\"friends\"]\ndeny = [\"foes\"]\n\
             [api]\nlisten = [\"{HOST4}:{PORT}\"]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n{more}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem"),
        )
    }
}

/// What curl is answered from `source`: the status, or an error where there is none.
fn curl(authority: &Authority<'_>, source: &str, arguments: &[&str], path: &str) -> Result<Result<u16, String>> {
    let mut command = authority.lab.peer.command("curl");
    command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--interface", source]);
    command.arg("--cacert").arg(authority.file("ca.pem")).args(arguments);
    let said = said(command.arg(format!("https://{HOST4}:{PORT}{path}")))?;
    match said.code {
        0 => Ok(Ok(said.stdout.trim().parse().context("a status")?)),
        _ => Ok(Err(said.stderr)),
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn wait_for_https(authority: &Authority<'_>) -> Result<()> {
    wait_until("HTTPS", LIMIT, || Ok(curl(authority, FRIEND4, &[], "/v1/status")?.ok().map(drop)))
}

/// A token, by the socket.
fn token(daemon: &Daemon, arguments: &[&str]) -> Result<String> {
    Ok(daemon.ok(&[&["token", "create"], arguments].concat())?.trim().to_owned())
}

const PUSH: &str = r#"{"add":[{"list":"friends","prefix":"203.0.113.7","ttl":"1h"}]}"#;

#[test]
fn a_token_may_what_its_role_may_from_where_the_policy_lets_it_and_nothing_after_it_is_revoked() -> Result<()> {
    let lab = Lab::new()?;
    let authority = Authority::new(&lab)?;
    let daemon = Daemon::start(&lab, &authority.config(""))?;
    wait_for_https(&authority)?;
    let (viewer, operator) = (
        token(&daemon, &["prometheus", "--role", "viewer"])?,
        token(&daemon, &["deploy", "--role", "operator", "--list", "friends", "--max-ttl", "2h"])?,
    );
    let (viewer, operator) = (bearer(&viewer), bearer(&operator));
    let push = ["-H", "Content-Type: application/json", "-d", PUSH];
    let ask = |arguments: &[&str], path: &str| {
        Ok::<_, anyhow::Error>(curl(&authority, FRIEND4, arguments, path)?.unwrap_or(0))
    };
    let with = |header: &str, arguments: &[&str], path: &str| ask(&[&["-H", header], arguments].concat(), path);
    assert_eq!(ask(&[], "/v1/status")?, 401);
    assert_eq!(with("Authorization: Bearer pcl_wrong", &[], "/v1/status")?, 401);
    assert_eq!(ask(&push, "/v1/entries")?, 401, "nobody anonymous writes");
    for path in ["/v1/status", "/metrics", "/readyz", "/openapi.json"] {
        assert_eq!(with(&viewer, &[], path)?, 200, "{path}");
    }
    assert_eq!(with(&viewer, &["--http2"], "/v1/status")?, 200);
    assert_eq!(with(&viewer, &push, "/v1/entries")?, 403);
    assert_eq!(with(&operator, &push, "/v1/entries")?, 200);
    let wide = ["-H", "Content-Type: application/json", "-d", r#"{"add":[{"list":"friends","prefix":"203.0.113.8"}]}"#];
    assert_eq!(with(&operator, &wide, "/v1/entries")?, 403, "without an end");
    assert_eq!(with(&operator, &["-X", "POST"], "/v1/reload")?, 403);
    assert_eq!(with(&operator, &["-H", "Origin: https://evil.example"], "/v1/status")?, 403);
    assert_eq!(with(&operator, &["-H", "Host: evil.example"], "/v1/status")?, 403);
    ensure!(curl(&authority, STRANGER4, &["-H", &viewer], "/v1/status")?.is_err(), "a stranger does not come through");
    daemon.ok(&["token", "revoke", "deploy"])?;
    assert_eq!(with(&operator, &push, "/v1/entries")?, 401);
    let entries = daemon.ok(&["allow", "list", "-o", "json"])?;
    assert!(entries.contains("token:deploy") && entries.contains("203.0.113.7/32"), "{entries}");
    let audit = daemon.ok(&["audit", "list", "-o", "json"])?;
    for words in ["token_create", "token_revoke", "failed_authentication", "token:deploy"] {
        assert!(audit.contains(words), "{words} is not in {audit}");
    }
    Ok(())
}

#[test]
fn a_certificate_of_the_authority_is_known_by_its_name_and_one_without_a_role_may_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let authority = Authority::new(&lab)?;
    for name in ["ci", "other"] {
        authority.issue(name, &format!("DNS:{name}.example"))?;
    }
    let config = authority.config("[api.certificates]\n\"dns:ci.example\" = \"operator\"\n");
    let daemon = Daemon::start(&lab, &config)?;
    wait_for_https(&authority)?;
    let ask = |name: &str, path: &str| {
        let (certificate, key) = (authority.file(&format!("{name}.pem")), authority.file(&format!("{name}.key")));
        let arguments =
            ["--cert", &*certificate.to_string_lossy(), "--key", &*key.to_string_lossy()].map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok::<_, anyhow::Error>(curl(&authority, FRIEND4, &arguments, path)?.unwrap_or(0))
    };
    assert_eq!((ask("ci", "/v1/status")?, ask("other", "/v1/status")?), (200, 403), "one without a role");
    drop(daemon);
    Ok(())
}

/// The command line in the other namespace.
fn remote(authority: &Authority<'_>, token: &PathBuf, arguments: &[&str]) -> Result<Said> {
    let mut command = authority.lab.peer.command(binary()?);
    command.arg("--url").arg(format!("https://{HOST4}:{PORT}")).arg("--ca").arg(authority.file("ca.pem"));
    said(command.arg("--token-file").arg(token).args(arguments))
}

#[test]
fn the_command_line_says_the_same_from_another_host_and_confirms_what_does_not_cut_it_off() -> Result<()> {
    let lab = Lab::new()?;
    let authority = Authority::new(&lab)?;
    let daemon = Daemon::start(&lab, &authority.config(""))?;
    wait_for_https(&authority)?;
    let secret = authority.lab.trial.write("token", &token(&daemon, &["admin", "--role", "admin"])?)?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    for arguments in [&["allow", "list", "-o", "json"][..], &["history", "-o", "json"], &["mode"]] {
        let (near, far) = (daemon.cli(arguments)?, remote(&authority, &secret, arguments)?);
        assert_eq!((far.code, &far.stdout), (near.code, &near.stdout), "{arguments:?}: {far:?}");
    }
    let kept = remote(&authority, &secret, &["allow", "add", "friends", "203.0.113.9", "--confirm", "auto"])?;
    assert_eq!(kept.code, 0, "{kept:?}");
    // The source that it comes from cannot come back.
    let cut = remote(&authority, &secret, &["deny", "add", "foes", FRIEND4, "--confirm", "auto"])?;
    assert_eq!(cut.code, 6, "{cut:?}");
    let is_undone = || Ok(remote(&authority, &secret, &["status"])?.code == 0).map(|done| done.then_some(()));
    wait_until("the change that cut it off to be undone", Duration::from_secs(100), is_undone)?;
    let entries = daemon.ok(&["deny", "list", "-o", "json"])?;
    assert!(!entries.contains("\"owner\":\"token:admin\""), "{entries}");
    Ok(())
}
