//! Pushes while traffic flows.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use firewall_tests::{
    daemon::{Daemon, LIMIT, timed},
    lab::{FRIEND4, FRIEND6, HOST4, HOST6, Lab, STRANGER4},
    nginx::{Curl, Nginx},
    running::wait_until,
    until::Until,
};

use crate::policy::POLICY;

/// Prefixes of one push.
const MANY: usize = 10_000;

/// Pushes, and requests that are to be answered during them, at least.
const PUSHES: usize = 3;
const REQUESTS: u64 = 3;
/// A push takes less time than a request does: none may meet one for a while.
const MOST_PUSHES: usize = 20;

#[test]
fn no_request_of_a_friend_fails_while_ten_thousand_prefixes_are_pushed() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let _nginx = Nginx::start(&lab, &[80])?;
    let file = lab.trial.write("many.txt", &many(&["192.0.2.3/32"]))?;
    let file = file.to_str().context("the path is text")?;
    let stranger = Curl::new(&lab.peer).from(STRANGER4);
    let hasty = stranger.clone().within(Duration::from_millis(300));
    let url = format!("http://{HOST4}/");
    assert!(hasty.get(&url)?.is_err(), "nobody has admitted the stranger yet");
    let before = daemon.metrics()?;

    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let (requests, meanwhile) = thread::scope(|scope| {
        let until = Until(&over);
        let clients = [(FRIEND4, HOST4.to_owned()), (FRIEND6, format!("[{HOST6}]"))].map(|(source, host)| {
            let (lab, over, answered) = (&lab, &over, &answered);
            scope.spawn(move || ask_again_and_again(lab, source, &format!("http://{host}/"), over, answered))
        });
        let pushes = (|| {
            let (mut meanwhile, mut pushes) = (0, 0);
            while pushes < PUSHES || meanwhile < REQUESTS && pushes < MOST_PUSHES {
                wait_for_more(&answered, 3)?;
                let at_first = answered.load(Ordering::Relaxed);
                let (said, time) = timed(|| daemon.cli(&["allow", "add", "friends", "--file", file]));
                let said = said?;
                meanwhile += answered.load(Ordering::Relaxed) - at_first;
                println!("pushed in {time:?}: {said:?}");
                assert_eq!((said.code, count_of(&said.stdout, "added")), (0, MANY as u64), "{said:?}");
                assert_eq!(stranger.get(&url)?, Ok(()), "the stranger is one of them");
                wait_for_more(&answered, 3)?;
                let said = daemon.cli(&["allow", "remove", "friends", "--file", file])?;
                assert_eq!((said.code, count_of(&said.stdout, "removed")), (0, MANY as u64), "{said:?}");
                pushes += 1;
            }
            anyhow::Ok(meanwhile)
        })();
        drop(until);
        let failed: Vec<Vec<String>> = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect::<Result<_>>()?;
        anyhow::Ok((failed.concat(), pushes?))
    })?;
    println!("{} requests were answered, {meanwhile} during pushes", answered.load(Ordering::Relaxed));
    assert!(meanwhile >= REQUESTS, "only {meanwhile} requests were answered during pushes");
    assert!(requests.is_empty(), "requests of friends failed: {requests:?}");
    // A request that had to be repeated would have left its mark here.
    let dropped: Vec<_> = daemon
        .metrics()?
        .packets_since(&before)
        .into_iter()
        .filter(|(verdict, _)| verdict.contains(" drop "))
        .collect();
    assert!(dropped.is_empty(), "{dropped:?}");
    assert!(hasty.get(&url)?.is_err(), "the last push took the stranger out again");
    Ok(())
}

#[test]
fn one_bad_prefix_among_ten_thousand_is_named_and_nothing_changes() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let before = (daemon.generation()?, daemon.ok(&["allow", "list", "friends", "-o", "json"])?);
    let mut lines: Vec<String> = many(&["192.0.2.3/32"]).lines().map(str::to_owned).collect();
    lines[7_776] = "203.0.113.7/24".to_owned();
    let file = lab.trial.write("bad.txt", &lines.join("\n"))?;
    let said = daemon.cli(&["allow", "add", "friends", "--file", file.to_str().context("the path is text")?])?;
    assert_eq!(said.code, 5, "{said:?}");
    let place = format!("{}:7777: `203.0.113.7/24` has host bits set", file.display());
    assert!(said.stderr.contains(&place), "{said:?}");
    assert_eq!(said.stderr.matches("error: ").count(), 2, "only the bad one is named: {said:?}");
    assert!(said.stderr.contains("nothing was changed"), "{said:?}");
    assert_eq!((daemon.generation()?, daemon.ok(&["allow", "list", "friends", "-o", "json"])?), before);
    let runtime = [("list", "friends"), ("layer", "runtime")];
    assert_eq!(daemon.metrics()?.value("portcullis_list_entries", &runtime), Some(0.0));
    Ok(())
}

/// So many distinct prefixes of both families and several lengths, `others` last.
fn many(others: &[&str]) -> String {
    let mut text = String::new();
    for number in 0..MANY - others.len() {
        let (high, low) = (number >> 8, number & 0xff);
        let line = match number % 4 {
            0 => format!("10.{high}.{low}.0/24"),
            1 => format!("10.{high}.{low}.7"),
            2 => format!("2001:db8:{high:x}:{low:x}00::/56"),
            _ => format!("2001:db8:{high:x}:{low:x}00::7"),
        };
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text + &others.join("\n")
}

/// Asks until `over`; the requests that failed.
fn ask_again_and_again(
    lab: &Lab,
    source: &str,
    url: &str,
    over: &AtomicBool,
    answered: &AtomicU64,
) -> Result<Vec<String>> {
    let client = Curl::new(&lab.peer).from(source);
    let mut failed = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match client.get(url)? {
            Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
            Err(why) => failed.push(why),
        }
    }
    Ok(failed)
}

/// Waits until so many more requests were answered.
fn wait_for_more(answered: &AtomicU64, more: u64) -> Result<()> {
    let wanted = answered.load(Ordering::Relaxed) + more;
    wait_until("requests", LIMIT, || Ok((answered.load(Ordering::Relaxed) >= wanted).then_some(())))
}

/// The number before a word, as in `10000 added`.
fn count_of(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split([' ', ',', ':', '\n']).filter(|word| !word.is_empty()).collect();
    let before = words.windows(2).find(|pair| pair[1] == word).map(|pair| pair[0]);
    before.and_then(|number| number.parse().ok()).unwrap_or_default()
}
