//! From a push as it was written to what it means: every problem at once, or a [`CheckedPush`].

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    control::{Addition, Push, Refusal, Removal, Verb},
    lists::{entry::Layer, pushed::Runtime},
    policy::{Policy, Prefix},
    preview::guard::Harm,
    text::{duration, problem::Problem},
};

/// A push without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPush {
    /// Entries to add, each once.
    pub add: Vec<CheckedAddition>,
    /// Entries to remove, each once: index of the list, prefix.
    pub remove: Vec<(usize, Prefix)>,
    /// Whose entries they are.
    pub layer: Layer,
    /// Lists of which the layer is to hold nothing else of the same owner.
    pub replace: BTreeSet<usize>,
    /// Repetitions that were left out.
    pub repeated: usize,
}

impl CheckedPush {
    /// Adds the removals that replacing its lists means, of entries of the same layer and `owner`; what harm that is.
    pub fn replace_lists(&mut self, policy: &Policy, runtime: &Runtime, owner: &str) -> Vec<Harm> {
        let mut harms = Vec::new();
        for index in &self.replace {
            let Some(list) = policy.lists.get(*index) else { continue };
            let kept = self.add.iter().filter(|one| one.list == *index).map(|one| one.prefix);
            let named = self.remove.iter().filter(|(list, _)| list == index).map(|(_, prefix)| *prefix);
            let named: BTreeSet<Prefix> = kept.chain(named).collect();
            let of_owner = runtime.entries(&list.name);
            let of_owner = of_owner.filter(|(_, layer, entry)| *layer == self.layer && entry.owner == owner);
            let (gone, stay): (Vec<Prefix>, Vec<Prefix>) =
                of_owner.map(|(prefix, ..)| prefix).partition(|prefix| !named.contains(prefix));
            harms.extend(policy.guard.shrink(&list.name, gone.len(), gone.len() + stay.len()));
            self.remove.extend(gone.into_iter().map(|prefix| (*index, prefix)));
        }
        harms
    }
}

/// An entry to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedAddition {
    /// Index of the list in the policy.
    pub list: usize,
    /// The prefix.
    pub prefix: Prefix,
    /// Time to live.
    pub ttl: Option<Duration>,
    /// For people.
    pub comment: Option<String>,
}

/// Longest comment in octets.
const MAX_COMMENT: usize = 256;

/// Checks `push` against `policy`.
///
/// # Errors
/// [`Refusal::Invalid`] with every problem, or [`Refusal::WrongVerb`].
pub fn check(push: &Push, policy: &Policy) -> Result<CheckedPush, Refusal> {
    let mut checker = Checker { policy, problems: Vec::new() };
    let mut checked =
        CheckedPush { add: Vec::new(), remove: Vec::new(), layer: push.layer, replace: BTreeSet::new(), repeated: 0 };
    if push.layer == Layer::Config {
        let detail = "the entries of the configuration are changed in its file, by a reload".to_owned();
        checker.problem("/layer".to_owned(), detail);
    }
    for (index, name) in push.replace.iter().enumerate() {
        checked.replace.extend(checker.list(&format!("/replace/{index}"), name));
    }
    let mut added = BTreeSet::new();
    for (index, addition) in push.add.iter().enumerate() {
        let Some(addition) = checker.addition(index, addition) else { continue };
        if added.insert((addition.list, addition.prefix)) {
            checked.add.push(addition);
        } else {
            checked.repeated += 1;
        }
    }
    let mut removed = BTreeSet::new();
    for (index, removal) in push.remove.iter().enumerate() {
        let Some((list, prefix)) = checker.removal(index, removal) else { continue };
        if added.contains(&(list, prefix)) {
            checker.problem(format!("/remove/{index}"), format!("{prefix} is both added and removed"));
        } else if removed.insert((list, prefix)) {
            checked.remove.push((list, prefix));
        } else {
            checked.repeated += 1;
        }
    }
    if !checker.problems.is_empty() {
        return Err(Refusal::Invalid(checker.problems));
    }
    if let Some(verb) = push.verb {
        let lists = added.iter().chain(&removed).map(|(list, _)| *list);
        for list in lists.chain(checked.replace.iter().copied()).collect::<BTreeSet<usize>>() {
            check_verb(policy, list, verb)?;
        }
    }
    Ok(checked)
}

/// Refuses to "allow" through a list that only denies, and the other way round.
fn check_verb(policy: &Policy, list: usize, verb: Verb) -> Result<(), Refusal> {
    let allows = policy.services.iter().any(|service| service.allow.as_ref().is_some_and(|all| all.contains(&list)));
    let denies = policy.services.iter().any(|service| service.deny.contains(&list));
    let contradicts = match verb {
        Verb::Allow => denies && !allows,
        Verb::Deny => allows && !denies,
    };
    match policy.lists.get(list) {
        Some(list) if contradicts => Err(Refusal::WrongVerb { list: list.name.to_string(), verb }),
        _ => Ok(()),
    }
}

