//! What is known of the filter when no daemon answers: what is pinned filters on.

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::{
    error_document::ErrorDocument,
    failure::Failure,
    output::{self, Output},
};
use crate::{
    datapath::{DatapathError, LeftFilter, PinnedLink, left},
    policy::attach_label,
    text::shown::escaped,
};

/// Says that no daemon answers, as `failure` has it, and what filters by the pins in `folder`; the exit code is that of the failure.
pub fn report(failure: &Failure, folder: &Path, output: Output) -> ExitCode {
    let found = left(folder);
    if output == Output::Table {
        let text = found.as_ref().map_or_else(|_| String::new(), screen);
        if let Err(unwritten) = output::data(text.as_bytes()) {
            output::words(&unwritten.to_string());
        }
    }
    let exit = failure.report_with(output, |document| with_filter(document, folder, &found));
    output::words(&words(folder, &found));
    exit
}

/// The sentence on standard error; empty when nothing filters, which needs no words.
fn words(folder: &Path, found: &Result<LeftFilter, DatapathError>) -> String {
    match found {
        Ok(filter) if is_none(filter) => String::new(),
        Ok(filter) => {
            let says = escaped(&says(filter)).into_owned();
            format!("note: {says}\nhint: start the daemon, or stop filtering by `portcullis detach`")
        }
        Err(error @ DatapathError::InUse { .. }) => {
            format!("note: a daemon runs, and does not answer at this socket: {error}")
        }
        Err(error) => {
            let folder = folder.display().to_string();
            format!("note: whether something filters is not known, from {}: {error}", escaped(&folder))
        }
    }
}

/// `the daemon is not running; the filter is attached to eth0 (native) and goes on with its last policy`.
fn says(LeftFilter { attached, others }: &LeftFilter) -> String {
    let its: Vec<String> = attached.iter().map(|link| format!("{link} ({})", attach_label(link.mode))).collect();
    let others: Vec<String> = others.iter().map(|(name, program)| format!("{name} has {program}")).collect();
    let filter = match its.join(", ") {
        none if none.is_empty() => String::new(),
        its => format!("; the filter is attached to {its} and goes on with its last policy"),
    };
    let others = others.iter().map(|other| format!("; {other}")).collect::<String>();
    format!("the daemon is not running{filter}{others}")
}

fn is_none(LeftFilter { attached, others }: &LeftFilter) -> bool {
    attached.is_empty() && others.is_empty()
}

/// What `status` shows of a filter without a daemon; nothing when there is none.
fn screen(filter: &LeftFilter) -> String {
    if is_none(filter) { String::new() } else { format!("{}\n", escaped(&says(filter))) }
}

fn with_filter(document: ErrorDocument, folder: &Path, found: &Result<LeftFilter, DatapathError>) -> ErrorDocument {
    let document = document.with("pin_directory", folder.to_string_lossy().into());
    match found {
        Ok(filter) => document.with("filter", data(filter)),
        Err(error) => document.with("filter", Value::Null).with("filter_unknown", error.to_string().into()),
    }
}

fn data(LeftFilter { attached, others }: &LeftFilter) -> Value {
    let interfaces = attached.iter().map(|PinnedLink { interface, index, mode }| {
        let mut told = json!({ "interface": interface, "mode": attach_label(*mode) });
        if let Some(index) = index {
            told["index"] = (*index).into();
        }
        told
    });
    let others = others.iter().map(|(interface, program)| {
        json!({ "interface": interface, "program": program.id, "ours": program.origin.is_ours(), "pins": program.pins })
    });
    json!({
        "attached": !attached.is_empty(),
        "interfaces": interfaces.collect::<Vec<_>>(),
        "others": others.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AttachMode;

    #[test]
    fn a_filter_without_a_daemon_is_told_by_interface_and_mode() {
        let link = |interface: &str, mode| PinnedLink { interface: interface.into(), index: None, mode };
        let attached = vec![link("eth0", AttachMode::Native), link("eth1", AttachMode::Generic)];
        let filter = LeftFilter { attached, others: Vec::new() };
        let says = "the daemon is not running; the filter is attached to eth0 (native), eth1 (generic) and goes on with its last policy";
        assert_eq!(screen(&filter), format!("{says}\n"));
        let folder = Path::new("/pins");
        assert!(words(folder, &Ok(filter.clone())).starts_with(&format!("note: {says}\nhint: ")));
        let told = data(&filter);
        assert_eq!(told["interfaces"][1], json!({ "interface": "eth1", "mode": "generic" }));
        assert_eq!(told["attached"], true);
        let none = LeftFilter { attached: Vec::new(), others: Vec::new() };
        assert_eq!((screen(&none), words(folder, &Ok(none.clone()))), (String::new(), String::new()));
        assert_eq!(data(&none)["attached"], false);
    }
}
