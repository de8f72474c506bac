//! The twenty questions of docs/first-day.md: each command is run, and its answer is the one that the document shows.
//!
//! `PORTCULLIS_BLESS=1 cargo xtask test --wire first_day` writes the answers anew.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail, ensure};
use firewall_tests::{
    daemon::{Daemon, Site, said},
    lab::{FRIEND4, HOST4, Lab},
    nginx::Nginx,
    session::Session,
    transcript::{Step, Transcript},
    trial::binary,
};

/// Addresses of other machines, behind the gateway of the host.
const OTHERS: [&str; 3] = ["203.0.113.7", "203.0.113.9", "198.51.100.77"];

/// Where who types the commands sits, and is logged in from.
const OFFICE: &str = "203.0.113.130";

/// How long a command may take, in seconds.
const COMMAND_SECONDS: &str = "20";

/// A day: the document, and where its commands run.
struct Day<'a> {
    lab: &'a Lab,
    site: Site,
    /// What the document calls a file, and where that is here.
    places: [(&'static str, PathBuf); 4],
    ssh: Option<String>,
}

#[test]
fn every_command_of_the_first_day_has_the_answer_that_the_document_shows() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/first-day.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let transcript = Transcript::parse(&text)?;
    let lab = Lab::new()?;
    lay_network(&lab)?;
    let mut day = Day::new(&lab)?;
    fs::write(&day.site.config, day.here(&transcript.block("toml").context("the document has no configuration")?))?;
    let daemon = Daemon::start_at(&lab, day.site.clone())?;
    let _web = Nginx::start(&lab, &[80])?;
    let ssh = Session::open(&lab, OFFICE, HOST4, 22)?;
    day.ssh = Some(ssh.ssh_connection()?);

    let answers: Vec<String> =
        transcript.steps().iter().map(|step| day.answer(&daemon, step)).collect::<Result<_>>()?;
    if env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::write(&path, transcript.with(&answers))?;
        return Ok(());
    }
    let steps = transcript.steps().iter().zip(&answers);
    let wrong: Vec<String> = steps.filter_map(|(step, answer)| transcript.difference(step, answer)).collect();
    ensure!(wrong.is_empty(), "docs/first-day.md:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_first_day_has_twenty_questions_and_each_is_asked() -> Result<()> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/first-day.md"))?;
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let numbered = headings.iter().zip(1..).all(|(heading, number)| heading.starts_with(&format!("{number}. ")));
    ensure!(headings.len() == 20 && numbered, "{headings:?}");
    let transcript = Transcript::parse(&text)?;
    let unasked: Vec<_> =
        headings.iter().filter(|heading| !transcript.steps().iter().any(|step| step.heading == **heading)).collect();
    ensure!(unasked.is_empty(), "{unasked:?}");
    Ok(())
}

impl<'a> Day<'a> {
    fn new(lab: &'a Lab) -> Result<Self> {
        let site = Site::of(&lab.trial);
        let programs = lab.trial.folder().join("bin");
        fs::create_dir(&programs)?;
        symlink(binary()?, programs.join("portcullis"))?;
        let places = [
            ("/run/portcullis/api.sock", site.socket.clone()),
            ("/var/lib/portcullis", site.state.clone()),
            ("/sys/fs/bpf/portcullis", site.pins.clone()),
            ("/etc/portcullis", lab.trial.folder().to_owned()),
        ];
        Ok(Self { lab, site, places, ssh: None })
    }

    /// Text of the document with the files that are meant here.
    fn here(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, &path.to_string_lossy()))
    }

    /// The other way round.
    fn there(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, path)| text.replace(&*path.to_string_lossy(), name))
    }

    /// What a command prints, standard error included, in the order in which it is printed.
    fn answer(&self, daemon: &Daemon<'_>, step: &Step) -> Result<String> {
        let namespace = match &*step.place {
            "" => &self.lab.host,
            "client" => &self.lab.peer,
            other => bail!("`{other}$` is no prompt of docs/first-day.md"),
        };
        let mut command = namespace.command("timeout");
        let programs = self.lab.trial.folder().join("bin");
        let path =
            env::join_paths([programs].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())))?;
        command.args([COMMAND_SECONDS, "sh", "-c"]).arg(format!("exec 2>&1; {}", self.here(&step.command)));
        command.current_dir(self.lab.trial.folder()).stdin(Stdio::null()).env("PATH", path);
        command.env("PORTCULLIS_SOCKET", &self.site.socket).env("PORTCULLIS_PIN_DIRECTORY", &self.site.pins);
        command.env("MAINPID", daemon.pid().to_string()).env("SUDO_USER", "anna");
        command.env("SSH_CONNECTION", self.ssh.as_deref().unwrap_or_default());
        let said = said(&mut command)?;
        ensure!(said.code != 124, "`{}` does not end: {said:?}", step.command);
        Ok(self.there(&said.stdout))
    }
}

/// Behind the gateway of the host are other networks.
fn lay_network(lab: &Lab) -> Result<()> {
    for address in OTHERS.into_iter().chain([OFFICE]) {
        lab.peer.ip(&format!("address add {address}/32 dev eth0"))?;
    }
    lab.host.ip(&format!("route add default via {FRIEND4}")).map(drop)
}
