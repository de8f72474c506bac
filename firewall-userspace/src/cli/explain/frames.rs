//! The frames of a capture.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{screen, services::line, told};
use crate::{
    cli::{
        capture::{Capture, CapturedFrame, Unjudged},
        client::Client,
        failure::Failure,
        output::{self, Output},
        progress::Progress,
        table::TextTable,
    },
    preview::explain::{Answered, Explained, ExplanationSet, MOST_FRAMES, Questions, to_hex},
    text::shown::{counted, grouped},
};

/// A frame that cannot be judged: the schema `portcullis.explain.skipped/v1`.
#[derive(Serialize)]
struct SkippedFrame {
    schema: &'static str,
    frame: u64,
    octets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured: Option<u64>,
    reason: &'static str,
    why: String,
}

/// What became of a capture: the schema `portcullis.explain.summary/v1`.
#[derive(Serialize)]
struct CaptureSummary {
    schema: &'static str,
    frames: u64,
    judged: u64,
    reasons: Vec<ReasonCount>,
    skipped: Vec<SkipCount>,
    /// Why the capture ended before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

#[derive(Serialize)]
struct ReasonCount {
    action: String,
    verdict: String,
    reason: String,
    frames: u64,
}

#[derive(Serialize)]
struct SkipCount {
    reason: &'static str,
    frames: u64,
}

/// Judges every frame of the capture at `file`; whether all that can be judged pass.
pub fn run(client: &Client, output: Output, file: &Path) -> Result<bool, Failure> {
    let mut capture = Capture::open(file)?;
    let mut teller = Teller::new(output);
    let progress = Progress::beside_output("frames");
    loop {
        let mut records = capture.next(MOST_FRAMES)?;
        if teller.frames() == 0 && records.len() == 1 && !capture.is_over() {
            // Whether it is the only one shows in what comes behind it.
            records.extend(capture.next(MOST_FRAMES - 1)?);
        }
        let is_over = capture.is_over();
        if records.is_empty() && is_over {
            break;
        }
        let answers = judge(client, records)?;
        if !teller.tell(answers, is_over)? {
            // Nobody reads it any more.
            return Ok(teller.passes);
        }
        progress.tell("judged", teller.frames(), None);
    }
    drop(progress);
    teller.finish(capture.cut())?;
    if teller.judged() == 0 {
        return Err(capture.wrong(format!("none of its {} can be judged", counted(teller.frames() as usize, "frame"))));
    }
    Ok(teller.passes)
}

/// A frame with its answer.
struct ToldFrame {
    number: u64,
    octets: u64,
    answer: Result<Box<Explained>, Unjudged>,
}

/// Asks the daemon about those that can be judged, all at once.
fn judge(client: &Client, records: Vec<CapturedFrame>) -> Result<Vec<ToldFrame>, Failure> {
    let frames: Vec<String> =
        records.iter().filter_map(|record| record.frame.as_ref().ok()).map(|frame| to_hex(frame)).collect();
    let mut answers = Vec::new();
    if !frames.is_empty() {
        let asked = frames.len();
        let questions = Questions { frames, ..Questions::default() };
        let body = serde_json::to_vec(&questions).map_err(|error| Failure::Write(error.into()))?;
        answers = client.question::<ExplanationSet>("/v1/explanations", body).map_err(told)?.value.answers;
        if answers.len() != asked {
            return Err(client.strange(format!("{} to {}", counted(answers.len(), "answer"), counted(asked, "frame"))));
        }
    }
    let mut answers = answers.into_iter();
    let tell = |CapturedFrame { number, octets, frame }: CapturedFrame| {
        let answer = frame.and_then(|_| match answers.next() {
            Some(Answered::Explained(explained)) => Ok(explained),
            Some(Answered::Refused(why)) => Err(Unjudged::Refused(why)),
            None => Err(Unjudged::Refused("it was not answered".into())),
        });
        let add_frame = |mut explained: Box<Explained>| {
            (explained.frame, explained.octets) = (Some(number), Some(octets));
            explained
        };
        ToldFrame { number, octets, answer: answer.map(add_frame) }
    };
    Ok(records.into_iter().map(tell).collect())
}

/// Tells answers as they come, and counts them.
struct Teller {
    output: Output,
    passes: bool,
    table: TextTable<7>,
    /// By action, verdict and reason.
    reasons: BTreeMap<[String; 3], u64>,
    skipped: BTreeMap<&'static str, u64>,
}

impl Teller {
    fn new(output: Output) -> Self {
        let table = TextTable::new(["FRAME", "VERDICT", "REASON", "SOURCE", "DESTINATION", "SERVICE", "BECAUSE"]);
        Self { output, passes: true, table, reasons: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    fn judged(&self) -> u64 {
        self.reasons.values().sum()
    }

    fn frames(&self) -> u64 {
        self.judged() + self.skipped.values().sum::<u64>()
    }

    /// Writes these answers, after which nothing comes when `is_over`; `false` when nobody reads them.
    fn tell(&mut self, answers: Vec<ToldFrame>, is_over: bool) -> Result<bool, Failure> {
        // The answer to the only frame is told whole.
        let alone = (is_over && self.frames() == 0 && answers.len() == 1).then(|| answers.first()).flatten();
        let alone = alone.and_then(|told| told.answer.as_ref().ok()).map(|explained| screen::whole(explained));
        for ToldFrame { answer, .. } in &answers {
            match answer {
                Ok(explained) => {
                    self.passes &= explained.action == "pass";
                    let Explained { action, verdict, reason, .. } = &**explained;
                    *self.reasons.entry([action, verdict, reason].map(String::clone)).or_default() += 1;
                }
                Err(unjudged) => *self.skipped.entry(unjudged.label()).or_default() += 1,
            }
        }
        let text = match (self.output, alone) {
            (Output::Json, _) => answers.iter().map(ToldFrame::line).collect::<Result<String, _>>()?,
            (Output::Table, Some(whole)) => whole,
            (Output::Table, None) => {
                answers.into_iter().for_each(|told| self.table.push(told.row()));
                self.table.take()
            }
        };
        output::piece(text.as_bytes())
    }

    /// Writes the summary.
    fn finish(&mut self, cut: Option<&str>) -> Result<(), Failure> {
        let (frames, judged) = (self.frames(), self.judged());
        if self.output == Output::Json {
            let reasons = self.reasons.iter().map(|([action, verdict, reason], frames)| ReasonCount {
                action: action.clone(),
                verdict: verdict.clone(),
                reason: reason.clone(),
                frames: *frames,
            });
            let skipped = self.skipped.iter().map(|(reason, frames)| SkipCount { reason, frames: *frames });
            let summary = CaptureSummary {
                schema: "portcullis.explain.summary/v1",
                frames,
                judged,
                reasons: reasons.collect(),
                skipped: skipped.collect(),
                cut: cut.map(str::to_owned),
            };
            let json = serde_json::to_vec(&summary).map_err(|error| Failure::Write(error.into()))?;
            return output::data(&json);
        }
        let mut table = TextTable::new(["FRAMES", "VERDICT", "REASON"]);
        for ([action, verdict, reason], frames) in &self.reasons {
            let verdict = if action == verdict { verdict.clone() } else { format!("{verdict}, but it passes") };
            table.push([frames.to_string(), verdict, reason.clone()]);
        }
        for (reason, frames) in &self.skipped {
            table.push([frames.to_string(), "not judged".into(), (*reason).into()]);
        }
        let cut = cut.map_or_else(String::new, |why| format!("; {why}, behind frame {frames}"));
        let frames = counted(frames as usize, "frame");
        output::data(format!("\n{frames}, {} of them judged{cut}\n{table}", grouped(judged as usize)).as_bytes())
    }
}

impl ToldFrame {
    fn row(self) -> [String; 7] {
        let Self { number, octets, answer } = self;
        let explained = match answer {
            Ok(explained) => explained,
            Err(unjudged) => {
                let (label, why) = (unjudged.label().into(), unjudged.why(octets));
                return [
                    number.to_string(),
                    "not judged".into(),
                    label,
                    String::new(),
                    String::new(),
                    String::new(),
                    why,
                ];
            }
        };
        let address = |address: Option<std::net::IpAddr>| address.map_or_else(|| "?".into(), |one| one.to_string());
        let mut because = screen::because(&explained);
        for note in &explained.notes {
            because = format!("{because}; {note}");
        }
        [
            number.to_string(),
            screen::verdict(&explained),
            explained.reason.clone(),
            address(explained.source),
            address(explained.destination),
            explained.service.clone().unwrap_or_default(),
            because,
        ]
    }

    fn line(&self) -> Result<String, Failure> {
        let unjudged = match &self.answer {
            Ok(explained) => return line(explained),
            Err(unjudged) => unjudged,
        };
        let captured = match unjudged {
            Unjudged::Cut { captured } => Some(*captured),
            _ => None,
        };
        let skipped = SkippedFrame {
            schema: "portcullis.explain.skipped/v1",
            frame: self.number,
            octets: self.octets,
            captured,
            reason: unjudged.label(),
            why: unjudged.why(self.octets),
        };
        let json = serde_json::to_string(&skipped).map_err(|error| Failure::Write(error.into()))?;
        Ok(json + "\n")
    }
}
