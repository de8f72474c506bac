//! A source and every service.

use std::collections::BTreeMap;

use super::{screen, told};
use crate::{
    cli::{
        client::Client,
        failure::Failure,
        output::{self, Output},
        table::TextTable,
    },
    preview::explain::{Answered, AskedProtocol, Explained, ExplanationSet, Questions},
};

/// Asks what would become of a packet of the source to each service; whether all pass.
pub fn run(client: &Client, output: Output, questions: &Questions) -> Result<bool, Failure> {
    let body = serde_json::to_vec(questions).map_err(|error| Failure::Write(error.into()))?;
    let answer = client.question::<ExplanationSet>("/v1/explanations", body).map_err(told)?;
    let explained = |answer| match answer {
        Answered::Explained(explained) => Ok(*explained),
        Answered::Refused(why) => Err(client.strange(why)),
    };
    let answers = answer.value.answers.into_iter().map(explained).collect::<Result<Vec<Explained>, _>>()?;
    if answers.is_empty() {
        output::words("note: there is no such service");
    } else {
        let text = match output {
            Output::Json => answers.iter().map(line).collect::<Result<String, _>>()?,
            Output::Table => table(&answers),
        };
        output::data(text.as_bytes())?;
    }
    Ok(answers.iter().all(|answer| answer.action == "pass"))
}

/// An answer as a document of one line.
pub fn line(explained: &Explained) -> Result<String, Failure> {
    let json = serde_json::to_string(explained).map_err(|error| Failure::Write(error.into()))?;
    Ok(json + "\n")
}

fn table(answers: &[Explained]) -> String {
    let mut text = String::new();
    if let Some(first) = answers.first() {
        screen::fact(&mut text, "source", &screen::source(first.source, first.own, first.management));
    }
    let mut destinations = Vec::new();
    // Notes, and the services that have them.
    let mut notes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut table = TextTable::new(["SERVICE", "PACKET", "VERDICT", "REASON", "DESTINATION", "BECAUSE"]);
    for answer in answers {
        let (name, packet) = named(answer);
        let destination = answer.destination.map(|destination| destination.to_string()).unwrap_or_default();
        let chosen = format!("{destination}{}", screen::chosen_by(answer.destination_by));
        if answer.destination_by.is_some() && !destinations.contains(&chosen) {
            destinations.push(chosen);
        }
        answer.notes.iter().for_each(|note| notes.entry(note).or_default().push(name));
        let (verdict, because) = (screen::verdict(answer), screen::because(answer));
        table.push([name.into(), packet, verdict, answer.reason.clone(), destination, because]);
    }
    destinations.iter().for_each(|destination| screen::fact(&mut text, "destination", destination));
    for (note, services) in notes {
        let whose = if services.len() == answers.len() { String::new() } else { format!("{}: ", services.join(", ")) };
        screen::fact(&mut text, "note", &format!("{whose}{note}"));
    }
    format!("{text}\n{table}")
}

/// The service that was asked about, and the packet.
fn named(answer: &Explained) -> (&str, String) {
    let Some(asked) = &answer.asked else { return ("", String::new()) };
    let protocol = match asked.protocol {
        AskedProtocol::Tcp => "tcp",
        AskedProtocol::Udp => "udp",
        AskedProtocol::Icmp => "icmp",
    };
    let syn = if asked.syn { " syn" } else { "" };
    (&asked.service, format!("{protocol}/{}{syn}", asked.port))
}
