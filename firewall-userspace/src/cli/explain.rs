//! `portcullis explain`: what would become of a packet now, and why.

use std::{fmt::Write as _, net::IpAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    client::{Answer, Client},
    exit::Exit,
    failure::Failure,
    output::{self, Output},
    pcap,
    table::TextTable,
};
use crate::{
    preview::explain::{AskedProtocol, Explained, Question, to_hex},
    text::shown::escaped,
};

/// Arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Source address of the packet.
    #[arg(value_name = "SRC", required_unless_present = "frame")]
    source: Option<IpAddr>,
    /// Destination address; default: an address of this host at which the port is served.
    #[arg(long = "dst", value_name = "ADDRESS")]
    destination: Option<IpAddr>,
    /// Destination port of TCP and UDP.
    #[arg(long = "dport", value_name = "PORT")]
    port: Option<u16>,
    /// Source port of TCP and UDP.
    #[arg(long = "sport", value_name = "PORT")]
    source_port: Option<u16>,
    /// What the packet carries; `icmp` is an echo request.
    #[arg(long = "proto", value_name = "PROTOCOL", value_enum, default_value_t = ProtocolChoice::Tcp)]
    protocol: ProtocolChoice,
    /// A packet that opens a TCP connection; otherwise it is one of an established connection.
    #[arg(long)]
    syn: bool,
    /// Ask about every frame of a pcap or pcapng file of Ethernet instead; at most 100.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["source", "destination", "port", "source_port", "protocol", "syn"]
    )]
    frame: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProtocolChoice {
    Tcp,
    Udp,
    Icmp,
}

/// Asks the daemon; exit code 0 when everything would pass, 1 when something would be dropped.
pub fn run(client: &Client, output: Output, args: &ExplainArgs) -> Result<Option<Exit>, Failure> {
    let questions = match &args.frame {
        None => vec![question(args)],
        Some(file) => {
            let frames = pcap::frames(file)?;
            frames.iter().map(|frame| Question { frame: Some(to_hex(frame)), ..Question::default() }).collect()
        }
    };
    let mut passes = true;
    for (index, question) in questions.iter().enumerate() {
        let body = serde_json::to_vec(question).map_err(|error| Failure::Write(error.into()))?;
        let Answer { value, json } = client
            .post::<Explained>("/v1/explain", body)
            .map_err(|failure| failure.told_by(|problem| option_of(&problem.pointer, &problem.detail)))?;
        passes &= value.action == "pass";
        match output {
            Output::Json => output::data(&json)?,
            Output::Table => {
                let heading = if questions.len() > 1 { format!("frame {}\n", index + 1) } else { String::new() };
                output::data(format!("{heading}{}", screen(&value)).as_bytes())?;
            }
        }
    }
    Ok((!passes).then_some(Exit::Negative))
}

fn question(args: &ExplainArgs) -> Question {
    Question {
        source: args.source,
        destination: args.destination,
        protocol: match args.protocol {
            ProtocolChoice::Tcp => AskedProtocol::Tcp,
            ProtocolChoice::Udp => AskedProtocol::Udp,
            ProtocolChoice::Icmp => AskedProtocol::Icmp,
        },
        port: args.port,
        source_port: args.source_port,
        syn: args.syn,
        frame: None,
    }
}

/// The option that a field of the question came from.
fn option_of(pointer: &str, detail: &str) -> String {
    let option = match pointer {
        "/source" => "SRC",
        "/destination" => "--dst",
        "/port" => "--dport",
        "/source_port" => "--sport",
        "/syn" => "--syn",
        "/frame" => "--frame",
        other => other,
    };
    format!("{option}: {detail}")
}

fn screen(explained: &Explained) -> String {
    let mut text = String::new();
    let mut fact = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12}{}", escaped(value));
    };
    let Explained { action, verdict, reason, meaning, .. } = explained;
    if action == verdict {
        fact("verdict", &format!("{verdict} ({reason}): {meaning}"));
    } else {
        fact("verdict", &format!("{verdict} ({reason}), but it passes: {meaning}"));
    }
    let address = |address: Option<IpAddr>| address.map_or_else(|| "?".into(), |address| address.to_string());
    let marks = [(explained.own, "an address of this host"), (explained.management, "management")];
    let marks: Vec<&str> = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    fact("source", &format!("{}{marks}", address(explained.source)));
    if explained.destination.is_some() {
        fact("destination", &address(explained.destination));
    }
    fact("service", explained.service.as_deref().unwrap_or("none"));
    if let Some(limit) = &explained.limit {
        fact("limit", &format!("{}; rate state {}", limit.name, limit.bucket));
        for quantity in &limit.quantities {
            let full = quantity.full_again.map_or_else(String::new, |at| format!(", all of them at {at:.0}"));
            fact("", &format!("{} of {} {} left{full}", quantity.left, quantity.burst, quantity.quantity));
        }
    }
    for note in &explained.notes {
        fact("note", note);
    }
    if explained.entries.is_empty() {
        return text;
    }
    let mut table = TextTable::new(["", "LIST", "PREFIX", "EFFECT", "LAYER", "OWNER", "EXPIRES", "COMMENT"]);
    for one in &explained.entries {
        let (entry, decides) = (&one.entry, if one.decides { "*" } else { "" });
        let doubt = if entry.in_doubt { " (in doubt)" } else { "" };
        let expires = entry.expires.map_or_else(|| "never".to_owned(), |expires| format!("{expires:.0}{doubt}"));
        table.push([
            decides.into(),
            entry.list.clone(),
            entry.prefix.clone(),
            one.effect.to_string(),
            entry.layer.label().into(),
            entry.owner.clone(),
            expires,
            entry.comment.clone().unwrap_or_default(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    text
}
