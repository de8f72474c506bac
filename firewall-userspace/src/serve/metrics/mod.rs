//! The metrics: what the controller has published, with the counters of the kernel, written by the `prometheus` crate.
//!
//! In: a scrape. Out: the text format 0.0.4. What cannot be read is missing, and counted; the controller is not asked, and owns
//! what it has published.

mod audit;
mod daemon;
mod data_plane;
mod durations;
mod family;
mod process;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus::{
    Encoder, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::{sync::Mutex, task};

pub use prometheus::TEXT_FORMAT as CONTENT_TYPE;

use self::{family::Family, process::Process};
use crate::{
    clock::{Now, durations::Timings},
    control::{Refusal, Status},
    controller::{Activity, Controller, Counters, Doing},
    state::audit::AuditView,
};

/// How often a scrape was not answered, by what it asked.
#[derive(Debug, Default)]
pub struct ScrapeErrors {
    status: AtomicU64,
    counters: AtomicU64,
}

impl ScrapeErrors {
    /// By the label of what was asked.
    fn all(&self) -> [(&'static str, u64); 2] {
        [("status", &self.status), ("counters", &self.counters)]
            .map(|(what, count)| (what, count.load(Ordering::Relaxed)))
    }
}

/// What a scrape asks, and how often it was not answered.
pub struct Metrics {
    controller: Controller,
    errors: Arc<ScrapeErrors>,
    /// Scrapes come one after the other, so that many of them cannot keep this host from its work.
    turn: Mutex<()>,
}

impl Metrics {
    /// Metrics of the daemon behind `controller`.
    pub fn new(controller: Controller) -> Self {
        Self { controller, errors: Arc::default(), turn: Mutex::new(()) }
    }

    /// All metrics as text, format 0.0.4. What cannot be read is missing and counted in `portcullis_scrape_errors_total`.
    ///
    /// # Errors
    /// When the `prometheus` crate refuses the families, which only a bug can cause.
    pub async fn render(&self) -> prometheus::Result<String> {
        let _turn = self.turn.lock().await;
        let (controller, errors) = (self.controller.clone(), Arc::clone(&self.errors));
        // Too long for a thread that also serves others. All of it is handed over at once: each time may mean to wait for a CPU.
        let scrape = move || {
            let status = or_count(controller.status(Now::read()), &errors.status);
            let counters = or_count(controller.readings().and_then(|readings| readings.counters()), &errors.counters);
            let doing = controller.doing(Now::read()).ok().flatten();
            let (timings, audit) = (controller.timings(), controller.audit().view());
            let told = ScrapeAnswers { status, doing, timings, counters, errors: errors.all(), audit };
            render(&told)
        };
        task::spawn_blocking(scrape).await.map_err(|error| prometheus::Error::Msg(error.to_string()))?
    }
}

/// What was read; `None` when it could not be, which is counted.
fn or_count<T>(read: Result<T, Refusal>, errors: &AtomicU64) -> Option<T> {
    let count = |refusal| {
        tracing::warn!(error = %refusal, "a scrape is incomplete");
        errors.fetch_add(1, Ordering::Relaxed);
    };
    read.map_err(count).ok()
}

/// What a scrape was told.
struct ScrapeAnswers {
    status: Option<Status>,
    doing: Option<Doing>,
    timings: [(Activity, Timings); Activity::ALL.len()],
    counters: Option<Counters>,
    errors: [(&'static str, u64); 2],
    audit: AuditView,
}

fn render(told: &ScrapeAnswers) -> prometheus::Result<String> {
    let status = told.status.as_ref();
    let mut families = daemon::families(status, told.doing, told.errors)?;
    families.extend(durations::families(&told.timings)?);
    if let Some(counters) = &told.counters {
        families.extend(data_plane::families(counters, status)?);
    }
    families.extend(audit::families(&told.audit)?);
    families.extend(process::families(&Process::read())?);
    let registry = Registry::new();
    registry.register(Box::new(Scrape(families)))?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// The families of one scrape.
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().map(Family::description).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.iter().map(Family::to_proto).collect()
    }
}
