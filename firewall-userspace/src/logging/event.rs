//! One event as a line of text, as a line of JSON or for the journal. Whatever is in it, it is one line: what would begin another one,
//! and what a terminal would act on, is written out.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use tracing_subscriber::fmt::{
    format::Writer as Formatted,
    time::{FormatTime, SystemTime},
};

use super::{journal, queue::LogRecord, settings::EventForm};

/// An event.
#[derive(Debug)]
pub(super) struct LogEvent {
    level: Level,
    message: String,
    fields: Vec<(&'static str, LogValue)>,
}

/// The value of a field.
#[derive(Debug)]
enum LogValue {
    /// A text, which stands in quotes.
    Quoted(String),
    /// Something in words.
    Shown(String),
    /// A number, or yes or no.
    Plain(Value),
}

impl LogEvent {
    /// An event that is only words.
    pub(super) fn new(level: Level, words: impl Into<String>) -> Self {
        Self { level, message: words.into(), fields: Vec::new() }
    }

    /// What `tracing` tells.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut told = Self::new(*event.metadata().level(), "");
        event.record(&mut told);
        told
    }

    /// The same with a text.
    pub(super) fn with(mut self, field: &'static str, text: impl Into<String>) -> Self {
        self.fields.push((field, LogValue::Quoted(text.into())));
        self
    }

    /// What is written of it, at this time.
    pub(super) fn record(&self, form: EventForm) -> LogRecord {
        let mut time = String::new();
        // Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Formatted::new(&mut time));
        match form {
            EventForm::Text => self.text(&time).into(),
            EventForm::Json => self.json(&time).into(),
            // The line is for standard error, where the journal does not take it.
            EventForm::Journal => LogRecord { line: self.text(&time).into_bytes(), datagram: self.datagram() },
        }
    }

    /// `2026-11-28T05:28:00.000000Z  INFO loaded generation=3 owner="root"`.
    fn text(&self, time: &str) -> String {
        let mut line = format!("{time} {:>5} ", self.level);
        escape(&mut line, &self.message);
        self.append_fields(&mut line);
        line.push('\n');
        line
    }

    /// ` generation=3 owner="root"`.
    fn append_fields(&self, line: &mut String) {
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}=");
            match value {
                LogValue::Quoted(text) => escape(line, &format!("{text:?}")),
                LogValue::Shown(text) => escape(line, text),
                LogValue::Plain(value) => escape(line, &value.to_string()),
            }
        }
    }

    /// An object with `timestamp`, `level`, `message` and `fields`.
    fn json(&self, time: &str) -> String {
        let fields: Map<String, Value> =
            self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_json())).collect();
        let level = self.level.as_str().to_lowercase();
        let document = json!({ "timestamp": time, "level": level, "message": self.message, "fields": fields });
        let mut line = String::new();
        // Outside of strings everything is ASCII, and inside of them this is how a character may be written.
        for symbol in document.to_string().chars() {
            if is_hidden(symbol) {
                let mut units = [0; 2];
                symbol.encode_utf16(&mut units).iter().for_each(|unit| line.push_str(&format!("\\u{unit:04x}")));
            } else {
                line.push(symbol);
            }
        }
        line.push('\n');
        line
    }

    fn datagram(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        // journalctl shows the message alone unless it is asked for more.
        let mut message = self.message.clone();
        self.append_fields(&mut message);
        journal::push(&mut octets, "MESSAGE", &message);
        journal::push(&mut octets, "PRIORITY", journal::priority(self.level));
        journal::push(&mut octets, "SYSLOG_IDENTIFIER", "portcullis");
        for (name, value) in &self.fields {
            let text = match value {
                LogValue::Quoted(text) | LogValue::Shown(text) => text.clone(),
                LogValue::Plain(value) => value.to_string(),
            };
            journal::push(&mut octets, &journal::name(name), &text);
        }
        octets
    }

    fn note(&mut self, field: &Field, value: LogValue) {
        match (field.name(), value) {
            ("message", LogValue::Quoted(text) | LogValue::Shown(text)) => self.message = text,
            // Where in the source a library stands, in the words of the crate `log`.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for LogEvent {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, LogValue::Plain(json!(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, LogValue::Plain(json!(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, LogValue::Plain(json!(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, LogValue::Plain(json!(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, LogValue::Quoted(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, LogValue::Shown(format!("{value:?}")));
    }
}

