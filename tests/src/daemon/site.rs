//! Where a daemon has its files, and what can be done there without one.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use firewall_common::abi::ABI_VERSION;

use super::{LIMIT, Said, said};
use crate::{
    lab::{INTERFACE, Lab},
    netns::Netns,
    running::Running,
    trial::{Trial, binary},
};

/// Where a daemon has its files.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its configuration.
    pub config: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Its pins.
    pub pins: PathBuf,
    /// What it keeps of pushes, unless its policy says otherwise.
    pub state: PathBuf,
}

impl Site {
    /// The files of the one daemon that most tests have.
    pub fn of(trial: &Trial) -> Self {
        let folder = trial.folder();
        Self {
            config: folder.join("portcullis.toml"),
            socket: folder.join("api.sock"),
            pins: trial.pins().join("daemon"),
            state: folder.join("state"),
        }
    }

    /// Writes the configuration: `policy`, an interface and a state folder unless it names them, and where the socket is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, policy: &str) -> Result<()> {
        let interface = format!("[[interface]]\nname = \"{INTERFACE}\"\n");
        let interface = if policy.contains("[[interface]]") { "" } else { &interface };
        let state = format!("[state]\ndirectory = \"{}\"\n", self.state.display());
        let state = if policy.contains("[state]") { "" } else { &state };
        let api = format!("[api]\nsocket = \"{}\"\n", self.socket.display());
        let policy = match policy.contains("[api]\n") {
            true => policy.replace("[api]\n", &api),
            false => format!("{policy}\n{api}"),
        };
        let text = format!("{interface}{policy}\n{state}");
        fs::write(&self.config, text).with_context(|| format!("cannot write {}", self.config.display()))
    }

    /// `portcullis run` on these files.
    ///
    /// # Errors
    /// When nobody said which binary to test.
    pub fn command(&self, host: &Netns) -> Result<Command> {
        let mut command = host.command(binary()?);
        command.arg("run").arg("--config").arg(&self.config).arg("--pin-directory").arg(&self.pins);
        Ok(command)
    }

    /// Runs a daemon that is to be refused: it has ended when this returns.
    ///
    /// # Errors
    /// When it goes on running.
    pub fn attempt(&self, lab: &Lab) -> Result<Said> {
        self.attempt_with(lab, &[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// When it goes on running.
    pub fn attempt_with(&self, lab: &Lab, arguments: &[&str]) -> Result<Said> {
        let mut command = self.command(&lab.host)?;
        command.args(arguments);
        let mut running = Running::start(&lab.trial, "attempt", command)?;
        let status = running.wait(LIMIT).context("this start is to be refused")?;
        Ok(Said { code: status.code().unwrap_or(-1), stdout: String::new(), stderr: running.log() })
    }

    /// Runs `portcullis detach` with these arguments on the pins.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn detach(&self, arguments: &[&str]) -> Result<Said> {
        said(Command::new(binary()?).arg("detach").arg("--pin-directory").arg(&self.pins).args(arguments))
    }

    /// Where the maps are pinned that live on over generations and restarts.
    pub fn shared_map(&self, name: &str) -> PathBuf {
        self.pins.join(format!("v{ABI_VERSION}/maps")).join(name)
    }

    /// Where the link of the interface is pinned.
    pub fn link(&self) -> PathBuf {
        self.pins.join(format!("v{ABI_VERSION}/links/{INTERFACE}@native"))
    }

    /// Whether neither pins nor a socket are there.
    pub fn is_gone(&self) -> bool {
        !self.pins.exists() && !self.socket.exists()
    }
}
