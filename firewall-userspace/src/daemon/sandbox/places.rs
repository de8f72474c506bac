//! Where a daemon makes and changes files, as its configuration says, opened before everything else is closed.
//!
//! In: the configuration file and the generations that a start may go back to. Out: folders with the rights that are needed in them, and
//! ports. A file system that hangs is not waited for.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use landlock::{AccessFs, BitFlags, PathFd, make_bitflags};

use super::RunOptions;
use crate::{
    config::{self, Basics},
    datapath::probe,
    policy::{ApiSettings, KeySource},
    serve::api,
    state::{audit::AUDIT, disk, history},
};

/// Where a daemon has its files, and where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonPlaces {
    /// The state folder.
    pub state: PathBuf,
    /// Sockets that the API may be at.
    pub sockets: BTreeSet<PathBuf>,
    /// Ports that the admin listener, and the API by TCP, may be at.
    pub ports: BTreeSet<u16>,
    /// Ports at which keys of issuers are asked for.
    pub peers: BTreeSet<u16>,
    /// The pin folder.
    pub pins: PathBuf,
}

/// The same, opened.
#[derive(Debug, Default)]
pub(super) struct Openings {
    pub(super) folders: Vec<Opening>,
    pub(super) ports: BTreeSet<u16>,
    /// Ports that are connected to.
    pub(super) peers: BTreeSet<u16>,
}

/// A folder with everything in it.
#[derive(Debug)]
pub(super) struct Opening {
    path: PathBuf,
    pub(super) handle: PathFd,
    pub(super) rights: BitFlags<AccessFs>,
}

/// How long the file systems of all these places may take. Nothing is told to a service manager before.
const LIMIT: Duration = Duration::from_secs(5);

/// What is done to files of the state folder; that of the audit log is made anew when it is gone.
const STATE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{MakeReg | WriteFile | Truncate | RemoveFile | MakeDir});

/// What is done above it, where it is made anew.
const ABOVE_STATE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{MakeReg | WriteFile | Truncate | RemoveFile | MakeDir});

/// What is done in the folder of a socket.
const SOCKET: BitFlags<AccessFs> = make_bitflags!(AccessFs::{MakeSock | RemoveFile});

/// What is done to pins: they are never opened for writing, and move from the folder of one ABI version to that of another.
const PINS: BitFlags<AccessFs> = make_bitflags!(AccessFs::{MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});

/// Folders right below which everybody has folders, besides the root folder.
const SHARED: [&str; 4] = ["/etc", "/home", "/usr", "/var"];

/// Finds and opens the places of `options`, on a thread of its own.
///
/// # Errors
/// When a file system does not answer, in words. That thread ends when it does.
pub(super) fn open_in_time(options: &RunOptions) -> Result<Openings, String> {
    let (sender, opened) = mpsc::channel();
    let options = options.clone();
    let work = move || drop(sender.send(DaemonPlaces::find(&options).open()));
    let started = thread::Builder::new().name("places".into()).spawn(work);
    let thread = started.map_err(|error| format!("cannot find what may be written: no thread to be had: {error}"))?;
    let none = |_| {
        let config = "the configuration file, the state folder or the folder of the API socket";
        format!("cannot find what may be written: the file system of {config} has not answered for {LIMIT:?}")
    };
    let opened = opened.recv_timeout(LIMIT).map_err(none)?;
    // It has nothing more to do, and is not to outlive the sandbox.
    let _ = thread.join();
    Ok(opened)
}

impl DaemonPlaces {
    fn find(options: &RunOptions) -> Self {
        let texts = config::texts_regular(&options.config).unwrap_or_default();
        let Basics { admin_listen, api, state, .. } = Basics::with_state_in(&texts, &options.state_directory);
        let mut places = Self {
            state: state.directory,
            ports: ports(admin_listen, &api).collect(),
            peers: peers(&api).collect(),
            sockets: BTreeSet::from([api.socket.path]),
            pins: options.pin_directory.clone(),
        };
        // A start may go back to one of them, with its places.
        for bundle in history::configurations(&places.state) {
            let before = Basics::of(&bundle);
            places.ports.extend(ports(before.admin_listen, &before.api));
            places.peers.extend(peers(&before.api));
            places.sockets.insert(before.api.socket.path);
        }
        places
    }

    /// Makes folders that are missing, as the daemon would later, and opens all. What cannot be opened is left out: whoever needs it will
    /// say why not.
    pub(super) fn open(&self) -> Openings {
        let mut folders = Vec::new();
        let mut open = |path: &Path, rights| {
            if let Ok(handle) = PathFd::new(path) {
                folders.push(Opening { path: path.to_owned(), handle, rights });
            }
        };
        let _ = disk::make_folder(&self.state);
        let _ = disk::make_folder(&self.state.join(AUDIT));
        if let Ok(state) = fs::canonicalize(&self.state) {
            open(&state, STATE);
            above(&state).iter().for_each(|folder| open(folder, ABOVE_STATE));
        }
        for socket in &self.sockets {
            let folder = api::folder_of(socket);
            let _ = api::make_folder(folder);
            open(folder, SOCKET);
        }
        if let Some((root, _)) = probe::bpffs_of(&self.pins) {
            open(&root, PINS);
            // One that is mounted there later has another root.
            if let Some(folder) = root.parent().filter(|folder| *folder != Path::new("/")) {
                open(folder, PINS);
            }
        }
        Openings { folders, ports: self.ports.clone(), peers: self.peers.clone() }
    }
}

