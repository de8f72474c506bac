//! A disk in memory that loses power, fills up and fails when told.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use super::{
    disk::{Disk, DiskFile},
    error::{StoreError, Strayed},
    patient::no_answer,
};

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct FakeDisk(Arc<(Mutex<Inner>, Condvar)>);

/// A file of it.
pub struct FakeFile {
    disk: FakeDisk,
    id: usize,
}

#[derive(Default)]
struct Inner {
    /// Contents by inode: as seen, and as on the platter.
    inodes: Vec<[Vec<u8>; 2]>,
    names: BTreeMap<String, usize>,
    /// Names on the platter.
    synced: BTreeMap<String, usize>,
    /// Changes of names that are not on the platter, in order.
    pending: Vec<(String, Option<usize>)>,
    /// Operations that change something, so far.
    operations: u64,
    fault: Option<Fault>,
    is_off: bool,
    /// What does not come back, and whether it is done in the end.
    hung: Option<(Operation, bool)>,
    /// Whoever uses the disk waits.
    is_frozen: bool,
    /// The path of the folder leads to another one, which has nothing in it.
    is_astray: bool,
    remakes: u64,
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// From operation `.0` on nothing works any more; a write does part of its work.
    PowerLoss(u64),
    /// Operations `.0` to `.1` fail as on a full disk; a write does part of its work.
    Full(u64, u64),
    /// The same with an error that also hits what makes room.
    Broken(u64, u64),
    /// Operation `from` does not come back: it fails as one that was waited for long enough, and so does every other one until
    /// `to`, without being done. Then, or when the fault is over, what hung is done after all if it `lands`.
    Hang { from: u64, to: u64, lands: bool },
}

/// What changes something.
enum Operation {
    Create(String),
    Rename(String, String),
    Remove(String),
    SyncNames,
    Append(usize, Vec<u8>),
    Sync(usize),
    Cut(usize, u64),
    Reserve,
}

impl FakeDisk {
    /// A file with this content, which is on the platter.
    pub fn put(&self, name: &str, octets: &[u8]) {
        let mut inner = self.inner();
        let id = inner.inodes.len();
        inner.inodes.push([octets.to_vec(), octets.to_vec()]);
        inner.names.insert(name.to_owned(), id);
        inner.synced.insert(name.to_owned(), id);
    }

    pub fn get(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        inner.inodes[inner.names[name]][0].clone()
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut inner = self.inner();
        inner.fault = fault;
        inner.thaw();
    }

    /// Makes whoever uses the disk wait, really, until it is over.
    pub fn freeze(&self, is_frozen: bool) {
        self.inner().is_frozen = is_frozen;
        self.0.1.notify_all();
    }

    /// Removes a file behind the back of the daemon.
    pub fn unlink(&self, name: &str) {
        let mut inner = self.inner();
        inner.names.remove(name);
        inner.synced.remove(name);
    }

    /// Changes the length of a file behind the back of the daemon.
    pub fn resize(&self, name: &str, length: usize) {
        let mut inner = self.inner();
        let id = inner.names[name];
        inner.inodes[id].iter_mut().for_each(|octets| octets.resize(length, 0));
    }

    /// Removes the folder behind the back of the daemon, with all that is in it.
    pub fn remove_folder(&self) {
        let mut inner = self.inner();
        inner.names.clear();
        inner.synced.clear();
        inner.pending.clear();
        inner.is_astray = true;
    }

    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    pub fn is_off(&self) -> bool {
        self.inner().is_off
    }

    /// What a daemon finds that starts after it was killed: everything that was written.
    pub fn after_kill(&self) -> Self {
        let inner = self.inner();
        let disk = Self::default();
        for (name, id) in &inner.names {
            disk.put(name, &inner.inodes[*id][0]);
        }
        disk
    }

    /// What is there after power was lost: what was synced, and of the rest whatever `choose` (a number below its argument)
    /// says. Changes of names reach the platter in order, octets in blocks of 16 in any.
    pub fn after_power_loss(&self, choose: &mut dyn FnMut(usize) -> usize) -> Self {
        let inner = self.inner();
        let mut names = inner.synced.clone();
        for (name, id) in inner.pending.iter().take(choose(inner.pending.len() + 1)) {
            match id {
                Some(id) => drop(names.insert(name.clone(), *id)),
                None => drop(names.remove(name)),
            }
        }
        let disk = Self::default();
        for (name, id) in names {
            let [seen, synced] = &inner.inodes[id];
            let length = match seen.len().checked_sub(synced.len()) {
                Some(more) => synced.len() + choose(more + 1),
                None => [seen.len(), synced.len()][choose(2)],
            };
            let mut octets: Vec<u8> = synced.iter().copied().take(length).collect();
            octets.resize(length, 0);
            for (index, block) in octets.chunks_mut(16).enumerate() {
                if choose(2) == 0 {
                    for (place, octet) in block.iter_mut().zip(seen.iter().skip(index * 16)) {
                        *place = *octet;
                    }
                }
            }
            disk.put(&name, &octets);
        }
        disk
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap()
    }

    /// The same for whoever asks something, which what hangs keeps waiting too.
    fn answering(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.0.1.wait_while(self.inner(), |inner| inner.is_frozen).unwrap();
        if inner.hung.is_some() { Err(no_answer()) } else { Ok(inner) }
    }

