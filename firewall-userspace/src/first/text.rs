//! A first configuration as text, with a reason for each line.

use std::{fmt::Write as _, io, net::IpAddr, path::Path};

use serde_json::{Value, json};
use toml::Value as TomlValue;

use super::{ChosenInterface, FirstPolicy, FoundService, Skipped};
use crate::{
    config::{self, Loaded, Report},
    policy::{attach_label, ephemeral::EphemeralPorts},
    text::{
        ports,
        shown::{cut, escaped},
    },
};

/// Longest comment in characters.
const LONGEST: usize = 200;
/// Most lines on what is left out.
const MOST_SKIPPED: usize = 40;

const HEAD: &str = "\
# Portcullis: written by `portcullis init` from what this host had when it was run.
#
# Mode \"observe\" drops nothing, and counts what would be dropped: read this file, watch for a while, then enforce.
# `portcullis mode enforce` lasts over reloads and restarts. An `apply` and a new state folder go by the mode that is written here.
# Every key: /usr/share/portcullis/examples/portcullis.toml, or config/portcullis.toml in the sources.
";

const LISTS: &str = "
# Who is to be kept out: `portcullis deny add blocked 192.0.2.66 --ttl 1d`.
[lists.blocked]
entries = []
";

const GENEROUS: &str = "
# More than one ordinary source ever needs; each source has all of it for itself. `portcullis status` shows what would be dropped.
[limits.generous]
packets = { rate = 50000, per = \"1s\", burst = 100000 }
connections = { rate = 500, per = \"1s\", burst = 1000 }
";

const SSH: &str = "
# Room for file transfers and for tools that open many connections, and not for guessing passwords at full speed.
[limits.ssh]
packets = { rate = 50000, per = \"1s\", burst = 100000 }
connections = { rate = 10, per = \"1s\", burst = 50 }
";

const NOTHING: &str = "
# Nobody listens for others here. Name what is to be protected, for example:
#[services.https]
#protocol = \"tcp\"
#ports = [443]
";

const CONTAINERS: &str = "
# Ports that are only forwarded (DNAT of containers without docker-proxy, Kubernetes) have no socket here, and are not found.
# Add a service for each that is to be protected: what belongs to no service passes.
";

impl FirstPolicy {
    /// The configuration.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        self.interfaces.iter().for_each(|one| interface(&mut text, one));
        self.policy(&mut text);
        if self.services.is_empty() {
            text.push_str(NOTHING);
        } else {
            text.push_str(LISTS);
            text.push_str(if self.services.iter().any(|one| !one.is_ssh) { GENEROUS } else { "" });
            text.push_str(if self.services.iter().any(|one| one.is_ssh) { SSH } else { "" });
        }
        self.services.iter().for_each(|one| service(&mut text, one));
        text.push_str(CONTAINERS);
        if !self.skipped.is_empty() {
            text.push_str("\n# Left out:\n");
        }
        for Skipped { what, why } in self.skipped.iter().take(MOST_SKIPPED) {
            comment(&mut text, &format!("  {what}: {why}"));
        }
        if let Some(more) = self.skipped.len().checked_sub(MOST_SKIPPED).filter(|more| *more > 0) {
            comment(&mut text, &format!("  and {more} more"));
        }
        text
    }

    /// It as the daemon reads it, on a host that gives `ports` to its own connections.
    ///
    /// # Errors
    /// What is wrong with it: a mistake of ours.
    pub fn read(text: &str, ports: &EphemeralPorts) -> Result<Loaded, Report> {
        config::load_stdin(io::Cursor::new(text), ports)
    }

    /// It as data: the members of `portcullis.init/v1` that say what is proposed.
    pub fn document(&self, path: &Path) -> Value {
        let interface =
            |one: &ChosenInterface| json!({ "name": one.name, "mode": attach_label(one.mode), "reasons": one.reasons });
        let service = |one: &FoundService| {
            json!({
                "name": one.name, "protocol": one.protocol.to_string(), "ports": one.ports, "addresses": one.addresses,
                "limit": one.limit(), "reasons": one.reasons,
            })
        };
        let skipped = |one: &Skipped| json!({ "what": one.what, "why": one.why });
        json!({
            "schema": "portcullis.init/v1",
            "path": path.to_string_lossy(),
            "interfaces": self.interfaces.iter().map(interface).collect::<Vec<_>>(),
            "services": self.services.iter().map(service).collect::<Vec<_>>(),
            "management": self.management.iter().map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>(),
            "suggested_management": self.suggested.iter().map(|(source, _)| source.to_string()).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
        })
    }

    /// It in a few lines, for a terminal.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, what: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{label:<12}{}", cut(&what, LONGEST));
        };
        for one in &self.interfaces {
            line("interface", format!("{}, {}", one.name, attach_label(one.mode)));
        }
        for one in &self.services {
            let at: Vec<String> = one.addresses.iter().map(IpAddr::to_string).collect();
            let at = if at.is_empty() { String::new() } else { format!(" at {}", at.join(", ")) };
            line("service", format!("{}: {} {}{at}", one.name, one.protocol, one.shown_ports().join(", ")));
        }
        match &self.management[..] {
            [] => line(
                "management",
                "nobody: write where you administer from into the file, before anything is dropped".to_owned(),
            ),
            all => all.iter().for_each(|(prefix, why)| line("management", format!("{prefix}, {why}"))),
        }
        text
    }

    fn policy(&self, text: &mut String) {
        text.push_str("\n[policy]\nmode = \"observe\"\n");
        comment(text, "No list and no limit drops these sources, so that you cannot lock yourself out.");
        if self.management.is_empty() {
            comment(
                text,
                "Nobody is named: `portcullis init` was not typed into an ssh connection that it could see. Write where",
            );
            comment(text, "you administer this host from, for example management = [\"198.51.100.0/28\"].");
        }
        for (source, why) in &self.suggested {
            comment(text, &format!("Perhaps \"{source}\": {why}."));
        }
        text.push_str("management = [");
        for (prefix, why) in &self.management {
            let _ = write!(text, "\n    \"{prefix}\", # {}", cut(why, LONGEST));
        }
        text.push_str(if self.management.is_empty() { "]\n" } else { "\n]\n" });
    }
}

impl FoundService {
    /// The limit of each source.
    fn limit(&self) -> &'static str {
        if self.is_ssh { "ssh" } else { "generous" }
    }

    /// `443`, `8443-8445`.
    fn shown_ports(&self) -> Vec<String> {
        ports::merge(self.ports.iter().map(|port| *port..=*port).collect()).iter().map(ports::show).collect()
    }
}

