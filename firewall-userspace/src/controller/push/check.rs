//! From a push as it was written to what it means: every problem at once, or a [`CheckedPush`].

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt,
    time::Duration,
};

use crate::{
    config::{EXPLAINED, UNEXPLAINED},
    control::{Addition, Push, Refusal, Removal, Verb},
    lists::{
        entry::{Layer, Owner},
        pushed::Runtime,
    },
    policy::{Policy, Prefix},
    preview::guard::Harm,
    text::{
        duration,
        problem::{Problem, Problems},
        shown::{counted, shown},
    },
};

/// A push without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPush {
    /// Entries to add, each once: of those that were written several times, the one that ends last.
    pub add: Vec<CheckedAddition>,
    /// Entries to remove, each once: index of the list, prefix.
    pub remove: Vec<(usize, Prefix)>,
    /// The layer of the entries to add.
    pub layer: Layer,
    /// Whose entries are removed.
    pub whose: Whose,
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
            let of_owner = runtime.entries(&list.name).map(|(holding, _)| holding);
            let of_owner = of_owner.filter(|one| one.layer == self.layer && *one.owner == *owner);
            let (gone, stay): (Vec<Prefix>, Vec<Prefix>) =
                of_owner.map(|one| one.prefix).partition(|prefix| !named.contains(prefix));
            harms.extend(policy.guard.shrink(&list.name, gone.len(), gone.len() + stay.len()));
            self.remove.extend(gone.into_iter().map(|prefix| (*index, prefix)));
        }
        harms
    }
}

/// Whose entries a push removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the caller, in the layer of the push.
    Own,
    /// Those of this owner, in the layers that [people and bans](Layer::OF_PEOPLE) have.
    Of(Owner),
    /// Those of anybody, in the same layers.
    Anybody,
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

impl CheckedAddition {
    /// Whether it ends before `other` does.
    fn ends_before(&self, other: &Self) -> bool {
        self.ttl.is_some_and(|ttl| other.ttl.is_none_or(|other| ttl < other))
    }
}

/// Longest comment in octets.
const MAX_COMMENT: usize = 256;

/// Longest name of a person in octets (`LOGIN_NAME_MAX`, limits.h).
const MAX_PERSON: usize = 256;

const NO_PERSON: &str = "it is no name of a person: too long, or with control characters";

fn is_person(person: &str) -> bool {
    person.len() <= MAX_PERSON && !person.chars().any(char::is_control)
}

/// Checks the name of the person behind a caller.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn check_person(person: Option<&str>) -> Result<(), Refusal> {
    match person {
        Some(person) if !is_person(person) => Err(Refusal::Invalid(Problems::one("/person", NO_PERSON))),
        _ => Ok(()),
    }
}

/// Checks `push` against `policy`.
///
/// # Errors
/// [`Refusal::Invalid`] with every problem, or [`Refusal::WrongVerb`].
pub fn check(push: &Push, policy: &Policy) -> Result<CheckedPush, Refusal> {
    let mut checker = Checker { policy, problems: Problems::default(), unknown: BTreeMap::new() };
    let mut checked = CheckedPush {
        add: Vec::new(),
        remove: Vec::new(),
        layer: push.layer,
        whose: checker.whose(push),
        replace: BTreeSet::new(),
        repeated: 0,
    };
    checker.person(push.person.as_deref());
    if push.layer == Layer::Config {
        checker.problem("layers", || Problem {
            pointer: "/layer".to_owned(),
            detail: "the entries of the configuration are changed in its file, by a reload".to_owned(),
        });
    }
    for (index, name) in push.replace.iter().enumerate() {
        checked.replace.extend(checker.list(name, || format!("/replace/{index}")));
    }
    let added = checker.additions(&push.add, &mut checked);
    let mut removed = BTreeSet::new();
    for (index, removal) in push.remove.iter().enumerate() {
        let Some((list, prefix)) = checker.removal(index, removal) else { continue };
        if added.contains_key(&(list, prefix)) {
            checker.problem("prefixes that are both added and removed", || Problem {
                pointer: format!("/remove/{index}"),
                detail: format!("{prefix} is both added and removed"),
            });
        } else if removed.insert((list, prefix)) {
            checked.remove.push((list, prefix));
        } else {
            checked.repeated += 1;
        }
    }
    let problems = checker.finish();
    if !problems.is_empty() {
        return Err(Refusal::Invalid(problems));
    }
    if let Some(verb) = push.verb {
        let lists = added.keys().chain(&removed).map(|(list, _)| *list);
        for list in lists.chain(checked.replace.iter().copied()).collect::<BTreeSet<usize>>() {
            check_verb(policy, list, verb)?;
        }
    }
    Ok(checked)
}

/// Refuses to "allow" through a list that only denies, and the other way round.
pub(in crate::controller) fn check_verb(policy: &Policy, list: usize, verb: Verb) -> Result<(), Refusal> {
    let (allows, denies) = (policy.allows_list(list), policy.denies_list(list));
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
    problems: Problems,
    /// Lists that do not exist: where the first is named, and how often.
    unknown: BTreeMap<&'a str, (String, usize)>,
}

