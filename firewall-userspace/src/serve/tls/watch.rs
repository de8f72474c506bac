//! Looks after the files that TLS needs, and takes what they say.
//!
//! Whoever exchanges them does so by a rename, by a link that leads elsewhere, or in place, and not all at once: what cannot be used is
//! looked at again, and told when it stays so.

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task,
    time::{self, MissedTickBehavior},
};

use super::{
    health,
    load::{Digests, ServedTls, TlsError, TlsFiles},
    read::Print,
};
use crate::{controller::Controller, policy::HttpsSettings};

/// How often the files are looked at. Names have no notice that all file systems would give.
const LOOK: Duration = Duration::from_secs(1);

/// How long their file system may take before that is told. What hangs is waited for, and not asked again meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many looks in a row have to fail until that is told: certificate and key are not exchanged in one step.
const FAILURES: u32 = 3;

/// What came of a look.
#[derive(Debug)]
pub enum Looked {
    /// What is served is what the files say.
    Unchanged,
    /// The files say something else.
    Taken(Arc<ServedTls>),
    /// They cannot be used. `is_news` when nobody was told yet, and it is time.
    Refused {
        /// Why not.
        error: TlsError,
        /// Whether it is to be told.
        is_news: bool,
    },
    /// They can be used again, and are as they were.
    Recovered,
}

/// Looks at the files.
#[derive(Debug, Default)]
pub struct Looker {
    credentials: Option<PathBuf>,
    settings: Option<HttpsSettings>,
    prints: Vec<Print>,
    /// Whether something was changed so lately that the prints may not show the next change.
    is_fresh: bool,
    served: Option<Digests>,
    trust: u64,
    failures: u32,
    told: Option<TlsError>,
}

impl Looker {
    /// One that finds credentials in the folder `credentials`, and serves nothing yet.
    pub fn new(credentials: Option<PathBuf>) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// Looks at the files that `settings` name, and reads them unless they are as they were.
    pub fn look(&mut self, settings: &HttpsSettings, now: SystemTime) -> Looked {
        let files = match TlsFiles::of(settings, self.credentials.as_deref()) {
            Ok(files) => files,
            Err(error) => return self.fail(error),
        };
        let prints = files.prints();
        let is_same = self.settings.as_ref() == Some(settings) && self.prints == prints;
        if is_same && !self.is_fresh && self.failures == 0 {
            return Looked::Unchanged;
        }
        self.is_fresh = prints.iter().any(|print| print.is_fresh(now));
        // Before they are read: what changes meanwhile looks different the next time.
        self.prints = prints;
        self.settings = Some(settings.clone());
        match self.take(&files) {
            Ok(None) if self.told.take().is_some() => {
                self.failures = 0;
                Looked::Recovered
            }
            Ok(None) => {
                self.failures = 0;
                Looked::Unchanged
            }
            Ok(Some(served)) => {
                (self.failures, self.told) = (0, None);
                Looked::Taken(served)
            }
            Err(error) => self.fail(error),
        }
    }

    /// What the files say, when it is not what is served.
    fn take(&mut self, files: &TlsFiles) -> Result<Option<Arc<ServedTls>>, TlsError> {
        let material = files.read()?;
        let digests = material.digests();
        if self.served == Some(digests) {
            return Ok(None);
        }
        let is_other_trust = self.served.is_none_or(|served| served.trust != digests.trust);
        let trust = self.trust + u64::from(is_other_trust);
        let served = files.serve(&material, trust)?;
        (self.trust, self.served) = (trust, Some(digests));
        Ok(Some(Arc::new(served)))
    }

    fn fail(&mut self, error: TlsError) -> Looked {
        self.failures = self.failures.saturating_add(1);
        // Who has nothing to serve is not in the middle of an exchange.
        let is_time = self.served.is_none() || self.failures >= FAILURES;
        let is_news = is_time && self.told.as_ref() != Some(&error);
        if is_news {
            self.told = Some(error.clone());
        }
        Looked::Refused { error, is_news }
    }
}

/// Serves by `served` what the files say that the policy in force names, for as long as it is polled.
pub async fn follow(controller: Controller, served: watch::Sender<Option<Arc<ServedTls>>>) {
    let mut changes = controller.changes();
    let mut looker = Looker::new(env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    let mut look = time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen: Option<HttpsSettings> = None;
    let mut has_readings = true;
    loop {
        // A policy without these settings waits for the next start, and until then all is as it was.
        let wanted = changes.borrow_and_update().api().and_then(|api| api.https.clone()).or_else(|| seen.clone());
        if let Some(settings) = &wanted {
            looker = look_in_time(looker, settings.clone(), &served).await;
        }
        seen = wanted;
        loop {
            tokio::select! {
                _ = look.tick() => break,
                changed = changes.changed(), if has_readings => {
                    has_readings = changed.is_ok();
                    let now = changes.borrow_and_update();
                    if now.api().and_then(|api| api.https.as_ref()).is_some_and(|now| Some(now) != seen.as_ref()) {
                        break;
                    }
                }
            }
        }
    }
}

/// Looks once, off the threads of the runtime.
async fn look_in_time(
    mut looker: Looker,
    settings: HttpsSettings,
    served: &watch::Sender<Option<Arc<ServedTls>>>,
) -> Looker {
    let credentials = looker.credentials.clone();
    let mut work = task::spawn_blocking(move || {
        let looked = looker.look(&settings, SystemTime::now());
        (looker, looked)
    });
    let done = match time::timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            let why = format!("the file system of the certificates of [api] has not answered for {PATIENCE:?}");
            tracing::warn!("{why}; what was served before goes on");
            health::is_refused(why);
            work.await
        }
    };
    // A panic is counted, and the next look begins anew.
    let Ok((looker, looked)) = done else { return Looker::new(credentials) };
    tell(looked, served);
    looker
}

fn tell(looked: Looked, served: &watch::Sender<Option<Arc<ServedTls>>>) {
    match looked {
        Looked::Unchanged => {}
        Looked::Recovered => {
            let now = served.borrow().clone();
            let times = now.map_or((None, None), |now| (now.not_after, now.next_update));
            health::is_served(times.0, times.1);
            tracing::info!("the certificates and keys of [api] can be used again");
        }
        Looked::Taken(new) => {
            health::is_served(new.not_after, new.next_update);
            let until = new.not_after.map(|at| at.to_string());
            tracing::info!(until, "serve the API by a certificate that was read now");
            served.send_replace(Some(new));
        }
        Looked::Refused { error, is_news } => {
            if is_news {
                let goes_on =
                    if served.borrow().is_some() { "what was served before goes on" } else { "HTTPS is not served" };
                tracing::error!("{error}\n{goes_on}");
                health::is_refused(error.to_string());
            }
        }
    }
}
