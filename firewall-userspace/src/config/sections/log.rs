//! `[log]`: how the daemon logs, and what.

use crate::{
    config::{
        choices::{LOG_FORMATS, LOG_LEVELS},
        document::TomlTable,
        keys,
        reader::Reader,
    },
    logging::LogSettings,
};

/// Reads `[log]`; `None` after an error.
pub fn log(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> Option<LogSettings> {
    let (settings, is_good) = readable(reader, document);
    is_good.then_some(settings)
}

/// What can be read of `[log]`, and defaults for the rest; whether there was no error.
pub fn readable(reader: &mut Reader<'_>, document: &TomlTable<'_>) -> (LogSettings, bool) {
    let mut settings = LogSettings::default();
    let Some(node) = document.node("log") else { return (settings, true) };
    let Some(table) = reader.table(&node, keys::LOG) else { return (settings, false) };
    let mut is_good = true;
    if let Some(node) = table.node("format") {
        is_good &= reader.choice(&node, &LOG_FORMATS).map(|format| settings.format = format).is_some();
    }
    if let Some(node) = table.node("level") {
        is_good &= reader.choice(&node, &LOG_LEVELS).map(|level| settings.level = level).is_some();
    }
    (settings, is_good)
}
