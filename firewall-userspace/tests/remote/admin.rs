//! The admin listener: probes and hosts. What `/metrics` says is in metrics.rs.

use std::time::Duration;

use firewall_userspace::{
    clock::Now,
    control::{Condition, Status},
    controller::Activity,
    serve::admin,
};

use crate::support::{Daemon, Fake, get, request, status};

#[test]
fn a_daemon_that_filters_is_alive_and_ready() {
    let daemon = Daemon::start(Fake::default());
    for path in ["/livez", "/readyz"] {
        let answer = daemon.admin(get(path));
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"), "{path}");
    }
}

#[test]
fn a_daemon_without_its_controller_is_neither_alive_nor_ready() {
    let daemon = Daemon::start(Fake { is_alive: false, ..Fake::default() });
    let answer = daemon.admin(get("/livez"));
    assert_eq!(answer.problem(), (503, "stopping".into()));
    assert_eq!(answer.json()["detail"], "the controller has ended; the last policy goes on filtering");
    let answer = daemon.admin(get("/readyz"));
    assert_eq!(answer.problem(), (503, "stopping".into()));
    assert_eq!(answer.json()["detail"], "the daemon is stopping");
}

#[test]
fn what_the_controller_is_doing_is_told_and_is_alive() {
    let daemon = Daemon::start(Fake::default());
    let now = Now::read();
    daemon.work.begin(Activity::Reload, Now { boot: now.boot.saturating_sub(Duration::from_secs(2)), ..now });
    for path in ["/livez", "/readyz"] {
        assert_eq!(daemon.admin(get(path)).status, 200, "{path}");
    }
    let status = daemon.api(get("/v1/status")).json();
    assert_eq!((&status["doing"], status["age_ms"].as_u64() >= Some(2000)), (&"reload".into(), true), "{status}");
    let (code, screen, _) = daemon.run(&["status"]);
    assert_eq!((code, screen.contains("busy        reload for ")), (0, true), "{screen}");
    let metrics = daemon.admin(get("/metrics")).body;
    let age = |job: &str| {
        let series = format!("portcullis_controller_job_seconds{{job=\"{job}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&*series)?.parse::<f64>().ok())
    };
    assert!(age("reload") >= Some(2.0) && age("push") == Some(0.0), "{metrics}");
    daemon.work.end(Activity::Reload, Duration::from_secs(2));
    let status = daemon.api(get("/v1/status")).json();
    assert_eq!((&status["doing"], &status["age_ms"]), (&serde_json::Value::Null, &0.into()));
    assert!(!daemon.run(&["status"]).1.contains("busy"));
}

#[test]
fn a_daemon_that_lacks_something_is_not_ready_and_one_with_a_warning_says_it() {
    let condition =
        |blocks, message: &str| Condition { code: Condition::INTERFACE.into(), blocks, message: message.into() };
    let (open, late) = (condition(true, "eth0 is not filtered: missing"), condition(false, "eth1 is late"));
    let told = |conditions: Vec<Condition>| {
        Daemon::start(Fake { status: Status { conditions, ..status() }, ..Fake::default() }).admin(get("/readyz"))
    };
    let answer = told(vec![late.clone(), open]);
    assert_eq!(answer.problem(), (503, "not_ready".into()));
    assert_eq!(answer.json()["detail"], "eth0 is not filtered: missing; eth1 is late");
    let answer = told(vec![late]);
    assert_eq!((answer.status, &*answer.body), (200, "ok\neth1 is late\n"));
}

#[test]
fn only_loopback_hosts_are_answered() {
    let daemon = Daemon::start(Fake::default());
    let ask = |host: &str| daemon.admin(get("/livez").replace("localhost", host)).status;
    for host in ["localhost:9191", "127.0.0.1:9191", "127.9.9.9", "[::1]:9191", "[::1]"] {
        assert_eq!(ask(host), 200, "{host}");
    }
    for host in
        ["192.0.2.1:9191", "[2001:db8::1]", "rebind.example.org", "localhost.example.org", "portcullis", "127.1"]
    {
        assert_eq!(ask(host), 403, "{host}");
    }
}

#[test]
fn nothing_else_is_there_and_nothing_can_be_changed() {
    let daemon = Daemon::start(Fake::default());
    for path in ["/", "/v1/status", "/v1/entries", "/metrics/"] {
        assert_eq!(daemon.admin(get(path)).problem(), (404, "not_found".into()), "{path}");
    }
    assert_eq!(daemon.admin(request("POST", "/metrics")).problem(), (405, "method_not_allowed".into()));
}

#[test]
fn a_port_that_is_taken_is_refused_with_words() {
    let daemon = Daemon::start(Fake::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(admin::bind(daemon.admin)).unwrap_err();
    let wanted = format!(
        "cannot serve metrics at {}: Address already in use (os error 98)\nhint: another daemon or program has this port; \
         set another port as `listen` in [admin]",
        daemon.admin
    );
    assert_eq!(error.to_string(), wanted);
}
