//! A page of docs/: its commands are run one after the other in the host of a lab, and their answers are those that it shows.
//!
//! `systemctl` and `journalctl` of the page are those of one unit, which is the daemon under test with the files of this test.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};

use crate::{
    daemon::{Said, Site, said},
    lab::Lab,
    netns::Netns,
    transcript::{Step, Transcript},
    trial::binary,
};

/// How long a command may take, in seconds.
const COMMAND_SECONDS: &str = "20";

/// What systemd does for the unit, and its words when a start fails.
const SYSTEMCTL: &str = r#"#!/bin/sh
state() { cut -d' ' -f3 "/proc/$(cat @/daemon.pid 2>/dev/null)/stat" 2>/dev/null; }
running() { [ -s @/daemon.pid ] && [ -n "$(state)" ] && [ "$(state)" != Z ]; }
wait_while() { tries=400; while $1 && [ $tries -gt 0 ]; do sleep 0.02; tries=$((tries - 1)); done; }
ready() { curl --silent --fail --noproxy '*' --output /dev/null http://127.0.0.1:9191/readyz; }
starting() { running && ! ready; }
case $1 in is-active) if running; then echo active; exit 0; else echo inactive; exit 3; fi ;;
reload) exec portcullis reload ;;
esac
case $1 in stop|restart) if running; then kill "$(cat @/daemon.pid)"; wait_while running; fi; rm -f @/daemon.pid ;; esac
case $1 in start|restart)
  setsid portcullis run --replace --config @/portcullis.toml --pin-directory % >@/journal 2>&1 </dev/null &
  echo $! >@/daemon.pid
  wait_while starting
  running || {
    echo 'Job for portcullis.service failed because the control process exited with error code.'
    echo 'See "systemctl status portcullis.service" and "journalctl -xeu portcullis.service" for details.'
    exit 1
  } ;;
esac
"#;

/// Messages of the last start, without the times and the levels that the journal has as fields.
const JOURNALCTL: &str = r#"#!/bin/sh
sed -E 's/^[0-9T:.-]+Z +(ERROR|WARN|INFO|DEBUG) //' @/journal
"#;

/// A page, and where its commands run.
#[derive(Debug)]
pub struct Page<'a> {
    lab: &'a Lab,
    site: Site,
    path: PathBuf,
    transcript: Transcript,
    /// What the page calls a file, and where that is here.
    places: Vec<(&'static str, PathBuf)>,
    /// What stands before `$`, and which host that is.
    prompts: Vec<(&'static str, &'a Netns)>,
}

impl<'a> Page<'a> {
    /// Reads the page of this name and writes its first `toml` block as the configuration of the host.
    ///
    /// # Errors
    /// When it cannot be read, or has no configuration.
    pub fn open(lab: &'a Lab, name: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let site = Site::of(&lab.trial);
        let folder = lab.trial.folder();
        let places = vec![
            ("/run/portcullis/api.sock", site.socket.clone()),
            ("/var/lib/portcullis", site.state.clone()),
            ("/sys/fs/bpf/portcullis", site.pins.clone()),
            ("/etc/portcullis", folder.to_owned()),
        ];
        let transcript = Transcript::parse(&text)?;
        let page = Self { lab, site, path, transcript, places, prompts: vec![("", &lab.host), ("client", &lab.peer)] };
        page.lay_programs()?;
        fs::write(&page.site.config, page.block("toml")?)?;
        Ok(page)
    }

    /// Another host that commands run at.
    #[must_use]
    pub fn with_prompt(mut self, place: &'static str, host: &'a Netns) -> Self {
        self.prompts.push((place, host));
        self
    }

    /// Its first block of this kind, with the files that are meant here.
    ///
    /// # Errors
    /// When it has none.
    pub fn block(&self, kind: &str) -> Result<String> {
        let text = self.transcript.block(kind);
        Ok(self.here(&text.with_context(|| format!("{} has no block `{kind}`", self.path.display()))?))
    }

    /// Runs all commands. `PORTCULLIS_BLESS=1` writes the answers that differ into the page.
    ///
    /// # Errors
    /// When an answer is not the one that the page shows.
    pub fn check(&self) -> Result<()> {
        let steps = self.transcript.steps();
        let answers: Vec<String> = steps.iter().map(|step| self.answer(step)).collect::<Result<_>>()?;
        if env::var_os("PORTCULLIS_BLESS").is_some() {
            fs::write(&self.path, self.transcript.with(&answers))?;
            return Ok(());
        }
        let answered = steps.iter().zip(&answers);
        let wrong: Vec<String> =
            answered.filter_map(|(step, answer)| self.transcript.difference(step, answer)).collect();
        ensure!(wrong.is_empty(), "{}:\n{}", self.path.display(), wrong.join("\n"));
        Ok(())
    }

    /// Starts the daemon as the host's systemd would.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<()> {
        let said = self.shell(&self.lab.host, "systemctl start portcullis")?;
        ensure!(said.code == 0, "{said:?}\n{}", self.shell(&self.lab.host, "journalctl")?.stdout);
        Ok(())
    }

    /// What a command prints, standard error included, in the order in which it is printed.
    fn answer(&self, step: &Step) -> Result<String> {
        let host = self.prompts.iter().find(|(place, _)| *place == step.place).map(|(_, host)| *host);
        let host = host.with_context(|| format!("`{}$` is no prompt of {}", step.place, self.path.display()))?;
        let said = self.shell(host, &step.command)?;
        ensure!(said.code != 124, "`{}` does not end: {said:?}", step.command);
        Ok(self.there(&said.stdout))
    }

    fn shell(&self, host: &Netns, command: &str) -> Result<Said> {
        let programs = self.lab.trial.folder().join("bin");
        let others = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&others)))?;
        let mut shell = host.command("timeout");
        shell.args([COMMAND_SECONDS, "sh", "-c"]).arg(format!("exec 2>&1; {}", self.here(command)));
        shell.current_dir(self.lab.trial.folder()).stdin(Stdio::null()).env("PATH", path).env("SUDO_USER", "anna");
        shell.env("PORTCULLIS_SOCKET", &self.site.socket).env("PORTCULLIS_PIN_DIRECTORY", &self.site.pins);
        shell.env_remove("SSH_CONNECTION").env_remove("http_proxy");
        said(&mut shell)
    }

    /// Text of the page with the files that are meant here.
    fn here(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, &path.to_string_lossy()))
    }

    /// The other way round.
    fn there(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (name, path)| text.replace(&*path.to_string_lossy(), name))
    }

    fn lay_programs(&self) -> Result<()> {
        let folder = self.lab.trial.folder();
        let programs = folder.join("bin");
        fs::create_dir(&programs)?;
        symlink(binary()?, programs.join("portcullis"))?;
        for (name, text) in [("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)] {
            let text = text.replace('@', &folder.to_string_lossy()).replace('%', &self.site.pins.to_string_lossy());
            let path = programs.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // What the page mounts and a failure leaves.
        let _ = umount2(&self.site.state, MntFlags::MNT_DETACH);
        if let Err(error) = self.shell(&self.lab.host, "systemctl stop portcullis") {
            println!("cannot stop the daemon of {}: {error:#}", self.path.display());
        }
    }
}
