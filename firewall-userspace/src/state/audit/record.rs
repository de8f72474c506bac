//! One line of the audit log: what it says, and how it is chained to the one before.
//!
//! A line is a JSON object whose last member is `hash`: the SHA-256 (FIPS 180-4) of all octets of the line before `,"hash":"`. Among
//! these is `prev`, the hash of the line before. What is hashed are octets as they stand in the file, so nobody has to agree on how
//! JSON is written.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::text::shown::escaped;

/// Most octets of a line, with its line feed. What [`AuditEvent`] is given is cut, so that no line comes near.
pub const MAX_LINE: usize = 16 << 10;

/// Most octets of [`AuditEvent::summary`] in a line, before JSON escapes some of them.
pub const MAX_SUMMARY: usize = 2048;

/// Most octets of every other text of an event.
const MAX_TEXT: usize = 256;

/// What stands between what is hashed and the hash.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";

/// What stands behind the hash.
const BEHIND_HASH: &[u8] = b"\"}\n";

/// Octets at the end of each line that are not hashed.
#[cfg(test)]
pub(super) const UNHASHED: usize = BEFORE_HASH.len() + 64 + BEHIND_HASH.len();

/// A SHA-256; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct AuditHash([u8; 32]);

/// What happened, of a closed set. The names never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditWhat {
    /// Entries were pushed.
    Push,
    /// Entries were pushed by a sync.
    Sync,
    /// A sync was to be cancelled.
    Cancel,
    /// A push was taken back.
    Undo,
    /// The configuration file was loaded.
    Reload,
    /// A configuration was sent.
    Apply,
    /// A generation was brought back.
    Rollback,
    /// The mode was changed.
    Mode,
    /// What waited was confirmed.
    Confirm,
    /// What nobody confirmed in time was undone.
    AutomaticRollback,
    /// A token was made.
    TokenCreate,
    /// A token was replaced.
    TokenRotate,
    /// A token was revoked.
    TokenRevoke,
    /// Somebody could not say who they are.
    FailedAuthentication,
    /// Somebody asked for a change without the right to it.
    NotPermitted,
    /// The log was begun, or goes on after a start.
    Start,
    /// The daemon stops.
    Stop,
    /// A new file was begun because the one before is full.
    Rotate,
    /// The oldest file is removed.
    Remove,
    /// The log was not as it was left, or could not be written.
    Recover,
}

impl AuditWhat {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Push,
        Self::Sync,
        Self::Cancel,
        Self::Undo,
        Self::Reload,
        Self::Apply,
        Self::Rollback,
        Self::Mode,
        Self::Confirm,
        Self::AutomaticRollback,
        Self::TokenCreate,
        Self::TokenRotate,
        Self::TokenRevoke,
        Self::FailedAuthentication,
        Self::NotPermitted,
        Self::Start,
        Self::Stop,
        Self::Rotate,
        Self::Remove,
        Self::Recover,
    ];

    /// Its name in the log and in answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Sync => "sync",
            Self::Cancel => "cancel",
            Self::Undo => "undo",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::Mode => "mode",
            Self::Confirm => "confirm",
            Self::AutomaticRollback => "automatic_rollback",
            Self::TokenCreate => "token_create",
            Self::TokenRotate => "token_rotate",
            Self::TokenRevoke => "token_revoke",
            Self::FailedAuthentication => "failed_authentication",
            Self::NotPermitted => "not_permitted",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Rotate => "rotate",
            Self::Remove => "remove",
            Self::Recover => "recover",
        }
    }
}

impl FromStr for AuditWhat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|what| what.label() == text).ok_or(())
    }
}

/// The numbers before or after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct AuditPoint {
    /// Of the lists.
    pub revision: u64,
    /// Of the policy.
    pub generation: u64,
}

/// What happened, to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub who: String,
    /// What they have shown, or the way by which they came: `token`, `certificate+signature`, `socket`, `signal`, `daemon`.
    pub method: String,
    /// Their address, or `uid:NUMBER`.
    pub peer: Option<String>,
    /// What it was.
    pub what: AuditWhat,
    /// The difference in short.
    pub summary: String,
    /// The numbers before it; `None` where they have nothing to do with it.
    pub before: Option<AuditPoint>,
    /// The numbers after it; those before it when it was refused.
    pub after: Option<AuditPoint>,
    /// `ok`, or the code of the refusal.
    pub result: Cow<'static, str>,
}

/// [`AuditEvent::result`] of what happened.
pub const OK: &str = "ok";

impl AuditEvent {
    /// What the daemon itself did with the log.
    pub(super) fn of_daemon(at: Timestamp, what: AuditWhat, summary: String) -> Self {
        let (who, method) = ("daemon".to_owned(), "daemon".to_owned());
        Self { at, who, method, peer: None, what, summary, before: None, after: None, result: OK.into() }
    }
}

