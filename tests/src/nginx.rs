//! A real server behind the firewall, and the client that asks it.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    daemon::{LIMIT, said},
    lab::Lab,
    netns::Netns,
    running::{Running, wait_until},
};

/// A running nginx that answers every request on the ports it was given.
#[derive(Debug)]
pub struct Nginx(#[expect(dead_code, reason = "held for its end")] Running);

impl Nginx {
    /// Starts it in the host and waits until it answers there.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start(lab: &Lab, ports: &[u16]) -> Result<Self> {
        let config = lab.trial.write("nginx.conf", &config(lab, ports))?;
        let mut command = lab.host.command("nginx");
        command.arg("-p").arg(lab.trial.folder()).arg("-c").arg(config).args(["-e", "stderr"]);
        let mut running = Running::start(&lab.trial, "nginx", command)?;
        for port in ports {
            wait_until("an answer of nginx", LIMIT, || {
                running.must_run()?;
                let answers = Curl::new(&lab.host).get(&format!("http://127.0.0.1:{port}/"))?.is_ok();
                Ok(answers.then_some(()))
            })?;
        }
        Ok(Self(running))
    }
}

fn config(lab: &Lab, ports: &[u16]) -> String {
    let folder = lab.trial.folder().display();
    let listen: String = ports.iter().map(|port| format!("listen {port}; listen [::]:{port};\n")).collect();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {folder}/nginx-{part};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{folders}server {{\n{listen}return 200 \"hello\\n\";\n}}\n}}\n"
    )
}

/// `curl` in a namespace.
#[derive(Clone, Debug)]
pub struct Curl<'a> {
    namespace: &'a Netns,
    source: Option<&'a str>,
    limit: Duration,
}

/// A request that was answered with 200, or why it was not.
pub type Request = Result<(), String>;

impl<'a> Curl<'a> {
    /// From any address, patient.
    pub fn new(namespace: &'a Netns) -> Self {
        Self { namespace, source: None, limit: Duration::from_secs(5) }
    }

    /// From this address.
    #[must_use]
    pub fn from(self, source: &'a str) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Gives up after this time.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// When curl cannot be run.
    pub fn get(&self, url: &str) -> Result<Request> {
        let mut command: Command = self.namespace.command("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--globoff", "--output", "/dev/null"]);
        command.args(["--write-out", "%{http_code}", "--max-time", &self.limit.as_secs_f64().to_string()]);
        command.args(self.source.map(|source| ["--interface", source]).into_iter().flatten()).arg(url);
        let said = said(&mut command)?;
        ensure!(said.code != 127, "curl is not installed\nhint: run `cargo xtask setup --for test`");
        Ok(if (said.code, said.stdout.as_str()) == (0, "200") { Ok(()) } else { Err(format!("{said:?}")) })
    }
}
