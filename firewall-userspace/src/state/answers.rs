//! Answers that are told again to whoever asks again with the same key.
//!
//! ```text
//! answers    KeptAnswer, KeptAnswer, ...      one frame of JSON each, on disk before the answer goes out
//! ```
//!
//! An answer is kept for a [day](KEPT_FOR), and at most [`MOST`] of [`MOST_OCTETS`] are: of more the oldest goes. A file that is damaged
//! is read up to the damage; who asks again for what was behind it is carried out again.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{disk::Disk, error::StoreError, frame};

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Most answers that are kept.
pub const MOST: usize = 10_000;

/// Most octets of all of them.
pub const MOST_OCTETS: usize = 16 << 20;

/// Most octets of one; a larger one is not kept.
pub const LARGEST: usize = 64 << 10;

const NAME: &str = "answers";
const UNFINISHED: &str = "answers.new";

/// A file shorter than this is not written anew because of answers in it that are kept no more.
const SMALL: u64 = 1 << 20;

/// Who asked, and the key that came with it.
pub type AnswerKey = (String, String);

/// An answer, and what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct KeptAnswer {
    /// Who asked, and the key.
    pub key: AnswerKey,
    /// The SHA-256 of what was asked, in hexadecimal digits.
    pub asked: String,
    /// When it was answered.
    pub at: Timestamp,
    /// The status of the answer.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl KeptAnswer {
    fn octets(&self) -> usize {
        // A map and a queue have the key once more.
        self.body.len() + self.asked.len() + 3 * (self.key.0.len() + self.key.1.len()) + 256
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).unsigned_abs() > KEPT_FOR && now > self.at
    }
}

/// What a request with a key meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFate {
    /// Nobody has come with the key: it is to be carried out, and [answered](Answers::keep) or [given up](Answers::give_up).
    New,
    /// It was answered.
    Answered(Arc<KeptAnswer>),
    /// The first request with it is under way.
    Underway,
    /// Something else was asked by it.
    Reused,
}

/// The answers that are kept.
#[derive(Default)]
pub struct Answers {
    memory: Mutex<AnswerMemory>,
    /// `None`: nothing outlives the daemon.
    file: Mutex<Option<Box<dyn AnswerFile>>>,
}

#[derive(Default)]
struct AnswerMemory {
    known: HashMap<AnswerKey, KnownKey>,
    /// Keys of answers, the oldest first.
    order: VecDeque<AnswerKey>,
    octets: usize,
}

enum KnownKey {
    /// What was asked.
    Underway(String),
    Answered(Arc<KeptAnswer>),
}

impl AnswerMemory {
    fn keep(&mut self, answer: Arc<KeptAnswer>) {
        self.forget(&answer.key);
        self.octets += answer.octets();
        self.order.push_back(answer.key.clone());
        self.known.insert(answer.key.clone(), KnownKey::Answered(answer));
        while self.order.len() > MOST || self.octets > MOST_OCTETS {
            self.forget_oldest();
        }
    }

