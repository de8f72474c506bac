//! What the daemon does on a signal. From its first moment on none that others send by habit ends it by its default action.
//!
//! | Signal | |
//! |-|-|
//! | SIGTERM, SIGINT, SIGQUIT | stop; while the daemon starts, and when they come again, at once |
//! | SIGHUP | reload; when it comes while the daemon starts, after that |
//! | SIGPIPE | ignored by the standard library: a write is refused |
//! | SIGXFSZ | a write beyond `RLIMIT_FSIZE` is refused |
//! | all others that would end a process and are no fault of it (signal(7)) | noted in the log |

use std::{
    io, iter, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::{
    control::{Caller, Reload},
    controller::Controller,
    exit::Exit,
    logging,
};

/// Signals that end the daemon.
const STOPS: [(i32, &str); 3] = [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT"), (libc::SIGQUIT, "SIGQUIT")];

/// Signals without a meaning here, which would end a process by default.
const NOTED: [(i32, &str); 9] = [
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
    (libc::SIGXCPU, "SIGXCPU"),
];

/// The signals of this process.
#[derive(Debug)]
pub struct Signals {
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Whether a stop takes its orderly way: there is something to stop.
    has_started: AtomicBool,
    is_stopping: AtomicBool,
    stop: Notify,
    reload: Notify,
}

/// Signals of this thread that wait until somebody follows them. A stop does not: it ends a start at once anyway.
#[derive(Debug)]
#[must_use]
pub struct HeldSignals {
    before: SigSet,
}

impl HeldSignals {
    /// Holds them back from this thread, and from those that it starts.
    pub fn hold() -> Option<Self> {
        let mut held = SigSet::all();
        // A stop is not held, nor a fault of a thread itself: the standard library tells of a stack that is full.
        for one in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGSEGV, Signal::SIGBUS] {
            held.remove(one);
        }
        held.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok().map(|before| Self { before })
    }
}

impl Signals {
    /// Follows them from now on, `held` ones too, which this thread has held.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn follow(held: Option<HeldSignals>) -> io::Result<Self> {
        let heard = Arc::new(Heard::default());
        for (number, name) in STOPS {
            let (mut stops, heard) = (signal(SignalKind::from_raw(number))?, Arc::clone(&heard));
            tokio::spawn(async move {
                while stops.recv().await.is_some() {
                    heard.stop(name);
                }
            });
        }
        let (mut hangups, hung_up) = (signal(SignalKind::hangup())?, Arc::clone(&heard));
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                hung_up.reload.notify_one();
            }
        });
        for (number, name) in NOTED {
            let mut noted = signal(SignalKind::from_raw(number))?;
            tokio::spawn(async move {
                while noted.recv().await.is_some() {
                    tracing::info!(signal = name, "a signal that means nothing here; going on");
                }
            });
        }
        // A word on SIGXFSZ could be a write beyond the limit itself.
        for number in iter::once(libc::SIGXFSZ).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
            // The handler is never taken back: from now on the signal does nothing. Where it cannot be had, nobody misses it.
            drop(signal(SignalKind::from_raw(number)));
        }
        if let Some(HeldSignals { before }) = held {
            // What has come meanwhile comes now.
            before.thread_set_mask()?;
        }
        Ok(Self { heard })
    }

    /// The daemon has started: from now on a stop waits for [`handle`](Self::handle). Before anybody is told that it is ready.
    pub fn started(&self) {
        self.heard.has_started.store(true, Ordering::Relaxed);
    }

    /// Reloads on SIGHUP; returns on SIGTERM and its like.
    pub async fn handle(&self, controller: &Controller) {
        loop {
            tokio::select! {
                biased;
                () = self.heard.stop.notified() => return,
                () = self.heard.reload.notified() => {}
            }
            let caller = Caller::signal("SIGHUP");
            tokio::select! {
                () = self.heard.stop.notified() => return,
                // The controller logs what came of it.
                _ = controller.reload(caller, Reload::default()) => {}
            }
        }
    }
}

impl Heard {
    /// Stops in order, or at once: whoever stops a daemon that starts, or twice, does not want to wait. What is on disk and in the
    /// kernel is then as after a kill, which loses nothing.
    fn stop(&self, name: &str) {
        let has_started = self.has_started.load(Ordering::Relaxed);
        if has_started && !self.is_stopping.swap(true, Ordering::Relaxed) {
            self.stop.notify_one();
            return;
        }
        let when = if has_started { "again" } else { "while starting" };
        tracing::warn!(signal = name, when, "ending at once; what was attached before filters on");
        logging::drain();
        process::exit(if has_started { Exit::Failed.code().into() } else { 0 });
    }
}
