//! What would become of packets now.
//!
//! In: a question about one packet, about every service, or about frames. Out: what the program says of each on the live tables, with the
//! entries and the limit behind it. Nothing is owned here and nothing changes.

mod asked;
mod facts;

use firewall_common::{Verdict, abi};

use self::{asked::AskedFrame, facts::AskedFacts};
use super::{Core, Explaining, Inquiry};
use crate::{
    clock::Now,
    control::Refusal,
    datapath::{DatapathError, Explainer, Filter, Judgement},
    lists::layers::Telling,
    policy::{Mode, Service, compile},
    preview::explain::{self, Answered, Explained, Match},
    state::disk::Disk,
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Asks what filters, on the live tables, without side effects; `loads` what answers, when that is not loaded.
    pub(super) fn explain(&mut self, inquiry: &Inquiry, loads: bool, now: Now) -> Result<Explaining, Refusal> {
        let mut facts = AskedFacts::new(&self.in_force.policy, &*self.outer.host);
        let asked = match inquiry {
            Inquiry::Packet(question) => vec![Ok(self.packet(question, &mut facts)?)],
            Inquiry::Packets(questions) => self.packets(questions, &mut facts)?,
        };
        let explainer = self.filter.explainer();
        let fail = |error: DatapathError| Refusal::Datapath { message: error.to_string() };
        match explainer.is_loaded() {
            true => {}
            false if loads => explainer.load().map_err(fail)?,
            false => return Ok(Explaining::NotLoaded(explainer)),
        }
        let is_capture = matches!(inquiry, Inquiry::Packets(questions) if !questions.frames.is_empty());
        let answers = asked.into_iter().map(|asked| {
            match asked.and_then(|asked| self.explained(&*explainer, asked, &mut facts, now)) {
                Ok(explained) => Ok(Answered::Explained(Box::new(explained))),
                // One of many frames may be what no kernel takes; the others are judged all the same.
                Err(why) if is_capture => Ok(Answered::Refused(why)),
                Err(message) => Err(Refusal::Datapath { message }),
            }
        });
        answers.collect::<Result<_, _>>().map(Explaining::Explained)
    }

    /// What the program says of one frame; words when it cannot.
    fn explained(
        &self,
        explainer: &dyn Explainer,
        asked: AskedFrame,
        facts: &mut AskedFacts<'_>,
        now: Now,
    ) -> Result<Explained, String> {
        let AskedFrame { frame, chosen_by, packet, mut notes } = asked;
        let judgement = explainer.explain(&frame).map_err(|error| error.to_string())?;
        let policy = &self.in_force.policy;
        let Judgement { action, verdict, explanation, .. } = &judgement;
        let service = judgement.service.as_ref();
        let service = policy.services.iter().find(|one| Some(&one.name) == service);
        let limit = policy.limits.iter().find(|one| Some(&one.name) == judgement.limit.as_ref());
        let ends = facts.ends(&frame, self.lists.members());
        let entries = ends.source.map_or_else(Vec::new, |source| {
            explain::matching(policy, self.lists.pushed(), |list| self.telling(list), source, service, *verdict)
        });
        if let (Some(asked), None) = (&packet, chosen_by)
            && (service.is_some_and(|service| *service.name != *asked.service) || *verdict == Verdict::NoService)
        {
            notes.push(format!("`{}` is not served there", asked.service));
        }
        notes.extend(self.notes_on_verdict(service, &entries, explanation.lists));
        notes.extend(facts.notes_on_ends(&ends, self.lists.own()));
        notes.extend(facts.note_on_length(frame.len()));
        let revision = self.in_force.revision();
        Ok(Explained {
            schema: "portcullis.explain/v1".into(),
            generation: revision,
            revision,
            policy_generation: self.policy_generation(),
            source: ends.source,
            destination: ends.destination,
            destination_by: chosen_by,
            asked: packet,
            frame: None,
            octets: None,
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
        })
    }

    /// How entries of the list at `index` are told.
    pub(in crate::controller) fn telling(&self, index: usize) -> Telling<'_> {
        let is_denied = self.in_force.policy.denies_list(index);
        Telling { loaded: self.in_force.loaded(), clock: self.lists.clock(), is_denied }
    }

    /// What does not fit together, and what is only counted.
    fn notes_on_verdict(&self, service: Option<&Service>, entries: &[Match], lists: u64) -> Vec<String> {
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
}
