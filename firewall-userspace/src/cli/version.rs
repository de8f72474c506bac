//! `portcullis version`: what this binary is, what it runs on, and whether the daemon is the same.

use std::{fmt::Write as _, time::Duration};

use firewall_common::abi::ABI_VERSION;
use nix::sys::utsname::uname;
use serde_json::{Value, json};

use super::{
    client::Client,
    failure::Failure,
    output::{self, Output},
};
use crate::{control::Status, datapath, made, text::shown::escaped};

/// How long the daemon may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What there is to say.
struct VersionFacts {
    program: Option<String>,
    kernel: String,
    /// Version and revision of the daemon, or why they are not known.
    daemon: Result<[String; 2], String>,
}

/// Says it; a daemon that does not answer is no failure.
pub fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let facts = VersionFacts::read(client);
    match output {
        Output::Json => output::data(facts.document().to_string().as_bytes())?,
        Output::Table => output::data(facts.table().as_bytes())?,
    }
    if let Some(note) = facts.note(client.is_remote()) {
        output::words(&note);
    }
    Ok(())
}

/// The document `portcullis.version/v1`.
pub fn document(client: &Client) -> Value {
    VersionFacts::read(client).document()
}

impl VersionFacts {
    fn read(client: &Client) -> Self {
        let kernel = uname().map_or_else(
            |_| made::UNKNOWN.to_owned(),
            |name| {
                let part = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
                [name.sysname(), name.release(), name.machine()].map(part).join(" ")
            },
        );
        let daemon = client.get_within::<Status>("/v1/status", PATIENCE);
        let daemon = daemon.map(|answer| [answer.value.version, answer.value.source_revision]);
        let daemon = daemon.map_err(|failure| failure.brief());
        Self { program: datapath::carried(), kernel, daemon }
    }

    /// Whether the daemon is of another build; `None` when nobody can tell.
    fn differs(&self) -> Option<bool> {
        let [version, revision] = self.daemon.as_ref().ok()?;
        let is_known = |revision: &str| !revision.is_empty() && revision != made::UNKNOWN;
        match (is_known(revision), is_known(made::REVISION)) {
            _ if version != made::VERSION => Some(true),
            (true, true) => Some(revision != made::REVISION),
            _ => None,
        }
    }

    fn note(&self, is_remote: bool) -> Option<String> {
        let ([version, revision], Some(true)) = (self.daemon.as_ref().ok()?, self.differs()) else { return None };
        let named = |version: &str, revision: &str| escaped(&format!("{version} ({revision})")).into_owned();
        let hint = if is_remote {
            "what only one of the two knows is refused; the older one can be brought up to date"
        } else {
            "restart the daemon to have it run this version; its policy filters on meanwhile"
        };
        Some(format!(
            "note: the daemon is {}, this command is {}\nhint: {hint}",
            named(version, if revision.is_empty() { made::UNKNOWN } else { revision }),
            named(made::VERSION, made::REVISION),
        ))
    }

    fn document(&self) -> Value {
        let mut document = json!({
            "schema": "portcullis.version/v1",
            "version": made::VERSION,
            "revision": made::REVISION,
            "rustc": made::RUSTC,
            "abi_version": ABI_VERSION,
            "program": self.program.as_ref().map(|digest| json!({ "sha256": digest })),
            "kernel": self.kernel,
            "daemon": self.daemon.as_ref().ok().map(|[version, revision]| json!({ "version": version, "revision": revision })),
            "differs": self.differs(),
        });
        if let Err(why) = &self.daemon {
            document["daemon_unknown"] = why.as_str().into();
        }
        document
    }

    fn table(&self) -> String {
        let program = match &self.program {
            Some(digest) => format!("inside, sha256 {digest}"),
            None => {
                "NOT INSIDE: `portcullis run` refuses to start; `cargo xtask build` makes a binary with it".to_owned()
            }
        };
        let daemon = match &self.daemon {
            Ok([version, revision]) if revision.is_empty() => version.clone(),
            Ok([version, revision]) => format!("{version}, revision {revision}"),
            Err(why) => format!("not known: {why}"),
        };
        let mut text = String::new();
        for (name, value) in [
            ("version", made::VERSION),
            ("revision", made::REVISION),
            ("compiler", made::RUSTC),
            ("abi", &ABI_VERSION.to_string()),
            ("program", &program),
            ("kernel", &self.kernel),
            ("daemon", &daemon),
        ] {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<12}{}", escaped(value));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(daemon: Result<[&str; 2], &str>) -> VersionFacts {
        let daemon = daemon.map(|both| both.map(str::to_owned)).map_err(str::to_owned);
        VersionFacts { program: None, kernel: "Linux 6.1.0 x86_64".into(), daemon }
    }

    #[test]
    fn another_version_differs_and_of_a_revision_that_nobody_knows_nothing_is_said() {
        assert_eq!(facts(Ok(["9.9.9", ""])).differs(), Some(true));
        assert_eq!(facts(Ok([made::VERSION, ""])).differs(), None);
        assert_eq!(facts(Ok([made::VERSION, made::UNKNOWN])).differs(), None);
        assert_eq!(facts(Err("gone")).differs(), None);
        assert!(facts(Ok([made::VERSION, ""])).note(false).is_none() && facts(Err("gone")).note(false).is_none());
        let note = facts(Ok(["9.9.9\u{1b}[2J", ""])).note(false).unwrap();
        assert!(note.starts_with("note: the daemon is 9.9.9\\u{1b}[2J (unknown), this command is "), "{note}");
    }

    #[test]
    fn a_build_without_the_program_says_so() {
        assert!(facts(Err("gone")).table().contains("\nprogram     NOT INSIDE: "));
        let document = facts(Err("gone")).document();
        assert_eq!((&document["program"], &document["daemon"]), (&Value::Null, &Value::Null));
        assert_eq!(document["daemon_unknown"], "gone");
        let inside = VersionFacts { program: Some("ab".into()), ..facts(Err("gone")) };
        assert_eq!(inside.document()["program"], json!({ "sha256": "ab" }));
    }
}