impl<'a> Checker<'a> {
    /// Adds what is to be added, each entry once; their places.
    fn additions(&mut self, add: &'a [Addition], checked: &mut CheckedPush) -> BTreeMap<(usize, Prefix), usize> {
        let mut added: BTreeMap<(usize, Prefix), usize> = BTreeMap::new();
        for (index, addition) in add.iter().enumerate() {
            let Some(addition) = self.addition(index, addition) else { continue };
            match added.entry((addition.list, addition.prefix)) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(checked.add.len());
                    checked.add.push(addition);
                }
                btree_map::Entry::Occupied(known) => {
                    checked.repeated += 1;
                    if let Some(known) = checked.add.get_mut(*known.get()).filter(|known| known.ends_before(&addition))
                    {
                        *known = addition;
                    }
                }
            }
        }
        added
    }

    fn addition(&mut self, index: usize, addition: &'a Addition) -> Option<CheckedAddition> {
        let list = self.list(&addition.list, || format!("/add/{index}/list"));
        let prefix = self.prefix(&addition.prefix, || format!("/add/{index}/prefix"));
        let mut is_good = true;
        let mut wrong = |kind, key: &str, detail: &dyn fmt::Display| {
            is_good = false;
            let problem = || Problem { pointer: format!("/add/{index}/{key}"), detail: detail.to_string() };
            self.problems.add(kind, problem);
        };
        let ttl = match addition.ttl.as_deref().map(duration::parse_ttl) {
            None => None,
            Some(Ok(ttl)) => Some(ttl),
            Some(Err(error)) => {
                wrong("wrong times to live", "ttl", &error);
                None
            }
        };
        if let Some((kind, detail)) = addition.comment.as_deref().and_then(wrong_comment) {
            wrong(kind, "comment", &detail);
        }
        let addition = CheckedAddition { list: list?, prefix: prefix?, ttl, comment: addition.comment.clone() };
        is_good.then_some(addition)
    }

    fn removal(&mut self, index: usize, removal: &'a Removal) -> Option<(usize, Prefix)> {
        let list = self.list(&removal.list, || format!("/remove/{index}/list"));
        let prefix = self.prefix(&removal.prefix, || format!("/remove/{index}/prefix"));
        Some((list?, prefix?))
    }

    /// Whose entries are removed.
    fn whose(&mut self, push: &Push) -> Whose {
        let whose = match (&push.remove_of, push.remove_all) {
            (None, false) => return Whose::Own,
            (None, true) => Whose::Anybody,
            (Some(owner), false) => Whose::Of(Owner::from(&**owner)),
            (Some(_), true) => {
                self.wrong("/remove_all", "it is said twice whose entries to remove: by `remove_of` too");
                return Whose::Own;
            }
        };
        let pointer = if push.remove_all { "/remove_all" } else { "/remove_of" };
        if push.layer != Layer::Runtime {
            self.wrong(
                pointer,
                "entries of others are removed from the layers `runtime` and `ban`, and no other is named",
            );
        }
        if !push.replace.is_empty() {
            self.wrong(pointer, "a list is replaced with what the caller holds, and not with what others do");
        }
        whose
    }

    /// The person behind the caller.
    fn person(&mut self, person: Option<&str>) {
        if person.is_some_and(|person| !is_person(person)) {
            self.wrong("/person", NO_PERSON);
        }
    }

    fn wrong(&mut self, pointer: &str, detail: &str) {
        self.problem("fields", || Problem { pointer: pointer.to_owned(), detail: detail.to_owned() });
    }

    fn list(&mut self, name: &'a str, pointer: impl FnOnce() -> String) -> Option<usize> {
        let index = self.policy.list_named(name);
        if index.is_none() {
            self.unknown.entry(name).or_insert_with(|| (pointer(), 0)).1 += 1;
        }
        index
    }

    fn prefix(&mut self, text: &str, pointer: impl FnOnce() -> String) -> Option<Prefix> {
        if self.problems.len() >= EXPLAINED {
            let prefix = Prefix::parse_plainly(text);
            if prefix.is_none() {
                self.problems.count(UNEXPLAINED, || Problem { pointer: pointer(), detail: String::new() });
            }
            return prefix;
        }
        let parsed = text.parse::<Prefix>();
        parsed
            .map_err(|error| self.problem(error.kind(), || Problem { pointer: pointer(), detail: error.to_string() }))
            .ok()
    }

    fn problem(&mut self, kind: &'static str, make: impl FnOnce() -> Problem) {
        self.problems.add(kind, make);
    }

    /// Everything that is wrong; a list that does not exist is one thing, however many entries name it.
    fn finish(mut self) -> Problems {
        for (name, (pointer, count)) in self.unknown {
            self.problems.add("lists that do not exist", || {
                let also = if count > 1 { format!("; {} name it", counted(count, "entry")) } else { String::new() };
                Problem { pointer, detail: format!("{}{also}", unknown_list(self.policy, name)) }
            });
        }
        self.problems
    }
}

