//! Root: asked for late, for named parts only, with the reason.

use std::{
    env,
    ffi::OsStr,
    fmt,
    io::{IsTerminal as _, stdin},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::process::{self, find_program};

/// Whether this process may do everything.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Whether root is at hand, directly or through sudo.
pub fn can_be_root() -> bool {
    is_root() || find_program("sudo").is_some()
}

/// A command that runs as root: itself when we are root, through sudo otherwise.
pub fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(sudo()?);
    command.args(sudo_arguments()).arg("--").arg(program);
    Ok(command)
}

/// Runs this very program as root with the given arguments, telling why.
pub fn again_as_root(what: &str, arguments: &[&OsStr]) -> Result<()> {
    let program = env::current_exe().context("cannot tell the path of the running xtask")?;
    if !is_root() {
        eprintln!("as root, through sudo: {what}");
    }
    let mut command = as_root(program)?;
    let status =
        command.args(arguments).status().with_context(|| format!("cannot run `{}`", process::show(&command)))?;
    if status.success() { Ok(()) } else { Err(Told.into()) }
}

/// Failed, and the user has been told why already.
#[derive(Debug)]
pub struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the part that ran as root failed")
    }
}

impl std::error::Error for Told {}

/// What to put before a program so that it runs as root with these variables in its environment.
pub fn runner(variables: &[(&str, &OsStr)]) -> Result<Vec<String>> {
    let mut words = vec![sudo()?.to_string()];
    words.extend(sudo_arguments().iter().map(ToString::to_string));
    words.extend(["--".to_owned(), "env".to_owned()]);
    words.extend(variables.iter().map(|(name, value)| format!("{name}={}", value.to_string_lossy())));
    Ok(words)
}

fn sudo() -> Result<&'static str> {
    if find_program("sudo").is_none() {
        bail!("this part needs root\nhint: run the same command as root, or install sudo");
    }
    Ok("sudo")
}

/// Without a terminal nobody can type a password: better an error than a wait.
fn sudo_arguments() -> &'static [&'static str] {
    if stdin().is_terminal() { &[] } else { &["--non-interactive"] }
}
