//! The command line: one file a command.
//!
//! In: arguments, files that they name, answers of a daemon. Out: standard output for data, standard error for words, and an exit
//! code, whose meanings [`Exit`] has. Nobody owns anything here: the daemon does.

mod attached;
mod audit;
mod batch;
mod capture;
pub mod check;
mod client;
mod complete;
mod confirm;
mod detach;
mod diff;
mod doctor;
mod entries;
mod error_document;
mod explain;
mod failure;
mod history;
mod init;
mod left;
mod link_types;
mod lists;
mod manual;
mod output;
mod pins;
mod policies;
mod progress;
mod reach;
mod reconnect;
mod restore;
mod run;
mod schema;
mod state;
mod status;
mod support;
mod sync;
mod table;
mod terms;
mod token;
mod undo;
mod version;

use std::{
    env,
    ffi::OsString,
    io,
    path::PathBuf,
    process::{self, ExitCode},
};

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use self::{client::Client, error_document::ErrorDocument, failure::Failure, output::Output};
use crate::{control::Verb, exit::Exit};

/// Where the daemon listens unless its configuration says otherwise.
const DEFAULT_SOCKET: &str = "/run/portcullis/api.sock";

/// XDP firewall and rate limiter for the host in front of an API server.
#[derive(Clone, Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  negative answer, or an answer that makes no sense
  2  wrong usage
  3  the daemon cannot be reached
  4  refused or not permitted
  5  invalid input or configuration
  6  conflict, or not confirmed
  7  the daemon (`run`) ended although nobody had asked it to; its last policy filters on";

/// Options that may stand before and after every command.
#[derive(Args, Clone, Debug)]
struct Shared {
    /// Unix socket of the daemon.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "PATH",
        env = "PORTCULLIS_SOCKET",
        hide_env_values = true,
        default_value = DEFAULT_SOCKET
    )]
    socket: PathBuf,
    #[command(flatten)]
    remote: reach::RemoteArgs,
    /// Form of the answer: a table for people, JSON for programs.
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "FORM",
        value_enum,
        env = "PORTCULLIS_OUTPUT",
        hide_env_values = true,
        default_value_t
    )]
    output: Output,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Look at this host, and write its first configuration: it only observes, and says what is why in it.
    ///
    /// It names the interfaces through which packets come, a service with generous limits for whatever listens for others, and the
    /// address that you are connected from by ssh. It never overwrites a file that has a setting.
    Init(init::InitArgs),
    /// Filter: attach to the interfaces of a configuration and stay in the foreground.
    Run(run::RunArgs),
    /// Say whether a configuration can be used; needs no root and no kernel.
    Check(check::CheckArgs),
    /// Print the JSON Schema of the configuration file, for editors and programs.
    Schema,
    /// Show what a configuration would change: exit code 0 when nothing, 1 when it differs.
    Diff(diff::DiffArgs),
    /// Change or show the lists that services allow.
    #[command(subcommand)]
    Allow(lists::ListCommand),
    /// Change or show the lists that services deny.
    #[command(subcommand)]
    Deny(lists::ListCommand),
    /// Bring back entries that `allow list --export` or `deny list --export` has written, each with its owner, end and comment: all of
    /// them, or none.
    ///
    /// Entries that are there stay; those whose time is over are not restored.
    Restore(restore::RestoreArgs),
    /// Take one of the last 1,000 pushes back: its entries become what they were before it.
    ///
    /// What somebody has changed since stays as it is, and is named. An undo is a push of its own, and can be undone. What pushes
    /// have changed is not kept over a restart of the daemon.
    Undo(undo::UndoArgs),
    /// Show what the daemon does: mode, revision, interfaces, lists, services, packets and drops with their rates.
    ///
    /// When no daemon answers, it says whether the filter of the last one is still attached; exit code 3.
    Status(status::StatusArgs),
    /// Load the configuration of the daemon anew: all of it, or nothing.
    Reload(terms::TermsArgs),
    /// Say what would become of a packet now, and why: exit code 0 when it passes, 1 when it is dropped. Nothing changes.
    ///
    /// Several answers are JSON documents, one a line.
    Explain(explain::ExplainArgs),
    /// Make the configuration in FILE the policy: all of it, or nothing.
    ///
    /// It stays over restarts until another one comes, or until the configuration file of the daemon changes.
    Apply(policies::ApplyArgs),
    /// Keep the change that waits for a confirmation (`--confirm`); exit code 6 when nothing does.
    Confirm(confirm::ConfirmArgs),
    /// Show the generations of the policy that are kept, the newest first; what one of them says, or how two differ.
    History(history::HistoryArgs),
    /// Bring a generation of the policy back.
    Rollback(policies::RollbackArgs),
    /// Show the mode of the policy, or give it another one: observe only counts what would be dropped.
    ///
    /// It stays over restarts and reloads until another policy comes, or until the mode in the configuration file changes.
    Mode(policies::ModeArgs),
    /// Show who asked for which change and what came of it, or say whether that log is as it was written.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Make, show, replace and revoke the secrets of programs that use the API over a network.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Repair the folder of pushed entries, while no daemon uses it.
    #[command(subcommand)]
    State(state::StateCommand),
    /// Say whether this host and its interfaces can be filtered, with a fix for each obstacle: exit code 1 when one fails.
    Doctor(doctor::DoctorArgs),
    /// Stop filtering: a daemon that was stopped or killed leaves its last policy in force.
    Detach(detach::DetachArgs),
    /// Write one archive for somebody who helps: what the daemon, the host and the configuration say of themselves, without secrets.
    ///
    /// It needs no daemon. What cannot be had is named in it, and it says what is in it.
    Support(support::SupportArgs),
    /// Write the script that completes the command line in a shell; it asks the daemon for lists, generations and pushes.
    Completions(complete::CompletionsArgs),
    /// Write the manual pages of every command, and that of the configuration, to a folder.
    #[command(hide = true)]
    Manual(manual::ManualArgs),
    /// Show what this binary is made of, the kernel that it runs on, and the version of the daemon, if one answers.
    Version,
}

