//! A disk that may hang, such as a frozen file system or a file server that is gone: whoever uses it waits a while, not for ever.
//!
//! In: operations on a [`Disk`], carried out by a thread of their own. Out: what they gave, or that the disk does not answer.
//! What hangs cannot be ended; until it is over, every further operation is refused at once, so that none overtakes it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use super::{
    disk::{Disk, DiskFile, Folder},
    error::StoreError,
};

/// A disk that is not waited for longer than a while.
#[derive(Clone)]
pub struct Patient<D> {
    disk: D,
    /// `None`: the caller has all the time, and does it itself.
    worker: Option<Arc<DiskWorker>>,
}

/// A file of it.
pub struct PatientFile<F: Send + 'static> {
    /// Closing it may take as long as anything else; `None` only while it goes.
    file: Option<Arc<Mutex<F>>>,
    worker: Option<Arc<DiskWorker>>,
}

/// The state folder of a daemon.
pub type PatientFolder = Patient<Folder>;

/// How long an operation may take. A disk that is merely slow is not given up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The same for one that reads a whole file.
const READING: Duration = Duration::from_secs(30);

/// Octets for which there is a second more: a slow card writes twice as fast.
const OCTETS_A_SECOND: usize = 4 << 20;

/// How long an operation may take at least, however near a deadline is.
const LEAST: Duration = Duration::from_millis(50);

/// The thread that waits for the disk.
struct DiskWorker {
    tasks: mpsc::Sender<DiskTask>,
    /// Of the operation that was given up: whether it is over by now.
    hung: Mutex<Option<Arc<AtomicBool>>>,
    /// When the one who asks has to be back.
    back: Mutex<Option<Instant>>,
    patience: Duration,
}

type DiskTask = Box<dyn FnOnce() + Send>;

/// One operation, as its caller and the worker see it.
struct Ticket<T> {
    stage: Mutex<TaskStage<T>>,
    moved: Condvar,
}

enum TaskStage<T> {
    Asked,
    /// Nobody waits any more.
    GivenUp,
    Done(io::Result<T>),
}

/// What decides how long an operation may take.
#[derive(Clone, Copy)]
enum Effort {
    Short,
    /// It writes so many octets.
    Writes(usize),
    /// It reads a whole file.
    Reads,
}

impl Effort {
    fn patience(self, least: Duration) -> Duration {
        match self {
            Self::Short => least,
            Self::Writes(octets) => {
                let more = u64::try_from(octets / OCTETS_A_SECOND).unwrap_or(u64::MAX);
                least.saturating_add(Duration::from_secs(more))
            }
            Self::Reads => least.max(READING),
        }
    }
}

impl<D: Disk> Patient<D> {
    fn run<T: Send + 'static>(
        &self,
        effort: Effort,
        work: impl FnOnce(D) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let disk = self.disk.clone();
        run(self.worker.as_deref(), effort, move || work(disk), || {})
    }

    fn file(&self, file: D::File) -> PatientFile<D::File> {
        PatientFile { file: Some(Arc::new(Mutex::new(file))), worker: self.worker.clone() }
    }
}

/// Does `work` on the thread of `worker`. `late` follows it when nobody waits for it any more.
fn run<T: Send + 'static>(
    worker: Option<&DiskWorker>,
    effort: Effort,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
    late: impl FnOnce() + Send + 'static,
) -> io::Result<T> {
    match worker {
        Some(worker) => worker.run(effort.patience(worker.patience), work, late),
        None => work(),
    }
}

impl Patient<Folder> {
    /// Makes the folder when it is not there, and locks it.
    ///
    /// # Errors
    /// As for [`Folder::open`], and when the disk does not answer.
    pub fn open_folder(path: &Path) -> Result<Self, StoreError> {
        let fail = |source| StoreError::Folder { path: path.to_owned(), attempt: "open", source };
        let worker = DiskWorker::start(PATIENCE).map_err(fail)?;
        let theirs = path.to_owned();
        let opened = worker.run(READING, move || Ok(Folder::open(&theirs)), || {}).map_err(fail)?;
        Ok(Self { disk: opened?, worker: Some(Arc::new(worker)) })
    }
}

impl<D: Disk> Patient<D> {
    /// The same folder with a thread of its own: what others wait for, and for how long, is nothing to whoever uses it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn apart(&self) -> io::Result<Self> {
        Ok(Self { disk: self.disk.clone(), worker: Some(Arc::new(DiskWorker::start(PATIENCE)?)) })
    }
}

impl DiskWorker {
    fn start(patience: Duration) -> io::Result<Self> {
        let (tasks, queue) = mpsc::channel::<DiskTask>();
        std::thread::Builder::new().name("disk".into()).spawn(move || queue.into_iter().for_each(|task| task()))?;
        Ok(Self { tasks, hung: Mutex::new(None), back: Mutex::new(None), patience })
    }

    fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
        late: impl FnOnce() + Send + 'static,
    ) -> io::Result<T> {
        if lock(&self.hung).as_ref().is_some_and(|is_over| !is_over.load(Ordering::Acquire)) {
            return Err(no_answer());
        }
        let ticket = Arc::new(Ticket { stage: Mutex::new(TaskStage::Asked), moved: Condvar::new() });
        let is_over = Arc::new(AtomicBool::new(false));
        let (theirs, over) = (Arc::clone(&ticket), Arc::clone(&is_over));
        let task = move || {
            // What was given up before it began is not begun: its caller has told somebody that it did not happen.
            if !theirs.is_given_up() && !theirs.answer(work()) {
                late();
            }
            over.store(true, Ordering::Release);
        };
        self.tasks
            .send(Box::new(task))
            .map_err(|_| io::Error::other("the thread that waits for the disk has ended"))?;
        ticket.wait(self.left(patience)).unwrap_or_else(|| {
            *lock(&self.hung) = Some(is_over);
            Err(no_answer())
        })
    }

    /// How long to wait when there is so much patience.
    fn left(&self, patience: Duration) -> Duration {
        let back = *lock(&self.back);
        // waits: for the disk, until whoever asks has to be back
        let left = back.map_or(patience, |back| back.saturating_duration_since(Instant::now()).min(patience));
        left.max(LEAST)
    }
}

impl<T> Ticket<T> {
    fn is_given_up(&self) -> bool {
        matches!(*lock(&self.stage), TaskStage::GivenUp)
    }

    /// Gives the caller its answer; whether it still waits for one.
    fn answer(&self, result: io::Result<T>) -> bool {
        let mut stage = lock(&self.stage);
        let is_waiting = matches!(*stage, TaskStage::Asked);
        if is_waiting {
            *stage = TaskStage::Done(result);
            self.moved.notify_one();
        }
        is_waiting
    }

    /// The answer; `None`, and given up, when there is none in time.
    fn wait(&self, patience: Duration) -> Option<io::Result<T>> {
        let stage = lock(&self.stage);
        let waited = self.moved.wait_timeout_while(stage, patience, |stage| matches!(stage, TaskStage::Asked));
        let mut stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::replace(&mut *stage, TaskStage::GivenUp) {
            TaskStage::Done(result) => Some(result),
            TaskStage::Asked | TaskStage::GivenUp => None,
        }
    }
}

/// Nobody leaves anything half done while holding one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That a disk was not waited for any longer.
pub(super) fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")
}

impl<D: Disk> Disk for Patient<D> {
    type File = PatientFile<D::File>;

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.run(Effort::Short, |disk| disk.names())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let name = name.to_owned();
        self.run(Effort::Reads, move |disk| disk.read(&name))
    }

    fn read_private(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let name = name.to_owned();
        self.run(Effort::Reads, move |disk| disk.read_private(&name, most))
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        let name = name.to_owned();
        self.run(Effort::Short, move |disk| disk.create(&name)).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let name = name.to_owned();
        self.run(Effort::Short, move |disk| disk.open(&name)).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(Effort::Short, move |disk| disk.rename(&from, &to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name = name.to_owned();
        self.run(Effort::Short, move |disk| disk.remove(&name))
    }

    fn sync(&self) -> io::Result<()> {
        self.run(Effort::Short, |disk| disk.sync())
    }

    fn write(&self, name: &str, file: &mut Self::File, length: u64, octets: Vec<u8>) -> io::Result<()> {
        let shared = file.shared()?;
        let theirs = Arc::clone(&shared);
        let (disk, name) = (self.disk.clone(), name.to_owned());
        let effort = Effort::Writes(octets.len());
        // A write that comes too late was refused: it is taken back, at once, by the thread that has just done it.
        let take_back = move || {
            let mut file = lock(&theirs);
            let _ = file.cut(length).and_then(|()| file.sync());
        };
        let write = move || disk.write(&name, &mut lock(&shared), length, octets);
        run(self.worker.as_deref(), effort, write, take_back)
    }

    fn look(&self, name: &str, file: &mut Self::File, length: u64) -> io::Result<()> {
        let shared = file.shared()?;
        let name = name.to_owned();
        self.run(Effort::Short, move |disk| disk.look(&name, &mut lock(&shared), length))
    }

    fn remake(&self) -> Result<(), StoreError> {
        let fail = |source| StoreError::Folder { path: self.disk.path(""), attempt: "find", source };
        self.run(Effort::Short, |disk| Ok(disk.remake())).map_err(fail)?
    }

    fn remakes(&self) -> u64 {
        self.disk.remakes()
    }

    fn pinned(&self) -> Self {
        Self { disk: self.disk.pinned(), worker: self.worker.clone() }
    }

    fn hold(&self, name: &str) -> io::Result<Self::File> {
        let name = name.to_owned();
        self.run(Effort::Short, move |disk| disk.hold(&name)).map(|file| self.file(file))
    }

    fn beside(&self) -> Self {
        Self { disk: self.disk.beside(), worker: None }
    }

    fn be_back_in(&self, limit: Option<Duration>) {
        if let Some(worker) = &self.worker {
            // waits: for the disk, until whoever asks has to be back
            *lock(&worker.back) = limit.map(|limit| Instant::now() + limit);
        }
    }
}

impl<F: Send + 'static> PatientFile<F> {
    fn shared(&self) -> io::Result<Arc<Mutex<F>>> {
        self.file.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn run<T: Send + 'static>(
        &self,
        effort: Effort,
        work: impl FnOnce(&mut F) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.shared()?;
        run(self.worker.as_deref(), effort, move || work(&mut lock(&file)), || {})
    }
}

