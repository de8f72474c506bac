//! What a token is good for, and what becomes of it when the disk refuses.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;
use crate::{
    policy::{EntryVerb, Role, Scope},
    state::{
        disk::Folder,
        fake::{FakeDisk, Fault},
    },
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn order(name: &str, ttl_seconds: Option<u64>) -> TokenOrder {
    TokenOrder {
        name: Name::parse(name).unwrap(),
        grant: Grant::whole(Role::Operator),
        ttl: ttl_seconds.map(Duration::from_secs),
        by: "root".into(),
    }
}

fn shown(text: &TokenText) -> PresentedToken {
    PresentedToken::parse(text.reveal()).unwrap()
}

fn name_of(store: &TokenStore, text: &TokenText, now: Timestamp) -> Result<String, TokenRefusal> {
    store.verify(&shown(text), now).map(|token| token.name().to_string())
}

/// The same identifier with another secret.
fn guess(text: &TokenText) -> PresentedToken {
    PresentedToken { secret: TokenSecret::random().unwrap(), ..shown(text) }
}

#[test]
fn a_token_counts_until_its_time_is_over_and_only_with_its_secret() {
    let store = TokenStore::open(FakeDisk::default());
    let (text, record) = store.create(order("ci", Some(60)), at(0)).unwrap();
    assert_eq!((record.expires(), record.created_by.as_str()), (Some(at(60)), "root"));
    assert_eq!(name_of(&store, &text, at(59)), Ok("ci".into()));
    assert_eq!(name_of(&store, &text, at(60)), Err(TokenRefusal::Expired));
    assert_eq!(store.verify(&guess(&text), at(1)).unwrap_err(), TokenRefusal::Wrong);
    let unknown = PresentedToken { id: TokenId::random().unwrap(), ..shown(&text) };
    assert_eq!(store.verify(&unknown, at(1)).unwrap_err(), TokenRefusal::Unknown);
    let (forever, _) = store.create(order("forever", None), at(0)).unwrap();
    assert!(store.verify(&shown(&forever), at(1) + (24 * 365 * 100).hours()).is_ok());
}

#[test]
fn names_are_unique_and_tokens_are_bounded() {
    let store = TokenStore::open(FakeDisk::default());
    store.create(order("ci", None), at(0)).unwrap();
    assert!(matches!(store.create(order("ci", None), at(0)), Err(TokenError::Exists { .. })));
    let mut tokens = store.table.load().copied();
    for number in 0..MOST - 1 {
        let record = TokenRecord { id: TokenId::random().unwrap(), ..store.list().unwrap().remove(0) };
        tokens = tokens.with(TokenRecord { name: Name::parse(&format!("t{number}")).unwrap(), ..record });
    }
    store.table.store(Arc::new(tokens));
    assert!(matches!(store.create(order("more", None), at(0)), Err(TokenError::TooMany)));
}

#[test]
fn a_revoked_token_is_refused_at_once_and_after_a_restart() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    let (text, _) = store.create(order("ci", None), at(0)).unwrap();
    assert!(store.verify(&shown(&text), at(1)).is_ok());
    store.revoke("ci", at(2)).unwrap();
    let again = TokenStore::open(disk.after_kill());
    for store in [&store, &again] {
        assert_eq!(name_of(store, &text, at(2)), Err(TokenRefusal::Revoked));
        assert_eq!(store.verify(&guess(&text), at(2)).unwrap_err(), TokenRefusal::Unknown);
        assert!(matches!(store.revoke("ci", at(3)), Err(TokenError::Missing { .. })));
    }
    let (other, _) = again.create(order("ci", None), at(3)).unwrap();
    assert!(again.verify(&shown(&other), at(3)).is_ok());
    assert_eq!(name_of(&again, &text, at(3)), Err(TokenRefusal::Revoked));
}

#[test]
fn a_secret_that_was_replaced_counts_for_the_overlap_and_not_longer_than_it_would_have() {
    let store = TokenStore::open(FakeDisk::default());
    let (first, _) = store.create(order("ci", Some(100)), at(0)).unwrap();
    let (second, record) = store.rotate("ci", Duration::from_secs(50), at(10)).unwrap();
    assert_eq!((record.expires(), record.overlaps_until(at(59))), (Some(at(110)), Some(at(60))));
    assert_eq!((name_of(&store, &first, at(59)), name_of(&store, &second, at(59))), (Ok("ci".into()), Ok("ci".into())));
    assert_eq!(name_of(&store, &first, at(60)), Err(TokenRefusal::Expired));
    // Of three secrets the first one counts no more.
    let (third, record) = store.rotate("ci", Duration::from_secs(1_000_000), at(20)).unwrap();
    assert_eq!(
        record.previous.as_ref().map(|previous| previous.until),
        Some(at(110)),
        "the second one would have ended"
    );
    assert_eq!(name_of(&store, &first, at(21)), Err(TokenRefusal::Wrong));
    assert_eq!((name_of(&store, &second, at(21)), name_of(&store, &third, at(21))), (Ok("ci".into()), Ok("ci".into())));
    let (_, record) = store.rotate("ci", Duration::ZERO, at(30)).unwrap();
    assert_eq!(record.overlaps_until(at(30)), None);
    assert_eq!(name_of(&store, &third, at(30)), Err(TokenRefusal::Expired));
    assert!(matches!(store.rotate("cd", Duration::ZERO, at(30)), Err(TokenError::Missing { .. })));
}