/// Runs the command that the arguments of the process ask for.
pub fn main() -> ExitCode {
    if let Some(answered) = complete::answer(Cli::command) {
        return answered;
    }
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(told) => return tell(&told),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(told) => return tell(&told),
    };
    let Shared { socket, remote, output } = cli.shared;
    let client = client(&matches, &cli.command, socket, remote);
    let result = match cli.command {
        Command::Run(args) => return run::run(args, output),
        Command::Init(args) => return init::run(&args, output),
        Command::Check(args) => return check::run(&args, output),
        Command::Schema => schema::run(),
        Command::Doctor(args) => return doctor::run(&args, output),
        Command::Detach(args) => return detach::run(&args, output),
        Command::State(command) => return state::run(&command, output),
        Command::Manual(args) => return manual::run(&args, Cli::command(), output),
        Command::Completions(args) => complete::print(args),
        Command::Diff(args) => {
            return diff::run(&client, output, &args).unwrap_or_else(|failure| failure.report(output));
        }
        Command::Explain(args) => match explain::run(&client, output, &args) {
            Ok(None) => Ok(()),
            Ok(Some(exit)) => return exit.into(),
            Err(failure) => Err(failure),
        },
        Command::Allow(command) => lists::run(&client, output, Verb::Allow, command),
        Command::Deny(command) => lists::run(&client, output, Verb::Deny, command),
        Command::Restore(args) => restore::run(&client, output, args),
        Command::Undo(args) => undo::run(&client, output, args),
        Command::Support(args) => return support::run(&client, output, &args),
        Command::Audit(command) => return audit::run(&client, output, command),
        Command::Version => version::run(&client, output),
        Command::Status(args) => return status::run(&client, output, &args),
        Command::Reload(terms) => policies::reload(&client, output, terms),
        Command::Apply(args) => policies::apply(&client, output, args),
        Command::Confirm(args) => confirm::run(&client, output, args),
        Command::History(args) => {
            return history::run(&client, output, args).unwrap_or_else(|failure| failure.report(output));
        }
        Command::Rollback(args) => policies::rollback(&client, output, args),
        Command::Mode(args) => policies::mode(&client, output, args),
        Command::Token(command) => token::run(&client, output, command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(output),
    }
}

