//! What a sync says, in few octets an entry, from its lines on.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use firewall_common::abi::MAX_PREFIXES;
use jiff::Timestamp;

use super::undo::Undone;
use crate::{
    config::{EXPLAINED, UNEXPLAINED},
    control::{Push, Refusal, Sync, SyncLine},
    controller::push::check::wrong_comment,
    lists::{
        entry::{Layer, Owner},
        pushed::RuntimeEntry,
    },
    policy::Prefix,
    text::{
        duration,
        object::Object,
        problem::{Problem, Problems},
        shown::{cut, shown},
    },
};

/// Most entries of a sync: those of both families that the tables hold, and as many removals.
const MAX_ENTRIES: usize = 4 * MAX_PREFIXES as usize;

/// Most octets of a line.
pub const MAX_LINE: usize = 64 << 10;

/// Longest message about a line.
const MAX_TOLD: usize = 512;

/// What a sync says.
#[derive(Debug)]
pub struct SyncSet {
    /// Everything but its entries.
    pub(super) terms: Push,
    /// Names of the lists of the entries.
    pub(super) lists: Vec<String>,
    /// Who is to hold them; the first one is the caller.
    pub(super) holders: Vec<(Layer, Owner)>,
    /// What is to become of them.
    pub(super) wishes: Vec<Wish>,
    /// The entries, by list, prefix and holder, each once.
    pub(super) entries: Vec<WantedEntry>,
    /// Lines that said again what another one had.
    pub(super) repeated: usize,
    /// The push that it takes back.
    pub(super) undone: Option<Box<Undone>>,
}

/// An entry of a sync: numbers into the tables of its [`SyncSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WantedEntry {
    pub(super) list: u16,
    pub(super) prefix: Prefix,
    pub(super) holder: u16,
    pub(super) wish: u32,
}

/// Of these there are millions: docs/architecture.md has the number.
const _: () = assert!(size_of::<WantedEntry>() == 28);

/// What is to become of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    /// It goes.
    Gone,
    /// It is there, for so long, with this comment.
    There(Option<Duration>, Option<Arc<str>>),
    /// It is as it once was.
    Restored(RestoredEntry),
    /// It is exactly what it was.
    Was(Arc<RuntimeEntry>),
}

/// An entry as it was exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RestoredEntry {
    pub(super) person: Option<Arc<str>>,
    pub(super) comment: Option<Arc<str>>,
    pub(super) created: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

impl Wish {
    /// Whether one of the same entry counts more: that which ends later.
    fn yields_to(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::There(ttl, _), Self::There(other, _)) => {
                ttl.is_some_and(|ttl| other.is_none_or(|other| ttl < other))
            }
            (Self::Restored(one), Self::Restored(other)) => {
                one.expires.is_some_and(|expires| other.expires.is_none_or(|other| expires < other))
            }
            _ => false,
        }
    }
}

/// Numbers for equal things.
#[derive(Debug)]
struct Numbers<T> {
    known: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn of(&mut self, thing: T) -> u32 {
        if let Some(number) = self.known.get(&thing) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(thing.clone());
        self.known.insert(thing, number);
        number
    }
}

/// What entries have in common.
#[derive(Default)]
struct SyncTables {
    lists: Numbers<String>,
    holders: Numbers<(Layer, Owner)>,
    wishes: Numbers<Wish>,
    texts: Numbers<Arc<str>>,
}

/// Collects the lines of a sync.
pub struct SyncCollector {
    terms: Push,
    restores: bool,
    tables: SyncTables,
    entries: Vec<WantedEntry>,
    lines: usize,
    problems: Problems,
}

impl SyncSet {
    /// Whether it only asks what would happen.
    pub fn is_dry(&self) -> bool {
        self.terms.dry_run
    }
}

