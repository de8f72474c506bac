//! Completion of the command line, in bash, fish and zsh.
//!
//! In: what stands on the command line, and the names that the daemon has. Out: scripts for shells, which ask this program at each TAB,
//! and what could stand next. Nobody owns anything here: a daemon that does not answer at once is one without names.

mod bash;
mod names;
mod scripts;

use std::{env, process::ExitCode};

use clap::{Arg, Command, ValueHint};
use clap_complete::{
    CompleteEnv,
    engine::ArgValueCompleter,
    env::{Fish, Shells, Zsh},
};

pub use scripts::{CompletionsArgs, print};

use self::{bash::SafeBash, names::Kind};

/// Set by the scripts: the shell that asks.
const VARIABLE: &str = "PORTCULLIS_COMPLETE";

/// Answers a shell that asks what could stand next; `None` when no shell asks. Nothing is said of a failure: whoever presses TAB
/// has asked for no words.
pub fn answer(command: impl Fn() -> Command) -> Option<ExitCode> {
    env::var_os(VARIABLE)?;
    let shells: [&dyn clap_complete::env::EnvCompleter; 3] = [&SafeBash, &Fish, &Zsh];
    let asked = CompleteEnv::with_factory(|| with_names(command(), &[]))
        .var(VARIABLE)
        .shells(Shells(&shells))
        .try_complete(env::args_os(), env::current_dir().ok().as_deref());
    match asked {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The same command, whose arguments know what they may be; `above` are the names of the commands above it.
fn with_names(command: Command, above: &[&str]) -> Command {
    let name = command.get_name().to_owned();
    let path: Vec<&str> = above.iter().copied().chain([&*name]).collect();
    command.mut_args(|argument| with_values(argument, &path)).mut_subcommands(|one| with_names(one, &path))
}

fn with_values(argument: Arg, path: &[&str]) -> Arg {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let kind = match (argument.get_long(), value.as_deref()) {
        (Some("force"), _) => Kind::Guard,
        (Some("owner"), _) => Kind::Owner,
        (_, Some("LIST")) => Kind::List { is_deny: path.contains(&"deny") },
        (_, Some("GENERATION" | "OTHER")) => Kind::Generation,
        (_, Some("REVISION")) => Kind::Revision,
        (_, Some("INTERFACE")) => Kind::Interface,
        (_, Some("FILE" | "PATH")) => return argument.value_hint(ValueHint::AnyPath),
        (_, Some("DIR")) => return argument.value_hint(ValueHint::DirPath),
        _ => return argument,
    };
    argument.add(ArgValueCompleter::new(move |current: &std::ffi::OsStr| names::candidates(kind, current)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Whether an argument of the command of this path asks the daemon.
    fn asks(path: &[&str], id: &str) -> bool {
        let mut command = with_names(Cli::command(), &[]);
        command.build();
        let found = path.iter().fold(&command, |above, name| above.find_subcommand(name).expect(name));
        let argument = found.get_arguments().find(|one| one.get_id() == id).expect(id);
        argument.get::<ArgValueCompleter>().is_some()
    }

    #[test]
    fn every_name_that_a_daemon_knows_is_asked_for() {
        for verb in ["allow", "deny"] {
            for action in ["add", "remove", "replace", "list"] {
                assert!(asks(&[verb, action], "list"), "{verb} {action}");
            }
            assert!(asks(&[verb, "remove"], "owner") && asks(&[verb, "add"], "force"));
        }
        for (path, id) in [
            (&["rollback"][..], "generation"),
            (&["history", "show"], "generation"),
            (&["history", "diff"], "from"),
            (&["history", "diff"], "to"),
            (&["undo"], "revision"),
            (&["doctor"], "interface"),
            (&["reload"], "force"),
        ] {
            assert!(asks(path, id), "{path:?} {id}");
        }
        assert!(!asks(&["allow", "add"], "comment"));
    }
}
