//! What is known of the filter when no daemon answers: what is pinned filters on.

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::{
    attached,
    error_document::ErrorDocument,
    failure::Failure,
    output::{self, Output},
};
use crate::{
    datapath::{DatapathError, ForeignProgram, LeftFilter, left},
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

/// The sentence on standard error.
fn words(folder: &Path, found: &Result<LeftFilter, DatapathError>) -> String {
    match found {
        Ok(filter) if is_none(filter) => {
            format!("note: {}\nhint: `--pin-directory` names the pins of another daemon", says(filter))
        }
        Ok(filter) => {
            let start = "start the daemon, or stop filtering by `portcullis detach`";
            let start = (!filter.attached.is_empty()).then(|| start.to_owned());
            let ways = filter.others.iter().map(|(interface, program)| program.way_on(interface));
            let hints = start.into_iter().chain(ways).map(|hint| format!("\nhint: {}", escaped(&hint)));
            format!("note: {}{}", escaped(&says(filter)), hints.collect::<String>())
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

/// `the daemon is not running; the filter is attached to eth0 (native) and goes on with its last policy`. A filter without pins here
/// may be that of a daemon that runs.
fn says(LeftFilter { attached, others }: &LeftFilter) -> String {
    let its: Vec<String> = attached.iter().map(|link| format!("{link} ({})", attach_label(link.mode))).collect();
    let pinned = match its.join(", ") {
        none if none.is_empty() && others.is_empty() => {
            "nothing filters: no daemon answers, and no filter is pinned here".to_owned()
        }
        none if none.is_empty() => "no filter is pinned here".to_owned(),
        its => format!("the daemon is not running; the filter is attached to {its} and goes on with its last policy"),
    };
    let other = |(name, program): &(String, ForeignProgram)| {
        let is = if program.origin.is_ours() { "is filtered by" } else { "has" };
        format!("; {name} {is} {}: {program}", program.kind())
    };
    format!("{pinned}{}", others.iter().map(other).collect::<String>())
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

fn data(LeftFilter { attached: links, others }: &LeftFilter) -> Value {
    let interfaces: Vec<_> = links.iter().map(attached::link).collect();
    let others: Vec<_> = others.iter().map(|(interface, program)| attached::program(interface, program)).collect();
    json!({ "attached": !links.is_empty(), "interfaces": interfaces, "others": others })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        datapath::{Origin, PinnedLink},
        policy::AttachMode,
    };

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
        let said = words(folder, &Ok(none.clone()));
        assert!(
            screen(&none).is_empty() && said.starts_with("note: nothing filters: ") && said.contains("hint: "),
            "{said}"
        );
        assert_eq!(data(&none)["attached"], false);
    }

    #[test]
    fn a_program_that_is_not_pinned_here_is_told_and_may_be_that_of_a_daemon_that_runs() {
        let program = |origin| ForeignProgram {
            id: 7,
            origin,
            name: "firewall".into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: vec!["/other/v3/links/eth1@native".into()],
            holders: Vec::new(),
        };
        let others =
            vec![("eth1".to_owned(), program(Origin::OtherBuild)), ("eth2".to_owned(), program(Origin::Unknown))];
        let mut filter = LeftFilter { attached: Vec::new(), others };
        let begin = "no filter is pinned here; eth1 is filtered by a program of another build of Portcullis: `firewall` (program 7, ";
        let said = screen(&filter);
        assert!(said.starts_with(begin) && said.contains("; eth2 has an XDP program whose name"), "{said}");
        let words = words(Path::new("/pins"), &Ok(filter.clone()));
        assert!(!words.contains("not running") && !words.contains("start the daemon"), "{words}");
        assert_eq!(words.matches("\nhint: ").count(), 2, "{words}");
        let told = data(&filter);
        assert_eq!((&told["attached"], &told["interfaces"]), (&false.into(), &json!([])));
        let (name, other) = &filter.others[0];
        let wanted = json!({
            "interface": "eth1", "program": 7, "ours": true, "held_by": [], "pins": ["/other/v3/links/eth1@native"],
            "hint": other.way_on(name),
        });
        assert_eq!((&told["others"][0], &told["others"][1]["ours"]), (&wanted, &false.into()));
        // What is pinned here has no daemon.
        filter.attached = vec![PinnedLink { interface: "eth0".into(), index: None, mode: AttachMode::Native }];
        assert!(screen(&filter).starts_with("the daemon is not running; the filter is attached to eth0 (native) and "));
    }
}
