//! The steps, in the order they are shown.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    counters::Counters,
    flood::{Flood, flood},
};
use crate::{
    interrupt,
    lab::{self, Answer, CLIENT_A, CLIENT_B, FLOOD_BURST, FLOOD_RATE, HOST, Host, Lab, WIDE_PREFIX_V4, WIDE_PREFIX_V6},
    report::{Report, Seen},
};

/// How long a pushed source may take to get in. It takes milliseconds.
const PUSH_LIMIT: Duration = Duration::from_secs(3);

/// How long to wait for a moment in which nothing is on the wire.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);

/// A packet may wait this long in the queues of the lab between being sent and being judged.
const QUEUE_TIME: Duration = Duration::from_millis(50);

/// Takes every step.
pub fn all(lab: &mut Lab, report: &mut Report) -> Result<()> {
    attached(lab, report)?;
    let start = Arrivals::take(lab)?;
    let v4 = |host: &Host| IpAddr::from(host.v4);
    lists(lab, report, "ipv4", v4, WIDE_PREFIX_V4)?;
    limits(lab, report)?;
    let v6 = |host: &Host| IpAddr::from(host.v6);
    lists(lab, report, "ipv6", v6, WIDE_PREFIX_V6)?;
    every_frame(lab, report, &start)?;
    stopped(lab, report)
}

fn attached(lab: &Lab, report: &mut Report) -> Result<()> {
    report.step("portcullis guards eth0 of host", "an XDP program in native mode on eth0", || {
        let link = lab.network().namespace(&HOST).ip(&["-details", "link", "show", "dev", "eth0"])?;
        let seen = link.lines().find_map(|line| line.trim().strip_prefix("prog/xdp")).map(str::trim);
        Ok(Seen {
            as_expected: seen.is_some() && !link.contains("xdpgeneric"),
            seen: seen.map_or("no program".to_owned(), |program| format!("prog/xdp {program}")),
        })
    })
}

/// Allow and deny, for one address family.
fn lists(lab: &Lab, report: &mut Report, family: &str, address: impl Fn(&Host) -> IpAddr, wide: &str) -> Result<()> {
    let url = lab::url(address(&HOST));
    let (client_a, client_b) = (address(&CLIENT_A).to_string(), address(&CLIENT_B).to_string());

    let what = format!("client-a ({client_a}) is on no list and asks {url}");
    report.step(&what, "no answer; counted as not_allowed", || refused(lab, &CLIENT_A, &url, family, "not_allowed"))?;

    let what = format!("portcullis allow add partners {client_a}; client-a asks again");
    report.step(&what, "the same request is answered at once", || {
        let start = Instant::now();
        lab.portcullis(&["allow", "add", "partners", &client_a])?;
        let pushed = start.elapsed();
        let answered = interrupt::wait_for(PUSH_LIMIT, || {
            Ok((lab.request(&CLIENT_A, &url)? == Answer::Status(200)).then(|| start.elapsed()))
        })?;
        Ok(Seen {
            as_expected: answered.is_some(),
            seen: match answered {
                Some(answered) => format!(
                    "200; {} ms after the command was typed, {} of them the push",
                    answered.as_millis(),
                    pushed.as_millis()
                ),
                None => format!("no answer within {} s", PUSH_LIMIT.as_secs()),
            },
        })
    })?;

    let what = format!("portcullis allow add partners {wide}; client-b ({client_b}) asks");
    report.step(&what, "client-b is answered: it is inside the prefix", || {
        lab.portcullis(&["allow", "add", "partners", wide])?;
        let answer = lab.request(&CLIENT_B, &url)?;
        Ok(Seen { as_expected: answer == Answer::Status(200), seen: in_words(&answer) })
    })?;

    let what = format!("portcullis deny add blocked {client_b}; client-b asks again");
    report.step(&what, "no answer; counted as denied, inside the allowed prefix", || {
        lab.portcullis(&["deny", "add", "blocked", &client_b])?;
        refused(lab, &CLIENT_B, &url, family, "denied")
    })
}

/// A request that gets no answer, for the given reason and no other.
fn refused(lab: &Lab, from: &Host, url: &str, family: &str, reason: &str) -> Result<Seen> {
    let before = counters(lab)?;
    let answer = lab.request(from, url)?;
    let after = counters(lab)?;
    let dropped = after.packets(family, reason) - before.packets(family, reason);
    Ok(Seen {
        as_expected: answer == Answer::TimedOut && dropped > 0,
        seen: format!("{}; {}", in_words(&answer), after.growth_since(&before)),
    })
}

