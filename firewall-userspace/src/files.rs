//! Files that a daemon opens: only regular ones, so that nobody keeps it waiting with a pipe, and no device feels it. And what makes
//! a file or a folder its own.

use std::{
    error, fmt,
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::Path,
    sync::OnceLock,
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat},
    unistd::{User, geteuid},
};

/// Why something that has the name of a file is not used: what it is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRegular(&'static str);

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {} and no regular file", self.0)
    }
}

impl error::Error for NotRegular {}

impl NotRegular {
    /// Whether this is why.
    pub fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Why something is not this user's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOwn {
    /// It belongs to somebody else, who has this number.
    Owner(u32),
    /// Others may write to it, as this mode says.
    Writable(u32),
}

impl fmt::Display for NotOwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(owner) => write!(f, "it belongs to user {owner}, and this runs as user {}", geteuid()),
            Self::Writable(mode) => write!(f, "others may write to it: its mode is {mode:04o}"),
        }
    }
}

impl error::Error for NotOwn {}

impl NotOwn {
    /// Whether it is why a file is not used.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Permission bits of a mode, the sticky one and its like included.
pub const PERMISSIONS: u32 = 0o7777;
/// Write permission of the group.
pub const GROUP_WRITES: u32 = 0o020;
/// Write permission of everybody else.
pub const OTHERS_WRITE: u32 = 0o002;
/// Everything that the group and others may do.
pub const OF_OTHERS: u32 = 0o077;
/// Only the owner of an entry may replace it (`S_ISVTX`, inode(7)).
pub const STICKY: u32 = 0o1000;

/// Requires that what has this owner and this mode belongs to who runs this, and that nobody else may write to it.
///
/// # Errors
/// When it is not: the owner is told before the mode.
pub fn own(owner: u32, mode: u32) -> Result<(), NotOwn> {
    if owner != geteuid().as_raw() {
        Err(NotOwn::Owner(owner))
    } else if mode & (GROUP_WRITES | OTHERS_WRITE) != 0 {
        Err(NotOwn::Writable(mode & PERMISSIONS))
    } else {
        Ok(())
    }
}

/// Why a file with secrets is not used: others may read it, as this mode says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPrivate(u32);

impl fmt::Display for NotPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has secrets, and others may read it: its mode is {:04o}", self.0)
    }
}

impl error::Error for NotPrivate {}

/// Requires that only the owner of what has this mode may do anything with it.
///
/// # Errors
/// When others may.
pub fn private(mode: u32) -> Result<(), NotPrivate> {
    if mode & OF_OTHERS == 0 { Ok(()) } else { Err(NotPrivate(mode & PERMISSIONS)) }
}

/// The user that the package makes for the daemon (packaging/sysusers.conf).
pub const SERVICE_USER: &str = "portcullis";

/// Number of [`SERVICE_USER`], looked up once; `None` where there is none.
pub fn service_user() -> Option<u32> {
    static FOUND: OnceLock<Option<u32>> = OnceLock::new();
    *FOUND.get_or_init(|| User::from_name(SERVICE_USER).ok().flatten().map(|user| user.uid.as_raw()))
}

/// The same as [`own`]; and root believes what belongs to the user of the service, which root has given its rights.
///
/// # Errors
/// Those of [`own`].
pub fn own_or_of_service(owner: u32, mode: u32) -> Result<(), NotOwn> {
    match geteuid().is_root() && owner != 0 && service_user() == Some(owner) {
        true => own(geteuid().as_raw(), mode),
        false => own(owner, mode),
    }
}

/// Opens the regular file at `path`, or that a symbolic link there leads to, to be read.
///
/// # Errors
/// When it cannot be opened, or is [no regular file](NotRegular).
pub fn open_regular(path: &Path) -> io::Result<File> {
    open_regular_at(AT_FDCWD, path, OFlag::O_RDONLY, AtFlags::empty())
}

/// Opens the regular file `path` in the folder `at`, with further `flags`; it is made when `flags` say so, for its owner alone.
/// A symbolic link is followed unless `links` say otherwise.
///
/// # Errors
/// As for [`open_regular`].
pub fn open_regular_at(at: impl AsFd, path: &Path, flags: OFlag, links: AtFlags) -> io::Result<File> {
    // To open a device may be felt by it: it is looked at first.
    match fstatat(&at, path, links) {
        Ok(found) => require_regular(&found)?,
        Err(nix::errno::Errno::ENOENT) if flags.contains(OFlag::O_CREAT) => {}
        Err(error) => return Err(error.into()),
    }
    let links = if links.contains(AtFlags::AT_SYMLINK_NOFOLLOW) { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    // Another one may have its name by now: a pipe or a device does not wait.
    let flags = flags | links | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = File::from(openat(&at, path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    require_regular(&fstat(&file)?)?;
    Ok(file)
}

/// Names of what is in `folder`; those that are no text are left out, and of a folder that cannot be read there are none.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// # Errors
/// When it is something else.
fn require_regular(found: &FileStat) -> io::Result<()> {
    let is = match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => "a folder",
        SFlag::S_IFIFO => "a named pipe",
        SFlag::S_IFSOCK => "a socket",
        SFlag::S_IFLNK => "a symbolic link",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, NotRegular(is)))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, os::unix::net::UnixListener, path::PathBuf};

    use nix::unistd::mkfifo;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("portcullis-files-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_not_waited_for() {
        let folder = folder("kinds");
        let at = |name: &str| folder.join(name);
        fs::write(at("file"), "text").unwrap();
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("pipe", at("to-pipe")).unwrap();
        let said = |path: &Path| open_regular(path).map(drop).map_err(|error| error.to_string());
        assert_eq!(said(&at("file")), Ok(()));
        assert_eq!(said(&at("link")), Ok(()));
        for (name, is) in
            [("pipe", "a named pipe"), ("to-pipe", "a named pipe"), ("socket", "a socket"), ("", "a folder")]
        {
            assert_eq!(said(&at(name)), Err(format!("it is {is} and no regular file")), "{name}");
        }
        assert_eq!(said(Path::new("/dev/zero")), Err("it is a device and no regular file".into()));
        let handle = File::open(&folder).unwrap();
        let own = |name: &str, flags| open_regular_at(&handle, Path::new(name), flags, AtFlags::AT_SYMLINK_NOFOLLOW);
        assert_eq!(own("link", OFlag::O_RDONLY).unwrap_err().to_string(), "it is a symbolic link and no regular file");
        assert_eq!(own("new", OFlag::O_WRONLY).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(own("new", OFlag::O_WRONLY | OFlag::O_CREAT).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}
