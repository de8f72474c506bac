//! What a daemon begins with: the configuration file, what was in force before, or nothing.
//!
//! In: what the file says, the state folder. Out: a start of the controller, or one that waits for a policy. The controller owns it all
//! from then on.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Duration};

use tokio::time;

use super::{RunOptions, StartError, sandbox::Sandbox};
use crate::{
    clock::Now,
    config::{Basics, Loaded},
    control::{Caller, Condition, Reload, ReloadTally, Way},
    controller::{Beginning, ConfigFile, Controller, NoPolicy, Setup, ThisHost, WithoutPolicy},
    host::memory,
    logging,
    policy::Prefix,
    state::{
        audit::{AUDIT, AuditWriter},
        history::{History, start},
        journal::{Opened, Store},
        patient::PatientFolder,
    },
    text::shown::counted,
};

/// Between two attempts to begin that nobody asks for: the host may be open meanwhile.
const RETRY: Duration = Duration::from_secs(5);

/// Makes starts of what the configuration file says.
pub(super) struct Beginner {
    pub(super) config: PathBuf,
    pub(super) folder: PatientFolder,
    pub(super) basics: Basics,
    pub(super) own: BTreeSet<Prefix>,
    pub(super) sandbox: Sandbox,
    pub(super) audit: AuditWriter,
}

/// Where this daemon keeps and serves things, and what its configuration file says; what is wrong with it is printed.
pub(super) async fn basics(options: &RunOptions, config: &ConfigFile) -> (Basics, Result<Loaded, String>) {
    let loaded = config.read(&mut *config.turn().await).await;
    match loaded {
        Ok(loaded) => {
            logging::set(loaded.policy.log);
            for warning in loaded.warnings.warnings() {
                tracing::warn!("{warning}");
            }
            let policy = &loaded.policy;
            let basics = Basics {
                admin_listen: policy.admin_listen,
                api: policy.api.clone(),
                state: policy.state.clone(),
                mode: policy.mode,
                log: policy.log,
            };
            (basics, Ok(loaded))
        }
        Err(report) => {
            let errors = counted(report.errors().count(), "error");
            let why = format!("{}{} is refused: {errors}", report.render_short(), options.config.display());
            // What hangs was given up, and is not asked again.
            let texts = config.texts(&mut *config.turn().await).await.unwrap_or_default();
            let basics = Basics::with_state_in(&texts, &options.state_directory);
            logging::set(basics.log);
            (basics, Err(why))
        }
    }
}

/// What this daemon begins with. Where there is nothing, a daemon that is `is_strict` does not begin.
pub(super) fn beginning(
    mut beginner: Beginner,
    loaded: Result<Loaded, String>,
    is_strict: bool,
) -> Result<Beginning, StartError> {
    let now = Now::read();
    match beginner.setup(loaded, now) {
        Ok(setup) => Ok(Beginning::Policy(Box::new(setup))),
        Err(Nothing::Refused(why)) => Err(StartError::Refused(why)),
        Err(Nothing::Unusable(why)) if is_strict => Err(StartError::Config(why)),
        Err(Nothing::Unusable(why)) => {
            tracing::error!(
                "NOTHING IS ENFORCED by this daemon: {why}\nhint: correct the configuration file; it is read again every \
                 {} s, and by `portcullis reload`",
                RETRY.as_secs()
            );
            let (config, basics) = (beginner.config.clone(), beginner.basics.clone());
            let told =
                NoPolicy { why, config, basics, started: now.wall, attempts: ReloadTally::of(Way::Daemon, false) };
            let audit = beginner.audit.handle();
            let begin = Box::new(move |loaded, now| beginner.setup(loaded, now).map_err(|nothing| nothing.why()));
            Ok(Beginning::Idle(Box::new(WithoutPolicy { told, begin, audit })))
        }
    }
}

/// Why there is no start.
enum Nothing {
    /// No policy can be used.
    Unusable(String),
    /// The state folder cannot be used.
    Refused(String),
}

impl Nothing {
    fn why(self) -> String {
        match self {
            Self::Unusable(why) | Self::Refused(why) => why,
        }
    }
}

