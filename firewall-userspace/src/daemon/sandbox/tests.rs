//! A thread that confines itself, and what it can do then. It ends with the test; others go on without bounds.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        signal::kill,
        socket::{AddressFamily, SockFlag, SockType, socket},
        stat::{Mode, SFlag, mknod},
    },
    unistd::{Pid, chown, chroot, execv, fchownat, getgid, getuid, mkfifo},
};

use super::*;
use crate::host::confinement::LandlockSupport;

/// A folder of a test, two below one that everybody has folders in.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-sandbox-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn places(&self) -> DaemonPlaces {
        let sockets = BTreeSet::from([self.0.join("run/api.sock")]);
        DaemonPlaces {
            state: self.0.join("a/state"),
            sockets,
            ports: BTreeSet::from([0]),
            peers: BTreeSet::new(),
            pins: self.0.join("pins"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Does `work` on a thread that is confined to `places`.
fn confined_to<T: Send>(places: &DaemonPlaces, work: impl FnOnce(SandboxStatus) -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(|| work(confine(places))).join().unwrap())
}

/// Whether the kernel has all of Landlock that is asked for; what it lacks cannot be tried.
fn has_all_of_landlock() -> bool {
    matches!(LandlockSupport::of_this_kernel(), LandlockSupport::Version(6..))
}

fn refusal<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn the_kernel_tells_what_holds_and_another_thread_is_as_before() {
    let folder = Folder::new("told");
    let before = Confinement::of_this_thread();
    let status = confined_to(&folder.places(), |status| {
        // Threads that it starts have the same bounds.
        let inherited = thread::scope(|scope| scope.spawn(Confinement::of_this_thread).join().unwrap());
        assert_eq!((inherited.has_filter, inherited.has_no_new_privileges), (Some(true), true));
        status
    });
    assert!(status.seccomp && status.no_new_privileges && status.user.is_some(), "{status:?}");
    assert_eq!(Confinement::of_this_thread(), before);
    if has_all_of_landlock() {
        assert_eq!((status.landlock.state, status.why.as_ref()), (LandlockForce::Full, None), "{status:?}");
    }
}

#[test]
fn calls_that_a_daemon_never_makes_are_refused() {
    let folder = Folder::new("calls");
    confined_to(&folder.places(), |_| {
        let none = CloneFlags::empty();
        assert_eq!(execv(c"/bin/true", &[c"/bin/true"]), Err(Errno::EPERM));
        assert_eq!(refusal(Command::new("/bin/true").status()), Some(libc::EPERM));
        let at = None::<&str>;
        assert_eq!(mount(at, "/", at, MsFlags::MS_BIND, at), Err(Errno::EPERM));
        for flags in [none, CloneFlags::CLONE_NEWUSER, CloneFlags::CLONE_NEWNET] {
            assert_eq!(unshare(flags), Err(Errno::EPERM), "{flags:?}");
        }
        // As root all of these would do something, or as its owner.
        assert_eq!(kill(Pid::this(), None), Err(Errno::EPERM));
        assert_eq!(chroot("/"), Err(Errno::EPERM));
        assert_eq!(chown(&folder.0, None, None), Err(Errno::EPERM));
        let own = |user, group| fchownat(AT_FDCWD, &folder.0, user, group, AtFlags::AT_SYMLINK_NOFOLLOW);
        assert_eq!(own(Some(getuid()), Some(getgid())), Err(Errno::EPERM));
        assert_eq!(own(None, Some(getgid())), Ok(()), "the socket of the API may have another group");
        assert_eq!(mknod(&folder.0.join("device"), SFlag::S_IFCHR, Mode::S_IRWXU, 0x103), Err(Errno::EPERM));
        let open = |family, kind| socket(family, kind, SockFlag::empty(), None).err();
        for family in [AddressFamily::Packet, AddressFamily::Vsock, AddressFamily::Alg, AddressFamily::Bluetooth] {
            assert_eq!(open(family, SockType::Raw), Some(Errno::EPERM), "{family:?}");
        }
        assert_eq!(open(AddressFamily::Inet, SockType::Raw), Some(Errno::EPERM));
        assert_eq!(open(AddressFamily::Inet6, SockType::Raw), Some(Errno::EPERM));
        for (family, kind) in [
            (AddressFamily::Unix, SockType::Stream),
            (AddressFamily::Inet, SockType::Stream),
            (AddressFamily::Inet6, SockType::Datagram),
            (AddressFamily::Netlink, SockType::Raw),
        ] {
            assert_eq!(open(family, kind), None, "{family:?} {kind:?}");
        }
    });
    assert!(Command::new("/bin/true").status().unwrap().success());
}

#[test]
fn files_are_written_where_the_daemon_has_its_own_and_nowhere_else() {
    assert!(has_all_of_landlock(), "this test needs Landlock ABI 6");
    let folder = Folder::new("files");
    let (outside, places) = (folder.0.join("outside"), folder.places());
    fs::write(&outside, "text").unwrap();
    confined_to(&places, |_| {
        let denied = Some(libc::EACCES);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "text", "new lists and certificates are read anywhere");
        assert!(fs::read_dir("/etc").is_ok());
        assert_eq!(refusal(OpenOptions::new().append(true).open(&outside)), denied);
        assert_eq!(refusal(OpenOptions::new().write(true).open("/proc/self/comm")), denied);
        assert_eq!(refusal(OpenOptions::new().write(true).open("/dev/null")), denied);
        assert_eq!(refusal(fs::write(folder.0.join("new"), "")), denied);
        assert_eq!(refusal(fs::create_dir(folder.0.join("new"))), denied);
        assert_eq!(refusal(fs::remove_file(&outside)), denied);
        assert_eq!(refusal(UnixListener::bind(folder.0.join("socket"))), denied);

        let file = places.state.join("journal");
        let mut open = fs::File::create(&file).unwrap();
        open.write_all(b"four").unwrap();
        open.set_len(2).unwrap();
        fs::rename(&file, places.state.join("other")).unwrap();
        fs::remove_file(places.state.join("other")).unwrap();
        assert_eq!(refusal(symlink("x", places.state.join("link"))), denied);
        assert_eq!(mkfifo(&places.state.join("pipe"), Mode::S_IRWXU), Err(Errno::EPERM));
        assert_eq!(refusal(UnixListener::bind(places.state.join("socket"))), denied);
        assert_eq!(refusal(fs::remove_dir(&places.state)), denied);

        let socket = places.sockets.first().unwrap();
        drop(UnixListener::bind(socket).unwrap());
        fs::remove_file(socket).unwrap();
        assert_eq!(refusal(fs::write(socket, "")), denied);
    });
    // Others go on.
    fs::write(&outside, "more").unwrap();
}

