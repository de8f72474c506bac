//! Hundreds of connections that say nothing, or say it slowly: probes and the command line of root are answered all the same.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use firewall_tests::{
    daemon::{ADMIN, Daemon, LIMIT, timed},
    lab::Lab,
    running::wait_until,
    until::Until,
};

use crate::policy::POLICY;

/// More than there is room for.
const CROWD: usize = 700;

/// Far less than the 33 s that it took when connections waited for each other.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn probes_are_answered_soon_whatever_crowd_says_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let until = Until(&is_over);
        let crowd = scope.spawn(|| lab.host.enter(|| crowd_in(&is_over))?);
        let asked = (0..20).try_for_each(|_| {
            for path in ["/livez", "/readyz", "/metrics"] {
                // On a busy machine so many others may come before its request is read that it is cut, too: it asks again.
                let (answer, took) = timed(|| wait_until("an answer", SOON, || Ok(daemon.get(path).ok())));
                ensure!(answer?.status == 200 && took < SOON, "{path} took {took:?}");
            }
            thread::sleep(Duration::from_millis(50));
            Ok(())
        });
        drop(until);
        let came = crowd.join().expect("the crowd does not panic")?;
        asked?;
        ensure!(came > CROWD, "there was no crowd: {came}");
        Ok(())
    })?;
    let cut = daemon.metrics()?.count("portcullis_http_connections_cut_total", &[("listener", "admin")]);
    assert!(cut > 0);
    daemon.stop()
}

#[test]
fn the_command_line_is_answered_soon_whatever_crowd_holds_the_socket() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    // Of the same user, which may use the API: there is room of its own for all others, which a unit test shows.
    let mut crowd = Vec::new();
    for number in 0..100 {
        let mut stream = UnixStream::connect(&daemon.site().socket)?;
        if number % 2 == 0 {
            stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost:")?;
        }
        crowd.push(stream);
    }
    let (said, took) = timed(|| daemon.cli(&["status"]));
    let said = said?;
    ensure!(said.code == 0 && took < SOON, "{took:?}: {said:?}");
    drop(crowd);
    daemon.stop()
}

/// Connects again and again, and holds the last connections, of which every second has sent half a request; how many there were.
fn crowd_in(is_over: &AtomicBool) -> Result<usize> {
    let mut crowd = Vec::new();
    let (start, mut came) = (Instant::now(), 0);
    while !is_over.load(Ordering::Relaxed) || (came <= CROWD && start.elapsed() < LIMIT) {
        let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::from(ADMIN), Duration::from_secs(1)) else {
            continue;
        };
        came += 1;
        if came % 2 == 0 {
            // It may have been cut already.
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost:");
        }
        crowd.push(stream);
        if crowd.len() > CROWD {
            crowd.drain(..CROWD / 2);
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(came)
}
