//! What would become of a packet now.

use std::{cell::Cell, net::IpAddr};

use firewall_common::abi;

use super::{Core, Explaining};
use crate::{
    clock::Now,
    control::Refusal,
    datapath::{Filter, Judgement},
    lists::layers::Telling,
    policy::{Mode, Service, compile},
    preview::{
        explain::{self, Explained, Match, Question},
        model::HostModel,
    },
    state::disk::Disk,
    text::problem::Problems,
};

/// Shortest frame that the kernel runs a program on: an Ethernet header.
const SHORTEST_FRAME: usize = 14;

/// Longest frame: 64 KiB of IP packet behind an Ethernet header with two tags.
const LONGEST_FRAME: usize = (1 << 16) + 22;

impl<F: Filter, D: Disk> Core<F, D> {
    /// Asks what filters, on the live tables, without side effects; `loads` what answers, when that is not loaded.
    pub(super) fn explain(&mut self, question: &Question, loads: bool, now: Now) -> Result<Explaining, Refusal> {
        let (frame, destination) = self.frame(question)?;
        let explainer = self.filter.explainer();
        let fail = |error: crate::datapath::DatapathError| Refusal::Datapath { message: error.to_string() };
        match explainer.is_loaded() {
            true => {}
            false if loads => explainer.load().map_err(fail)?,
            false => return Ok(Explaining::NotLoaded(explainer)),
        }
        let judgement = explainer.explain(&frame).map_err(fail)?;
        let policy = &self.in_force.policy;
        let Judgement { action, verdict, explanation, .. } = &judgement;
        let service = judgement.service.as_ref();
        let service = policy.services.iter().find(|one| Some(&one.name) == service);
        let limit = policy.limits.iter().find(|one| Some(&one.name) == judgement.limit.as_ref());
        let source = self.source_of(&frame);
        let entries = source.map_or_else(Vec::new, |source| {
            explain::matching(policy, self.lists.pushed(), |list| self.telling(list), source, service, *verdict)
        });
        let notes = self.notes(service, &entries, explanation.lists);
        let revision = self.in_force.revision();
        Ok(Explaining::Explained(Box::new(Explained {
            schema: "portcullis.explain/v1".into(),
            generation: revision,
            revision,
            policy_generation: self.policy_generation(),
            source,
            destination,
            action: action.label().into(),
            verdict: verdict.action().label().into(),
            reason: verdict.label().into(),
            meaning: verdict.doc().into(),
            service: service.map(|service| service.name.to_string()),
            own: explanation.flags & abi::OWN != 0,
            management: explanation.flags & abi::MANAGEMENT != 0,
            limit: limit.and_then(|limit| explain::limit_state(limit, explanation, now.wall)),
            entries,
            notes,
        })))
    }

    /// How entries of the list at `index` are told.
    fn telling(&self, index: usize) -> Telling<'_> {
        let is_denied = self.in_force.policy.denies_list(index);
        Telling { loaded: self.in_force.loaded(), clock: self.lists.clock(), is_denied }
    }

    /// What does not fit together, and what is only counted.
    fn notes(&self, service: Option<&Service>, entries: &[Match], lists: u64) -> Vec<String> {
        let policy = &self.in_force.policy;
        let mut notes = Vec::new();
        // Stages before the lists do not look a source up, so an empty answer proves nothing.
        let in_tables = entries.iter().fold(0, |all, one| {
            all | policy.lists.iter().position(|list| *list.name == *one.entry.list).map_or(0, compile::bit)
        });
        if service.is_some() && in_tables != lists {
            notes.push(format!(
                "the kernel has the source in {}, its entries are in {}: somebody else changed the tables, or an entry \
                 ended this moment",
                self.names_of(lists),
                self.names_of(in_tables)
            ));
        }
        if policy.mode == Mode::Observe {
            notes.push("the host observes: nothing is dropped".into());
        } else if let Some(service) = service.filter(|service| service.mode == Mode::Observe) {
            notes.push(format!("the service `{}` observes: it drops nothing", service.name));
        }
        notes
    }

    /// Names of the lists of a membership.
    fn names_of(&self, lists: u64) -> String {
        let names =
            self.in_force.policy.lists.iter().enumerate().filter(|(index, _)| lists & compile::bit(*index) != 0);
        let names: Vec<String> = names.map(|(_, list)| format!("`{}`", list.name)).collect();
        if names.is_empty() { "no list".into() } else { names.join(", ") }
    }

    /// The frame of the question, and where it goes if that is known.
    fn frame(&self, question: &Question) -> Result<(Vec<u8>, Option<IpAddr>), Refusal> {
        let wrong = |pointer: &str, detail: String| Refusal::Invalid(Problems::one(pointer, detail));
        let Some(digits) = &question.frame else {
            let own = self.lists.own().iter().copied();
            let packet = explain::packet(question, &self.in_force.policy, own).map_err(Refusal::Invalid)?;
            let frame = packet.frame();
            let frame = frame.ok_or_else(|| wrong("/destination", "it is of another family".into()))?;
            return Ok((frame, Some(packet.destination)));
        };
        if (Question { frame: None, ..question.clone() }) != Question::default() {
            return Err(wrong("/frame", "a frame says everything itself; nothing else may be given".into()));
        }
        let frame = explain::from_hex(digits).map_err(|error| wrong("/frame", error.to_string()))?;
        if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&frame.len()) {
            let length = frame.len();
            let detail = format!("it has {length} octets; frames have {SHORTEST_FRAME} to {LONGEST_FRAME}");
            return Err(wrong("/frame", detail));
        }
        Ok((frame, None))
    }

    /// The source of a frame, as far as the stages read it.
    fn source_of(&self, frame: &[u8]) -> Option<IpAddr> {
        let source = Cell::new(None);
        HostModel::new(&self.in_force.policy).judge_frame(frame, |address| {
            source.set(Some(address));
            self.lists.members().lookup(address)
        });
        source.get()
    }
}