    /// Counts an operation and carries it out, unless it is to fail; the file that it was about, if any.
    fn step(&self, operation: Operation) -> io::Result<usize> {
        let mut inner = self.0.1.wait_while(self.inner(), |inner| inner.is_frozen).unwrap();
        inner.operations += 1;
        let now = inner.operations;
        match inner.fault {
            _ if inner.is_astray && operation.names() => return Err(io::ErrorKind::NotFound.into()),
            _ if inner.is_off => return Err(io::Error::other("power is off")),
            Some(Fault::PowerLoss(at)) if now >= at => {
                inner.is_off = true;
                return Err(io::Error::other("power is off"));
            }
            Some(Fault::Full(from, to)) if operation.grows() && (from..=to).contains(&now) => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(Fault::Broken(from, to)) if (from..=to).contains(&now) => {
                return Err(io::Error::other("it is broken"));
            }
            Some(Fault::Hang { from, to, lands }) if (from..=to).contains(&now) => {
                inner.hung.get_or_insert((operation, lands));
                return Err(no_answer());
            }
            _ => {}
        }
        inner.thaw();
        inner.carry_out(&operation)
    }
}

impl Operation {
    /// Whether it needs the folder.
    fn names(&self) -> bool {
        !matches!(self, Self::Append(..) | Self::Sync(_) | Self::Cut(..) | Self::Reserve)
    }

    /// Whether it needs room.
    fn grows(&self) -> bool {
        !matches!(self, Self::Rename(..) | Self::Remove(_) | Self::Cut(..))
    }
}

impl Inner {
    /// What hung is over: it is done now, late, or it never is.
    fn thaw(&mut self) {
        if let Some((operation, true)) = self.hung.take() {
            let _ = self.carry_out(&operation);
        }
    }

    fn carry_out(&mut self, operation: &Operation) -> io::Result<usize> {
        match operation {
            Operation::Create(name) => {
                let known = self.names.get(name).copied();
                let id = known.unwrap_or_else(|| {
                    self.inodes.push(Default::default());
                    self.rename(name, Some(self.inodes.len() - 1));
                    self.inodes.len() - 1
                });
                self.inodes[id][0].clear();
                return Ok(id);
            }
            Operation::Rename(from, to) => {
                let id = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
                self.rename(to, Some(id));
                // One step: the platter has both names, or neither change.
                self.names.remove(from);
            }
            Operation::Remove(name) if self.names.contains_key(name) => self.rename(name, None),
            Operation::Remove(_) => {}
            Operation::SyncNames => {
                self.synced = self.names.clone();
                self.pending.clear();
            }
            Operation::Append(id, octets) => self.inodes[*id][0].extend_from_slice(octets),
            Operation::Sync(id) => {
                let [seen, synced] = &mut self.inodes[*id];
                synced.clone_from(seen);
            }
            Operation::Cut(id, length) => self.inodes[*id][0].truncate(usize::try_from(*length).unwrap()),
            Operation::Reserve => {}
        }
        Ok(0)
    }

    fn rename(&mut self, name: &str, id: Option<usize>) {
        match id {
            Some(id) => drop(self.names.insert(name.to_owned(), id)),
            None => drop(self.names.remove(name)),
        }
        self.pending.push((name.to_owned(), id));
    }
}

impl Disk for FakeDisk {
    type File = FakeFile;

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/state").join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.answering()?.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.answering()?;
        let id = inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(inner.inodes[*id][0].clone())
    }

    fn create(&self, name: &str) -> io::Result<FakeFile> {
        let id = self.step(Operation::Create(name.to_owned()))?;
        Ok(FakeFile { disk: self.clone(), id })
    }

    fn open(&self, name: &str) -> io::Result<FakeFile> {
        let id = *self.answering()?.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(FakeFile { disk: self.clone(), id })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(Operation::Rename(from.to_owned(), to.to_owned())).map(drop)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(Operation::Remove(name.to_owned())).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.step(Operation::SyncNames).map(drop)
    }

    fn look(&self, name: &str, file: &mut FakeFile, length: u64) -> io::Result<()> {
        let inner = self.answering()?;
        let found = inner.inodes[file.id][0].len() as u64;
        Err(match inner.names.get(name) {
            _ if inner.is_astray => Strayed::Folder,
            None => Strayed::Gone,
            Some(id) if *id != file.id => Strayed::Replaced,
            Some(_) if found != length => Strayed::Length { found, length },
            Some(_) => return Ok(()),
        }
        .into())
    }

    fn remake(&self) -> Result<(), StoreError> {
        let fail = |source| StoreError::Folder { path: self.path(""), attempt: "find", source };
        let mut inner = self.answering().map_err(fail)?;
        inner.remakes += u64::from(inner.is_astray);
        inner.is_astray = false;
        Ok(())
    }

    fn remakes(&self) -> u64 {
        self.inner().remakes
    }

    fn pinned(&self) -> Self {
        self.clone()
    }

    fn hold(&self, name: &str) -> io::Result<FakeFile> {
        self.open(name)
    }
}

impl DiskFile for FakeFile {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let appended = self.disk.step(Operation::Append(self.id, octets.to_owned())).map(drop);
        // A part of it is there, unless it is to come later.
        if appended.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::TimedOut) {
            self.disk.inner().inodes[self.id][0].extend_from_slice(&octets[..octets.len() / 2]);
        }
        appended
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step(Operation::Sync(self.id)).map(drop)
    }

    fn contents(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.disk.answering()?.inodes[self.id][0].clone())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.step(Operation::Cut(self.id, length)).map(drop)
    }

    fn reserve(&mut self, _: u64) -> io::Result<()> {
        self.disk.step(Operation::Reserve).map(drop)
    }
}