/// Ports at which `api` has keys of an issuer asked for.
fn peers(api: &ApiSettings) -> impl Iterator<Item = u16> {
    let url = api.jwt.iter().filter_map(|jwt| match &jwt.keys {
        KeySource::Url(url) => url.parse::<axum::http::Uri>().ok(),
        KeySource::File(_) => None,
    });
    url.map(|url| url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 }))
}

/// Where a daemon with these settings listens by TCP.
fn ports(admin: SocketAddr, api: &ApiSettings) -> impl Iterator<Item = u16> {
    let https = api.https.iter().flat_map(|https| https.listen.iter().copied().chain(https.redirect));
    [admin].into_iter().chain(https).map(|address| address.port())
}

impl Openings {
    /// Folders in which files can be written.
    pub(super) fn writable(&self) -> Vec<PathBuf> {
        let writable = self.folders.iter().filter(|opening| opening.rights.contains(AccessFs::WriteFile));
        writable.map(|opening| opening.path.clone()).collect()
    }
}

/// The folders above `state` in which it can be made anew when somebody removes, renames or unmounts it. None that others have files in.
fn above(state: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in state.ancestors().skip(1).take_while(|folder| !is_shared(folder)) {
        found.push(folder.to_owned());
        if !is_mount(folder) {
            break;
        }
    }
    found
}

/// The root folder, what is right below it, and what is right below some of these.
fn is_shared(folder: &Path) -> bool {
    match folder.parent() {
        None => true,
        Some(above) => above == Path::new("/") || SHARED.iter().any(|shared| above == Path::new(shared)),
    }
}

/// Whether something is mounted at `folder`: what is below it then is on another device.
fn is_mount(folder: &Path) -> bool {
    let device = |folder: &Path| fs::metadata(folder).map(|facts| facts.dev()).ok();
    folder.parent().is_some_and(|above| device(above) != device(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{HttpsSettings, KeyPlace};

    #[test]
    fn a_folder_of_the_system_is_opened_to_no_daemon_because_its_state_folder_is_there() {
        for state in ["/state", "/srv/state", "/var/lib/portcullis", "/home/jane/state", "/etc/portcullis/state"] {
            assert_eq!(above(Path::new(state)), Vec::<PathBuf>::new(), "{state}");
        }
        assert_eq!(above(Path::new("/var/lib/portcullis/state")), [PathBuf::from("/var/lib/portcullis")]);
        assert_eq!(above(Path::new("/srv/firewall/state")), [PathBuf::from("/srv/firewall")]);
    }

    #[test]
    fn ports_of_the_api_and_of_what_sends_others_there_are_among_the_places() {
        let https = HttpsSettings {
            listen: vec![([0; 4], 443).into(), ([0; 16], 8443).into()],
            certificate: KeyPlace::Credential("certificate".into()),
            key: KeyPlace::Credential("key".into()),
            hosts: Vec::new(),
            redirect: Some(([0; 4], 80).into()),
            client_ca: None,
            client_crl: Vec::new(),
            origins: Vec::new(),
        };
        let api = ApiSettings { https: Some(https), ..ApiSettings::at_socket("/s".into()) };
        let found: BTreeSet<u16> = ports(([127, 0, 0, 1], 9191).into(), &api).collect();
        assert_eq!(found, BTreeSet::from([80, 443, 8443, 9191]));
    }

    #[test]
    fn the_places_of_a_configuration_are_found_in_any_file() {
        let folder = std::env::temp_dir().join(format!("portcullis-places-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let config = folder.join("portcullis.toml");
        let text = "[[interface]]\nnane = 7\n[admin]\nlisten = \"127.0.0.1:1\"\n[api]\nsocket = \"/srv/x/s\"\n";
        fs::write(&config, text).unwrap();
        let options = RunOptions {
            config,
            pin_directory: "/pins".into(),
            replace: false,
            strict: false,
            state_directory: folder.clone(),
            trace_packets: false,
            sandbox: true,
        };
        let found = DaemonPlaces::find(&options);
        let places = DaemonPlaces {
            state: folder.clone(),
            sockets: BTreeSet::from(["/srv/x/s".into()]),
            ports: BTreeSet::from([1]),
            peers: BTreeSet::new(),
            pins: "/pins".into(),
        };
        assert_eq!(found, places);
        fs::remove_dir_all(folder).unwrap();
    }
}
