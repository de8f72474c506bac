//! What a host needs to have a network at all passes whatever the lists say.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FRIEND4, FRIEND6, HOST4, HOST6, INTERFACE, Lab, MANAGER4, MANAGER6},
    nginx::{Curl, Nginx},
    scrape::Metrics,
};

/// Nobody is allowed to the service.
const POLICY: &str = r#"
[policy]
management = ["192.0.2.4", "2001:db8:1::4"]

[lists.nobody]

[services.web]
protocol = "tcp"
ports = [80]
allow = ["nobody"]
"#;

#[test]
fn neighbours_are_found_again_while_nobody_is_allowed() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    // To 80 only management gets, 8080 is no service.
    let _nginx = Nginx::start(&lab, &[80, 8080])?;
    let cases = [
        (MANAGER4, format!("http://{HOST4}/"), "ipv4"),
        (MANAGER6, format!("http://[{HOST6}]/"), "ipv6"),
        (FRIEND4, format!("http://{HOST4}:8080/"), "ipv4"),
        (FRIEND6, format!("http://[{HOST6}]:8080/"), "ipv6"),
    ];
    for (source, url, family) in &cases {
        for namespace in [&lab.host, &lab.peer] {
            namespace.ip(&format!("neighbour flush dev {INTERFACE}"))?;
            assert_eq!(namespace.ip(&format!("neighbour show dev {INTERFACE}"))?.trim(), "", "the entries are gone");
        }
        let before = daemon.metrics()?;
        let answer = Curl::new(&lab.peer).from(source).get(url)?;
        assert_eq!(answer, Ok(()), "{source} asks {url}");

        let host = if *family == "ipv4" { HOST4 } else { HOST6 };
        for (namespace, neighbour, mac) in
            [(&lab.peer, host, "02:00:00:00:00:10"), (&lab.host, *source, "02:00:00:00:00:02")]
        {
            let entry = namespace.ip(&format!("neighbour show {neighbour} dev {INTERFACE}"))?;
            assert!(entry.contains(mac), "{} does not know {neighbour}: {entry:?}", namespace.name());
        }
        let after = daemon.metrics()?;
        let moved = |reason| after.reason(reason) - before.reason(reason);
        let (reason, count) =
            if *family == "ipv4" { ("not_ip", moved("not_ip")) } else { ("essential", moved("essential")) };
        assert!(count > 0, "no packet passed as {reason}");
        assert_no_drops(&before, &after);
    }
    // The lists are at work all the time.
    let before = daemon.metrics()?;
    let denied = Curl::new(&lab.peer).from(FRIEND4).within(std::time::Duration::from_secs(2));
    assert!(denied.get(&format!("http://{HOST4}/"))?.is_err(), "nobody is allowed to the service");
    assert!(daemon.metrics()?.reason("not_allowed") > before.reason("not_allowed"));
    Ok(())
}

fn assert_no_drops(before: &Metrics, after: &Metrics) {
    let moved = after.packets_since(before);
    assert!(moved.keys().all(|verdict| verdict.contains(" pass ")), "{moved:?}");
}
