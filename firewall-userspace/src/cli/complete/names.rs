//! Names that could stand next: of lists, generations, revisions, owners, guards and interfaces.

use std::{
    env,
    ffi::{OsStr, OsString},
    time::Duration,
};

use clap_complete::CompletionCandidate;
use nix::net::if_::if_nameindex;

use crate::{
    cli::{
        DEFAULT_SOCKET,
        client::Client,
        reach::{self, RemoteArgs},
    },
    control::{Generations, ListStatus, Pushes, Status},
    preview::guard::GuardName,
    text::shown::counted,
};

/// How long the daemon may take in all: whoever presses TAB waits for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most names that are offered.
const MOST: usize = 1000;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list that services allow, or deny.
    List {
        /// They deny it.
        is_deny: bool,
    },
    /// A generation of the policy.
    Generation,
    /// A push that can be undone.
    Revision,
    /// Somebody who has pushed.
    Owner,
    /// A guard; several may stand behind each other.
    Guard,
    /// A network interface of this host.
    Interface,
}

/// What `current` could become.
pub fn candidates(kind: Kind, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    // Of several guards only the last is not finished.
    let (before, last) = match kind {
        Kind::Guard => current.rfind(',').map_or(("", current), |end| current.split_at(end + 1)),
        _ => ("", current),
    };
    let mut names = all(kind);
    names.retain(|(name, _)| is_safe(name) && name.starts_with(last));
    let mut seen = std::collections::HashSet::new();
    names.retain(|(name, _)| seen.insert(name.clone()));
    let candidate = |(index, (name, what)): (usize, (String, String))| {
        let what = (!what.is_empty()).then(|| tame(&what).into());
        CompletionCandidate::new(format!("{before}{name}")).help(what).display_order(Some(index))
    };
    names.into_iter().take(MOST).enumerate().map(candidate).collect()
}