/// The daemon that a command asks. Ends the process where the arguments do not say one thing.
fn client(matches: &ArgMatches, command: &Command, socket: PathBuf, remote: reach::RemoteArgs) -> Client {
    if let Some(why) = asks_nobody(command) {
        reach::refuse_all(matches, why);
        return Client::new(socket);
    }
    let of_host = match command {
        Command::Support(_) => Some("`support` looks at this host and its daemon"),
        Command::Audit(audit::AuditCommand::Posture(_)) => Some("`audit posture` looks at this host and its daemon"),
        _ => None,
    };
    if let Some(why) = of_host {
        reach::refuse_remote(matches, why);
        return Client::new(socket);
    }
    let client = reach::chosen(matches, socket, remote);
    reach::refuse_pins(&client, matches.subcommand().map(|(_, of_command)| of_command));
    client
}

/// Why a socket and a URL mean nothing to a command; `None` when it talks to the daemon.
fn asks_nobody(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Run(_) => "the daemon listens at the `socket` of [api] in its configuration",
        Command::Init(_) => "`init` does not talk to the daemon",
        Command::Schema => "`schema` does not talk to the daemon",
        Command::Check(_) => "`check` does not talk to the daemon",
        Command::Doctor(_) => "`doctor` does not talk to the daemon",
        Command::Detach(_) => "`detach` does not talk to the daemon",
        Command::Audit(audit::AuditCommand::Verify(_)) => "`audit verify` does not talk to the daemon",
        Command::State(_) => "`state` does not talk to the daemon",
        Command::Manual(_) => "`manual` does not talk to the daemon",
        Command::Completions(_) => "`completions` does not talk to the daemon; the script that it prints does",
        _ => return None,
    })
}

/// Prints help or version, which are data, or what is wrong with the arguments.
fn tell(told: &clap::Error) -> ExitCode {
    if told.use_stderr() {
        ErrorDocument::new("usage", Exit::Usage, &usage_words(told)).print(asked_form(env::args_os().skip(1)));
    }
    match told.print() {
        Err(error) if !told.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            Failure::Write(error).report(Output::Table)
        }
        _ => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(Exit::Usage.code())),
    }
}

/// What is wrong with the arguments, without the help around it.
fn usage_words(told: &clap::Error) -> String {
    let text = told.render().to_string();
    match text.split_once("\n\n") {
        _ if told.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "error: a command is missing".into(),
        Some((words, _)) => words.to_owned(),
        None => text.trim_end().to_owned(),
    }
}

/// The form of the answer that arguments ask for, which are not understood otherwise; the environment, where they do not say.
fn asked_form(arguments: impl Iterator<Item = OsString>) -> Output {
    let arguments: Vec<String> = arguments.map(|one| one.to_string_lossy().into_owned()).collect();
    let value = |(index, argument): (usize, &String)| match argument.as_str() {
        "-o" | "--output" => arguments.get(index + 1).cloned(),
        argument => {
            let value = argument.strip_prefix("--output=").or_else(|| argument.strip_prefix("-o"));
            value.map(|value| value.trim_start_matches('=').to_owned())
        }
    };
    let form = arguments.iter().enumerate().find_map(value).or_else(|| env::var("PORTCULLIS_OUTPUT").ok());
    if form.as_deref() == Some("json") { Output::Json } else { Output::Table }
}

/// Ends the process because of arguments that contradict each other.
fn refuse_usage(kind: ErrorKind, message: impl std::fmt::Display) -> ! {
    let told = Cli::command().error(kind, message);
    let _ = tell(&told);
    process::exit(Exit::Usage.code().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_has_every_exit_code() {
        let all = [Exit::Negative, Exit::Usage, Exit::Unreachable, Exit::Refused, Exit::Invalid, Exit::Unconfirmed];
        for exit in all.into_iter().chain([Exit::Failed]) {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn shared_options_may_stand_before_and_after_the_command() {
        for arguments in [
            ["portcullis", "--socket", "/s", "-o", "json", "status"],
            ["portcullis", "status", "--socket", "/s", "-o", "json"],
        ] {
            let shared = Cli::try_parse_from(arguments).unwrap().shared;
            assert_eq!((shared.socket, shared.output), (PathBuf::from("/s"), Output::Json));
        }
    }
}