#[test]
fn no_overlap_is_longer_than_the_longest() {
    let store = TokenStore::open(FakeDisk::default());
    store.create(order("ci", None), at(0)).unwrap();
    let (_, record) = store.rotate("ci", Duration::MAX, at(0)).unwrap();
    assert_eq!(record.previous.unwrap().until, at(0) + LONGEST_OVERLAP);
}

#[test]
fn no_secret_is_on_disk_or_in_debug() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    let (text, record) = store.create(order("ci", None), at(0)).unwrap();
    let digits = &text.reveal()[PREFIX.len() + 11..];
    for told in [String::from_utf8_lossy(&disk.get(FILE)).into_owned(), format!("{store:?} {record:?} {text:?}")] {
        assert!(!told.contains(digits) && !told.contains(text.reveal()), "{told}");
    }
}

#[test]
fn a_change_that_the_disk_refuses_did_not_happen_but_a_revocation_holds() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    let (text, _) = store.create(order("ci", None), at(0)).unwrap();
    disk.set_fault(Some(Fault::Full(0, u64::MAX)));
    assert!(matches!(store.create(order("cd", None), at(1)), Err(TokenError::NotKept(_))));
    assert!(matches!(store.rotate("ci", Duration::ZERO, at(1)), Err(TokenError::NotKept(_))));
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(name_of(&store, &text, at(2)), Ok("ci".into()));
    let error = store.revoke("ci", at(3)).unwrap_err();
    assert!(matches!(error, TokenError::RevokedUntilRestart { .. }));
    assert_eq!(name_of(&store, &text, at(3)), Err(TokenRefusal::Revoked));
    assert!(TokenStore::open(disk.after_kill()).verify(&shown(&text), at(3)).is_ok(), "as the words say");
    disk.set_fault(None);
    store.keep_uses().unwrap();
    assert_eq!(name_of(&TokenStore::open(disk.after_kill()), &text, at(4)), Err(TokenRefusal::Revoked));
}

#[test]
fn the_last_use_is_in_memory_at_once_and_on_disk_when_it_is_asked_for() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    let (text, _) = store.create(order("ci", None), at(0)).unwrap();
    let operations = disk.operations();
    store.verify(&shown(&text), at(7)).unwrap();
    store.verify(&shown(&text), at(5)).unwrap();
    assert_eq!(store.list().unwrap()[0].last_used, Some(at(7)));
    assert_eq!(disk.operations(), operations, "no request waits for the disk");
    store.keep_uses().unwrap();
    assert_eq!(TokenStore::open(disk.after_kill()).list().unwrap()[0].last_used, Some(at(7)));
    let operations = disk.operations();
    store.keep_uses().unwrap();
    assert_eq!(disk.operations(), operations, "nothing is new");
}

#[test]
fn tokens_of_a_folder_that_was_removed_are_written_anew() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    let (text, _) = store.create(order("ci", None), at(0)).unwrap();
    disk.remove_folder();
    store.keep_uses().unwrap();
    assert!(TokenStore::open(disk.after_kill()).verify(&shown(&text), at(1)).is_ok());
}

#[test]
fn a_file_that_is_damaged_lets_nobody_in_and_is_read_again_once_it_is_mended() {
    let disk = FakeDisk::default();
    let (text, _) = TokenStore::open(disk.clone()).create(order("ci", None), at(0)).unwrap();
    let good = disk.get(FILE);
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 1;
        disk.put(FILE, &damaged);
        let store = TokenStore::open(disk.clone());
        assert_eq!(name_of(&store, &text, at(1)), Err(TokenRefusal::Unknown), "octet {place}");
        assert!(
            store.refuses().unwrap().starts_with("cannot use /state/tokens.json: it is not what was written\nhint: ")
        );
        assert!(matches!(store.create(order("cd", None), at(1)), Err(TokenError::Unusable { .. })));
        assert!(matches!(store.list(), Err(TokenError::Unusable { .. })));
        if place == 0 {
            disk.put(FILE, &good);
            store.keep_uses().unwrap();
            assert_eq!((name_of(&store, &text, at(1)), store.refuses()), (Ok("ci".into()), None));
        }
    }
    for length in 0..good.len() {
        disk.put(FILE, &good[..length]);
        assert!(TokenStore::open(disk.clone()).refuses().is_some(), "{length} octets");
    }
}

