//! Which daemon a command asks: that of a socket, or one on another host.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{ArgMatches, Args, error::ErrorKind, parser::ValueSource};

use super::{
    client::{Client, CredentialFile, DaemonUrl, Remote},
    refuse_usage,
};

/// The variables of the environment that stand for the options.
pub const VARIABLES: [&str; 5] =
    ["PORTCULLIS_URL", "PORTCULLIS_TOKEN_FILE", "PORTCULLIS_CLIENT_CERT", "PORTCULLIS_CLIENT_KEY", "PORTCULLIS_CA"];

/// A daemon on another host, and who asks it. What comes from the environment may mean nothing to a command, so nothing is read here.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteArgs {
    /// Ask the daemon of another host, at its HTTPS address, such as https://fw1.example.com:8443; http:// at this host only.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "URL",
        env = VARIABLES[0],
        hide_env_values = true
    )]
    url: Option<OsString>,
    /// With --url: file with the token that says who you are, which nobody else can read; `credential:NAME` is one of systemd.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "FILE",
        env = VARIABLES[1],
        hide_env_values = true
    )]
    token_file: Option<OsString>,
    /// With --url: certificate that says who you are, in PEM.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "FILE",
        env = VARIABLES[2],
        hide_env_values = true
    )]
    client_cert: Option<OsString>,
    /// With --url: the key of that certificate, in PEM, which nobody else can read.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "FILE",
        env = VARIABLES[3],
        hide_env_values = true
    )]
    client_key: Option<OsString>,
    /// With --url: whose certificates of daemons are good, in PEM; by default those of the authorities of this system.
    #[arg(
        long,
        global = true,
        help_heading = "Shared options",
        value_name = "FILE",
        env = VARIABLES[4],
        hide_env_values = true
    )]
    ca: Option<OsString>,
}

/// Options that say which daemon is asked, as clap knows them and as they are written.
const OPTIONS: [(&str, &str); 6] = [
    ("socket", "--socket"),
    ("url", "--url"),
    ("token_file", "--token-file"),
    ("client_cert", "--client-cert"),
    ("client_key", "--client-key"),
    ("ca", "--ca"),
];

/// Ends the process when an option was written that says which daemon to ask, of a command that asks none.
pub fn refuse_all(matches: &ArgMatches, why: &str) {
    refuse(matches, &OPTIONS, why);
}

/// Ends the process when an option was written that leads to another host, of a command about this one.
pub fn refuse_remote(matches: &ArgMatches, why: &str) {
    refuse(matches, &OPTIONS[1..], why);
}

fn refuse(matches: &ArgMatches, options: &[(&str, &str)], why: &str) {
    if let Some((_, option)) = options.iter().find(|(id, _)| is_written(matches, id)) {
        refuse_usage(ErrorKind::ArgumentConflict, format!("{option} does nothing here: {why}"));
    }
}

/// The daemon that the arguments ask for, or else the environment. Ends the process when they name two, or none.
pub fn chosen(matches: &ArgMatches, socket: PathBuf, args: RemoteArgs) -> Client {
    let is_url_written = is_written(matches, "url");
    let Some(url) = args.url.clone().filter(|url| is_url_written || !url.is_empty()) else {
        refuse_remote(matches, "it is for the daemon of a --url");
        return Client::new(socket);
    };
    if is_written(matches, "socket") {
        if is_url_written {
            refuse_usage(ErrorKind::ArgumentConflict, "--socket and --url name two daemons: one is asked");
        }
        refuse_remote(matches, "--socket names the daemon of this host");
        return Client::new(socket);
    }
    if !is_url_written && matches.value_source("socket") == Some(ValueSource::EnvVariable) {
        let message =
            "PORTCULLIS_SOCKET and PORTCULLIS_URL name two daemons: --socket or --url says which one is asked";
        refuse_usage(ErrorKind::ArgumentConflict, message);
    }
    let name = if is_url_written { "--url" } else { VARIABLES[0] };
    match remote(&url, &args, |id| is_written(matches, id)) {
        Ok(remote) => Client::remote(remote),
        Err(why) => refuse_usage(ErrorKind::ValueValidation, format!("{name}: {why}")),
    }
}

/// Ends the process when a `command` that is about a daemon elsewhere is told where something of this host is.
pub fn refuse_pins(client: &Client, command: Option<&ArgMatches>) {
    // Only some commands have the option.
    let is_told = |of: &ArgMatches| of.try_contains_id("pin_directory").is_ok() && is_written(of, "pin_directory");
    if client.is_remote() && command.is_some_and(is_told) {
        refuse_usage(ErrorKind::ArgumentConflict, "--pin-directory is of this host, and --url of another one");
    }
}

/// The daemon of a URL; `is_written` says whether an option was written, and not taken from the environment.
///
/// # Errors
/// Why it is none, or what contradicts it.
pub fn remote(url: &OsStr, args: &RemoteArgs, is_written: impl Fn(&str) -> bool) -> Result<Remote, String> {
    let url = url.to_str().ok_or("it is no text\nhint: write it as https://fw1.example.com:8443")?;
    let url = DaemonUrl::read(url)?;
    let file = |written: &Option<OsString>| {
        let written = written.clone().filter(|written| !written.is_empty())?;
        Some(CredentialFile::new(written.into()))
    };
    let (token, roots) = (file(&args.token_file), file(&args.ca));
    let identity = match (file(&args.client_cert), file(&args.client_key)) {
        (Some(certificate), Some(key)) => Some([certificate, key]),
        (None, None) => None,
        (Some(_), None) => return Err("--client-cert is used with its key\nhint: --client-key names it".into()),
        (None, Some(_)) => return Err("--client-key is used with its certificate\nhint: --client-cert names it".into()),
    };
    let of_tls = ["client_cert", "client_key", "ca"];
    if !url.is_tls && of_tls.into_iter().any(is_written) {
        return Err(
            "certificates are of HTTPS, and this is http://\nhint: leave --client-cert, --client-key and --ca out"
                .into(),
        );
    }
    Ok(Remote::new(url, token, identity, roots))
}

impl RemoteArgs {
    /// What `value` says of each option, by its name and the variable that stands for it.
    pub fn of(value: impl Fn(&str, &str) -> Option<OsString>) -> Self {
        let [url, token_file, client_cert, client_key, ca] = VARIABLES;
        Self {
            url: value("--url", url),
            token_file: value("--token-file", token_file),
            client_cert: value("--client-cert", client_cert),
            client_key: value("--client-key", client_key),
            ca: value("--ca", ca),
        }
    }
}

/// Whether an option stands on the command line.
fn is_written(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}
