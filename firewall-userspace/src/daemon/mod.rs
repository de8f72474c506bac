//! `portcullis run`: from a configuration file to a filtering host, until it is told to stop.
//!
//! In: the configuration, the state folder, signals, netlink. Out: the threads and tasks of the daemon, in their order. It owns the
//! runtime and the sockets; the controller owns what is enforced.

mod begin;
mod follow;

use std::{fmt, path::PathBuf, process::ExitCode};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::{
    clock::Now,
    control::{Caller, Reload, Way},
    controller::{self, ConfigFile, Controller, Launch},
    datapath::{DatapathError, PinFolder},
    host::netlink::Addresses,
    serve::{admin, api},
    state::patient::PatientFolder,
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
    /// Exit when there is nothing to enforce.
    pub strict: bool,
    /// The state folder, when the configuration file does not say.
    pub state_directory: PathBuf,
    /// Log every packet.
    pub trace_packets: bool,
}

/// Why the daemon did not start. Nothing is attached that was not attached before.
#[derive(Debug)]
enum StartError {
    /// The configuration is wrong, and there is nothing else: the report.
    Config(String),
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
        Err(StartError::Config(report)) => {
            eprintln!("{report}");
            ExitCode::from(INVALID)
        }
        Err(StartError::Refused(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(REFUSED)
        }
    }
}

async fn serve(options: &RunOptions) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(|error| StartError::Refused(format!("cannot follow signals: {error}")))?;
    let config = ConfigFile::new(options.config.clone());
    // Everything that can be refused without touching an interface comes first.
    let (basics, loaded) = begin::basics(options, &config).await;
    let folder = PatientFolder::open_folder(&basics.state.directory).map_err(refused)?;
    let pins = open_pins(options).map_err(refused)?;
    let (addresses, links) = Addresses::subscribe().map_err(refused)?;
    let own = addresses.read().await.map_err(refused)?;
    let begin = begin::Beginner { config: options.config.clone(), folder, basics, own: own.clone() };
    let beginning = begin::beginning(begin, loaded, options.strict)?;
    let (listen, socket) = beginning.places();
    let admin = admin::bind(listen).await.map_err(refused)?;
    let api = api::bind(&socket).map_err(refused)?;

    let (mut pins, again) = (Some(pins), options.clone());
    let pins = Box::new(move || pins.take().map_or_else(|| open_pins(&again), Ok));
    let launch = Launch { pins, trace_packets: options.trace_packets, clock: Now::read, config };
    let (controller, thread) = match controller::start(beginning, launch) {
        Ok(started) => started,
        Err(error) => {
            api::discard(api);
            return Err(refused(error));
        }
    };
    let (stop, stopping) = watch::channel(());
    tokio::spawn(follow::addresses(addresses, controller.clone(), own));
    tokio::spawn(follow::links(links, controller.clone()));
    tokio::spawn(begin::until_policy(controller.clone()));
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

fn open_pins(options: &RunOptions) -> Result<PinFolder, DatapathError> {
    let open = if options.replace { PinFolder::open_replacing } else { PinFolder::open };
    open(&options.pin_directory)
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