/// What is wrong with a comment: the kind of mistake, and words.
pub fn wrong_comment(comment: &str) -> Option<(&'static str, String)> {
    if comment.len() > MAX_COMMENT {
        return Some(("comments that are too long", format!("the comment is longer than {MAX_COMMENT} octets")));
    }
    let has_control = comment.chars().any(char::is_control);
    has_control.then(|| ("comments with control characters", "the comment has control characters".to_owned()))
}

/// What to say of a list that does not exist.
pub fn unknown_list(policy: &Policy, name: &str) -> String {
    let names: Vec<String> = policy.lists.iter().map(|list| format!("`{}`", list.name)).collect();
    if names.is_empty() {
        format!("there is no list `{}`; the configuration has none", shown(name))
    } else {
        format!("there is no list `{}`; there are {}", shown(name), names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use jiff::Timestamp;

    use super::*;
    use crate::{
        config,
        lists::{entry::Holding, pushed::RuntimeEntry},
    };

    const CONFIG: &str = "[[interface]]\nname = \"eth0\"\n[lists.a]\n[lists.b]\n[guard]\nshrink_entries = 1\n";

    fn prefix(number: u8) -> Prefix {
        format!("192.0.2.{number}").parse().unwrap()
    }

    fn addition(list: &str, prefix: &str, ttl: Option<&str>) -> Addition {
        Addition { list: list.into(), prefix: prefix.into(), ttl: ttl.map(str::to_owned), comment: None }
    }

    fn checked(add: Vec<Addition>) -> Result<CheckedPush, Vec<(String, String)>> {
        let policy = config::load_text(Path::new("x.toml"), CONFIG, Path::new("")).unwrap().policy;
        check(&Push { add, ..Push::default() }, &policy).map_err(|refusal| {
            let Refusal::Invalid(problems) = refusal else { panic!("{refusal:?}") };
            problems.told().into_iter().map(|Problem { pointer, detail }| (pointer, detail)).collect()
        })
    }

    #[test]
    fn a_misspelt_list_is_one_mistake_however_many_entries_name_it() {
        let told = checked(vec![addition("aa", "192.0.2.1", None); 200_000]).unwrap_err();
        let wanted = "there is no list `aa`; there are `a`, `b`; 200,000 entries name it";
        assert_eq!(told, [("/add/0/list".to_owned(), wanted.to_owned())]);
        let names = (0..5000).map(|number| addition(&format!("{number:05}{}", "x".repeat(5000)), "192.0.2.1", None));
        let told = checked(names.collect()).unwrap_err();
        assert_eq!((told.len(), &*told[10].1), (11, "from here on, 4,990 more: lists that do not exist"));
        assert!(told.iter().all(|(_, detail)| detail.len() < 200), "{told:?}");
    }

    #[test]
    fn ten_mistakes_of_a_kind_are_told_and_the_others_counted() {
        let json = addition("a", "{\"ip_prefix\":\"198.51.100.0/24\"}", Some("soon"));
        let told = checked(vec![json; 80_000]).unwrap_err();

        let wanted = [
            "490 more: lines of JSON",
            "79,500 more: entries that are no prefixes either",
            "79,990 more: wrong times to live",
        ];
        assert_eq!(told.len(), 10 + 10 + 3, "{told:?}");
        assert!(wanted.iter().all(|wanted| told.iter().any(|(_, detail)| detail.ends_with(wanted))), "{told:?}");
    }

    /// `../shared/field/duplicate-durations.json`: crowdsec#1158, #1244.
    #[test]
    fn the_longest_of_several_times_counts() {
        let add = [Some("1m"), Some("7d"), Some("4h")].map(|ttl| addition("a", "198.51.100.20", ttl));
        let checked_one = checked(add.to_vec()).unwrap();
        assert_eq!(
            checked_one.add.iter().map(|one| one.ttl).collect::<Vec<_>>(),
            [Some(Duration::from_secs(7 * 86_400))]
        );
        assert_eq!(checked_one.repeated, 2);
        let for_ever = [Some("1m"), None, Some("4h")].map(|ttl| addition("a", "198.51.100.20/32", ttl));
        assert_eq!(checked(for_ever.to_vec()).unwrap().add[0].ttl, None);
    }

    #[test]
    fn a_replaced_list_loses_what_the_same_owner_has_in_the_same_layer_and_nothing_else() {
        let policy = config::load_text(Path::new("x.toml"), CONFIG, Path::new("")).unwrap().policy;
        let mut runtime = Runtime::default();
        let mut insert = |list: usize, number, layer, owner: &str| {
            let created = Timestamp::UNIX_EPOCH;
            let entry = Arc::new(RuntimeEntry { person: None, comment: None, created, expires: None, era: 0 });
            let holding = Holding { prefix: prefix(number), layer, owner: owner.into() };
            runtime.insert(&policy.lists[list].name, &holding, entry);
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
