//! Very many established connections: how many pushes a second the daemon takes beside them, and without them.

use std::{fmt, time::Duration};

use anyhow::Result;
use firewall_tests::{daemon::Site, lab::Lab};
use serde::{Deserialize, Serialize};

use super::{holder::Holders, pusher::Pusher};
use crate::rounds::Sample;

/// Rates of pushes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuardedRates {
    /// Established connections.
    pub connections: usize,
    /// By the number of clients.
    pub rates: Vec<GuardedRate>,
}

/// Pushes a second of one number of clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuardedRate {
    /// Clients that push at the same time.
    pub clients: usize,
    /// Without connections: before they were made, and after they were closed.
    pub without: Sample,
    /// With them.
    pub with: Sample,
}

const CLIENTS: [usize; 2] = [1, 30];

/// How long clients push.
const TIME: Duration = Duration::from_secs(3);

impl GuardedRate {
    /// The rate with connections relative to that without.
    pub fn ratio(&self) -> f64 {
        self.with.median() / self.without.median()
    }
}

impl fmt::Display for GuardedRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sizes/{} connections", self.connections)?;
        for rate in &self.rates {
            let (without, with) = (rate.without.median(), rate.with.median());
            write!(f, "\n  clients {}: {without:.0} pushes a second, {with:.0} with them", rate.clients)?;
        }
        Ok(())
    }
}

/// Pushes without connections, with them, and once more without.
///
/// # Errors
/// When connections cannot be made, or the daemon cannot be reached.
pub fn measure(connections: usize) -> Result<GuardedRates> {
    let lab = Lab::new()?;
    let mut daemon = super::start(&lab)?;
    let site = Site::of(&lab.trial);
    let pusher = Pusher::new(&site.socket);
    let each = |sample: fn(&mut GuardedRate) -> &mut Sample, rates: &mut Vec<GuardedRate>| {
        rates.iter_mut().try_for_each(|rate| {
            let pushed = pusher.rate(rate.clients, TIME)?;
            sample(rate).push(pushed);
            anyhow::Ok(())
        })
    };
    let none = |clients| GuardedRate { clients, without: Sample::default(), with: Sample::default() };
    let mut rates: Vec<_> = CLIENTS.into_iter().map(none).collect();
    each(|rate| &mut rate.without, &mut rates)?;
    let held = Holders::connect(&lab, connections)?;
    each(|rate| &mut rate.with, &mut rates)?;
    drop(held);
    each(|rate| &mut rate.without, &mut rates)?;
    daemon.stop()?;
    super::forget_log(&lab)?;
    Ok(GuardedRates { connections, rates })
}
