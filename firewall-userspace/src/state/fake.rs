//! A disk in memory that loses power, fills up and fails when told.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::disk::{Disk, DiskFile};

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct FakeDisk(Arc<Mutex<Inner>>);

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
        self.read(name).unwrap()
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        self.inner().fault = fault;
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
        self.0.lock().unwrap()
    }

    /// Counts an operation; `grows` when it needs room.
    fn step(&self, grows: bool) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        inner.operations += 1;
        let now = inner.operations;
        match inner.fault {
            _ if inner.is_off => Err(io::Error::other("power is off")),
            Some(Fault::PowerLoss(at)) if now >= at => {
                inner.is_off = true;
                Err(io::Error::other("power is off"))
            }
            Some(Fault::Full(from, to)) if grows && (from..=to).contains(&now) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::Broken(from, to)) if (from..=to).contains(&now) => Err(io::Error::other("it is broken")),
            _ => Ok(inner),
        }
    }
}

impl Inner {
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
        Ok(self.inner().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.inner();
        let id = inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(inner.inodes[*id][0].clone())
    }

    fn create(&self, name: &str) -> io::Result<FakeFile> {
        let mut inner = self.step(true)?;
        let id = match inner.names.get(name) {
            Some(id) => *id,
            None => {
                inner.inodes.push(Default::default());
                let id = inner.inodes.len() - 1;
                inner.rename(name, Some(id));
                id
            }
        };
        inner.inodes[id][0].clear();
        Ok(FakeFile { disk: self.clone(), id })
    }

    fn open(&self, name: &str) -> io::Result<FakeFile> {
        let id = *self.inner().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(FakeFile { disk: self.clone(), id })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.step(false)?;
        let id = *inner.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        inner.rename(to, Some(id));
        // One step: the platter has both names, or neither change.
        inner.names.remove(from);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.step(false)?;
        if inner.names.contains_key(name) {
            inner.rename(name, None);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.step(true)?;
        inner.synced = inner.names.clone();
        inner.pending.clear();
        Ok(())
    }
}

impl DiskFile for FakeFile {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let result = self.disk.step(true).map(drop);
        let written = if result.is_ok() { octets.len() } else { octets.len() / 2 };
        self.disk.inner().inodes[self.id][0].extend_from_slice(&octets[..written]);
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.disk.step(true)?;
        let [seen, synced] = &mut inner.inodes[self.id];
        synced.clone_from(seen);
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.step(false)?;
        inner.inodes[self.id][0].truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}
