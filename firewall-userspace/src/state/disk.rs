//! The few things that the store does with files, so that tests can lose power in the middle of any of them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::error::StoreError;

/// One folder of files.
pub trait Disk: Clone + Send + 'static {
    /// A file that is written.
    type File: DiskFile + 'static;

    /// Where the file `name` is, for people.
    fn path(&self, name: &str) -> PathBuf;

    /// Names of all files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;

    /// All of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// An empty file of this name; one that is there is emptied.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// A file that is there, to be written at its end.
    ///
    /// # Errors
    /// When it is not there, or cannot be written.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name; what has that name is gone.
    ///
    /// # Errors
    /// When it is not possible.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; it need not be there.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names outlive a loss of power.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self) -> io::Result<()>;

    /// Writes `octets` at the end of `file`, which is called `name` and has `length` octets, and makes them outlive a loss of
    /// power.
    ///
    /// # Errors
    /// When the disk refuses, is full or does not answer. A part of them, or all, may be there, now or later.
    fn write(&self, name: &str, file: &mut Self::File, length: u64, octets: Vec<u8>) -> io::Result<()> {
        let _ = (name, length);
        file.append(&octets)?;
        file.sync()
    }

    /// The same folder for a thread that may wait for the disk as long as it takes.
    #[must_use]
    fn beside(&self) -> Self {
        self.clone()
    }

    /// Whoever uses this disk has to be back within `limit`, all operations from now on together: what takes longer fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut). `None`: nothing is due. A disk that never gives up does not listen.
    fn be_back_in(&self, limit: Option<Duration>) {
        let _ = limit;
    }
}

/// A file that is written at its end.
pub trait DiskFile: Send {
    /// Writes all of `octets`. On failure a part of them may be there.
    ///
    /// # Errors
    /// When the disk refuses, or is full.
    fn append(&mut self, octets: &[u8]) -> io::Result<()>;

    /// Makes what was written outlive a loss of power.
    ///
    /// # Errors
    /// When the disk refuses; nobody knows then what of it is there.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to its first `length` octets.
    ///
    /// # Errors
    /// When the disk refuses.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A folder of the file system, locked as long as a clone of it lives.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    handle: Arc<Flock<File>>,
}

/// Who pushed what is nobody else's business.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

impl Folder {
    /// Makes the folder when it is not there, and locks it.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let fail = |attempt| move |source| StoreError::Folder { path: path.to_owned(), attempt, source };
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(fail("make"))?;
        }
        let handle = File::open(path).map_err(fail("open"))?;
        let handle = Flock::lock(handle, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => StoreError::Locked { path: path.to_owned() },
            other => fail("lock")(other.into()),
        })?;
        Ok(Self { path: path.to_owned(), handle: Arc::new(handle) })
    }
}

impl Disk for Folder {
    type File = File;

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
        entries.filter_map(|entry| name(entry).transpose()).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        File::open(self.path(name))?.read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // O_APPEND refuses O_TRUNC in `OpenOptions`.
        let file = options.append(true).create(true).mode(FILE_MODE).open(self.path(name))?;
        file.set_len(0)?;
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl DiskFile for File {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
