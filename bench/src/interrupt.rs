//! Ctrl-C and its like become an error at the next check, so that everything made is removed on the way out.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, bail};
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on signals that end a program are noticed instead.
///
/// # Errors
/// When they cannot be handled.
pub fn notice() -> Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    let register = |signal| signal_hook::flag::register(signal, Arc::clone(flag)).map(drop);
    [SIGINT, SIGTERM, SIGHUP].into_iter().try_for_each(register).context("cannot handle signals")
}

/// An error once a signal has come.
///
/// # Errors
/// That one.
pub fn check() -> Result<()> {
    if FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        bail!("interrupted");
    }
    Ok(())
}
