//! `portcullis completions`: the scripts that shells read once.

use clap::{Args, ValueEnum};
use clap_complete::env::{EnvCompleter, Fish, Zsh};

use super::{VARIABLE, bash::SafeBash};
use crate::cli::{failure::Failure, output};

/// Arguments of `portcullis completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// `/usr/share/bash-completion/completions/portcullis`.
    Bash,
    /// `/usr/share/zsh/vendor-completions/_portcullis`.
    Zsh,
    /// `/usr/share/fish/vendor_completions.d/portcullis.fish`.
    Fish,
}

/// Name of the program, as it is typed and as scripts call it.
const PROGRAM: &str = "portcullis";

/// Zsh runs the file at the first TAB, as a function of its own name; from the second on it is what the file has defined.
const FIRST_TIME: &str =
    "\nif [[ \"$funcstack[1]\" == \"_portcullis\" ]]; then\n    _clap_dynamic_completer_portcullis \"$@\"\nfi\n";

/// Writes the script of a shell to standard output.
pub fn print(CompletionsArgs { shell }: CompletionsArgs) -> Result<(), Failure> {
    let (completer, rest): (&dyn EnvCompleter, &str) = match shell {
        Shell::Bash => (&SafeBash, ""),
        Shell::Zsh => (&Zsh, FIRST_TIME),
        Shell::Fish => (&Fish, ""),
    };
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script).map_err(Failure::Write)?;
    script.extend_from_slice(rest.as_bytes());
    output::data(script.trim_ascii_start())
}
