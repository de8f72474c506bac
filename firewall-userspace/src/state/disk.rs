//! The few things that the store does with files, so that tests can lose power in the middle of any of them.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    dir::{Dir, Entry},
    errno::Errno,
    fcntl::{AtFlags, FallocateFlags, Flock, FlockArg, OFlag, fallocate, open, renameat},
    sys::stat::{FileStat, Mode, fstat, fstatat, stat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::{
    error::{StoreError, Strayed},
    trust::{self, require_own, require_private},
};
use crate::files::open_regular_at;

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

    /// The same of a file that only its owner may read, and that has at most `most` octets.
    ///
    /// # Errors
    /// When it cannot be read, is longer, or others may read it.
    fn read_private(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let octets = self.read(name)?;
        if octets.len() as u64 > most { Err(too_long(most)) } else { Ok(octets) }
    }

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
        self.look(name, file, length)?;
        file.append(&octets)?;
        file.sync()
    }

    /// Looks whether the path still leads to this folder, and `name` in it to `file`, which should have `length` octets.
    ///
    /// # Errors
    /// [`Strayed`] when not; otherwise the disk refuses to tell.
    fn look(&self, name: &str, file: &mut Self::File, length: u64) -> io::Result<()>;

    /// Finds, or makes, and locks what the path leads to now.
    ///
    /// # Errors
    /// When that cannot be used.
    fn remake(&self) -> Result<(), StoreError>;

    /// How often it was [found to be another one](Self::remake).
    fn remakes(&self) -> u64;

    /// The folder that it is now, also after it was [found to be another one](Self::remake).
    #[must_use]
    fn pinned(&self) -> Self;

    /// A file that is there, to be [read](DiskFile::contents) even when it has lost its name.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    fn hold(&self, name: &str) -> io::Result<Self::File>;

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

    /// All of it, when it is [held](Disk::hold).
    ///
    /// # Errors
    /// When it cannot be read.
    fn contents(&mut self) -> io::Result<Vec<u8>>;

    /// Cuts it to its first `length` octets; room that was set aside behind them is given back.
    ///
    /// # Errors
    /// When the disk refuses.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Sets room aside for its first `length` octets; it does not become longer by this. Where the file system cannot, nothing
    /// happens.
    ///
    /// # Errors
    /// When there is no room.
    fn reserve(&mut self, length: u64) -> io::Result<()> {
        let _ = length;
        Ok(())
    }
}

/// A folder of the file system, locked as long as a clone of it lives.
///
/// It is used by its descriptor: when another folder has got its name, it goes on to be the one that was opened, until it is
/// [made anew](Disk::remake).
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    place: Arc<Mutex<FolderPlace>>,
}

/// What the path has led to.
#[derive(Clone, Debug)]
struct FolderPlace {
    handle: Arc<Flock<File>>,
    /// How often it was found to be another one.
    remakes: u64,
}

/// Who pushed what is nobody else's business.
const FOLDER_MODE: u32 = 0o700;

/// How a folder is opened.
const FOLDER_FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Makes the folder when it is not there, and locks it.
    ///
    /// # Errors
    /// When it cannot be made, another process has it, or somebody else could change it or put another in its place.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place = FolderPlace { handle: Arc::new(lock(path)?), remakes: 0 };
        Ok(Self { path: path.to_owned(), place: Arc::new(Mutex::new(place)) })
    }

    fn place(&self) -> MutexGuard<'_, FolderPlace> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self) -> Arc<Flock<File>> {
        Arc::clone(&self.place().handle)
    }

    fn open_file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let file = open_regular_at(&**self.handle(), Path::new(name), flags, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        require_own(&fstat(&file)?)?;
        Ok(file)
    }

    /// Whether its path leads to it.
    fn is_in_place(&self) -> io::Result<bool> {
        let found = match stat(&self.path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
            found => found?,
        };
        Ok(is_same(&found, &fstat(&**self.handle())?))
    }
}

/// Makes the folder at `path` when it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path) }
}

/// Opens and locks the folder at `path`, which is made when it is not there.
fn lock(path: &Path) -> Result<Flock<File>, StoreError> {
    let fail = |attempt| move |source| StoreError::Folder { path: path.to_owned(), attempt, source };
    make_folder(path).map_err(fail("make"))?;
    let handle = open(path, FOLDER_FLAGS, Mode::empty()).map_err(|errno| fail("open")(errno.into()))?;
    trust::require_own_folder(path, &handle)?;
    Flock::lock(File::from(handle), FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => StoreError::Locked { path: path.to_owned() },
        other => fail("lock")(other.into()),
    })
}

/// That a file has more octets than what is in it ever has.
fn too_long(most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {most} octets"))
}

fn is_same(one: &FileStat, other: &FileStat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

impl Disk for Folder {
    type File = File;

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        // By the descriptor, as everything else; with a place of its own in the list.
        let folder = Dir::openat(&**self.handle(), ".", FOLDER_FLAGS, Mode::empty())?;
        let name = |entry: nix::Result<Entry>| Ok(entry?.file_name().to_str().ok().map(str::to_owned));
        let names = folder.into_iter().filter_map(|entry| name(entry).transpose());
        names.filter(|name| !matches!(name.as_deref(), Ok("." | ".."))).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        self.open_file(name, OFlag::O_RDONLY)?.read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn read_private(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let file = self.open_file(name, OFlag::O_RDONLY)?;
        require_private(&fstat(&file)?)?;
        let mut octets = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut octets)?;
        if octets.len() as u64 > most { Err(too_long(most)) } else { Ok(octets) }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let file = self.open_file(name, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlag::O_WRONLY | OFlag::O_APPEND)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let handle = self.handle();
        Ok(renameat(&**handle, from, &**handle, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&**self.handle(), name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.handle().sync_all()
    }

    fn look(&self, name: &str, file: &mut File, length: u64) -> io::Result<()> {
        if !self.is_in_place()? {
            return Err(Strayed::Folder.into());
        }
        let open = fstat(&*file)?;
        let there = match fstatat(&**self.handle(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Err(Strayed::Gone.into()),
            there => there?,
        };
        if !is_same(&open, &there) {
            return Err(Strayed::Replaced.into());
        }
        match u64::try_from(open.st_size) {
            Ok(found) if found != length => Err(Strayed::Length { found, length }.into()),
            _ => Ok(()),
        }
    }

    fn beside(&self) -> Self {
        self.pinned()
    }

    fn pinned(&self) -> Self {
        let place = self.place().clone();
        Self { path: self.path.clone(), place: Arc::new(Mutex::new(place)) }
    }

    fn hold(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlag::O_RDONLY)
    }

    fn remake(&self) -> Result<(), StoreError> {
        let fail = |source| StoreError::Folder { path: self.path.clone(), attempt: "find", source };
        if !self.is_in_place().map_err(fail)? {
            let handle = Arc::new(lock(&self.path)?);
            let mut place = self.place();
            *place = FolderPlace { handle, remakes: place.remakes + 1 };
        }
        Ok(())
    }

    fn remakes(&self) -> u64 {
        self.place().remakes
    }
}

impl DiskFile for File {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        self.rewind()?;
        self.read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        let length = i64::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        loop {
            return match fallocate(&*self, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
                Err(Errno::EINTR) => continue,
                // NFS before 4.2, some FUSE file systems: a full disk is noticed when it is written to.
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
                done => Ok(done?),
            };
        }
    }
}
