//! The configuration file, read where the controller does not wait for it: a file system may hang.
//!
//! In: a path. Out: what the file, those that it includes and their list files say, or why not, within a limit of time. [`ConfigFile`] owns the one reading that
//! is under way.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::Builder,
    time::Duration,
};

use tokio::{
    sync::{
        Mutex, MutexGuard,
        oneshot::{self, error::TryRecvError},
    },
    task, time,
};

use crate::{
    config::{self, Bundle, Diagnostic, Loaded, Report},
    preview::packet_tests,
};

/// A configuration that was read for a request, before the controller hears of it.
#[derive(Debug)]
pub struct ReadConfig {
    /// What it says, with tests that pass, or every problem.
    pub loaded: Result<Loaded, Report>,
    /// Whether the configuration file of the daemon says the same.
    pub is_file: bool,
}

/// The configuration file of a daemon; clones are the same.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: Arc<Path>,
    limit: Duration,
    reading: Arc<Mutex<Reading>>,
}

type ReadAnswer = Result<Loaded, Report>;

/// The reading that nobody waits for any more; its end closes the channel.
#[derive(Debug, Default)]
pub struct Reading {
    ended: Option<oneshot::Receiver<()>>,
    /// It did not end in time. Otherwise who asked for it went away before.
    is_given_up: bool,
}

impl Reading {
    /// Whether it is over, which is waited for within `limit`, once.
    async fn is_over(&mut self, limit: Duration) -> bool {
        let Some(ended) = &mut self.ended else { return true };
        let is_over = match ended.try_recv() {
            Err(TryRecvError::Empty) if self.is_given_up => false,
            Err(TryRecvError::Empty) => time::timeout(limit, ended).await.is_ok(),
            _ => true,
        };
        self.is_given_up = !is_over;
        is_over
    }
}

/// How long a file system may take for the configuration and its list files. A million entries are read and checked in a few
/// seconds on a slow host.
const LIMIT: Duration = Duration::from_secs(30);