impl SyncCollector {
    /// Begins with the first line, which `owner` has sent.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn begin(line: &[u8], owner: &str) -> Result<Self, Refusal> {
        let wrong = |detail: String| Refusal::Invalid(Problems::one("", detail));
        let Object(sync): Object<Sync> = serde_json::from_slice(line).map_err(|error| {
            wrong(format!("the first line does not say what to do: {}", cut(&error.to_string(), MAX_TOLD)))
        })?;
        if sync.confirm.is_some() {
            let detail = "a sync waits for no confirmation: push it without, or as one request";
            return Err(Refusal::Invalid(Problems::one("/confirm", detail)));
        }
        let restores = sync.restore;
        if restores && !(sync.replace.is_empty() && sync.remove_of.is_none() && !sync.remove_all) {
            return Err(wrong(
                "entries are restored beside those that are there, and nothing is replaced or removed".into(),
            ));
        }
        let mut tables = SyncTables::default();
        tables.holders.of((sync.layer, Owner::from(owner)));
        Ok(Self {
            terms: sync.into_push(),
            restores,
            tables,
            entries: Vec::new(),
            lines: 0,
            problems: Problems::default(),
        })
    }

    /// Takes one line more.
    ///
    /// # Errors
    /// [`Refusal::Full`] when there are too many.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let number = self.lines;
        self.lines += 1;
        if self.lines > MAX_ENTRIES {
            return Err(Refusal::Full { wanted: self.lines, capacity: MAX_ENTRIES });
        }
        let Object(line): Object<SyncLine<'_>> = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                self.wrong("lines that are no entries", number, "", || cut(&error.to_string(), MAX_TOLD));
                return Ok(());
            }
        };
        let prefix = self.prefix(&line, number);
        let wish = self.wish(&line, number);
        let holder = self.holder(&line, number);
        if let (Some(prefix), Some(wish), Some(holder), true) = (prefix, wish, holder, self.problems.is_empty()) {
            let (wish, list) = (self.tables.wishes.of(wish), self.tables.lists.of(line.list.into_owned()));
            match (u16::try_from(list), u16::try_from(holder)) {
                (Ok(list), Ok(holder)) => self.entries.push(WantedEntry { list, prefix, holder, wish }),
                _ => self.wrong("entries", number, "", || "there are too many lists, or holders, in one sync".into()),
            }
        }
        Ok(())
    }

    fn prefix(&mut self, line: &SyncLine<'_>, number: usize) -> Option<Prefix> {
        if let Some(prefix) = Prefix::parse_plainly(&line.prefix) {
            return Some(prefix);
        }
        if self.problems.len() >= EXPLAINED {
            let pointer = || Problem { pointer: format!("/add/{number}/prefix"), detail: String::new() };
            self.problems.count(UNEXPLAINED, pointer);
            return None;
        }
        match line.prefix.parse::<Prefix>() {
            Ok(prefix) => Some(prefix),
            Err(error) => {
                self.wrong(error.kind(), number, "/prefix", || error.to_string());
                None
            }
        }
    }

    fn wish(&mut self, line: &SyncLine<'_>, number: usize) -> Option<Wish> {
        let is_of_restore = line.created.is_some() || line.expires.is_some() || line.owner.is_some();
        if !self.restores && (is_of_restore || line.layer.is_some() || line.person.is_some()) {
            let detail = "who holds an entry, and since when, is said by `restore` alone";
            self.wrong("lines of an export", number, "", || detail.to_owned());
            return None;
        }
        if self.restores && (line.remove || line.ttl.is_some()) {
            self.wrong("lines of no export", number, "", || "it is not what an export says of an entry".to_owned());
            return None;
        }
        for (text, key) in [(&line.comment, "/comment"), (&line.person, "/person")] {
            if let Some((kind, detail)) = text.as_deref().and_then(wrong_comment) {
                self.wrong(kind, number, key, || detail);
                return None;
            }
        }
        if line.remove {
            if line.ttl.is_some() || line.comment.is_some() {
                let detail = "what is removed has no `ttl` and no `comment`";
                self.wrong("removals with more", number, "", || detail.to_owned());
                return None;
            }
            return Some(Wish::Gone);
        }
        let comment = line.comment.as_deref().map(|text| self.text(text));
        if self.restores {
            let person = line.person.as_deref().map(|text| self.text(text));
            let Some(created) = line.created else {
                self.wrong("lines of no export", number, "/created", || "it is not said since when".to_owned());
                return None;
            };
            return Some(Wish::Restored(RestoredEntry { person, comment, created, expires: line.expires }));
        }
        match line.ttl.as_deref().map(duration::parse_ttl) {
            None => Some(Wish::There(None, comment)),
            Some(Ok(ttl)) => Some(Wish::There(Some(ttl), comment)),
            Some(Err(error)) => {
                self.wrong("wrong times to live", number, "/ttl", || error.to_string());
                None
            }
        }
    }

    /// Number of the one who is to hold an entry.
    fn holder(&mut self, line: &SyncLine<'_>, number: usize) -> Option<u32> {
        if !self.restores {
            return Some(0);
        }
        let (layer, owner) = (line.layer.unwrap_or(Layer::Runtime), line.owner.as_deref().unwrap_or_default());
        if wrong_comment(owner).is_some() {
            let detail = "the owner is too long, or has control characters";
            self.wrong("owners that cannot be", number, "/owner", || detail.to_owned());
            return None;
        }
        if layer == Layer::Config || owner.is_empty() {
            let detail = "it is held by nobody, or by the configuration, whose file it belongs into";
            self.wrong("entries of the configuration", number, "/owner", || detail.to_owned());
            return None;
        }
        Some(self.tables.holders.of((layer, Owner::from(owner))))
    }

    /// A text that all entries share.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some((known, _)) = self.tables.texts.known.get_key_value(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.tables.texts.of(Arc::clone(&text));
        text
    }

    fn wrong(&mut self, kind: &'static str, number: usize, key: &str, detail: impl FnOnce() -> String) {
        self.problems.add(kind, || Problem { pointer: format!("/add/{number}{key}"), detail: detail() });
    }

    /// Entries so far.
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// All lines have come.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with what is wrong with them.
    pub fn finish(self) -> Result<SyncSet, Refusal> {
        let Self { terms, tables: SyncTables { lists, holders, wishes, .. }, mut entries, mut problems, .. } = self;
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        let wishes = wishes.all;
        let of = |entry: &WantedEntry| wishes.get(entry.wish as usize);
        entries.sort_unstable();
        let before = entries.len();
        let mut contradicts = BTreeSet::new();
        entries.dedup_by(|next, kept| {
            let is_same = (next.list, next.prefix, next.holder) == (kept.list, kept.prefix, kept.holder);
            if let (true, Some(kept_wish), Some(wish)) = (is_same, of(kept), of(next)) {
                if (*kept_wish == Wish::Gone) != (*wish == Wish::Gone) {
                    contradicts.insert((next.list, next.prefix));
                }
                if kept_wish.yields_to(wish) {
                    kept.wish = next.wish;
                }
            }
            is_same
        });
        for (list, prefix) in contradicts {
            let list = lists.all.get(usize::from(list)).map_or("", String::as_str);
            problems.add("prefixes that are both added and removed", || Problem {
                pointer: String::new(),
                detail: format!("{prefix} is both added to `{}` and removed from it", shown(list)),
            });
        }
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        let repeated = before - entries.len();
        entries.shrink_to_fit();
        Ok(SyncSet { terms, lists: lists.all, holders: holders.all, wishes, entries, repeated, undone: None })
    }
}
