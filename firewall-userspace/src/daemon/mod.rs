//! `portcullis run`: from a configuration file to a filtering host, until it is told to stop.
//!
//! In: the configuration, the state folder, signals, netlink. Out: the threads and tasks of the daemon, in their order. It owns the
//! runtime and the sockets; the controller owns what is enforced.

mod begin;
mod essential;
mod follow;
mod notify;
mod rlimits;
pub mod sandbox;
mod signals;

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use axum::extract::State;
use tokio::{net::TcpListener, sync::watch, task, time::timeout};

use self::{
    essential::Essential,
    notify::Notifier,
    sandbox::Sandbox,
    signals::{HeldSignals, Signals},
};
use crate::{
    clock::Now,
    controller::{self, ConfigFile, Controller, Launch, Launched},
    datapath::{DatapathError, PinFolder},
    exit::Exit,
    host::netlink::{Addresses, Links},
    logging, made,
    policy::HttpsSettings,
    serve::{
        admin,
        api::{self, BoundSocket},
        auth::{Authenticator, authenticate},
        network,
    },
    state::{
        answers::Answers,
        audit::{AUDIT, AuditWriter},
        patient::PatientFolder,
        tokens::TokenStore,
    },
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
    /// Confine the daemon to what it needs.
    pub sandbox: bool,
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

/// How long the controller may take to stop. Below the 90 s after which systemd kills (`TimeoutStopSec`).
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for work that cannot be called off, once everything else has ended.
const LEFTOVER: Duration = Duration::from_secs(1);

/// How a daemon ended by itself: what standard error was told, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedDaemon {
    /// `error: ...`, with its hint.
    pub words: String,
    /// The exit code.
    pub exit: Exit,
}

/// Runs the daemon in the foreground, on a thread that is the only one.
///
/// # Errors
/// When it did not start, or ended although nobody had asked it to; standard error is told.
pub fn run(options: &RunOptions) -> Result<(), EndedDaemon> {
    // Threads have the bounds of the one that starts them.
    let held = HeldSignals::hold();
    let sandbox = sandbox::enter(options);
    if let Err(error) = logging::start() {
        let words = format!("error: cannot start: no thread to be had that writes the log: {error}");
        logging::say_directly(&words);
        return Err(EndedDaemon { words, exit: Exit::Refused });
    }
    let ended = run_logged(options, held, sandbox);
    if let Err(ended) = &ended {
        logging::say(&ended.words);
    }
    logging::drain();
    ended
}

fn run_logged(options: &RunOptions, held: Option<HeldSignals>, sandbox: Sandbox) -> Result<(), EndedDaemon> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| EndedDaemon { words: format!("error: cannot start: {error}"), exit: Exit::Refused })?;
    let ended = runtime.block_on(serve(options, held, sandbox, Notifier::start()));
    // A file that hangs cannot be called off, and ends with the process.
    runtime.shutdown_timeout(LEFTOVER);
    ended.map_err(why)
}

/// Why it ended, and by which code.
fn why(ended: StartError) -> EndedDaemon {
    let (words, exit) = match ended {
        StartError::Config(report) => (report, Exit::Invalid),
        StartError::Refused(message) => (format!("error: {message}"), Exit::Refused),
        StartError::Ended(message) => {
            (format!("error: {message}; the last policy filters on\nhint: start the daemon again"), Exit::Failed)
        }
    };
    EndedDaemon { words, exit }
}