/// Where the chain begins once files are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ChainBegin {
    /// Number of the first line that stays.
    pub seq: u64,
    /// Hash of the line before it, which goes.
    pub after: AuditHash,
}

/// A line, as it is in the file and in answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Its number; the first line of all is 1.
    pub seq: u64,
    /// See [`AuditEvent::at`]; RFC 3339.
    pub time: Timestamp,
    /// See [`AuditEvent::who`].
    pub who: String,
    /// See [`AuditEvent::method`].
    pub method: String,
    /// See [`AuditEvent::peer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// See [`AuditEvent::what`].
    pub what: AuditWhat,
    /// See [`AuditEvent::summary`].
    pub summary: String,
    /// See [`AuditEvent::before`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<AuditPoint>,
    /// See [`AuditEvent::after`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AuditPoint>,
    /// See [`AuditEvent::result`].
    pub result: String,
    /// With [`AuditWhat::Remove`]: where the chain begins from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<ChainBegin>,
    /// Hash of the line before; zeros in the first line of all.
    pub prev: AuditHash,
    /// Hash of this line. It is not among what it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<AuditHash>,
}

/// The last line of a chain: what the next one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Its number; 0: there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: AuditHash,
}

impl ChainLink {
    /// Before the first line of all.
    pub const START: Self = Self { seq: 0, hash: AuditHash([0; 32]) };
}

/// Appends the line of `event`, which follows `last`, to `octets`; the link that it is.
pub(super) fn push_line(
    octets: &mut Vec<u8>,
    event: &AuditEvent,
    begins: Option<ChainBegin>,
    last: ChainLink,
) -> ChainLink {
    let record = AuditRecord {
        seq: last.seq + 1,
        time: event.at,
        who: bounded(&event.who, MAX_TEXT),
        method: bounded(&event.method, MAX_TEXT),
        peer: event.peer.as_ref().map(|peer| bounded(peer, MAX_TEXT)),
        what: event.what,
        summary: bounded(&event.summary, MAX_SUMMARY),
        before: event.before,
        after: event.after,
        result: bounded(&event.result, MAX_TEXT),
        begins,
        prev: last.hash,
        hash: None,
    };
    // Strings and numbers can always be written as JSON.
    let mut content = serde_json::to_vec(&record).unwrap_or_default();
    content.pop();
    let hash = AuditHash::of(&content);
    octets.extend_from_slice(&content);
    octets.extend_from_slice(BEFORE_HASH);
    octets.extend_from_slice(hash.to_string().as_bytes());
    octets.extend_from_slice(BEHIND_HASH);
    ChainLink { seq: record.seq, hash }
}

/// What is chained of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkedLine {
    pub(super) seq: u64,
    pub(super) prev: AuditHash,
    pub(super) hash: AuditHash,
    pub(super) begins: Option<ChainBegin>,
}

/// What every line has to have, besides what people read.
#[derive(Deserialize)]
struct Linked {
    seq: u64,
    prev: AuditHash,
    #[serde(default)]
    begins: Option<ChainBegin>,
}

/// What is chained of a line, which ends with its line feed; `None` when it is not as it was written.
pub(super) fn read_line(line: &[u8]) -> Option<LinkedLine> {
    let (content, hash) = split(line)?;
    let Linked { seq, prev, begins } = parse(content)?;
    Some(LinkedLine { seq, prev, hash, begins })
}

/// All of a line; `None` when it is not as it was written.
pub(super) fn read_record(line: &[u8]) -> Option<AuditRecord> {
    let (content, hash) = split(line)?;
    let record: AuditRecord = parse(content)?;
    Some(AuditRecord { hash: Some(hash), ..record })
}

/// What of a line is hashed, and the hash that it has; `None` when these do not belong together.
fn split(line: &[u8]) -> Option<(&[u8], AuditHash)> {
    let line = line.strip_suffix(BEHIND_HASH)?;
    let (line, hash) = line.split_at_checked(line.len().checked_sub(64)?)?;
    let hash = std::str::from_utf8(hash).ok()?.parse().ok()?;
    let content = line.strip_suffix(BEFORE_HASH)?;
    (AuditHash::of(content) == hash).then_some((content, hash))
}

fn parse<T: de::DeserializeOwned>(content: &[u8]) -> Option<T> {
    let mut whole = Vec::with_capacity(content.len() + 1);
    whole.extend_from_slice(content);
    whole.push(b'}');
    serde_json::from_slice(&whole).ok()
}

