//! `portcullis explain`: what would become of a packet now, and why.
//!
//! In: a source, or a capture. Out: the answers of the daemon about one packet, about every service, about each frame, or about what a
//! source is in, as text or as JSON documents, one a line. The daemon owns the verdicts.

mod frames;
mod lists;
mod screen;
mod services;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
};
use crate::{
    exit::Exit,
    policy::Prefix,
    preview::explain::{AskedProtocol, Explained, Question, Questions},
};

/// Reads one address, also as listings write it: `192.0.2.1/32`.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    match (text.parse::<IpAddr>(), text.parse::<Prefix>()) {
        (Ok(address), _) => Ok(address),
        (_, Ok(prefix)) if prefix.is_host() => Ok(prefix.address()),
        (_, Ok(_)) => Err("one packet has one source; `allow list --inside` and `deny list --covers` show entries"),
        (_, Err(_)) => Err("it is no address"),
    }
}

/// Arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Source address of the packet; alone, every service is asked for, TCP by a packet that opens a connection.
    #[arg(value_name = "SRC", required_unless_present = "frame", value_parser = address)]
    source: Option<IpAddr>,
    /// Destination address; default: the address that this host answers SRC from, or one that the service names.
    #[arg(long = "dst", value_name = "ADDRESS")]
    destination: Option<IpAddr>,
    /// Destination port of TCP and UDP; default: a port of each service.
    #[arg(long = "dport", value_name = "PORT")]
    port: Option<u16>,
    /// Source port of TCP and UDP.
    #[arg(long = "sport", value_name = "PORT")]
    source_port: Option<u16>,
    /// What the packet carries; `icmp` is an echo request. Default: tcp, and without `--dport` what each service has.
    #[arg(long = "proto", value_name = "PROTOCOL", value_enum)]
    protocol: Option<ProtocolChoice>,
    /// A packet that opens a TCP connection; otherwise it is one of an established connection.
    #[arg(long)]
    syn: bool,
    /// Show what SRC is in instead, whatever it sends: every entry of every list that covers it. Exit code 1 when it is in nothing.
    #[arg(long, conflicts_with_all = ["destination", "port", "source_port", "protocol", "syn", "frame"], requires = "source")]
    lists: bool,
    /// Ask about every frame of a pcap or pcapng file of Ethernet instead, `-` for standard input.
    ///
    /// Each is judged as if it were the next one: those before it have taken nothing of a limit. A frame that cannot be judged is
    /// told, and a summary ends it.
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

impl From<ProtocolChoice> for AskedProtocol {
    fn from(protocol: ProtocolChoice) -> Self {
        match protocol {
            ProtocolChoice::Tcp => Self::Tcp,
            ProtocolChoice::Udp => Self::Udp,
            ProtocolChoice::Icmp => Self::Icmp,
        }
    }
}

/// Asks the daemon; exit code 0 when everything would pass, 1 when something would be dropped.
pub fn run(client: &Client, output: Output, args: &ExplainArgs) -> Result<Option<Exit>, Failure> {
    let protocol = args.protocol.map(AskedProtocol::from);
    let passes = match (&args.frame, args.source) {
        (Some(file), _) => frames::run(client, output, file)?,
        (None, Some(source)) if args.lists => lists::run(client, output, source)?,
        (None, source) if args.port.is_none() && asks_services(protocol, args.syn) => {
            let protocol = if args.syn { Some(AskedProtocol::Tcp) } else { protocol };
            let (destination, source_port) = (args.destination, args.source_port);
            let questions = Questions { source, destination, protocol, source_port, frames: Vec::new() };
            services::run(client, output, &questions)?
        }
        (None, _) => packet(client, output, &question(args, protocol))?,
    };
    Ok((!passes).then_some(Exit::Negative))
}

/// Whether a question without a port is one about services.
fn asks_services(protocol: Option<AskedProtocol>, syn: bool) -> bool {
    match protocol {
        None | Some(AskedProtocol::Tcp) => true,
        Some(AskedProtocol::Udp) => !syn,
        Some(AskedProtocol::Icmp) => false,
    }
}

/// Asks about one packet; whether it passes.
fn packet(client: &Client, output: Output, question: &Question) -> Result<bool, Failure> {
    let body = serde_json::to_vec(question).map_err(|error| Failure::Write(error.into()))?;
    let Answer { value, json } = client.question::<Explained>("/v1/explain", body).map_err(told)?;
    match output {
        Output::Json => output::data(&json)?,
        Output::Table => output::data(screen::whole(&value).as_bytes())?,
    }
    Ok(value.action == "pass")
}

fn question(args: &ExplainArgs, protocol: Option<AskedProtocol>) -> Question {
    Question {
        source: args.source,
        destination: args.destination,
        protocol: protocol.unwrap_or_default(),
        port: args.port,
        source_port: args.source_port,
        syn: args.syn,
        frame: None,
    }
}

/// A refusal with the options that the fields of the question came from.
fn told(failure: Failure) -> Failure {
    failure.told_by(|problem| option_of(&problem.pointer, &problem.detail))
}

/// The option that a field of the question came from.
fn option_of(pointer: &str, detail: &str) -> String {
    let option = match pointer {
        "/source" => "SRC",
        "/destination" => "--dst",
        "/port" => "--dport",
        "/source_port" => "--sport",
        "/protocol" => "--proto",
        "/syn" => "--syn",
        "/frame" | "/frames" => "--frame",
        other => other,
    };
    format!("{option}: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_also_as_listings_write_it() {
        for (text, wanted) in [
            ("192.0.2.1", Ok("192.0.2.1")),
            ("192.0.2.1/32", Ok("192.0.2.1")),
            ("2001:db8::1/128", Ok("2001:db8::1")),
            ("192.0.2.0/24", Err("--inside")),
            ("office", Err("no address")),
        ] {
            match (address(text), wanted) {
                (Ok(told), Ok(wanted)) => assert_eq!(told.to_string(), wanted),
                (Err(told), Err(wanted)) => assert!(told.contains(wanted), "{text}: {told}"),
                (told, _) => panic!("{text}: {told:?}"),
            }
        }
    }
}
