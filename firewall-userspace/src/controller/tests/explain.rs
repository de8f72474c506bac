//! What is asked about packets and sources, on a host that answers 203.0.113.0/24 from 192.0.2.9.

use std::net::IpAddr;

use super::world::World;
use crate::{
    control::Refusal,
    controller::{Explaining, Inquiry, Message},
    policy::{
        Prefix,
        packet::{Packet, SYN, Transport},
    },
    preview::explain::{Answered, DestinationBy, Effect, Explained, MOST_FRAMES, Question, Questions, to_hex},
};

fn world() -> World {
    let mut world = World::new(0);
    let own = ["192.0.2.5", "192.0.2.9", "127.0.0.1"].map(|text| text.parse::<Prefix>().unwrap());
    assert!(world.ask(|reply| Message::OwnAddresses(own.into(), reply)));
    world
}

fn ask(world: &mut World, inquiry: Inquiry) -> Result<Vec<Answered>, Refusal> {
    match world.ask(|reply| Message::Explain(inquiry, true, reply))? {
        Explaining::Explained(answers) => Ok(answers),
        Explaining::NotLoaded(_) => panic!("it is loaded"),
    }
}

fn explained(answered: &Answered) -> &Explained {
    match answered {
        Answered::Explained(explained) => explained,
        Answered::Refused(why) => panic!("{why}"),
    }
}

fn services(world: &mut World, source: &str, destination: Option<&str>) -> Explained {
    let source = Some(source.parse().unwrap());
    let destination = destination.map(|destination| destination.parse().unwrap());
    let answers = ask(world, Inquiry::Packets(Questions { source, destination, ..Questions::default() })).unwrap();
    assert_eq!(answers.len(), 1, "there is one service");
    explained(&answers[0]).clone()
}

fn frame(source: &str, destination: &str) -> String {
    let transport = Transport::Tcp { source_port: 50_000, port: 443, flags: SYN };
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    to_hex(&Packet { source, destination, transport, is_later_fragment: false }.frame().unwrap())
}

fn frames(world: &mut World, frames: Vec<String>) -> Result<Vec<Answered>, Refusal> {
    ask(world, Inquiry::Packets(Questions { frames, ..Questions::default() }))
}

#[test]
fn every_service_is_asked_at_the_address_that_the_source_is_answered_from() {
    let mut world = world();
    let answer = services(&mut world, "203.0.113.7", None);
    let asked = answer.asked.as_ref().unwrap();
    assert_eq!((&*asked.service, asked.port, asked.syn), ("s", 443, true));
    assert_eq!((answer.destination, answer.destination_by), (ip("192.0.2.9"), Some(DestinationBy::Route)));
    assert_eq!(answer.notes, Vec::<String>::new());

    let answer = services(&mut world, "198.18.0.1", None);
    assert_eq!((answer.destination, answer.destination_by), (ip("192.0.2.5"), Some(DestinationBy::Smallest)));
    assert!(
        answer.notes[0].contains("not known from which address") && answer.notes[0].contains("unreachable"),
        "{answer:?}"
    );

    let answer = services(&mut world, "2001:db8::1", None);
    assert_eq!(answer.destination_by, Some(DestinationBy::Nothing));
    assert!(answer.notes[0].contains("this host has no address of the family"), "{answer:?}");

    let packet = Question { source: ip("203.0.113.7"), port: Some(443), ..Question::default() };
    let answers = ask(&mut world, Inquiry::Packet(packet)).unwrap();
    assert_eq!(explained(&answers[0]).destination, ip("192.0.2.9"), "the same for one packet");
}

#[test]
fn a_destination_that_is_not_ours_is_told() {
    let mut world = world();
    let answer = services(&mut world, "203.0.113.7", Some("192.0.2.200"));
    assert_eq!((answer.destination, answer.destination_by), (ip("192.0.2.200"), None));
    assert_eq!(
        answer.notes,
        ["`s` is not served there", "192.0.2.200 is not an address of this host, and no service names it"]
    );
    let notes = |world: &mut World, destination| services(world, "203.0.113.7", Some(destination)).notes;
    for ours in ["192.0.2.5", "198.51.100.77", "255.255.255.255", "224.0.0.1"] {
        assert_eq!(notes(&mut world, ours), ["`s` is not served there"], "{ours}");
    }
    let wrong = Questions { source: ip("203.0.113.7"), destination: ip("2001:db8::1"), ..Questions::default() };
    assert!(matches!(ask(&mut world, Inquiry::Packets(wrong)), Err(Refusal::Invalid(_))));
}

#[test]
fn each_frame_has_its_answer_and_its_notes() {
    let mut world = world();
    let long = frame("203.0.113.7", "192.0.2.9") + &"00".repeat(2000);
    let asked = vec![
        frame("203.0.113.7", "192.0.2.9"),
        "0g".into(),
        "00".repeat(13),
        frame("192.0.2.9", "203.0.113.7"),
        frame("203.0.113.7", "203.0.113.8"),
        long,
        "00".repeat(60),
    ];
    let answers = frames(&mut world, asked).unwrap();
    let notes = |index: usize| explained(&answers[index]).notes.clone();
    assert_eq!((explained(&answers[0]).destination, notes(0)), (ip("192.0.2.9"), Vec::new()));
    assert_eq!(answers[1], Answered::Refused("character 2 is no hexadecimal digit".into()));
    assert_eq!(answers[2], Answered::Refused("it has 13 octets; frames have 14 to 65558".into()));
    assert_eq!(notes(3), ["this host sends it: the program judges only what comes in"]);
    assert_eq!(notes(4), ["203.0.113.8 is not an address of this host, and no service names it"]);
    assert!(
        notes(5)[0].starts_with("it has 2,054 octets, more than the frames of the filtered interfaces (MTU 1500)"),
        "{:?}",
        notes(5)
    );
    assert_eq!(explained(&answers[6]).source, None, "it is no IP packet");

    let one = frame("203.0.113.7", "192.0.2.9");
    assert_eq!(frames(&mut world, vec![one.clone(); MOST_FRAMES]).unwrap().len(), MOST_FRAMES);
    assert!(matches!(frames(&mut world, vec![one; MOST_FRAMES + 1]), Err(Refusal::Invalid(_))));
}

#[test]
fn a_source_is_told_all_that_it_is_in() {
    let world = world();
    let of = |source: &str| world.told.borrow().membership(source.parse().unwrap()).unwrap();
    let listed = of("192.0.2.1");
    let entry = &listed.entries[0];
    assert_eq!((&*entry.entry.list, &*entry.entry.prefix, entry.services.len()), ("a", "192.0.2.1/32", 1));
    assert_eq!((&*entry.services[0].service, entry.services[0].effect), ("s", Effect::Admits));
    let managed = of("198.51.100.9");
    assert_eq!(managed.management, ["198.51.100.0/24".parse().unwrap()]);
    assert!(of("192.0.2.5").own && of("203.0.113.7").is_empty());
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}