struct Checker<'a> {
    policy: &'a Policy,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn addition(&mut self, index: usize, addition: &Addition) -> Option<CheckedAddition> {
        let at = format!("/add/{index}");
        let list = self.list(&format!("{at}/list"), &addition.list);
        let prefix = self.prefix(&at, &addition.prefix);
        let mut is_good = true;
        let ttl = match addition.ttl.as_deref().map(duration::parse) {
            None => None,
            Some(Ok(ttl)) => Some(ttl),
            Some(Err(error)) => {
                self.problem(format!("{at}/ttl"), error.to_string());
                is_good = false;
                None
            }
        };
        if let Some(comment) = &addition.comment {
            if comment.len() > MAX_COMMENT {
                self.problem(format!("{at}/comment"), format!("the comment is longer than {MAX_COMMENT} octets"));
                is_good = false;
            } else if comment.chars().any(char::is_control) {
                self.problem(format!("{at}/comment"), "the comment has control characters".to_owned());
                is_good = false;
            }
        }
        let addition = CheckedAddition { list: list?, prefix: prefix?, ttl, comment: addition.comment.clone() };
        is_good.then_some(addition)
    }

    fn removal(&mut self, index: usize, removal: &Removal) -> Option<(usize, Prefix)> {
        let at = format!("/remove/{index}");
        let list = self.list(&format!("{at}/list"), &removal.list);
        let prefix = self.prefix(&at, &removal.prefix);
        Some((list?, prefix?))
    }

    fn list(&mut self, at: &str, name: &str) -> Option<usize> {
        let index = list_index(self.policy, name);
        if index.is_none() {
            self.problem(at.to_owned(), unknown_list(self.policy, name));
        }
        index
    }

    fn prefix(&mut self, at: &str, text: &str) -> Option<Prefix> {
        match text.parse::<Prefix>() {
            Ok(prefix) => Some(prefix),
            Err(error) => {
                self.problem(format!("{at}/prefix"), error.to_string());
                None
            }
        }
    }

    fn problem(&mut self, pointer: String, detail: String) {
        self.problems.push(Problem { pointer, detail });
    }
}

/// Index of the list called `name`.
pub fn list_index(policy: &Policy, name: &str) -> Option<usize> {
    policy.lists.iter().position(|list| *list.name == *name)
}

/// What to say of a list that does not exist.
pub fn unknown_list(policy: &Policy, name: &str) -> String {
    let names: Vec<String> = policy.lists.iter().map(|list| format!("`{}`", list.name)).collect();
    if names.is_empty() {
        format!("there is no list `{name}`; the configuration has none")
    } else {
        format!("there is no list `{name}`; there are {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::{config, lists::pushed::RuntimeEntry};

    const CONFIG: &str = "[[interface]]\nname = \"eth0\"\n[lists.a]\n[lists.b]\n[guard]\nshrink_entries = 1\n";

    fn prefix(number: u8) -> Prefix {
        format!("192.0.2.{number}").parse().unwrap()
    }

    #[test]
    fn a_replaced_list_loses_what_the_same_owner_has_in_the_same_layer_and_nothing_else() {
        let policy = config::load_text(Path::new("x.toml"), CONFIG, Path::new("")).unwrap().policy;
        let mut runtime = Runtime::default();
        let mut insert = |list: usize, number, layer, owner: &str| {
            let entry = RuntimeEntry {
                owner: owner.into(),
                comment: None,
                created: Timestamp::UNIX_EPOCH,
                expires: None,
                era: 0,
            };
            runtime.insert(&policy.lists[list].name, prefix(number), layer, entry);
        };
        for number in 1..=3 {
            insert(0, number, Layer::Feed, "root");
        }
        insert(0, 4, Layer::Feed, "agent");
        insert(0, 5, Layer::Runtime, "root");
        insert(1, 6, Layer::Feed, "root");
        let kept = Addition { list: "a".into(), prefix: "192.0.2.1".into(), ttl: None, comment: None };
        let push = Push { layer: Layer::Feed, replace: vec!["a".into()], add: vec![kept], ..Push::default() };
        let mut checked = check(&push, &policy).unwrap();
        let harms = checked.replace_lists(&policy, &runtime, "root");
        assert_eq!(checked.remove, [(0, prefix(2)), (0, prefix(3))]);
        let shrunk = Harm::Shrink { list: "a".into(), removed: 2, live: 3, percent: 50 };
        assert_eq!(harms, [shrunk]);
    }
}
