//! The file of the API's socket.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use firewall_userspace::{
    control::Reloaded,
    controller::{ConfigFile, Controller, Message},
    policy::{ApiSocket, SocketMode},
    serve::api,
};

use crate::support::{Daemon, Fake, Folder, LIMIT, exchange, get, json_request, tokens};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The settings of a socket at `path`.
fn at(path: &Path) -> ApiSocket {
    ApiSocket { path: path.into(), group: None, mode: SocketMode::Group }
}

fn bind_error(path: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { api::bind(&at(path)).unwrap_err().to_string() })
}

#[test]
fn the_socket_is_for_user_and_group_and_its_folder_is_only_passed_through() {
    let daemon = Daemon::start(Fake::default());
    assert_eq!(mode(&daemon.socket), 0o660);
    assert_eq!(mode(daemon.socket.parent().unwrap()) & !0o711, 0, "whoever opens the folder can hold its lock");
}

#[test]
fn the_socket_has_the_mode_and_the_group_of_the_configuration() {
    let folder = Folder::new();
    let own = nix::unistd::getegid().as_raw();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, group, access, bits) in
        [("a", own.to_string(), SocketMode::User, 0o600), ("b", "no-such-group".into(), SocketMode::Group, 0o660)]
    {
        let path = folder.path().join(name);
        let api = ApiSocket { path: path.clone(), group: Some(group), mode: access };
        let _listener = runtime.block_on(async { api::bind(&api).unwrap() });
        // A group that there is not keeps nothing from starting.
        assert_eq!((mode(&path), fs::metadata(&path).unwrap().gid()), (bits, own));
    }
}

#[test]
fn a_folder_that_exists_keeps_its_mode() {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _listener = runtime.block_on(async { api::bind(&at(&folder.path().join("s"))).unwrap() });
    assert_eq!(mode(folder.path()), 0o711);
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _listener = runtime.block_on(async { api::bind(&at(&path)).unwrap() });
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_daemon_that_lives_keeps_its_socket() {
    let daemon = Daemon::start(Fake::default());
    let path = daemon.socket.display();
    let wanted = format!(
        "cannot listen at {path}: another daemon answers there\nhint: stop it, or set another `socket` in [api]"
    );
    assert_eq!(bind_error(&daemon.socket), wanted);
    assert_eq!(daemon.api(get("/v1/status")).status, 200);
}

#[test]
fn a_daemon_that_accepts_nothing_keeps_its_socket_too() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    // More connections than the backlog of std holds, none of them accepted.
    let mut waiting = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while let Ok(stream) = runtime.block_on(tokio::net::UnixStream::connect(&path)) {
        waiting.push(stream);
    }
    assert!(bind_error(&path).contains("another daemon answers there"));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("precious");
    fs::File::create(&path).unwrap();
    assert!(bind_error(&path).contains("there is a file that is no socket"));
    assert!(fs::metadata(&path).unwrap().is_file());
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_refused_with_words() {
    let folder = Folder::new();
    let path = folder.path().join("x".repeat(120));
    let error = bind_error(&path);
    assert!(error.starts_with("cannot listen at /") && error.contains("File name too long"), "{error}");
}

#[test]
fn the_socket_goes_with_the_daemon() {
    let mut daemon = Daemon::start(Fake::default());
    assert!(fs::metadata(&daemon.socket).unwrap().file_type().is_socket());
    daemon.stop();
    assert!(!daemon.socket.exists());
}

#[test]
fn the_socket_of_a_successor_stays() {
    let mut daemon = Daemon::start(Fake::default());
    fs::remove_file(&daemon.socket).unwrap();
    let _successor = UnixListener::bind(&daemon.socket).unwrap();
    daemon.stop();
    assert!(daemon.socket.exists());
}

#[test]
fn of_daemons_that_start_at_once_one_gets_the_socket() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
    let listeners = runtime.block_on(async {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                tokio::task::spawn(async move { api::bind(&at(&path)) })
            })
            .collect();
        let mut listeners = Vec::new();
        for start in starts {
            listeners.extend(start.await.unwrap());
        }
        listeners
    });
    assert_eq!(listeners.len(), 1);
}

#[test]
fn an_exchange_that_has_begun_survives_the_shutdown() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (messages, mut questions) = tokio::sync::mpsc::channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = runtime.block_on(async { api::bind(&at(&path)).unwrap() });
    let server = runtime.spawn(api::serve(
        listener,
        Controller::new(messages, Fake::default().readings(), Arc::default(), ConfigFile::new("/nonexistent".into())),
        tokens(&folder),
        stopped,
    ));
    let client = std::thread::spawn({
        let path = path.clone();
        move || {
            let stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            exchange(stream, json_request("POST", "/v1/reload", "{}").as_bytes())
        }
    });
    let question = runtime.block_on(questions.recv()).unwrap();
    stop.send(()).unwrap();
    // The file goes while the exchange is still open.
    let start = Instant::now();
    while path.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "the file stays");
        std::thread::yield_now();
    }
    let Message::Reload(.., reply) = question else { panic!("{question:?}") };
    reply.send(Ok(Reloaded::default())).unwrap();
    assert_eq!(client.join().unwrap().status, 200);
    runtime.block_on(server).unwrap();
}