async fn serve(
    options: &RunOptions,
    held: Option<HeldSignals>,
    sandbox: Sandbox,
    notifier: Notifier,
) -> Result<(), StartError> {
    let signals =
        Signals::follow(held).map_err(|error| StartError::Refused(format!("cannot follow signals: {error}")))?;
    let config = ConfigFile::new(options.config.clone());
    // Everything that can be refused without touching an interface comes first. From here on the log is as the configuration wants it.
    let (basics, loaded) = begin::basics(options, &config).await;
    sandbox.log();
    rlimits::raise_descriptors();
    let folder = PatientFolder::open_folder(&basics.state.directory).map_err(refused)?;
    let tokens = tokens(&folder).await.map_err(refused)?;
    let addresses = Addresses::subscribe().map_err(refused)?;
    let links = Links::subscribe(follow::LOOK).map_err(refused)?;
    let own = addresses.read().await.map_err(refused)?;
    let (confined, answers) = (sandbox.status().clone(), open_answers(&folder));
    let audit = AuditWriter::start(&basics.state.directory.join(AUDIT), Now::read).map_err(refused)?;
    let (config_path, writer, theirs) = (options.config.clone(), audit.clone(), own.clone());
    let begin = begin::Beginner { config: config_path, folder, basics, own: theirs, sandbox, audit: writer };
    let beginning = begin::beginning(begin, loaded, options.strict)?;
    let pins = open_pins(options).map_err(refused)?;
    let (listen, socket) = beginning.places();
    let admin = admin::bind(listen).await.map_err(refused)?;
    let api = api::bind(&socket.socket).map_err(refused)?;

    let launch =
        Launch { pins: and_again(pins, options), trace_packets: options.trace_packets, clock: Now::read, config };
    let Launched { controller, thread, upkeep } = match controller::start(beginning, launch) {
        Ok(started) => started,
        Err(error) => {
            api::discard(api);
            return Err(refused(error));
        }
    };
    let controller = controller.in_sandbox(confined).with_answers(answers).recorded_in(audit.handle());
    let controller = controller.served_by(network::conditions);
    signals.started();
    let mut essential = Essential::default();
    essential.follow("following addresses", follow::addresses(addresses, controller.clone(), own));
    essential.follow("following interfaces", follow::links(links, upkeep, controller.clone()));
    tokio::spawn(begin::until_policy(controller.clone()));
    let authenticator = Authenticator::start(Arc::clone(&tokens), &controller, socket.clone());
    let stop = open_doors(&mut essential, &controller, (admin, api, socket.https), (tokens, &authenticator));
    tracing::info!(version = made::VERSION, revision = made::REVISION, "started");
    notifier.started(&controller);
    let ended = essential::first_end(signals.handle(&controller), &controller, &mut essential).await;
    notifier.stopping();
    let is_stopped = timeout(STOP_LIMIT, controller.stop()).await.is_ok();
    drop(stop);
    essential.finish().await;
    audit.stop();
    authenticator.keep_uses().await;
    if !is_stopped {
        return Err(not_stopped(&controller));
    }
    outcome(ended, thread.join().is_err())
}

/// The answers that the state folder has for those who ask again.
fn open_answers(folder: &PatientFolder) -> Answers {
    let (answers, note) = Answers::open(folder.clone(), Now::read().wall);
    note.iter().for_each(|note| tracing::warn!("{note}"));
    answers
}

/// Serves others: on the admin port, on the socket of the API and, where there are such settings, by HTTPS. What is given back ends that
/// when it is dropped.
fn open_doors(
    essential: &mut Essential,
    controller: &Controller,
    (admin, api, https): (TcpListener, BoundSocket, Option<HttpsSettings>),
    (tokens, authenticator): (Arc<TokenStore>, &Arc<Authenticator>),
) -> watch::Sender<()> {
    let (stop, stopping) = watch::channel(());
    let until = || {
        let mut stopping = stopping.clone();
        async move {
            let _ = stopping.changed().await;
        }
    };
    essential.serve("the admin port", admin::serve(admin, controller.clone(), until()));
    if let Some(https) = https {
        let authenticator = Arc::clone(authenticator);
        let asks = move |request, next| authenticate(State(Arc::clone(&authenticator)), request, next);
        let served = network::serve(https, (controller.clone(), Arc::clone(&tokens)), asks, until());
        essential.serve("the API by HTTPS", served);
    }
    essential.serve("the API", api::serve(api, controller.clone(), tokens, until()));
    stop
}

/// The tokens in `folder`; when their file cannot be used, nobody gets in by one, and the rest goes on.
async fn tokens(folder: &PatientFolder) -> io::Result<Arc<TokenStore>> {
    // They wait for the disk on their own: who pushes is not to wait for who makes tokens.
    let folder = folder.apart()?;
    let tokens = task::spawn_blocking(move || TokenStore::open(folder)).await?;
    if let Some(why) = tokens.refuses() {
        tracing::error!("NOBODY GETS IN BY A TOKEN: {why}");
    }
    Ok(Arc::new(tokens))
}

fn open_pins(options: &RunOptions) -> Result<PinFolder, DatapathError> {
    let open = if options.replace { PinFolder::open_replacing } else { PinFolder::open };
    open(&options.pin_directory)
}

/// `pins` the first time, and what is opened anew after that.
fn and_again(pins: PinFolder, options: &RunOptions) -> Box<dyn FnMut() -> Result<PinFolder, DatapathError> + Send> {
    let (mut pins, again) = (Some(pins), options.clone());
    Box::new(move || pins.take().map_or_else(|| open_pins(&again), Ok))
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
            assert_eq!(
                outcome(part, has_panicked).map_err(why).map_or_else(|ended| ended.exit.code(), |()| 0),
                code,
                "{part:?} {has_panicked}"
            );
        }
    }
}
