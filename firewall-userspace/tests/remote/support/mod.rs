//! A daemon without a data plane, and raw clients of it.

mod fake;
mod http;
pub mod https;
pub mod promtool;

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{self, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use firewall_userspace::{
    config::Bundle,
    control::{Caller, Push},
    controller::{ConfigFile, Controller, Message, Work},
    policy::{ApiSocket, SocketMode},
    serve::{admin, api},
    state::{disk::Folder as StateFolder, tokens::TokenStore},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub use self::{
    fake::{CONFIG, Fake, Waits, counters, status},
    http::{Answer, exchange, get, json_request, request},
};

/// How long a daemon may say nothing.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A folder that goes away with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("portcullis-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// No tokens yet, in a state folder of `folder`.
pub fn tokens(folder: &Folder) -> Arc<TokenStore> {
    Arc::new(TokenStore::open(StateFolder::open(&folder.path().join("state")).unwrap()))
}

/// The sockets of a daemon, in front of a [`Fake`] controller.
pub struct Daemon {
    pub folder: Folder,
    pub socket: PathBuf,
    pub admin: SocketAddr,
    /// What was pushed.
    pub pushes: Arc<Mutex<Vec<Push>>>,
    /// Who pushed.
    pub callers: Arc<Mutex<Vec<Caller>>>,
    /// The configurations that were sent and could be used.
    pub applied: Arc<Mutex<Vec<Bundle>>>,
    /// Changes that wait for a confirmation.
    pub waits: Arc<Waits>,
    /// What it says it is doing.
    pub work: Arc<Work>,
    runtime: Runtime,
    servers: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Daemon {
    pub fn start(fake: Fake) -> Self {
        let folder = Folder::new();
        let socket = folder.path().join("run/api.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let pushes = Arc::new(Mutex::new(Vec::new()));
        let callers = Arc::new(Mutex::new(Vec::new()));
        let applied = Arc::new(Mutex::new(Vec::new()));
        let work = Arc::new(Work::default());
        let (messages, questions) = mpsc::channel::<Message>(8);
        let config = ConfigFile::new("/nonexistent".into());
        let controller = Controller::new(messages, fake.readings(), Arc::clone(&work), config);
        let controller = match &fake.status.sandbox {
            Some(sandbox) => controller.in_sandbox(sandbox.clone()),
            None => controller,
        };
        let waits = Arc::clone(&fake.waits);
        runtime.spawn(fake.answer(questions, pushes.clone(), callers.clone(), applied.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let tokens = tokens(&folder);
        let (admin, servers) = runtime.block_on(async {
            let api = api::bind(&ApiSocket { path: socket.clone(), group: None, mode: SocketMode::Group }).unwrap();
            let admin = admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = admin.local_addr().unwrap();
            tokio::spawn(admin::serve(admin, controller.clone(), std::future::pending::<()>()));
            (address, tokio::spawn(api::serve(api, controller, tokens, stopped)))
        });
        Self { folder, socket, admin, pushes, callers, applied, waits, work, runtime, servers: Some((stop, servers)) }
    }

    /// Stops the API and waits until it has ended.
    pub fn stop(&mut self) {
        let (stop, server) = self.servers.take().unwrap();
        stop.send(()).unwrap();
        self.runtime.block_on(server).unwrap();
    }

    /// Sends `request` to the API as it is.
    pub fn api(&self, request: impl AsRef<[u8]>) -> Answer {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        exchange(stream, request.as_ref())
    }

    /// Sends `request` to the admin listener as it is.
    pub fn admin(&self, request: impl AsRef<[u8]>) -> Answer {
        let stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        exchange(stream, request.as_ref())
    }

    /// The command line, pointed at this daemon.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portcullis(arguments);
        command.arg("--socket").arg(&self.socket);
        command
    }

    /// Exit code, standard output and standard error of a command.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        seen(&self.command(arguments).output().unwrap())
    }
}

/// The command line with an environment that says nothing about Portcullis.
pub fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null());
    for variable in [
        "PORTCULLIS_SOCKET",
        "PORTCULLIS_URL",
        "PORTCULLIS_TOKEN_FILE",
        "PORTCULLIS_CLIENT_CERT",
        "PORTCULLIS_CLIENT_KEY",
        "PORTCULLIS_CA",
        "PORTCULLIS_OUTPUT",
        "PORTCULLIS_PIN_DIRECTORY",
        "SSH_CONNECTION",
        "SUDO_USER",
        "COLUMNS",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Exit code, standard output and standard error.
pub fn seen(output: &Output) -> (i32, String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// `text` with every distance from now, such as `(6d ago)`, as `(~)`, and blanks between columns as two: both depend on the day.
pub fn timeless(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut rest = line.to_owned();
        while let Some((before, after)) = rest.split_once("Z (") {
            let (_, after) = after.split_once(')').unwrap();
            rest = format!("{before}Z ~{after}");
        }
        let columns: Vec<&str> = rest.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        lines.push_str(&columns.join("  "));
        lines.push('\n');
    }
    lines
}

/// These lines.
pub fn words(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
