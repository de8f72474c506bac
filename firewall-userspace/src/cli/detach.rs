//! `portcullis detach`: stop filtering, which nothing else does.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{
    attached, failure,
    output::{self, Output},
    pins::PinsArgs,
};
use crate::{
    datapath::{Ending, ForeignProgram, Pinned, PinnedLink, end},
    exit::Exit,
    policy::attach_label,
    text::shown::counted,
};

/// Arguments of `portcullis detach`.
#[derive(Args, Clone, Debug)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinsArgs,
    /// Say what would be detached, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Removes every pinned link and map, of every ABI version, and says what it was. Where a program of ours filters on and
/// nothing was detached, the answer is no.
pub fn run(args: &DetachArgs, output: Output) -> ExitCode {
    let ending = match end(&args.pins.pin_directory, args.dry_run) {
        Ok(ending) => ending,
        Err(error) => {
            return failure::refuse(output, "refused", Exit::Refused, &format!("error: {error}"));
        }
    };
    let text = match output {
        Output::Table => lines(&ending, args.dry_run),
        Output::Json => document(&ending, args.dry_run).to_string(),
    };
    if let Err(failure) = output::data(text.as_bytes()) {
        return failure.report(output);
    }
    for (interface, program) in &ending.remaining {
        output::words(&format!("warning: {}\nhint: {}", still(interface, program), program.way_on(interface)));
    }
    if is_negative(&ending) { Exit::Negative.into() } else { ExitCode::SUCCESS }
}

/// Whether it did not do what it was called for: an interface that is its own is filtered on, or it found nothing to detach
/// and something of ours filters.
fn is_negative(Ending { removed, remaining }: &Ending) -> bool {
    let links = || removed.iter().flat_map(|one| &one.links);
    let is_its = |name: &String| links().any(|link| link.interface == *name) || links().next().is_none();
    remaining.iter().any(|(interface, program)| program.origin.is_ours() && is_its(interface))
}

fn still(interface: &str, program: &ForeignProgram) -> String {
    let is = if program.origin.is_ours() { "is still filtered by" } else { "has" };
    format!("{interface} {is} {}: {program}", program.kind())
}

/// For people: the interfaces first.
fn lines(Ending { removed: pinned, remaining }: &Ending, dry_run: bool) -> String {
    let all: Vec<String> = pinned.iter().flat_map(|one| &one.links).map(PinnedLink::to_string).collect();
    let done = if dry_run { "dry run: would detach from" } else { "detached from" };
    let mut lines = vec![match all.join(", ") {
        none if none.is_empty() && remaining.is_empty() => "nothing was attached".to_owned(),
        none if none.is_empty() => "nothing was pinned here".to_owned(),
        interfaces => format!("{done} {interfaces}"),
    }];
    lines.extend(remaining.iter().map(|(interface, program)| still(interface, program)));
    for Pinned { version, links, maps } in pinned {
        let link = |link: &PinnedLink| format!("{link} ({})", attach_label(link.mode));
        let links: Vec<String> = links.iter().map(link).collect();
        let done = if dry_run { "would remove" } else { "removed" };
        let part = |what: &str, names: &[String]| match names.len() {
            0 => format!("no {what}s"),
            count => format!("{}: {}", counted(count, what), names.join(", ")),
        };
        lines.push(format!("{done} of ABI version {version} {}; {}", part("link", &links), part("map", maps)));
    }
    lines.join("\n")
}

fn document(Ending { removed: pinned, remaining }: &Ending, dry_run: bool) -> serde_json::Value {
    let interfaces: Vec<&String> = pinned.iter().flat_map(|one| &one.links).map(|link| &link.interface).collect();
    let one = |Pinned { version, links, maps }: &Pinned| {
        let links: Vec<_> = links.iter().map(attached::link).collect();
        json!({ "abi_version": version, "links": links, "maps": maps })
    };
    let removed: Vec<_> = pinned.iter().map(one).collect();
    let mut document = json!({ "schema": "portcullis.detach/v1", "interfaces": interfaces, "removed": removed });
    if !remaining.is_empty() {
        document["remaining"] =
            remaining.iter().map(|(interface, program)| attached::program(interface, program)).collect();
    }
    if dry_run {
        document["dry_run"] = true.into();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{datapath::Origin, policy::AttachMode};

    fn ending(links: &[&str], remaining: &[(&str, Origin)]) -> Ending {
        let link = |name: &&str| PinnedLink { interface: (*name).to_owned(), index: None, mode: AttachMode::Native };
        let links = links.iter().map(link).collect();
        let program = |origin| ForeignProgram {
            id: 7,
            origin,
            name: "firewall".into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: Vec::new(),
            holders: Vec::new(),
        };
        Ending {
            removed: vec![Pinned { version: 3, links, maps: Vec::new() }],
            remaining: remaining.iter().map(|(name, origin)| ((*name).to_owned(), program(*origin))).collect(),
        }
    }

    #[test]
    fn a_device_whose_name_another_one_has_is_told_by_its_index() {
        let mut two = ending(&["eth0", "eth0"], &[]);
        two.removed[0].links[1].index = Some(7);
        let said = lines(&two, false);
        assert!(said.starts_with("detached from eth0, eth0 (index 7)\n"), "{said}");
        assert!(said.contains("2 links: eth0 (native), eth0 (index 7) (native)"), "{said}");
        let document = document(&two, false);
        assert_eq!(document["interfaces"], json!(["eth0", "eth0"]));
        let link = json!({ "interface": "eth0", "index": 7, "mode": "native" });
        assert_eq!(document["removed"][0]["links"][1], link);
    }

    #[test]
    fn nothing_is_never_said_to_be_attached_while_a_program_of_ours_filters() {
        let none = ending(&[], &[]);
        assert!(!is_negative(&none) && lines(&none, false).starts_with("nothing was attached\n"));
        let lost = ending(&[], &[("eth0", Origin::ThisBuild)]);
        assert!(is_negative(&lost));
        let said = lines(&lost, false);
        assert!(
            said.starts_with(
                "nothing was pinned here\neth0 is still filtered by a program of Portcullis: `firewall` (program 7, "
            ),
            "{said}"
        );
        assert_eq!(document(&lost, true)["remaining"][0]["program"], 7);
        // Another daemon's interface is named, and is none of this folder's.
        let other = ending(&["eth0"], &[("eth1", Origin::OtherBuild)]);
        assert!(!is_negative(&other) && lines(&other, false).contains("eth1 is still filtered by"));
        assert!(is_negative(&ending(&["eth0"], &[("eth0", Origin::ThisBuild)])));
        assert!(!is_negative(&ending(&[], &[("eth0", Origin::Unknown)])), "nobody knows whose it is");
    }
}