/// `text` without what a terminal would act on, of at most `most` octets.
fn bounded(text: &str, most: usize) -> String {
    // What is escaped grows: what is not looked at would not fit.
    let begin = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    let escaped = escaped(begin);
    if begin.len() == text.len() && escaped.len() <= most {
        return escaped.into_owned();
    }
    let end = escaped.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", escaped.get(..end).unwrap_or_default())
}

impl AuditHash {
    /// The hash of `octets`.
    pub fn of(octets: &[u8]) -> Self {
        Self(Sha256::digest(octets).into())
    }
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHash;

impl fmt::Display for NoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 is 64 hexadecimal digits, in lower case")
    }
}

impl std::error::Error for NoHash {}

impl FromStr for AuditHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NoHash),
        };
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(NoHash);
        }
        for (octet, [high, low]) in hash.iter_mut().zip(pairs) {
            *octet = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for AuditHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(who: &str, summary: &str) -> AuditEvent {
        let (at, what) = (Timestamp::from_second(1_800_000_000).unwrap(), AuditWhat::Push);
        AuditEvent { who: who.into(), ..AuditEvent::of_daemon(at, what, summary.into()) }
    }

    #[test]
    fn what_is_hashed_is_the_line_without_its_last_76_octets() {
        let mut line = Vec::new();
        let point = Some(AuditPoint { revision: 7, generation: 3 });
        let event = AuditEvent { before: point, after: point, ..event("ada", "+1 in a: 192.0.2.1/32") };
        let link = push_line(&mut line, &event, None, ChainLink::START);
        let zeros = "0".repeat(64);
        let content = format!(
            r#"{{"seq":1,"time":"2027-01-15T08:00:00Z","who":"ada","method":"daemon","what":"push","summary":"+1 in a: 192.0.2.1/32","before":{{"revision":7,"generation":3}},"after":{{"revision":7,"generation":3}},"result":"ok","prev":"{zeros}""#
        );
        assert_eq!(UNHASHED, 76, "docs/decisions/0016-audit.md says so");
        assert_eq!(std::str::from_utf8(&line[..line.len() - UNHASHED]).unwrap(), content);
        assert_eq!(link, ChainLink { seq: 1, hash: AuditHash::of(content.as_bytes()) });
        let record = read_record(&line).unwrap();
        assert_eq!((record.seq, &*record.who, record.hash), (1, "ada", Some(link.hash)));
        let hash = link.hash;
        let linked = LinkedLine { seq: 1, prev: ChainLink::START.hash, hash, begins: None };
        assert_eq!(read_line(&line), Some(linked));
    }

    #[test]
    fn no_octet_of_a_line_can_be_another_one() {
        let mut line = Vec::new();
        push_line(&mut line, &event("ada", "+1 in a"), None, ChainLink::START);
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[place] ^= 1 << bit;
                assert_eq!(read_line(&changed), None, "octet {place}, bit {bit}");
            }
            assert_eq!(read_line(&line[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn a_line_is_short_and_one_line_whatever_is_written_into_it() {
        for text in ["\"\\".repeat(9000), "\n\0\u{202e}".repeat(9000), "ä".repeat(9000), "x".repeat(MAX_SUMMARY + 1)] {
            let event = AuditEvent {
                method: text.clone(),
                peer: Some(text.clone()),
                result: text.clone().into(),
                ..event(&text, &text)
            };
            let mut line = Vec::new();
            push_line(&mut line, &event, None, ChainLink::START);
            assert!(line.len() < MAX_LINE / 2, "{} octets", line.len());
            assert_eq!(line.iter().position(|octet| *octet == b'\n'), Some(line.len() - 1));
            let record = read_record(&line).unwrap();
            assert!(record.summary.len() <= MAX_SUMMARY && record.summary.ends_with('…'), "{}", record.summary);
            assert!(!record.who.contains(['\n', '\0', '\u{202e}']), "{:?}", record.who);
        }
        assert_eq!(bounded("x\ny", 5), "x\\ny");
        assert_eq!(bounded(&"x".repeat(300), MAX_TEXT).len(), MAX_TEXT);
    }

    #[test]
    fn names_are_those_of_the_lines() {
        for what in AuditWhat::ALL {
            assert_eq!(serde_json::to_string(&what).unwrap(), format!("\"{}\"", what.label()));
            assert_eq!(what.label().parse(), Ok(what));
        }
        assert_eq!("bogus".parse::<AuditWhat>(), Err(()));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_in_no_other_form() {
        let hash = AuditHash::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((hash.to_string(), text.parse()), (text.to_owned(), Ok(hash)));
        for wrong in [&text.to_uppercase(), &text[1..], &format!("{text}0"), "", &text.replace('e', "g")] {
            assert_eq!(wrong.parse::<AuditHash>(), Err(NoHash), "{wrong}");
        }
    }
}