    fn forget(&mut self, key: &AnswerKey) {
        if let Some(KnownKey::Answered(answer)) = self.known.remove(key) {
            self.octets -= answer.octets();
            self.order.retain(|one| one != key);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(key) = self.order.pop_front()
            && let Some(KnownKey::Answered(answer)) = self.known.remove(&key)
        {
            self.octets -= answer.octets();
        }
    }

    /// Forgets what is too old.
    fn tend(&mut self, now: Timestamp) {
        let is_over = |known: Option<&KnownKey>| matches!(known, Some(KnownKey::Answered(one)) if one.is_over(now));
        while self.order.front().is_some_and(|key| is_over(self.known.get(key))) {
            self.forget_oldest();
        }
    }

    fn answers(&self) -> Vec<Arc<KeptAnswer>> {
        let known = self.order.iter().filter_map(|key| self.known.get(key));
        known
            .filter_map(|known| if let KnownKey::Answered(one) = known { Some(Arc::clone(one)) } else { None })
            .collect()
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whose they are, and what they say, is nobody's business.
        f.debug_struct("Answers").field("count", &lock(&self.memory).order.len()).finish_non_exhaustive()
    }
}

impl Answers {
    /// Those that `disk` has, at `now`; from now on it gets new ones too. What cannot be read is forgotten: the words say so.
    pub fn open<D: Disk>(disk: D, now: Timestamp) -> (Self, Option<String>)
    where
        D::File: 'static,
    {
        let (mut memory, mut note) = (AnswerMemory::default(), None);
        let path = disk.path(NAME);
        let octets = match disk.read(NAME) {
            Ok(octets) => octets,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                note = Some(format!("cannot read answers that are kept from {}: {error}", path.display()));
                Vec::new()
            }
        };
        let mut end = 0;
        while let Some((payload, next)) = frame::at(&octets, end) {
            let Ok(answer) = serde_json::from_slice::<KeptAnswer>(payload) else { break };
            memory.keep(Arc::new(answer));
            end = next;
        }
        if end < octets.len() {
            note = Some(format!("{} is damaged from octet {end} on: later answers are not told again", path.display()));
        }
        memory.tend(now);
        // The next one writes all of it anew, so that nothing is written behind what cannot be read.
        let file: Box<dyn AnswerFile> = Box::new(AnswersOnDisk { disk, file: None, length: 0, live: 0 });
        (Self { memory: Mutex::new(memory), file: Mutex::new(Some(file)) }, note)
    }

    /// What becomes of a request by which `key` comes to ask `asked` at `now`.
    pub fn begin(&self, key: &AnswerKey, asked: &str, now: Timestamp) -> KeyFate {
        let mut memory = lock(&self.memory);
        memory.tend(now);
        match memory.known.get(key) {
            Some(KnownKey::Underway(before)) if before == asked => KeyFate::Underway,
            Some(KnownKey::Answered(answer)) if answer.asked == asked => KeyFate::Answered(Arc::clone(answer)),
            Some(_) => KeyFate::Reused,
            None => {
                memory.known.insert(key.clone(), KnownKey::Underway(asked.to_owned()));
                KeyFate::New
            }
        }
    }

    /// What was asked by `key` has not happened: whoever asks again is carried out.
    pub fn give_up(&self, key: &AnswerKey) {
        let mut memory = lock(&self.memory);
        if matches!(memory.known.get(key), Some(KnownKey::Underway(_))) {
            memory.known.remove(key);
        }
    }