/// A flood from one source, and what another sees of it.
fn limits(lab: &Lab, report: &mut Report) -> Result<()> {
    let url = lab::url(HOST.v4.into());
    let before = counters(lab)?;
    let mut outcome = None;
    let what = format!(
        "attacker floods a service that takes {FLOOD_RATE} packets a second and {FLOOD_BURST} at once from each source"
    );
    report.step(&what, "what arrives is at most the limit, and at least 90 % of it", || {
        let mut answers = Vec::new();
        let flood = flood(lab, || {
            answers.push(lab.request(&CLIENT_A, &url)?);
            Ok(())
        })?;
        let limit = conforming(flood.time);
        let as_expected = flood.arrived <= conforming(flood.time + QUEUE_TIME) && flood.arrived * 10 >= limit * 9;
        let Flood { sent, arrived, time } = flood;
        let seen = format!("{sent} sent in {:.2} s, {arrived} arrived, the limit gives {limit}", time.as_secs_f64());
        outcome = Some((flood, answers));
        Ok(Seen { as_expected, seen })
    })?;

    report.step("meanwhile client-a asks again and again", "every request is answered", || {
        let (_, answers) = outcome.as_ref().context("there was no flood")?;
        let answered = answers.iter().filter(|answer| **answer == Answer::Status(200)).count();
        Ok(Seen {
            as_expected: answered == answers.len() && answered > 0,
            seen: format!("{answered} of {} answered", answers.len()),
        })
    })?;

    report.step("/metrics tells of the flood", "over_packets counts what was sent and did not arrive", || {
        let (flood, _) = outcome.as_ref().context("there was no flood")?;
        let after = counters(lab)?;
        let dropped = after.packets("ipv4", "over_packets") - before.packets("ipv4", "over_packets");
        Ok(Seen {
            as_expected: dropped > 0 && flood.arrived + dropped == flood.sent,
            seen: format!(
                "{} arrived + {dropped} over_packets = {}, {} sent",
                flood.arrived,
                flood.arrived + dropped,
                flood.sent
            ),
        })
    })
}

/// Packets of one source that conform to the limit within a time, its burst included.
fn conforming(time: Duration) -> u64 {
    FLOOD_BURST + time.as_millis() as u64 * FLOOD_RATE / 1000
}

fn every_frame(lab: &Lab, report: &mut Report, start: &Arrivals) -> Result<()> {
    let what = "the kernel counts the frames that reached eth0 since the first step";
    report.step(what, "/metrics counts as many, each under one reason", || {
        let end = Arrivals::take(lab)?;
        let frames = end.frames - start.frames;
        let counted = end.counters.total() - start.counters.total();
        Ok(Seen {
            as_expected: counted == frames,
            seen: format!("{frames} frames, {counted} counted: {}", end.counters.growth_since(&start.counters)),
        })
    })
}

/// What has reached the host, as the kernel counts it and as Portcullis does.
struct Arrivals {
    frames: u64,
    counters: Counters,
}

impl Arrivals {
    /// Reads both while the wire is silent: neighbour discovery may slip in between two readings.
    fn take(lab: &Lab) -> Result<Self> {
        let silent = interrupt::wait_for(SILENCE_LIMIT, || {
            let frames = lab::frames_to_host(lab.network())?;
            let counters = counters(lab)?;
            Ok((lab::frames_to_host(lab.network())? == frames).then_some(Self { frames, counters }))
        })?;
        silent.context("the wire was never silent")
    }
}

fn stopped(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let is_attached = |lab: &Lab| -> Result<bool> {
        let link = lab.network().namespace(&HOST).ip(&["-details", "link", "show", "dev", "eth0"])?;
        Ok(link.contains("xdp"))
    };
    report.step("portcullis is asked to end", "it ends well, and its program filters on", || {
        let ended = lab.stop_portcullis()?;
        let attached = is_attached(lab)?;
        let seen = format!("{ended}; {}", if attached { "a program on eth0" } else { "no program on eth0" });
        Ok(Seen { as_expected: attached && ended == "exit status: 0", seen })
    })?;
    report.step("portcullis detach", "it takes the program off eth0 and says so", || {
        let said = lab.detach()?;
        // The kernel frees a link some time after its last user is gone.
        let gone = interrupt::wait_for(PUSH_LIMIT, || Ok((!is_attached(lab)?).then_some(())))?.is_some();
        let said = said.lines().next().unwrap_or_default();
        let seen = format!("{said}; {}", if gone { "no program on eth0" } else { "a program is still on eth0" });
        Ok(Seen { as_expected: gone && said == "detached from eth0", seen })
    })
}

fn counters(lab: &Lab) -> Result<Counters> {
    Counters::parse(&lab.scrape()?)
}

fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Status(status) => format!("answer {status}"),
        Answer::TimedOut => "no answer".to_owned(),
        Answer::Failed(why) => why.clone(),
    }
}