impl LogValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Quoted(text) | Self::Shown(text) => text.clone().into(),
            Self::Plain(value) => value.clone(),
        }
    }
}

fn escape(line: &mut String, text: &str) {
    for symbol in text.chars() {
        if is_hidden(symbol) { line.extend(symbol.escape_default()) } else { line.push(symbol) }
    }
}

/// Whether `symbol` begins a line, or a terminal acts on it: controls, separators and bidirectional overrides.
fn is_hidden(symbol: char) -> bool {
    symbol.is_control()
        || matches!(symbol, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nb\r\u{1b}[31m\u{85}\u{2028}\u{202e}\"\\ \0\u{7f}ä x=1";

    fn hostile() -> LogEvent {
        let mut event = LogEvent::new(Level::WARN, HOSTILE).with("quoted", HOSTILE);
        event.fields.push(("shown", LogValue::Shown(HOSTILE.into())));
        event.fields.push(("count", LogValue::Plain(json!(-7))));
        event.fields.push(("odd", LogValue::Plain(json!(f64::NAN))));
        event
    }

    fn is_one_line(line: &str) -> bool {
        let Some(line) = line.strip_suffix('\n') else { return false };
        !line.chars().any(is_hidden)
    }

    #[test]
    fn an_event_is_one_line_of_text_whatever_is_in_it() {
        let line = hostile().text("T");
        assert!(is_one_line(&line), "{line:?}");
        let shown = "a\\nb\\r\\u{1b}[31m\\u{85}\\u{2028}\\u{202e}\"\\ \\u{0}\\u{7f}ä x=1";
        assert!(line.starts_with(&format!("T  WARN {shown} quoted=\"a\\nb\\r\\u{{1b}}[31m")), "{line}");
        assert!(line.ends_with(&format!("shown={shown} count=-7 odd=null\n")), "{line}");
    }

    #[test]
    fn an_event_is_one_line_of_json_that_says_exactly_what_it_said() {
        let line = hostile().json("2026-11-28T05:28:00.000000Z");
        assert!(is_one_line(&line), "{line:?}");
        let document: Value = serde_json::from_str(&line).unwrap();
        let fields = json!({ "quoted": HOSTILE, "shown": HOSTILE, "count": -7, "odd": null });
        let time = "2026-11-28T05:28:00.000000Z";
        assert_eq!(document, json!({ "timestamp": time, "level": "warn", "message": HOSTILE, "fields": fields }));
    }

    #[test]
    fn the_time_is_one_of_rfc_3339_in_utc() {
        let record = LogEvent::new(Level::INFO, "x").record(EventForm::Json);
        let document: Value = serde_json::from_slice(&record.line).unwrap();
        let time = document["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }

    #[test]
    fn the_journal_gets_every_field_as_it_is_and_all_of_them_behind_the_message() {
        let octets = hostile().datagram();
        let line = hostile().text("T");
        let fields = line.trim_end().rsplit_once(" quoted=").unwrap().1;
        let binary = |name: &str, text: &str| {
            [name.as_bytes(), b"\n", &(text.len() as u64).to_le_bytes(), text.as_bytes(), b"\n"].concat()
        };
        let wanted = [
            binary("MESSAGE", &format!("{HOSTILE} quoted={fields}")),
            b"PRIORITY=4\nSYSLOG_IDENTIFIER=portcullis\n".to_vec(),
            binary("PORTCULLIS_QUOTED", HOSTILE),
            binary("PORTCULLIS_SHOWN", HOSTILE),
            b"PORTCULLIS_COUNT=-7\nPORTCULLIS_ODD=null\n".to_vec(),
        ];
        assert_eq!(octets, wanted.concat());
    }
}
