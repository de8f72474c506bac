//! One document out of several: what included files say is added to what the configuration says.
//!
//! Tables of the same name are united, arrays of tables are put behind each other. Whatever else two files say is a mistake, told with
//! both places.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    document::{Node, join},
    reader::{At, Reader},
};

/// Adds what an included file says to `document`.
pub fn add<'d>(reader: &mut Reader<'_>, document: &mut DeTable<'d>, included: DeTable<'d>) {
    for (key, value) in included {
        let at = At { path: join("", key.get_ref()), span: key.span() };
        if key.get_ref() == "include" {
            let hint = "name all of them in the `include` of the configuration itself";
            reader.error_with_hint(&at, "an included file cannot include others", hint);
            continue;
        }
        let first = document.get_key_value(key.get_ref().as_ref()).map(|(first, _)| first.span());
        let (Some(first), Some(there)) = (first, document.get_mut(key.get_ref().as_ref())) else {
            document.insert(key, value);
            continue;
        };
        let span = value.span();
        match (there.get_mut(), value.into_inner()) {
            (DeValue::Table(there), DeValue::Table(more)) => unite(reader, &at.path, there, more),
            (DeValue::Array(there), DeValue::Array(more)) => more.into_iter().for_each(|row| there.push(row)),
            (there, value) if there.type_str() != value.type_str() => {
                let kind = |value| Node { at: at.clone(), value }.kind();
                let (here, there) = (kind(&value), kind(there));
                let first = reader.told(&At { span: first, ..at.clone() }, &at);
                reader.error(&At { span, ..at }, format!("this is {here}, and {there} in {first}"));
            }
            _ => refuse_second(reader, &at, first),
        }
    }
}

/// `table` with all places moved on by `base`.
pub fn moved(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    if base == 0 {
        return table;
    }
    let key = |key: Spanned<_>| Spanned::new(on(key.span(), base), key.into_inner());
    table.into_iter().map(|(one, value)| (key(one), moved_value(value, base))).collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = on(value.span(), base);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, base)),
        DeValue::Array(rows) => DeValue::Array(rows.into_iter().map(|row| moved_value(row, base)).collect()),
        other => other,
    };
    Spanned::new(span, value)
}

fn on(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

fn unite<'d>(reader: &mut Reader<'_>, path: &str, there: &mut DeTable<'d>, more: DeTable<'d>) {
    for (key, value) in more {
        match there.get_key_value(key.get_ref().as_ref()).map(|(first, _)| first.span()) {
            None => {
                there.insert(key, value);
            }
            Some(first) => refuse_second(reader, &At { path: join(path, key.get_ref()), span: key.span() }, first),
        }
    }
}

fn refuse_second(reader: &mut Reader<'_>, at: &At, first: Range<usize>) {
    let first = reader.told(&At { path: String::new(), span: first }, at);
    let hint = "each setting, and each list, limit and service, stands in one file";
    reader.error_with_hint(at, format!("this is written in two files (first in {first})"), hint);
}