#[test]
fn a_state_folder_that_is_replaced_can_be_written_and_one_that_was_never_named_is_refused_with_words() {
    let folder = Folder::new("replaced");
    let places = folder.places();
    let openings = places.open();
    let sandbox = Sandbox { writable: Some(openings.writable()), ..Sandbox::default() };
    assert_eq!(sandbox.require_state(&places.state), Ok(()));
    let refused = sandbox.require_state(&folder.0.join("b/state")).unwrap_err();
    assert!(refused.contains("b/state: the configuration file did not name it") && refused.contains("\nhint: start"));
    assert_eq!(Sandbox::default().require_state(Path::new("/anywhere")), Ok(()), "without Landlock");
    if has_all_of_landlock() {
        let (go, gone) = std::sync::mpsc::channel();
        let (done, is_done) = std::sync::mpsc::channel();
        let places = &places;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                confine(places);
                go.send(()).unwrap();
                is_done.recv().unwrap();
                crate::state::disk::make_folder(&places.state)
                    .and_then(|()| fs::write(places.state.join("journal"), "new"))
            });
            gone.recv().unwrap();
            fs::remove_dir_all(&places.state).unwrap();
            done.send(()).unwrap();
            inside.join().unwrap().unwrap();
        });
        assert_eq!(fs::read_to_string(places.state.join("journal")).unwrap(), "new");
    }
}

#[test]
fn nobody_is_connected_to_and_one_port_is_listened_at() {
    assert!(has_all_of_landlock(), "this test needs Landlock ABI 6");
    let folder = Folder::new("ports");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    confined_to(&folder.places(), |_| {
        assert_eq!(refusal(TcpStream::connect(("127.0.0.1", port))), Some(libc::EACCES));
        assert_eq!(refusal(TcpListener::bind(("127.0.0.1", other))), Some(libc::EACCES));
        assert!(TcpListener::bind("127.0.0.1:0").is_ok(), "its own, which is any here");
        // How this host reaches an address is asked by UDP.
        assert!(UdpSocket::bind("127.0.0.1:0").unwrap().connect(("127.0.0.1", 9)).is_ok());
    });
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}
