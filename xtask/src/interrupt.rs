//! Ctrl-C and its like become an error at the next check, so that everything made is removed on the way out.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::libc::{SIGHUP, SIGINT, SIGTERM};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// How long a wait goes on before it looks again.
const GLANCE: Duration = Duration::from_millis(10);

/// Someone wants the program to end.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on signals that end a program are noticed instead.
pub fn notice() -> Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    let register = |signal| signal_hook::flag::register(signal, Arc::clone(flag)).map(drop);
    [SIGINT, SIGTERM, SIGHUP].into_iter().try_for_each(register).context("cannot handle signals")
}

/// An error once a signal has come.
pub fn check() -> Result<(), Interrupted> {
    let come = FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed));
    if come { Err(Interrupted) } else { Ok(()) }
}

/// Waits until `ready` gives a value. `None` when it did not in time.
pub fn wait_for<T>(limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        check()?;
        if let Some(value) = ready()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}
