//! Why a command failed: its words and its exit code.

use std::{collections::BTreeSet, fmt, io, path::PathBuf, process::ExitCode};

use axum::body::Bytes;

use super::{
    error_document::ErrorDocument,
    output::{self, Output},
};
use crate::{
    config::Report,
    exit::Exit,
    preview::guard::insisting,
    serve::http::{ProblemDetails, problem::codes},
    text::{
        problem::Problem,
        shown::{counted, escaped},
    },
};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens at the socket, or the daemon of a URL cannot be reached.
    Unreachable {
        /// The socket, or the URL.
        at: String,
        /// Why.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// The file system does not let this user to the socket.
    NoAccess {
        /// The socket.
        at: String,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer.
    Lost {
        /// The socket, or the URL.
        at: String,
        /// Why.
        why: String,
    },
    /// The connection ended before the answer to a change.
    Unconfirmed {
        /// The socket, or the URL.
        at: String,
        /// Why.
        why: String,
    },
    /// A file that says who the caller is, or who vouches for a daemon, cannot be used.
    Credential {
        /// What was tried and why it failed, and in a second line what to do.
        words: String,
        /// Its permissions are why.
        is_refused: bool,
    },
    /// A change was made, and is undone because no new connection has confirmed it.
    CutOff {
        /// What was tried, why it failed, and when it is undone.
        words: String,
        /// What to do about it.
        hint: String,
        /// What the daemon has said of the change.
        change: Bytes,
    },
    /// The caller has cancelled it in time.
    Cancelled,
    /// The answer is not what a daemon of this version says.
    Strange {
        /// The socket, or the URL.
        at: String,
        /// What is strange.
        why: String,
    },
    /// The daemon said no.
    Refused {
        /// What it said.
        problem: Box<ProblemDetails>,
        /// As it came.
        json: Bytes,
        /// What the caller wrote that is wrong, each a line.
        lines: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A file of prefixes cannot be read.
    Input {
        /// What the caller called it.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A capture cannot be used.
    Capture {
        /// The capture.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A configuration cannot be used.
    Config {
        /// The configuration.
        file: PathBuf,
        /// What is wrong.
        report: Box<Report>,
    },
    /// A generation of the policy cannot be used by the daemon any more.
    Unusable {
        /// Its number.
        generation: u64,
        /// Why, as `check` prints it.
        report: String,
    },
    /// The command and the list contradict each other.
    WrongList {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A file with a secret cannot be made.
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output cannot be written.
    Write(io::Error),
}

/// Says why a command failed that asks no daemon: `words` on standard error, as a document too with `-o json`; the exit code.
pub fn refuse(output: Output, code: &str, exit: Exit, words: &str) -> ExitCode {
    ErrorDocument::new(code, exit, words).print(output);
    output::words(words);
    exit.into()
}

impl Failure {
    /// It in a line, without `error:` and hint.
    pub fn brief(&self) -> String {
        let words = self.to_string();
        let first = words.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    }

    /// A refusal, in the words of the daemon.
    pub fn refused(problem: ProblemDetails, json: Bytes) -> Self {
        let hint = match problem.code.as_str() {
            codes::NOT_PERMITTED => Some("run the command as root".to_owned()),
            codes::GUARDED => Some(insisting(None, &problem.guards)),
            codes::PENDING => Some("`portcullis confirm` keeps it, `portcullis rollback` undoes it".to_owned()),
            codes::NOT_FOUND | codes::METHOD_NOT_ALLOWED => Some("is the daemon older than this command?".to_owned()),
            _ => problem.hint.clone(),
        };
        let line = |Problem { pointer, detail }: &Problem| match &**pointer {
            "" => detail.clone(),
            pointer => format!("{pointer}: {detail}"),
        };
        let lines = problem.errors.iter().map(line).collect();
        Self::Refused { problem: Box::new(problem), json, lines, hint }
    }

    /// The daemon did not begin with it, because it was busy.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code == codes::BUSY && problem.status == 503)
    }

    /// The same refusal with every problem told by `tell`; what is told twice is kept once.
    #[must_use]
    pub fn told_by(mut self, tell: impl Fn(&Problem) -> String) -> Self {
        if let Self::Refused { problem, lines, .. } = &mut self {
            let mut told = BTreeSet::new();
            *lines = problem.errors.iter().map(tell).filter(|line| told.insert(line.clone())).collect();
        }
        self
    }

    /// The same refusal with `hint` if its code is `code`.
    #[must_use]
    pub fn with_hint(mut self, code: &str, new: impl Into<String>) -> Self {
        if let Self::Refused { problem, hint, .. } = &mut self
            && problem.code == code
        {
            *hint = Some(new.into());
        }
        self
    }

    /// The same refusal with `hint`, whatever its code is.
    #[must_use]
    pub fn with_any_hint(mut self, new: impl Into<String>) -> Self {
        if let Self::Refused { hint, .. } = &mut self {
            *hint = Some(new.into());
        }
        self
    }

    /// Says why: words on standard error, and with `-o json` a document on standard output; the exit code.
    pub fn report(&self, output: Output) -> ExitCode {
        self.report_with(output, |document| document)
    }

    /// The same with more members of the document.
    pub fn report_with(&self, output: Output, more: impl FnOnce(ErrorDocument) -> ErrorDocument) -> ExitCode {
        if let Some(code) = self.code() {
            more(self.document(code)).print(output);
        } else if let Self::Refused { json, .. } = self
            && output == Output::Json
            && !output::has_begun()
        {
            // The words and the exit code below are there even when nobody reads the document.
            drop(output::data(json));
        }
        output::words(&self.to_string());
        self.exit().into()
    }

    /// What it is, for programs; `None` for a refusal of the daemon, whose own document says it.
    fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => "unreachable",
            Self::NoAccess { .. } => "no_access",
            Self::Lost { .. } => "lost",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Credential { .. } => "credential",
            Self::CutOff { .. } => "not_confirmed",
            Self::Cancelled => codes::CANCELLED,
            Self::Strange { .. } => "strange_answer",
            Self::Refused { .. } => return None,
            Self::Input { .. } => "input",
            Self::Capture { .. } => "capture",
            Self::Config { .. } | Self::Unusable { .. } => codes::INVALID_CONFIG,
            Self::WrongList { .. } => codes::WRONG_VERB,
            Self::File { .. } => "file",
            Self::Write(_) => "not_written",
        })
    }

    /// It as data.
    fn document(&self, code: &str) -> ErrorDocument {
        let exit = self.exit();
        match self {
            Self::Config { file, report } => {
                let name = escaped(&file.to_string_lossy()).into_owned();
                let errors = counted(report.errors().count(), "error");
                ErrorDocument::new(code, exit, &format!("{name} cannot be used: {errors}")).with_report(file, report)
            }
            Self::CutOff { change, .. } => {
                let change = serde_json::from_slice(change).unwrap_or_default();
                ErrorDocument::new(code, exit, &self.to_string()).with("change", change)
            }
            _ => ErrorDocument::new(code, exit, &self.to_string()),
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => Exit::Unreachable,
            Self::NoAccess { .. }
            | Self::WrongList { .. }
            | Self::File { .. }
            | Self::Credential { is_refused: true, .. } => Exit::Refused,
            Self::Unconfirmed { .. } | Self::CutOff { .. } | Self::Cancelled => Exit::Unconfirmed,
            Self::Credential { is_refused: false, .. } => Exit::Invalid,
            Self::Input { .. } | Self::Capture { .. } | Self::Config { .. } | Self::Unusable { .. } => Exit::Invalid,
            Self::Strange { .. } | Self::Write(_) => Exit::Negative,
            Self::Refused { problem, .. } => match (problem.code.as_str(), problem.status) {
                (codes::STOPPING, _) => Exit::Unreachable,
                (
                    codes::NOT_PERMITTED
                    | codes::WRONG_VERB
                    | codes::GUARDED
                    | codes::FULL
                    | codes::DATAPATH
                    | codes::NOT_KEPT
                    | codes::NOT_AUDITED
                    | codes::NO_POLICY,
                    _,
                ) => Exit::Refused,
                (codes::UNANSWERED | codes::BUSY, _) | (_, 409 | 412 | 429) => Exit::Unconfirmed,
                (codes::NOT_FOUND | codes::METHOD_NOT_ALLOWED | codes::NO_TOKEN, _) => Exit::Negative,
                (_, 401 | 403) => Exit::Refused,
                (_, 503) => Exit::Unreachable,
                (_, 400..=499) => Exit::Invalid,
                _ => Exit::Negative,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = "`portcullis status` shows what the daemon does";
        match self {
            Self::Unreachable { at, why, hint } => {
                write!(f, "error: cannot reach the daemon at {at}: {why}\nhint: {hint}")
            }
            Self::NoAccess { at, source } => write!(
                f,
                "error: cannot open the socket of the daemon at {at}: {source}\nhint: run the command as root; members of the \
                 group of the socket may look"
            ),
            Self::Lost { at, why } => write!(f, "error: the daemon at {at} did not answer: {why}"),
            Self::Unconfirmed { at, why } => write!(
                f,
                "error: the daemon at {at} did not confirm the change, which may have happened: {why}\nhint: {status}"
            ),
            Self::CutOff { words, hint, .. } => write!(f, "error: {words}\nhint: {hint}"),
            Self::Credential { words, .. } => write!(f, "error: {words}"),
            Self::Cancelled => f.write_str("error: cancelled: nothing was changed"),
            Self::Strange { at, why } => write!(
                f,
                "error: cannot understand the answer of the daemon at {at}: {why}\nhint: are daemon and command of one version?"
            ),
            Self::Refused { problem, lines, hint, .. } => write_refusal(f, problem, lines, hint.as_deref()),
            Self::Input { file, source } => write!(f, "error: cannot read prefixes from {}: {source}", escaped(file)),
            Self::Capture { file, why } => {
                let file = file.to_string_lossy();
                write!(
                    f,
                    "error: cannot use the frames of {}: {}\nhint: `tcpdump -i eth0 -s 0 -w FILE` writes what can be used",
                    escaped(&file),
                    escaped(why)
                )
            }
            Self::Config { file, report } => {
                let errors = counted(report.errors().count(), "error");
                let report = report.render(false);
                write!(f, "{report}error: {} cannot be used: {errors}", escaped(&file.to_string_lossy()))
            }
            Self::Unusable { generation, report } => {
                report.lines().try_for_each(|line| writeln!(f, "{}", escaped(line)))?;
                write!(f, "error: this daemon cannot use the configuration of generation {generation}")
            }
            Self::WrongList { message, hint } => write!(f, "error: {message}\nhint: {hint}"),
            Self::File { file, source } => {
                let (file, hint) = (escaped(&file.to_string_lossy()).into_owned(), "name a file that is not there yet");
                write!(f, "error: cannot write a secret to {file}: {source}\nhint: {hint}")
            }
            Self::Write(source) => write!(f, "error: cannot write to standard output: {source}"),
        }
    }
}

/// What the daemon said, what is wrong with what the caller wrote, and what to do about it.
fn write_refusal(
    f: &mut fmt::Formatter<'_>,
    problem: &ProblemDetails,
    lines: &[String],
    hint: Option<&str>,
) -> fmt::Result {
    for line in problem.report.iter().flat_map(|report| report.lines()) {
        writeln!(f, "{}", escaped(line))?;
    }
    for line in lines {
        writeln!(f, "error: {}", escaped(line))?;
    }
    let mut detail = problem.detail.lines();
    write!(f, "error: {}", escaped(detail.next().unwrap_or_default()))?;
    detail.try_for_each(|line| write!(f, "\n{}", escaped(line)))?;
    hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
}
