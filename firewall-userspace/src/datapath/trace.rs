//! `--trace-packets`: what the kernel program logs of every packet, on the daemon's log. For debugging only.

use firewall_common::Verdict;
use tokio::io::{Interest, unix::AsyncFd};

use super::LoadedPolicy;

/// Forwards what `generation` logs until it is gone. Must be called inside a tokio runtime.
pub(super) fn follow(generation: &mut LoadedPolicy) {
    let logger = match aya_log::EbpfLogger::init_with_logger(&mut generation.ebpf, Forward) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "cannot trace packets");
            return;
        }
    };
    // SAFETY: the descriptor is that of the ring buffer inside `logger`, which the result owns and never replaces.
    let mut logger = match unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) } {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "cannot trace packets");
            return;
        }
    };
    let reasons: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.label()).collect();
    tracing::warn!(?reasons, "tracing every packet: slow, for debugging only");
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
}

/// Hands records of the kernel program to `tracing`.
struct Forward;

impl log::Log for Forward {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::info!(target: "packet", "{}", record.args());
    }

    fn flush(&self) {}
}
