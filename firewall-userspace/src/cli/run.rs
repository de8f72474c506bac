//! Arguments of `portcullis run`; the daemon itself is in [`crate::daemon`].

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{error_document::ErrorDocument, output::Output, pins::PinsArgs};
use crate::{
    config,
    daemon::{self, EndedDaemon, RunOptions},
};

/// Arguments of `portcullis run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Configuration of this host.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(flatten)]
    pins: PinsArgs,
    /// Take over from a daemon with another ABI version, and replace pinned maps that do not fit; without a gap.
    ///
    /// Counters and rate state start again.
    #[arg(long)]
    replace: bool,
    /// Exit when there is nothing to enforce: a configuration file that cannot be used, and no generation of before. Without it the
    /// daemon stays up, is not ready and says why, and begins as soon as the file is right.
    #[arg(long)]
    strict: bool,
    /// Where pushed entries and generations of the policy are, when the configuration file cannot be used and does not say.
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_STATE_DIRECTORY)]
    state_directory: PathBuf,
    /// Log every packet: interface, source, destination, ports, service and verdict; for debugging only, it costs most of the speed.
    #[arg(long)]
    trace_packets: bool,
    /// Do not confine the daemon to what it needs; to find out whether that is in the way of something.
    #[arg(long, hide = true)]
    no_sandbox: bool,
}

/// Runs the daemon until it is told to stop; why it ended by itself is on standard error, and as a document with `-o json`.
pub fn run(args: RunArgs, output: Output) -> ExitCode {
    match daemon::run(&args.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(EndedDaemon { words, exit }) => {
            ErrorDocument::new("not_running", exit, &words).print(output);
            exit.into()
        }
    }
}

impl From<RunArgs> for RunOptions {
    fn from(args: RunArgs) -> Self {
        let RunArgs { config, pins, replace, strict, state_directory, trace_packets, no_sandbox } = args;
        let pin_directory = pins.pin_directory;
        Self { config, pin_directory, replace, strict, state_directory, trace_packets, sandbox: !no_sandbox }
    }
}
