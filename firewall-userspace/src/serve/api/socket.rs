//! The socket of the API in the file system: made without a moment in which others could use it, and never taken from a
//! daemon that lives.

use std::{
    fmt,
    fs::{self, DirBuilder, Metadata, Permissions, TryLockError},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_address, connect, listen, socket},
        stat::{Mode, fchmod},
    },
    unistd::{Gid, fchownat, getegid},
};
use tokio::net::UnixListener;

use crate::{host::group, policy::ApiSocket};

/// Until it has its group, only the user of the daemon may connect.
const FIRST_MODE: u32 = 0o600;

/// The folder of the socket when it has to be made: others come through to the socket, whose own mode decides, and do not open the
/// folder, whose lock a start waits for.
const FOLDER_MODE: u32 = 0o711;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 128;

/// How long another start on the same socket may take.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no socket.
#[derive(Debug)]
pub enum ApiBindError {
    /// The folder cannot be made or opened.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is there that is no socket.
    NotASocket {
        /// The socket.
        path: PathBuf,
    },
    /// A daemon answers there.
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Somebody holds the lock on the folder.
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The kernel refused.
    Socket {
        /// The socket.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// The socket, which nobody serves yet.
#[derive(Debug)]
pub struct BoundSocket {
    pub(super) listener: UnixListener,
    /// The group whose members may look.
    pub(super) viewers: Option<u32>,
}

/// Listens at `socket.path`, in place of a socket that nobody listens at any more.
///
/// A missing folder is made with mode 0711. A group that there is not, or that the daemon may not give away, is told in the log and keeps
/// no filter from starting: the socket has the group of the daemon then. To be called inside a tokio runtime.
///
/// # Errors
/// See [`ApiBindError`].
pub fn bind(socket: &ApiSocket) -> Result<BoundSocket, ApiBindError> {
    let path = &*socket.path;
    let folder = folder_of(path);
    let folder_error = |source| ApiBindError::Folder { path: folder.to_owned(), source };
    make_folder(folder).map_err(folder_error)?;
    // Two daemons that start at once must not each take the socket of the other for a stale one.
    let lock = fs::File::open(folder).map_err(folder_error)?;
    take(&lock, folder)?;
    remove_stale(path)?;
    let (listening, viewers) = listen_at(socket)?;
    drop(lock);
    let listener = std::os::unix::net::UnixListener::from(listening);
    let refused = |source| ApiBindError::Socket { path: path.to_owned(), attempt: "listen at", source };
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(BoundSocket { listener: UnixListener::from_std(listener).map_err(refused)?, viewers })
}

/// The folder of a socket at `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes `folder`, that of a socket, when it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

fn take(lock: &fs::File, folder: &Path) -> Result<(), ApiBindError> {
    let end = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(ApiBindError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => {
                return Err(ApiBindError::Folder { path: folder.to_owned(), source });
            }
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), ApiBindError> {
    let refused = |attempt, source| ApiBindError::Socket { path: path.to_owned(), attempt, source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(ApiBindError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused("look at", error)),
    }
    match try_connect(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(|error| refused("remove the stale socket", error)),
        // EAGAIN: the backlog is full, so somebody listens, if slowly.
        Ok(()) | Err(Errno::EAGAIN) => Err(ApiBindError::InUse { path: path.to_owned() }),
        Err(errno) => Err(refused("see who listens at", errno.into())),
    }
}

fn try_connect(path: &Path) -> nix::Result<()> {
    connect(unix_socket()?.as_raw_fd(), &UnixAddr::new(path)?)
}

fn unix_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// The socket that listens, and the group whose members may look.
fn listen_at(api: &ApiSocket) -> Result<(OwnedFd, Option<u32>), ApiBindError> {
    let path = &*api.path;
    let error = |attempt, source| ApiBindError::Socket { path: path.to_owned(), attempt, source };
    let refused = |errno: nix::Error| error("listen at", errno.into());
    let socket = unix_socket().map_err(refused)?;
    // bind(2) gives the file the mode of the socket less the umask (Linux, net/unix/af_unix.c unix_bind_bsd), so it is
    // never wider than this. What the umask took is given back before anybody can connect.
    fchmod(&socket, Mode::from_bits_truncate(FIRST_MODE)).map_err(refused)?;
    let address = UnixAddr::new(path).map_err(refused)?;
    bind_address(socket.as_raw_fd(), &address).map_err(refused)?;
    let viewers = viewers(api);
    fs::set_permissions(path, Permissions::from_mode(api.mode.bits()))
        .map_err(|source| error("set the mode of", source))?;
    listen(&socket, Backlog::new(BACKLOG).map_err(refused)?).map_err(refused)?;
    Ok((socket, viewers))
}

/// Gives the socket its group; the group whose members may look. That of root has to be asked for by name: other users are in it by the
/// habits of containers.
fn viewers(api: &ApiSocket) -> Option<u32> {
    let own = || Some(getegid().as_raw()).filter(|group| *group != 0);
    let Some(wanted) = &api.group else { return own() };
    match give(&api.path, wanted) {
        Ok(group) => Some(group),
        Err(why) => {
            let socket = api.path.display();
            tracing::warn!("the socket {socket} keeps the group of the daemon: cannot give it to `{wanted}`: {why}");
            own()
        }
    }
}

/// Why the socket does not get its group, in words.
fn give(path: &Path, wanted: &str) -> Result<u32, String> {
    let group = group::number(wanted)?;
    let given = fchownat(AT_FDCWD, path, None, Some(Gid::from_raw(group)), AtFlags::AT_SYMLINK_NOFOLLOW);
    match given {
        Ok(()) => {
            warn_of_folder(path, group);
            Ok(group)
        }
        Err(Errno::EPERM) => {
            Err(format!("{}; hint: make the user of the daemon a member of the group", Errno::EPERM.desc()))
        }
        Err(errno) => Err(errno.desc().into()),
    }
}

/// Says so when members of `group` do not come through to the socket.
fn warn_of_folder(path: &Path, group: u32) {
    let folder = folder_of(path);
    let is_open = fs::metadata(folder).is_ok_and(|folder| {
        let search = if folder.gid() == group { 0o010 } else { 0o001 };
        folder.mode() & search != 0
    });
    if !is_open {
        let folder = folder.display();
        tracing::warn!("the group of the socket does not come through {folder} to it; hint: `chmod o+x {folder}`");
    }
}

/// The file of a socket that listens.
pub struct File {
    path: PathBuf,
    identity: (u64, u64),
}

impl File {
    /// The file of `listener`; `None` when it has none (any more).
    pub fn of(listener: &UnixListener) -> Option<Self> {
        let path = listener.local_addr().ok()?.as_pathname()?.to_owned();
        let identity = identity(&fs::symlink_metadata(&path).ok()?);
        Some(Self { path, identity })
    }

    /// Removes the file unless somebody has put another in its place. To be called while the listener is open: the
    /// inode cannot have been used again then, and a daemon that starts now finds either us or nothing.
    pub fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl fmt::Display for ApiBindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, source } => {
                write!(f, "cannot use {} as the folder of the API socket: {source}", path.display())
            }
            Self::NotASocket { path } => write!(
                f,
                "cannot listen at {}: there is a file that is no socket\nhint: remove it, or set another `socket` in [api]",
                path.display()
            ),
            Self::InUse { path } => write!(
                f,
                "cannot listen at {}: another daemon answers there\nhint: stop it, or set another `socket` in [api]",
                path.display()
            ),
            Self::Locked { path } => write!(
                f,
                "cannot lock {}: another process has held the lock for {} s\nhint: another daemon may be starting there",
                path.display(),
                LOCK_TIMEOUT.as_secs()
            ),
            Self::Socket { path, attempt, source } => {
                write!(f, "cannot {attempt} {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str("\nhint: run the daemon as root"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ApiBindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder { source, .. } | Self::Socket { source, .. } => Some(source),
            _ => None,
        }
    }
}
