//! Keeps an [`Authenticator`] at what the policy in force says, and writes down when tokens were used.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{self, JoinHandle},
    time::{self, MissedTickBehavior},
};

use super::{Authenticator, jwt::IssuerKeys};
use crate::{controller::Controller, logging, policy::ApiSettings, state::tokens::TokenStore};

/// How often uses of tokens are written down, and keys of signers read again.
const EVERY: Duration = Duration::from_secs(60);

/// The task that reads the keys of an issuer; it ends with this.
#[derive(Default)]
struct IssuerTask(Option<(Arc<IssuerKeys>, JoinHandle<()>)>);

impl IssuerTask {
    /// Reads those of `wanted` from now on.
    fn take(&mut self, wanted: Option<Arc<IssuerKeys>>) {
        let is_same = |held: &Arc<IssuerKeys>| wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(held, wanted));
        if self.0.as_ref().is_some_and(|(held, _)| is_same(held)) {
            return;
        }
        self.stop();
        self.0 = wanted.map(|issuer| {
            let theirs = Arc::clone(&issuer);
            (issuer, tokio::spawn(async move { theirs.follow().await }))
        });
    }

    fn stop(&mut self) {
        if let Some((_, task)) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for IssuerTask {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Authenticator {
    /// One that knows `tokens` and holds to what the policy in force says; to `settings` as long as there is none.
    pub fn start(tokens: Arc<TokenStore>, controller: &Controller, settings: ApiSettings) -> Arc<Self> {
        let in_force = controller.changes().borrow().api().cloned();
        let authenticator =
            Arc::new(Self::new(tokens, in_force.unwrap_or(settings)).recorded_in(controller.audit().clone()));
        // It ends with the controller.
        drop(tokio::spawn(Arc::clone(&authenticator).follow(controller.clone())));
        authenticator
    }

    /// Holds to what the policy in force says, whenever there is another one, until the controller ends.
    pub async fn follow(self: Arc<Self>, controller: Controller) {
        let mut changes = controller.changes();
        let mut ticks = time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut issuer = IssuerTask::default();
        loop {
            issuer.take(self.setup().issuer.clone());
            let is_due = tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    false
                }
                _ = ticks.tick() => true,
            };
            let wanted = changes.borrow_and_update().api().cloned();
            if let Some(wanted) = wanted.filter(|wanted| is_due || *wanted != self.setup().settings) {
                self.take(wanted).await;
            }
            if is_due {
                self.keep_uses().await;
            }
        }
    }

    /// Writes down when tokens were used; once more when the daemon stops.
    pub async fn keep_uses(&self) {
        let tokens = Arc::clone(&self.tokens);
        if let Ok(Err(error)) = task::spawn_blocking(move || tokens.keep_uses()).await
            && logging::admits("tokens that cannot be written")
        {
            tracing::warn!("{error}");
        }
    }
}