impl<F: DiskFile + 'static> DiskFile for PatientFile<F> {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let octets = octets.to_owned();
        self.run(Effort::Writes(octets.len()), move |file| file.append(&octets))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.run(Effort::Short, DiskFile::sync)
    }

    fn contents(&mut self) -> io::Result<Vec<u8>> {
        self.run(Effort::Reads, DiskFile::contents)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.run(Effort::Short, move |file| file.cut(length))
    }
}

impl<F: Send + 'static> Drop for PatientFile<F> {
    fn drop(&mut self) {
        // A file server that is gone keeps whoever closes a file waiting too.
        if let (Some(file), Some(worker)) = (self.file.take(), &self.worker) {
            let _ = worker.tasks.send(Box::new(move || drop(file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fake::FakeDisk;

    const SHORT: Duration = Duration::from_millis(200);

    /// Longer than anything here takes that does not wait.
    const LONG: Duration = Duration::from_secs(20);

    fn patient(disk: &FakeDisk, patience: Duration) -> Patient<FakeDisk> {
        Patient { disk: disk.clone(), worker: Some(Arc::new(DiskWorker::start(patience).unwrap())) }
    }

    fn assert_no_answer<T: std::fmt::Debug>(result: io::Result<T>) {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (io::ErrorKind::TimedOut, "the disk does not answer"));
    }

    /// Waits until the thread of the disk has done what it was asked.
    fn settle(patient: &Patient<FakeDisk>) {
        let (done, is_done) = mpsc::channel();
        patient.worker.as_ref().unwrap().tasks.send(Box::new(move || done.send(()).unwrap())).unwrap();
        is_done.recv_timeout(LONG).expect("the disk answers again");
    }

    #[test]
    fn what_hangs_is_given_up_and_until_it_is_over_everything_else_is_refused_at_once() {
        let disk = FakeDisk::default();
        let patient = patient(&disk, SHORT);
        let mut file = patient.create("a").unwrap();
        disk.freeze(true);
        let start = Instant::now();
        assert_no_answer(patient.sync());
        assert!(start.elapsed() >= SHORT);
        let start = Instant::now();
        for _ in 0..1000 {
            assert_no_answer(patient.write("a", &mut file, 0, b"refused".to_vec()));
            assert_no_answer(patient.read("a"));
            assert_no_answer(file.cut(0));
        }
        drop(file);
        assert!(start.elapsed() < 10 * SHORT, "nobody waits for a disk that is known to hang");
        disk.freeze(false);
        settle(&patient);
        assert_eq!(disk.get("a"), b"", "what was refused is not done later");
        patient.write("a", &mut patient.open("a").unwrap(), 0, b"kept".to_vec()).unwrap();
        assert_eq!(patient.read("a").unwrap(), b"kept");
    }

    #[test]
    fn a_write_that_comes_too_late_is_taken_back() {
        let disk = FakeDisk::default();
        let patient = patient(&disk, SHORT);
        let mut file = patient.create("a").unwrap();
        patient.write("a", &mut file, 0, b"kept".to_vec()).unwrap();
        disk.freeze(true);
        assert_no_answer(patient.write("a", &mut file, 4, b" and late".to_vec()));
        disk.freeze(false);
        settle(&patient);
        assert_eq!(disk.get("a"), b"kept");
        let synced = disk.operations();
        assert_eq!(synced, 7, "create, append and sync, append and sync, cut and sync");
    }

    #[test]
    fn whoever_has_to_be_back_is_and_who_has_all_the_time_waits() {
        let disk = FakeDisk::default();
        let patient = patient(&disk, 10 * LONG);
        disk.freeze(true);
        patient.be_back_in(Some(SHORT));
        let start = Instant::now();
        assert_no_answer(patient.sync());
        assert!((SHORT..LONG).contains(&start.elapsed()));
        patient.be_back_in(None);
        let (beside, released) = (patient.beside(), disk.clone());
        let waiting = std::thread::spawn(move || beside.sync());
        assert_no_answer(patient.sync());
        assert!(!waiting.is_finished());
        released.freeze(false);
        waiting.join().unwrap().unwrap();
        settle(&patient);
    }
}
