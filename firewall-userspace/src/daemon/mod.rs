//! `portcullis run`: from a configuration file to a filtering host, until it is told to stop.
//!
//! In: the configuration, the state folder, signals, netlink. Out: the threads and tasks of the daemon, in their order. It owns the
//! runtime and the sockets; the controller owns what is enforced.

mod begin;
mod essential;
mod follow;
mod rlimits;
mod signals;

use std::{fmt, path::PathBuf, process::ExitCode, time::Duration};

use tokio::{sync::watch, time::timeout};

use self::{essential::Essential, signals::Signals};
use crate::{
    clock::Now,
    controller::{self, ConfigFile, Controller, Launch, Launched},
    datapath::{DatapathError, PinFolder},
    host::netlink::{Addresses, Links},
    logging,
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

/// Why the daemon did not start, or ended by itself. Nothing is attached that was not attached before.
#[derive(Debug)]
enum StartError {
    /// The configuration is wrong, and there is nothing else: the report.
    Config(String),
    /// Anything else: what was attempted, on what, and why it failed.
    Refused(String),
    /// A part without which the daemon would be half dead ended: which, and how.
    Ended(String),
}

/// Exit code of a configuration that is wrong.
const INVALID: u8 = 5;
/// Exit code when the kernel or another process refused.
const REFUSED: u8 = 4;
/// Exit code of a daemon that ended although nobody had asked it to. Its last policy filters on.
const FAILED: u8 = 7;

/// How long the controller may take to stop. Below the 90 s after which systemd kills (`TimeoutStopSec`).
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for work that cannot be called off, once everything else has ended.
const LEFTOVER: Duration = Duration::from_secs(1);

/// Runs the daemon in the foreground.
pub fn run(options: &RunOptions) -> ExitCode {
    if let Err(error) = logging::start() {
        logging::say_directly(&format!("error: cannot start: no thread to be had that writes the log: {error}"));
        return ExitCode::from(REFUSED);
    }
    let code = run_logged(options);
    logging::drain();
    code
}

fn run_logged(options: &RunOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            logging::say(&format!("error: cannot start: {error}"));
            return ExitCode::from(REFUSED);
        }
    };
    let ended = runtime.block_on(serve(options));
    // A file that hangs cannot be called off, and ends with the process.
    runtime.shutdown_timeout(LEFTOVER);
    ExitCode::from(exit_code(ended))
}

/// Says why it ended, and by which code.
fn exit_code(ended: Result<(), StartError>) -> u8 {
    match ended {
        Ok(()) => 0,
        Err(StartError::Config(report)) => {
            logging::say(&report);
            INVALID
        }
        Err(StartError::Refused(message)) => {
            logging::say(&format!("error: {message}"));
            REFUSED
        }
        Err(StartError::Ended(message)) => {
            logging::say(&format!("error: {message}; the last policy filters on\nhint: start the daemon again"));
            FAILED
        }
    }
}

async fn serve(options: &RunOptions) -> Result<(), StartError> {
    let signals = Signals::follow().map_err(|error| StartError::Refused(format!("cannot follow signals: {error}")))?;
    rlimits::raise_descriptors();
    let config = ConfigFile::new(options.config.clone());
    // Everything that can be refused without touching an interface comes first.
    let (basics, loaded) = begin::basics(options, &config).await;
    let folder = PatientFolder::open_folder(&basics.state.directory).map_err(refused)?;
    let addresses = Addresses::subscribe().map_err(refused)?;
    let links = Links::subscribe(follow::LOOK).map_err(refused)?;
    let own = addresses.read().await.map_err(refused)?;
    let begin = begin::Beginner { config: options.config.clone(), folder, basics, own: own.clone() };
    let beginning = begin::beginning(begin, loaded, options.strict)?;
    let pins = open_pins(options).map_err(refused)?;
    let (listen, socket) = beginning.places();
    let admin = admin::bind(listen).await.map_err(refused)?;
    let api = api::bind(&socket).map_err(refused)?;

    let (mut pins, again) = (Some(pins), options.clone());
    let pins = Box::new(move || pins.take().map_or_else(|| open_pins(&again), Ok));
    let launch = Launch { pins, trace_packets: options.trace_packets, clock: Now::read, config };
    let Launched { controller, thread, upkeep } = match controller::start(beginning, launch) {
        Ok(started) => started,
        Err(error) => {
            api::discard(api);
            return Err(refused(error));
        }
    };
    signals.started();
    let (stop, stopping) = watch::channel(());
    let mut essential = Essential::default();
    essential.follow("following addresses", follow::addresses(addresses, controller.clone(), own));
    essential.follow("following interfaces", follow::links(links, upkeep, controller.clone()));
    tokio::spawn(begin::until_policy(controller.clone()));
    let until = |mut stopping: watch::Receiver<()>| async move {
        let _ = stopping.changed().await;
    };
    essential.serve("the admin port", admin::serve(admin, controller.clone(), until(stopping.clone())));
    essential.serve("the API", api::serve(api, controller.clone(), until(stopping)));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let ended = essential::first_end(signals.handle(&controller), &controller, &mut essential).await;
    let is_stopped = timeout(STOP_LIMIT, controller.stop()).await.is_ok();
    drop(stop);
    essential.finish().await;
    if !is_stopped {
        return Err(not_stopped(&controller));
    }
    outcome(ended, thread.join().is_err())
}

fn open_pins(options: &RunOptions) -> Result<PinFolder, DatapathError> {
    let open = if options.replace { PinFolder::open_replacing } else { PinFolder::open };
    open(&options.pin_directory)
}

/// A controller that is at something that does not end.
fn not_stopped(controller: &Controller) -> StartError {
    let job = controller.doing(Now::read()).ok().flatten().map_or("nothing known", |doing| doing.job.label());
    let limit = STOP_LIMIT.as_secs();
    StartError::Ended(format!("cannot stop in order: the controller did not end in {limit} s: {job}"))
}

/// What the end is: in order, or by `part`, which nobody had asked for.
fn outcome(part: Option<&str>, has_panicked: bool) -> Result<(), StartError> {
    let panicked = if has_panicked { " by a panic: a bug worth a report" } else { "" };
    match part {
        None if !has_panicked => Ok(()),
        None => Err(StartError::Ended(format!("the controller ended{panicked}"))),
        Some(part) => Err(StartError::Ended(format!("{part} ended although nobody had asked for that{panicked}"))),
    }
}

fn refused(error: impl fmt::Display) -> StartError {
    StartError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_part_ends_the_daemon_with_exit_code_7() {
        for (part, has_panicked, code) in
            [(None, false, 0), (None, true, 7), (Some("the API"), false, 7), (Some("the controller"), true, 7)]
        {
            assert_eq!(exit_code(outcome(part, has_panicked)), code, "{part:?} {has_panicked}");
        }
    }
}