impl ConfigFile {
    /// The file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path: path.into(), limit: LIMIT, reading: Arc::default() }
    }

    /// Waits until it may be read: one at a time, so that what was read later is not overtaken by what was read before.
    pub async fn turn(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().await
    }

    /// Reads it, on a thread of its own.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that it could not be read in time.
    pub async fn read(&self, turn: &mut Reading) -> ReadAnswer {
        let read = |path: &Path| config::load_regular(path).and_then(packet_tests::require);
        self.on_thread(turn, read).await.flatten()
    }

    /// Its text and those of the files that it includes, unchecked.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn texts(&self, turn: &mut Reading) -> Result<Bundle, Report> {
        self.on_thread(turn, config::texts_regular).await.flatten()
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        turn: &mut Reading,
        read: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, Report> {
        if !turn.is_over(self.limit).await {
            return Err(self.unreadable("an attempt to read it still waits for its file system"));
        }
        let ((sender, receiver), (at_work, ended)) = (oneshot::channel(), oneshot::channel::<()>());
        let path = Arc::clone(&self.path);
        let work = move || {
            let _at_work = at_work;
            drop(sender.send(read(&path)));
        };
        if let Err(error) = Builder::new().name("configuration".into()).spawn(work) {
            return Err(self.unreadable(&format!("no thread to be had: {error}")));
        }
        // Before anything is waited for: who asks may go away meanwhile.
        *turn = Reading { ended: Some(ended), is_given_up: false };
        let answered = time::timeout(self.limit, receiver).await;
        if answered.is_ok() {
            *turn = Reading::default();
        }
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.unreadable("reading it panicked, a bug worth a report")),
            Err(_) => {
                turn.is_given_up = true;
                let why = format!(
                    "its file system, or that of an included file or a list file, has not answered for {:?}",
                    self.limit
                );
                Err(self.unreadable(&why))
            }
        }
    }

    /// Checks `bundle`, which somebody sent, off the controller's thread; whether the file says the same is found out too.
    pub async fn check(&self, bundle: Bundle, turn: &mut Reading) -> ReadConfig {
        let asked = bundle.clone();
        let checked = task::spawn_blocking(move || config::load_bundle(&bundle).and_then(packet_tests::require)).await;
        let loaded = checked.unwrap_or_else(|_| Err(self.unreadable("checking it panicked, a bug worth a report")));
        let is_file = loaded.is_ok() && self.read(turn).await.is_ok_and(|file| file.bundle.says_the_same_as(&asked));
        ReadConfig { loaded, is_file }
    }

    fn unreadable(&self, why: &str) -> Report {
        let message = format!("cannot read {}: {why}", self.path.display());
        let mut problem = Diagnostic::of_file(&self.path, "", message);
        problem.hint = Some("the policy in force goes on; see whether the file system of the file answers".into());
        Report::new(vec![problem], &[])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        run(async {
            let file = ConfigFile::new("/nonexistent/portcullis.toml".into());
            let report = file.read(&mut *file.turn().await).await.unwrap_err();
            assert!(report.render(false).contains("/nonexistent/portcullis.toml"));
        });
    }

    #[test]
    fn one_broken_included_file_refuses_all_and_its_texts_are_there_all_the_same() {
        let folder = std::env::temp_dir().join(format!("portcullis-broken-include-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("p.toml", "include = [\"a*.toml\"]\n[[interface]]\nname = \"eth0\"\n");
        write("a1.toml", "[state]\ndirectory = \"/srv/x\"\n");
        let file = ConfigFile::new(folder.join("p.toml"));
        run(async {
            let mut turn = file.turn().await;
            let good = file.read(&mut turn).await.unwrap().bundle;
            write("a2.toml", "[policy]\nmode = \"obsrve\"\n");
            let said = file.read(&mut turn).await.unwrap_err().render(false);
            assert!(said.contains("a2.toml:2:8") && !said.contains("a1.toml"), "{said}");
            let texts = file.texts(&mut turn).await.unwrap();
            assert_eq!((texts.included.len(), &texts.included[0]), (2, &good.included[0]));
            write("a2.toml", "[policy]\nmode = \"observe\"\n");
            assert!(!file.check(good.clone(), &mut turn).await.is_file, "the file has more");
            std::fs::remove_file(folder.join("a2.toml")).unwrap();
            assert!(file.check(good, &mut turn).await.is_file);
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_system_that_hangs_is_given_up_and_not_asked_again_while_it_hangs() {
        run(hangs());
    }

    async fn hangs() {
        let file = ConfigFile { limit: Duration::from_millis(50), ..ConfigFile::new("/nonexistent/x.toml".into()) };
        let mut turn = file.turn().await;
        let (thaw, frozen) = mpsc::channel::<()>();
        let hung = file.on_thread(&mut turn, move |_| frozen.recv().is_ok()).await.unwrap_err().render(false);
        assert!(hung.contains("has not answered for 50ms") && hung.contains("hint: "), "{hung}");
        let refused = file.read(&mut turn).await.unwrap_err().render(false);
        assert!(refused.contains("still waits"), "{refused}");
        let ended = turn.ended.take().unwrap();
        drop(thaw);
        ended.await.unwrap_err();
        let said = file.read(&mut turn).await.unwrap_err().render(false);
        assert!(!said.contains("still waits"), "{said}");
    }

    #[test]
    fn a_reading_that_nobody_waits_for_any_more_is_still_the_one_that_is_under_way() {
        run(abandoned());
    }

    async fn abandoned() {
        let file = ConfigFile { limit: Duration::from_millis(50), ..ConfigFile::new("/nonexistent/x.toml".into()) };
        let mut turn = file.turn().await;
        let (thaw, frozen) = mpsc::channel::<()>();
        let reading = file.on_thread(&mut turn, move |_| frozen.recv().is_ok());
        time::timeout(Duration::ZERO, reading).await.unwrap_err();
        let (begun, is_begun) = mpsc::channel::<()>();
        let refused = file.on_thread(&mut turn, move |_| begun.send(())).await.unwrap_err().render(false);
        assert!(refused.contains("still waits"), "{refused}");
        assert_eq!(is_begun.recv(), Err(mpsc::RecvError), "there is no second thread");
        drop(thaw);
    }
}