#[test]
fn a_file_that_says_the_same_twice_or_is_of_a_newer_daemon_is_refused() {
    let disk = FakeDisk::default();
    let store = TokenStore::open(disk.clone());
    store.create(order("ci", None), at(0)).unwrap();
    let one = store.list().unwrap().remove(0);
    let with = |tokens: Vec<TokenRecord>| {
        disk.clone().keep(&TokensOnDisk::new(tokens, Vec::new())).unwrap();
        TokenStore::open(disk.clone()).refuses().unwrap_or_default()
    };
    let other_id = TokenRecord { id: TokenId::random().unwrap(), ..one.clone() };
    let other_name = TokenRecord { name: Name::parse("cd").unwrap(), ..one.clone() };
    assert!(with(vec![one.clone(), other_id]).contains("the same token twice"));
    assert!(with(vec![one.clone(), other_name]).contains("the same token twice"));
    assert_eq!(with(vec![one]), "");
    let payload = br#"{"version":2,"tokens":[],"revoked":[]}"#;
    let mut octets = Vec::new();
    assert!(crate::state::frame::push(&mut octets, payload));
    disk.put(FILE, &octets);
    assert!(TokenStore::open(disk).refuses().unwrap().contains("a newer daemon has written it"));
}

/// A state folder of the file system; it is gone afterwards.
fn with_folder(name: &str, test: impl FnOnce(PathBuf)) {
    let above = std::env::temp_dir().join(format!("portcullis-tokens-{name}-{}", std::process::id()));
    fs::create_dir(&above).unwrap();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o755)).unwrap();
    test(above.join("state"));
    fs::remove_dir_all(&above).unwrap();
}

#[test]
fn the_file_is_for_its_owner_alone_and_refused_when_others_can_read_it() {
    with_folder("mode", |state| {
        let folder = Folder::open(&state).unwrap();
        let file = state.join(FILE);
        // What another attempt has left does not hand its mode on.
        fs::write(state.join("tokens.json.new"), "left").unwrap();
        fs::set_permissions(state.join("tokens.json.new"), fs::Permissions::from_mode(0o644)).unwrap();
        let (text, _) = TokenStore::open(folder.clone()).create(order("ci", None), at(0)).unwrap();
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&file), 0o600);
        for bad in [0o640, 0o604, 0o660, 0o606] {
            fs::set_permissions(&file, fs::Permissions::from_mode(bad)).unwrap();
            let store = TokenStore::open(folder.clone());
            let why = store.refuses().unwrap();
            assert!(why.contains(&format!("its mode is {bad:04o}")) && why.contains("\nhint: "), "{why}");
            assert_eq!(name_of(&store, &text, at(1)), Err(TokenRefusal::Unknown));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(name_of(&TokenStore::open(folder.clone()), &text, at(1)), Ok("ci".into()));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
            let why = TokenStore::open(folder.clone()).refuses().unwrap();
            assert!(why.contains("it belongs to user 65534"), "{why}");
        }
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert!(TokenStore::open(folder).refuses().is_some(), "a symbolic link");
    });
}

proptest! {
    #[test]
    fn whenever_power_is_lost_the_tokens_are_those_before_or_after(
        fault in 0..20_u64, choices in prop::collection::vec(any::<usize>(), 64),
    ) {
        let disk = FakeDisk::default();
        let store = TokenStore::open(disk.clone());
        let (kept, _) = store.create(order("kept", None), at(0)).unwrap();
        let (revoked, _) = store.create(order("revoked", None), at(0)).unwrap();
        disk.set_fault(Some(Fault::PowerLoss(disk.operations() + fault)));
        let was_revoked = store.revoke("revoked", at(1)).is_ok();
        let was_created = store.create(order("new", None), at(2)).ok();
        let mut choices = choices.into_iter().cycle();
        let found = TokenStore::open(disk.after_power_loss(&mut |below| choices.next().unwrap() % below));
        prop_assert_eq!(found.refuses(), None);
        prop_assert!(found.verify(&shown(&kept), at(3)).is_ok());
        if was_revoked {
            prop_assert_eq!(name_of(&found, &revoked, at(3)), Err(TokenRefusal::Revoked));
        }
        if let Some((text, _)) = was_created {
            prop_assert!(found.verify(&shown(&text), at(3)).is_ok());
        }
    }

    #[test]
    fn no_token_but_the_one_that_was_made_is_taken(id in any::<Option<u64>>(), secret in any::<[u8; 32]>()) {
        let store = TokenStore::open(FakeDisk::default());
        let (text, _) = store.create(order("ci", None), at(0)).unwrap();
        let id = id.map_or(shown(&text).id, |id| serde_json::from_str(&id.to_string()).unwrap());
        let secret: TokenSecret = TokenSecret::from(secret);
        let guessed = PresentedToken { id, secret };
        prop_assert!(store.verify(&guessed, at(1)).is_err());
    }
}

#[test]
fn scopes_are_kept() {
    let disk = FakeDisk::default();
    let scope =
        Scope { lists: Some(["partners".into()].into()), verbs: Some([EntryVerb::Allow].into()), ..Scope::default() };
    let grant = Grant { role: Role::Operator, scope };
    TokenStore::open(disk.clone()).create(TokenOrder { grant: grant.clone(), ..order("ci", None) }, at(0)).unwrap();
    assert_eq!(TokenStore::open(disk.after_kill()).list().unwrap()[0].grant, grant);
}