    /// Keeps an answer. It waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses: it is told again until the daemon ends. [`StoreError::TooLarge`] when it is, and then it is not kept.
    pub fn keep(&self, answer: KeptAnswer) -> Result<(), StoreError> {
        if answer.body.len() > LARGEST {
            self.give_up(&answer.key);
            return Err(StoreError::TooLarge);
        }
        let answer = Arc::new(answer);
        let mut file = lock(&self.file);
        let kept = file.as_mut().map_or(Ok(()), |file| {
            file.append(&answer, &|| {
                let mut answers = lock(&self.memory).answers();
                answers.push(Arc::clone(&answer));
                answers
            })
        });
        // Before the next one, which may write all of them anew.
        lock(&self.memory).keep(answer);
        drop(file);
        kept
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where answers are written.
trait AnswerFile: Send {
    /// Writes one more behind the others, or all of them anew.
    fn append(&mut self, answer: &KeptAnswer, all: &dyn Fn() -> Vec<Arc<KeptAnswer>>) -> Result<(), StoreError>;
}

struct AnswersOnDisk<D: Disk> {
    disk: D,
    /// `None`: it is to be written anew.
    file: Option<D::File>,
    length: u64,
    /// Octets of it when it was written anew.
    live: u64,
}

impl<D: Disk> AnswerFile for AnswersOnDisk<D> {
    fn append(&mut self, answer: &KeptAnswer, all: &dyn Fn() -> Vec<Arc<KeptAnswer>>) -> Result<(), StoreError> {
        let is_long = self.length > SMALL.max(2 * self.live);
        let Some(file) = self.file.as_mut().filter(|_| !is_long) else { return self.write_anew(&all()) };
        let octets = framed(answer)?;
        let more = octets.len() as u64;
        match self.disk.write(NAME, file, self.length, octets) {
            Ok(()) => {
                self.length += more;
                Ok(())
            }
            // A part of it may be there: the next one writes all anew.
            Err(source) => {
                self.file = None;
                Err(StoreError::Write { path: self.disk.path(NAME), attempt: "write to", source })
            }
        }
    }
}

impl<D: Disk> AnswersOnDisk<D> {
    fn write_anew(&mut self, all: &[Arc<KeptAnswer>]) -> Result<(), StoreError> {
        self.file = None;
        let mut octets = Vec::new();
        for answer in all {
            octets.extend(framed(answer)?);
        }
        let length = octets.len() as u64;
        let disk = &self.disk;
        let write = || {
            let mut file = disk.create(UNFINISHED)?;
            disk.write(UNFINISHED, &mut file, 0, octets)?;
            disk.rename(UNFINISHED, NAME)?;
            disk.sync()?;
            Ok(file)
        };
        let fail = |source| StoreError::Write { path: disk.path(NAME), attempt: "write", source };
        self.file = Some(write().map_err(fail)?);
        (self.length, self.live) = (length, length);
        Ok(())
    }
}

fn framed(answer: &KeptAnswer) -> Result<Vec<u8>, StoreError> {
    let payload = serde_json::to_vec(answer).map_err(|_| StoreError::TooLarge)?;
    let mut octets = Vec::with_capacity(payload.len() + frame::HEAD);
    if frame::push(&mut octets, &payload) { Ok(octets) } else { Err(StoreError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fake::FakeDisk;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn key(name: &str) -> AnswerKey {
        ("ada".into(), name.into())
    }

    fn answer(name: &str, second: i64, body: &str) -> KeptAnswer {
        KeptAnswer { key: key(name), asked: "a".into(), at: at(second), status: 200, body: body.into() }
    }

    fn open(disk: &FakeDisk, second: i64) -> Answers {
        let (answers, note) = Answers::open(disk.clone(), at(second));
        assert_eq!(note, None);
        answers
    }

    fn told(answers: &Answers, name: &str, second: i64) -> Option<String> {
        match answers.begin(&key(name), "a", at(second)) {
            KeyFate::Answered(answer) => Some(answer.body.clone()),
            _ => {
                answers.give_up(&key(name));
                None
            }
        }
    }

    #[test]
    fn a_key_is_carried_out_once_and_told_again_to_the_same_one_who_asks_the_same() {
        let answers = Answers::default();
        assert_eq!(answers.begin(&key("k"), "a", at(0)), KeyFate::New);
        assert_eq!(answers.begin(&key("k"), "a", at(0)), KeyFate::Underway);
        assert_eq!(answers.begin(&key("k"), "b", at(0)), KeyFate::Reused);
        assert_eq!(answers.begin(&("eve".into(), "k".into()), "b", at(0)), KeyFate::New);
        answers.keep(answer("k", 0, "done")).unwrap();
        assert_eq!(told(&answers, "k", 1).as_deref(), Some("done"));
        assert_eq!(answers.begin(&key("k"), "b", at(1)), KeyFate::Reused);
        answers.give_up(&key("k"));
        assert_eq!(told(&answers, "k", 1).as_deref(), Some("done"), "an answer is not given up");
    }

    #[test]
    fn what_was_given_up_is_carried_out_again() {
        let answers = Answers::default();
        assert_eq!(answers.begin(&key("k"), "a", at(0)), KeyFate::New);
        answers.give_up(&key("k"));
        assert_eq!(answers.begin(&key("k"), "b", at(0)), KeyFate::New);
    }

    #[test]
    fn answers_are_there_after_a_loss_of_power_for_a_day() {
        let disk = FakeDisk::default();
        let answers = open(&disk, 0);
        for name in ["1", "2", "3"] {
            answers.keep(answer(name, 0, name)).unwrap();
        }
        let disk = disk.after_power_loss(&mut |_| 0);
        let answers = open(&disk, 60);
        assert_eq!(["1", "2", "3"].map(|name| told(&answers, name, 60)), ["1", "2", "3"].map(|one| Some(one.into())));
        answers.keep(answer("4", 60, "4")).unwrap();
        let day = i64::try_from(KEPT_FOR.as_secs()).unwrap();
        let answers = open(&disk, day + 1);
        assert_eq!([told(&answers, "1", day + 1), told(&answers, "4", day + 1)], [None, Some("4".into())]);
        // A clock that was set back makes nothing older.
        assert_eq!(told(&answers, "4", -day).as_deref(), Some("4"));
    }

    #[test]
    fn damage_ends_what_is_known_and_the_next_answer_writes_over_it() {
        let disk = FakeDisk::default();
        let answers = open(&disk, 0);
        answers.keep(answer("1", 0, "1")).unwrap();
        answers.keep(answer("2", 0, "2")).unwrap();
        let whole = disk.read(NAME).unwrap();
        for cut in 0..whole.len() {
            let disk = FakeDisk::default();
            disk.put(NAME, &whole[..cut]);
            let (answers, note) = Answers::open(disk.clone(), at(1));
            let first = whole.len() / 2;
            assert_eq!(note.is_some(), cut != 0 && cut != first, "{cut}");
            assert_eq!(told(&answers, "1", 1).is_some(), cut >= first, "{cut}");
            answers.keep(answer("3", 0, "3")).unwrap();
            assert_eq!(told(&open(&disk, 1), "3", 1).as_deref(), Some("3"), "{cut}");
        }
    }

    #[test]
    fn a_disk_that_refuses_costs_the_answer_the_restart_and_no_more() {
        let disk = FakeDisk::default();
        let answers = open(&disk, 0);
        answers.keep(answer("1", 0, "1")).unwrap();
        disk.set_fault(Some(crate::state::fake::Fault::Full(disk.operations(), u64::MAX)));
        assert!(answers.keep(answer("2", 0, "2")).is_err());
        assert_eq!(told(&answers, "2", 1).as_deref(), Some("2"));
        disk.set_fault(None);
        answers.keep(answer("3", 0, "3")).unwrap();
        let answers = open(&disk, 1);
        assert_eq!(["1", "2", "3"].map(|name| told(&answers, name, 1).is_some()), [true; 3], "all are written anew");
    }

    #[test]
    fn of_more_than_are_kept_the_oldest_goes_by_count_and_by_octets() {
        let answers = Answers::default();
        for number in 0..=MOST {
            answers.keep(answer(&number.to_string(), 0, "")).unwrap();
        }
        assert_eq!([told(&answers, "0", 1), told(&answers, "1", 1)], [None, Some(String::new())]);
        let large = "x".repeat(LARGEST);
        for number in 0..300 {
            answers.keep(answer(&format!("large{number}"), 0, &large)).unwrap();
        }
        assert!(lock(&answers.memory).octets <= MOST_OCTETS);
        assert!(told(&answers, "large299", 1).is_some() && told(&answers, "large0", 1).is_none());
        assert!(answers.keep(answer("larger", 0, &format!("{large}x"))).is_err());
        assert_eq!(told(&answers, "larger", 1), None);
    }

    #[test]
    fn the_file_is_written_anew_before_it_is_long() {
        let (disk, large) = (FakeDisk::default(), "x".repeat(LARGEST));
        let answers = open(&disk, 0);
        for number in 0..200 {
            answers.keep(answer("same", number, &large)).unwrap();
        }
        assert!(disk.read(NAME).unwrap().len() < (2 << 20));
    }
}