fn interface(text: &mut String, one: &ChosenInterface) {
    text.push_str("\n[[interface]]\n");
    one.reasons.iter().for_each(|reason| comment(text, reason));
    let name = TomlValue::from(one.name.as_str());
    let _ = writeln!(text, "name = {name}\nmode = \"{}\"", attach_label(one.mode));
}

fn service(text: &mut String, one: &FoundService) {
    let _ = writeln!(text, "\n[services.{}]", one.name);
    one.reasons.iter().for_each(|reason| comment(text, reason));
    let quoted = |text: &String| if text.contains('-') { format!("\"{text}\"") } else { text.clone() };
    let ports: Vec<String> = one.shown_ports().iter().map(quoted).collect();
    let _ = writeln!(text, "protocol = \"{}\"\nports = [{}]", one.protocol, ports.join(", "));
    if !one.addresses.is_empty() {
        let addresses: Vec<String> = one.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        comment(text, "It listens there only. Without this line it is protected at all addresses.");
        let _ = writeln!(text, "addresses = [{}]", addresses.join(", "));
    }
    let _ = writeln!(text, "deny = [\"blocked\"]\nlimit = \"{}\"", one.limit());
}

/// One line, whatever is in `words`.
fn comment(text: &mut String, words: &str) {
    let _ = writeln!(text, "# {}", escaped(&cut(words, LONGEST)));
}
