//! `portcullis run`: from a configuration file to a filtering host, until it is told to stop.
//!
//! In: the configuration, the state folder, signals, netlink. Out: the threads and tasks of the daemon, in their order. It owns the
//! runtime and the sockets; the controller owns what is enforced.

mod follow;

use std::{fmt, path::PathBuf, process::ExitCode};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::{
    clock::Now,
    config,
    control::{Caller, Reload, Way},
    controller::{self, Controller, Launch, Setup, ThisHost},
    datapath::PinFolder,
    host::netlink::Addresses,
    preview::packet_tests,
    serve::{admin, api},
    state::{
        disk::Folder,
        history::{History, start},
        journal::{Opened, Store},
    },
    text::shown::counted,
};

/// What `portcullis run` was asked.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// Folder on a BPF file system for links and maps.
    pub pin_directory: PathBuf,
    /// Take over what another ABI version, or another build, has pinned.
    pub replace: bool,
    /// Log every packet.
    pub trace_packets: bool,
}

/// Why the daemon did not start. Nothing is attached that was not attached before.
#[derive(Debug)]
enum StartError {
    /// The configuration is wrong; the report was printed.
    Config,
    /// Anything else: what was attempted, on what, and why it failed.
    Refused(String),
}

/// Exit code of a configuration that is wrong.
const INVALID: u8 = 5;
/// Exit code when the kernel or another process refused.
const REFUSED: u8 = 4;

/// Runs the daemon in the foreground.
pub fn run(options: &RunOptions) -> ExitCode {
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    match runtime.block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Config) => ExitCode::from(INVALID),
        Err(StartError::Refused(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(REFUSED)
        }
    }
}

async fn serve(options: &RunOptions) -> Result<(), StartError> {
    let loaded = config::load(&options.config).and_then(packet_tests::require).map_err(|report| {
        eprint!("{}", report.render(false));
        let errors = counted(report.errors().count(), "error");
        eprintln!("error: {} is refused: {errors}", options.config.display());
        StartError::Config
    })?;
    for warning in loaded.warnings.warnings() {
        tracing::warn!("{warning}");
    }
    let state = loaded.policy.state.clone();
    // Everything that can be refused without touching an interface comes first.
    let folder = Folder::open(&state.directory).map_err(refused)?;
    let history = History::open(folder.clone(), state.generations).map_err(refused)?;
    let Opened { store, runtime, notes } = Store::open(folder, Now::read(), state.snapshot_after).map_err(refused)?;
    for note in notes {
        tracing::warn!("{note}");
    }
    tracing::info!(entries = runtime.len(), folder = %state.directory.display(), "read what was pushed");
    let start = start::start(&options.config, loaded, &history, Now::read()).map_err(refused)?;
    let open_pins = if options.replace { PinFolder::open_replacing } else { PinFolder::open };
    let pins = open_pins(&options.pin_directory).map_err(refused)?;
    let mut signals = Signals::new().map_err(|error| StartError::Refused(format!("cannot follow signals: {error}")))?;
    let (addresses, links) = Addresses::subscribe().map_err(refused)?;
    let own = addresses.read().await.map_err(refused)?;
    let admin = admin::bind(start.policy.admin_listen).await.map_err(refused)?;
    let api = api::bind(&start.policy.api_socket).map_err(refused)?;

    let (config, host) = (options.config.clone(), Box::new(ThisHost));
    let setup = Setup { config, start, history, own: own.clone(), store, runtime, host };
    let launch = Launch { pins, trace_packets: options.trace_packets, clock: Now::read };
    let (controller, thread) = match controller::start(setup, launch) {
        Ok(started) => started,
        Err(error) => {
            api::discard(api);
            return Err(refused(error));
        }
    };
    let (stop, stopping) = watch::channel(());
    tokio::spawn(follow::addresses(addresses, controller.clone(), own));
    tokio::spawn(follow::links(links, controller.clone()));
    let until = |mut stopping: watch::Receiver<()>| async move {
        let _ = stopping.changed().await;
    };
    let admin = tokio::spawn(admin::serve(admin, controller.clone(), until(stopping.clone())));
    let api = tokio::spawn(api::serve(api, controller.clone(), until(stopping)));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");

    signals.handle(&controller).await;
    controller.stop().await;
    drop(stop);
    let _ = tokio::join!(api, admin);
    if thread.join().is_err() {
        tracing::error!("the controller panicked: a bug worth a report");
    }
    Ok(())
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Reloads on SIGHUP; returns on SIGTERM and SIGINT.
    async fn handle(&mut self, controller: &Controller) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // The controller logs what came of it.
                    let caller = Caller { name: "SIGHUP".into(), way: Way::Signal };
                    let _ = controller.reload(caller, Reload::default()).await;
                }
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

fn refused(error: impl fmt::Display) -> StartError {
    StartError::Refused(error.to_string())
}

/// Logs to standard error; `PORTCULLIS_LOG` sets the level as `RUST_LOG` does elsewhere.
fn start_logging() {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}