impl Beginner {
    /// A start with what the configuration file says, or with what was in force before.
    fn setup(&mut self, loaded: Result<Loaded, String>, now: Now) -> Result<Setup<PatientFolder>, Nothing> {
        let fail = |error: &dyn std::fmt::Display| Nothing::Refused(error.to_string());
        let loaded = loaded.and_then(|loaded| {
            let prefixes = memory::prefixes_of(&loaded.policy);
            memory::require(prefixes, memory::room()).map(|()| loaded).map_err(|shortage| shortage.to_string())
        });
        // A file that can be read again may name another folder than was guessed without it.
        if let Ok(loaded) = &loaded
            && loaded.policy.state != self.basics.state
        {
            let directory = &loaded.policy.state.directory;
            // A file system that does not answer is asked by nobody else.
            let opened = PatientFolder::open_folder(directory);
            let real = opened.as_ref().ok().and_then(|_| fs::canonicalize(directory).ok());
            self.sandbox.require_state(real.as_ref().unwrap_or(directory)).map_err(Nothing::Refused)?;
            self.folder = opened.map_err(|error| fail(&error))?;
            self.basics.state = loaded.policy.state.clone();
            self.audit.move_to(&self.basics.state.directory.join(AUDIT));
        }
        let state = &self.basics.state;
        let history = History::open_tolerant(self.folder.clone(), state.generations);
        if let Some(why) = history.refuses() {
            tracing::error!("GENERATIONS OF THE POLICY ARE NOT KEPT: {why}");
        }
        let looked = |why: String| {
            let folder = state.directory.display();
            Nothing::Unusable(format!("{why}; looked for generations in {folder} (`--state-directory` names another)"))
        };
        let start = start::start(&self.config, loaded, &history, now).map_err(looked)?;
        let opened =
            Store::open_tolerant(self.folder.clone(), now, state.snapshot_after).map_err(|error| fail(&error))?;
        let Opened { store, runtime, notes } = opened;
        for note in notes {
            tracing::warn!("{note}");
        }
        if let Some(why) = store.refuses() {
            tracing::error!("PUSHES ARE REFUSED, what can be read of what was pushed is enforced: {why}");
        }
        tracing::info!(entries = runtime.len(), folder = %state.directory.display(), "read what was pushed");
        let (config, host) = (self.config.clone(), Arc::new(ThisHost::seen(self.sandbox.sshd().clone())));
        let (own, audit) = (self.own.clone(), self.audit.handle());
        Ok(Setup { config, start, history, own, store, runtime, host, audit })
    }
}

/// Tries again and again while there is no policy.
pub(super) async fn until_policy(controller: Controller) {
    loop {
        let Ok(status) = controller.status(Now::read()) else { return };
        if status.conditions.iter().all(|condition| condition.code != Condition::NO_POLICY) {
            return;
        }
        time::sleep(RETRY).await;
        // What comes of it is logged, and told by `status`.
        let _ = controller.reload(Caller::daemon(), Reload::default()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{env, path::Path, process};

    use super::*;

    #[tokio::test]
    async fn a_file_that_cannot_be_used_has_its_state_where_the_command_line_says_unless_it_says_so_itself() {
        let config = env::temp_dir().join(format!("portcullis-basics-{}.toml", process::id()));
        let options = RunOptions {
            config: config.clone(),
            pin_directory: PathBuf::new(),
            replace: false,
            strict: false,
            state_directory: "/srv/told".into(),
            trace_packets: false,
            sandbox: false,
        };
        for (state, folder) in [
            ("", "/srv/told"),
            ("generations = 5", "/srv/told"),
            ("generations = 1", "/srv/told"),
            ("directory = \"here\"", "/srv/told"),
            ("directory = \"/srv/written\"", "/srv/written"),
            ("directory = \"/srv/written\"\ngenerations = 1", "/srv/written"),
            ("generations = \"x\"\ndirectory = \"/srv/written\"", "/srv/written"),
            ("directory = \"/var/lib/portcullis\"", "/var/lib/portcullis"),
        ] {
            fs::write(&config, format!("[[interface]]\nnane = \"eth0\"\n[state]\n{state}\n")).unwrap();
            let (basics, loaded) = basics(&options, &ConfigFile::new(config.clone())).await;
            assert!(loaded.is_err(), "{state}");
            assert_eq!(basics.state.directory, Path::new(folder), "{state}");
        }
        fs::remove_file(&config).unwrap();
        let (basics, _) = basics(&options, &ConfigFile::new(config)).await;
        assert_eq!(basics.state.directory, Path::new("/srv/told"), "without a file");
    }
}
