//! The keys of an issuer as they were read last, read again now and then.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::{sync::Mutex, task, time};

use super::{JwtHolder, keys::KeySet, parse, source};
use crate::{logging, policy::JwtSettings, serve::auth::failures::AuthFailure};

/// Between two readings because of a key that is not known: an issuer may have a new one, and anybody may invent one.
const BETWEEN: Duration = Duration::from_secs(30);

/// Longest time between two readings while the last one has failed.
const RETRY: Duration = Duration::from_secs(60);

/// The keys of the issuer of `settings`.
#[derive(Debug)]
pub struct IssuerKeys {
    settings: JwtSettings,
    held: ArcSwapOption<HeldKeys>,
    /// Held while keys are read: when that began last.
    reading: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct HeldKeys {
    keys: KeySet,
    read: Instant,
}

impl IssuerKeys {
    /// Keys that were not read yet.
    pub fn new(settings: JwtSettings) -> Self {
        Self { settings, held: ArcSwapOption::empty(), reading: Mutex::new(None) }
    }

    /// Whose keys, and how they are read.
    pub fn settings(&self) -> &JwtSettings {
        &self.settings
    }

    /// Who `text` is of at `now`. A key that is not known makes the keys be read again, when that was not done just now.
    ///
    /// # Errors
    /// Why it is of nobody; [`AuthFailure::Unavailable`] when the keys cannot be had.
    pub async fn verify(self: &Arc<Self>, text: &str, now: Timestamp) -> Result<JwtHolder, AuthFailure> {
        let shown = parse(text, &self.settings.algorithms)?;
        let mut held = self.held();
        if held.as_ref().is_none_or(|held| !shown.is_known_to(&held.keys)) {
            let theirs = Arc::clone(self);
            // A caller that hangs up does not keep others from a new key.
            let _ = task::spawn(async move { theirs.read_again(BETWEEN).await }).await;
            held = self.held();
        }
        // Keys that nobody could read for so long may have been withdrawn.
        let held = held.ok_or(AuthFailure::Unavailable)?;
        shown.verify(&held.keys, &self.settings, now)
    }

    /// The keys that count.
    fn held(&self) -> Option<Arc<HeldKeys>> {
        self.held.load_full().filter(|held| held.read.elapsed() <= self.settings.keep)
    }

    /// Reads the keys unless that was begun less than `between` ago; what was read before stays when they cannot be had.
    async fn read_again(&self, between: Duration) {
        let mut begun = self.reading.lock().await;
        if begun.is_some_and(|begun| begun.elapsed() < between) {
            return;
        }
        *begun = Some(Instant::now());
        match source::read(&self.settings.keys).await {
            Ok(keys) => {
                if keys.ignored > 0 && logging::admits("keys of the issuer that cannot be used") {
                    tracing::warn!(
                        ignored = keys.ignored,
                        used = keys.len(),
                        "some keys of `[api.jwt]` cannot be used"
                    );
                }
                self.held.store(Some(Arc::new(HeldKeys { keys, read: Instant::now() })));
            }
            Err(why) if logging::admits("keys of the issuer that cannot be read") => {
                let left = self.held().map(|held| self.settings.keep.saturating_sub(held.read.elapsed()).as_secs());
                tracing::warn!(
                    why,
                    "cannot read the keys of `[api.jwt]`; those before count for {} s",
                    left.unwrap_or(0)
                );
            }
            Err(_) => {}
        }
    }

    /// Reads the keys again and again. To be dropped when they are not needed any more.
    pub async fn follow(&self) {
        loop {
            self.read_again(Duration::ZERO).await;
            let is_fresh = self.held().is_some_and(|held| held.read.elapsed() < self.settings.refresh);
            let pause = if is_fresh { self.settings.refresh } else { self.settings.refresh.min(RETRY) };
            time::sleep(pause.max(Duration::from_secs(1))).await;
        }
    }
}