/// All names of a kind, with what they are.
fn all(kind: Kind) -> Vec<(String, String)> {
    let words = env::args_os().map(|one| one.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let client = || daemon(&words, |name| env::var_os(name).filter(|value| !value.is_empty()));
    let asked: Option<Vec<(String, String)>> = match kind {
        Kind::List { is_deny } => client()
            .and_then(|client| client.get_within::<Status>("/v1/status", PATIENCE).ok())
            .map(|answer| answer.value.lists.iter().filter(|list| is_of_verb(list, is_deny)).map(named_list).collect()),
        Kind::Generation => {
            client().and_then(|client| client.get_within::<Generations>("/v1/history", PATIENCE).ok()).map(|answer| {
                let kept = answer.value.generations.into_iter().rev();
                kept.map(|one| (one.number.to_string(), format!("{} {}", one.how.label(), one.summary))).collect()
            })
        }
        Kind::Revision => client().and_then(|client| pushes(&client)).map(|pushes| {
            let what = |one: &crate::control::PushSummary| {
                format!("{} by {}: {} added, {} removed", one.lists.join(" "), one.owner, one.added, one.removed)
            };
            pushes.iter().map(|one| (one.revision.to_string(), what(one))).collect()
        }),
        Kind::Owner => client()
            .and_then(|client| pushes(&client))
            .map(|pushes| pushes.into_iter().map(|one| (one.owner, String::new())).collect()),
        Kind::Guard => Some(GuardName::ALL.iter().map(|one| (one.label().to_owned(), String::new())).collect()),
        Kind::Interface => Some(interfaces()),
    };
    asked.unwrap_or_default()
}

fn pushes(client: &Client) -> Option<Vec<crate::control::PushSummary>> {
    Some(client.get_within::<Pushes>("/v1/pushes?limit=100", PATIENCE).ok()?.value.pushes)
}

/// Whether entries of a list are pushed with this verb.
fn is_of_verb(list: &ListStatus, is_deny: bool) -> bool {
    match is_deny {
        true => !list.denied_by.is_empty() || list.allowed_by.is_empty(),
        false => !list.allowed_by.is_empty() || list.denied_by.is_empty(),
    }
}

fn named_list(list: &ListStatus) -> (String, String) {
    let count: u64 = list.entries.iter().map(|entries| entries.count).sum();
    (list.name.clone(), counted(usize::try_from(count).unwrap_or(usize::MAX), "entry"))
}

/// The interfaces of this network namespace.
fn interfaces() -> Vec<(String, String)> {
    let Ok(all) = if_nameindex() else { return Vec::new() };
    let mut names: Vec<_> = all.iter().map(|one| (one.name().to_string_lossy().into_owned(), String::new())).collect();
    names.sort();
    names
}

/// The daemon that these words name, else the environment, else that of the usual socket; `None` when two are named, or none.
fn daemon(words: &[String], variable: impl Fn(&str) -> Option<OsString>) -> Option<Client> {
    let written = |option: &str| value(words, option).map(OsString::from);
    let remote = |url: OsString| {
        let args = RemoteArgs::of(|option, name| written(option).or_else(|| variable(name)));
        reach::remote(&url, &args, |_| false).ok().map(Client::remote)
    };
    let socket = |path: OsString| Some(Client::new(path.into()));
    match (written("--socket"), written("--url")) {
        (Some(_), Some(_)) => None,
        (Some(path), None) => socket(path),
        (None, Some(url)) => remote(url),
        (None, None) => match (variable("PORTCULLIS_SOCKET"), variable(reach::VARIABLES[0])) {
            (Some(_), Some(_)) => None,
            (None, Some(url)) => remote(url),
            (path, None) => socket(path.unwrap_or_else(|| DEFAULT_SOCKET.into())),
        },
    }
}

/// The value of an option among words, of which bash has cut some at equals signs and colons.
fn value(words: &[String], option: &str) -> Option<String> {
    let at = |(index, word): (usize, &String)| {
        let rest = word.strip_prefix(option)?;
        let (first, rest) = match (rest.strip_prefix('='), rest) {
            (Some(rest), _) => (rest.to_owned(), index + 1),
            (None, "") => {
                let index = index + 1 + usize::from(words.get(index + 1).is_some_and(|next| next == "="));
                (words.get(index)?.clone(), index + 1)
            }
            _ => return None,
        };
        let mut value = first;
        let mut rest = words.get(rest..).unwrap_or_default();
        // `https`, `:`, `//fw1`, `:`, `8443`.
        while let [colon, more @ ..] = rest
            && !colon.is_empty()
            && colon.bytes().all(|octet| octet == b':')
        {
            value.push_str(colon);
            more.first().into_iter().for_each(|word| value.push_str(word));
            rest = more.get(1..).unwrap_or_default();
        }
        Some(value)
    };
    words.iter().enumerate().find_map(at)
}

/// Whether no shell makes anything of a name but the name: it comes from a daemon, or from the kernel.
fn is_safe(name: &str) -> bool {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "._@+-".contains(symbol);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.chars().all(is_plain)
}

/// A description without anything that a shell or a terminal may act on, in one line.
fn tame(text: &str) -> String {
    let plain = |symbol: char| if symbol.is_ascii_alphanumeric() || " ._@+-,/".contains(symbol) { symbol } else { ' ' };
    text.chars().map(plain).take(80).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: Kind, current: &str) -> Vec<String> {
        let all = candidates(kind, OsStr::new(current));
        all.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn guards_may_stand_behind_each_other() {
        assert_eq!(named(Kind::Guard, "sh"), ["shrink"]);
        assert_eq!(named(Kind::Guard, "shrink,em"), ["shrink,empty"]);
        assert_eq!(named(Kind::Guard, "").len(), GuardName::ALL.len());
        assert!(named(Kind::Guard, "none").is_empty());
    }

    #[test]
    fn interfaces_are_those_of_the_network_namespace() {
        assert_eq!(named(Kind::Interface, "lo"), ["lo"]);
    }

    #[test]
    fn no_name_and_no_description_is_anything_to_a_shell() {
        for odd in ["", "-rf", "a b", "$(reboot)", "a;b", "`a`", "a\nb", "a\u{1b}[2J", "*", "a'b", "a:b", "~root", "é"]
        {
            assert!(!is_safe(odd), "{odd}");
        }
        assert!(is_safe("partners") && is_safe("eth0.7") && is_safe("ada@example.org") && is_safe("a_b-1"));
        assert_eq!(tame("a\u{1b}[2J\n$(b) 'c':`d`"), "a  2J   b   c   d");
    }

    #[test]
    fn the_value_of_an_option_is_found_however_a_shell_cuts_it() {
        let found =
            |words: &[&str], option| value(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), option);
        for words in [&["x", "--socket", "/s", "allow"][..], &["--socket=/s"], &["--socket", "=", "/s"]] {
            assert_eq!(found(words, "--socket").as_deref(), Some("/s"), "{words:?}");
        }
        let url = "https://[::1]:8443";
        for words in [
            &["x", "--url", url, "allow"][..],
            &["--url=https://[::1]:8443"],
            &["--url", "=", "https", ":", "//[", "::", "1]", ":", "8443", "allow"],
            &["--url", "https", ":", "//[", "::", "1]", ":", "8443"],
        ] {
            assert_eq!(found(words, "--url").as_deref(), Some(url), "{words:?}");
        }
        assert_eq!((found(&["--urls", "x"], "--url"), found(&["--url"], "--url")), (None, None));
    }

    #[test]
    fn names_are_those_of_the_daemon_that_the_command_would_ask() {
        let asked = |words: &[&str], variables: &[(&str, &str)]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let variable =
                |name: &str| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| OsString::from(value));
            daemon(&words, variable).map(|client| client.to_string())
        };
        let url = ("PORTCULLIS_URL", "https://fw1:1");
        let socket = ("PORTCULLIS_SOCKET", "/s");
        assert_eq!(asked(&[], &[]).as_deref(), Some(DEFAULT_SOCKET));
        assert_eq!(asked(&[], &[socket]).as_deref(), Some("/s"));
        assert_eq!(asked(&[], &[url]).as_deref(), Some("https://fw1:1"));
        assert_eq!(asked(&["--socket", "/t"], &[url]).as_deref(), Some("/t"));
        assert_eq!(asked(&["--url", "https://fw2"], &[socket, url]).as_deref(), Some("https://fw2"));
        assert_eq!(asked(&[], &[url, socket]), None);
        assert_eq!(asked(&["--url", "https://fw2", "--socket", "/t"], &[]), None);
        assert_eq!(asked(&["--url", "ftp://fw2"], &[]), None);
    }
}
