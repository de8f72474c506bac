//! Where a page of entries begins, as clients carry it from one page to the next: nobody else has to know what is in it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    control::{Position, Refusal},
    lists::entry::{Layer, Owner},
    policy::Prefix,
    text::problem::Problems,
};

/// Most octets of a cursor: the longest names there are fit.
const LONGEST: usize = 2048;

/// The cursor of what is behind `position`.
pub fn write(Position { list, prefix, layer, owner }: &Position) -> String {
    // Whoever brings it back names somebody who is known: this one is.
    let _ = Owner::from(&**owner);
    // Strings can always be written as JSON.
    let json = serde_json::to_vec(&(list, prefix, layer, owner)).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

/// The position that `cursor` names in `list`.
///
/// # Errors
/// [`Refusal::Invalid`] when it was not given for this list by this daemon.
pub fn read(cursor: &str, list: &str) -> Result<Position, Refusal> {
    let octets = Some(cursor).filter(|cursor| cursor.len() <= LONGEST);
    let octets = octets.and_then(|cursor| BASE64_URL_SAFE_NO_PAD.decode(cursor).ok());
    let read = octets.and_then(|octets| serde_json::from_slice::<(String, Prefix, _, String)>(&octets).ok());
    // Owners stay in memory for ever, and nobody makes up new ones by cursors.
    match read.filter(|(of, .., owner)| of == list && is_known(owner)) {
        Some((list, prefix, layer, owner)) => Ok(Position { list, prefix, layer, owner }),
        None => {
            let detail = "it is not the `next` of a page of this list; begin with the first page";
            Err(Refusal::Invalid(Problems::one("/cursor", detail)))
        }
    }
}

/// Whether anybody came by this name; entries of the configuration have one of their own.
fn is_known(owner: &str) -> bool {
    owner == Layer::Config.label() || Owner::known(owner).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_for_its_list_alone() {
        let owner = Owner::from("somebody of a test").to_string();
        let position =
            Position { list: "a".into(), prefix: "2001:db8::/32".parse().unwrap(), layer: Layer::Ban, owner };
        let cursor = write(&position);
        assert_eq!(read(&cursor, "a"), Ok(position));
        assert!(read(&cursor, "b").is_err());
        for wrong in ["", "x", "AAAA", &cursor[1..], &"A".repeat(LONGEST + 1)] {
            assert!(read(wrong, "a").is_err(), "{wrong}");
        }
        let nobody = "nobody has come by this name";
        let json = serde_json::to_vec(&("a", "2001:db8::/32", "ban", nobody)).unwrap();
        let made_up = BASE64_URL_SAFE_NO_PAD.encode(json);
        assert!(read(&made_up, "a").is_err());
        assert_eq!(Owner::known(nobody), None);
    }
}
