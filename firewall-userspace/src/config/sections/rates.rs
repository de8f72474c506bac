//! `{ rate, per, burst }` tables, in limits and essentials.

use std::time::Duration;

use firewall_common::rate::QuotaError;

use crate::{
    config::{document::Node, keys, reader::Reader},
    policy::{Rate, RateError},
    text::{
        duration,
        shown::{grouped, shown},
        size,
    },
};

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Packets.
    Packets,
    /// TCP connections.
    Connections,
    /// Frame bytes.
    Bytes,
}

/// `per` when it is not written.
const DEFAULT_PER: Duration = Duration::from_secs(1);

/// A full Ethernet frame: 14 octets of header and 1500 of packet.
const FULL_FRAME: u64 = 1514;

/// Reads a rate. `per` is a second unless written, `burst` the rate.
pub fn read(reader: &mut Reader<'_>, node: &Node<'_>, unit: Unit) -> Option<Rate> {
    if !node.value.is_table() {
        let text = reader.text(&node.at);
        let hint = format!("write {{ rate = {}, per = \"1s\" }}", shown(text));
        let message = format!("expected a rate, found {}", node.kind());
        reader.error_with_hint(&node.at, message, hint);
        return None;
    }
    let table = reader.table(node, keys::RATE)?;
    let rate = reader.required(&table, "rate", unit.example());
    let rate = rate.and_then(|rate| unit.amount(reader, &rate, QuotaError::ZeroRate));
    let per = match table.node("per") {
        Some(per) => read_duration(reader, &per),
        None => Some(DEFAULT_PER),
    };
    let burst = match table.node("burst") {
        Some(burst) => unit.amount(reader, &burst, QuotaError::ZeroBurst),
        None => rate,
    };
    let (rate, per, burst) = (rate?, per?, burst?);
    let burst_key = if table.node("burst").is_some() { "burst" } else { "rate" };
    if unit == Unit::Bytes && burst < FULL_FRAME {
        let message = format!(
            "a burst of {} byte{} is smaller than one full frame ({} octets), so such frames never pass",
            grouped_u64(burst),
            if burst == 1 { "" } else { "s" },
            grouped_u64(FULL_FRAME)
        );
        reader.warning(&table.at(burst_key), message, Some("write a `burst` of several frames".to_owned()));
    }
    let new = if unit == Unit::Bytes { Rate::of_bytes } else { Rate::of_events };
    match new(rate, per, burst) {
        Ok(rate) => Some(rate),
        Err(error) => {
            let key = if error.cause() == QuotaError::TooSlow { burst_key } else { "rate" };
            reader.error(&table.at(key), error.to_string());
            None
        }
    }
}

impl Unit {
    fn amount(self, reader: &mut Reader<'_>, node: &Node<'_>, zero: QuotaError) -> Option<u64> {
        let amount = match self {
            Self::Bytes => read_size(reader, node),
            Self::Packets => reader.integer(node, "a number of packets"),
            Self::Connections => reader.integer(node, "a number of connections"),
        }?;
        if amount == 0 {
            reader.error(&node.at, RateError::from(zero).to_string());
            return None;
        }
        Some(amount)
    }

    /// How the required key is written.
    fn example(self) -> &'static str {
        if self == Self::Bytes { "rate = \"20MB\"" } else { "rate = 2000" }
    }
}

/// Reads a number of bytes.
pub fn read_size(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<u64> {
    let wanted = "a number of bytes, for example \"20MB\" or 1500";
    if !node.value.is_str() {
        return reader.integer(node, wanted);
    }
    let size = size::parse(reader.string(node, wanted)?);
    size.map_err(|error| reader.error(&node.at, error.to_string())).ok()
}

/// A length of time.
pub fn read_duration(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Duration> {
    if node.value.is_integer() {
        let text = reader.text(&node.at);
        let hint = format!("write \"{}s\" for seconds", shown(text));
        reader.error_with_hint(&node.at, "expected a length of time, found an integer", hint);
        return None;
    }
    let duration = duration::parse(reader.string(node, "a length of time, for example \"1s\"")?);
    duration.map_err(|error| reader.error(&node.at, error.to_string())).ok()
}

fn grouped_u64(number: u64) -> String {
    usize::try_from(number).map_or_else(|_| number.to_string(), grouped)
}
