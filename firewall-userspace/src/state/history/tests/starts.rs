//! Which generation a start uses.

use super::*;
use crate::clock::deadline::Deadline;

#[test]
fn the_first_start_uses_the_file_and_the_next_goes_on() {
    let disk = FakeDisk::default();
    assert_eq!(chosen(&disk, "a", "1"), "file None First");
    begun(&disk);
    assert_eq!(chosen(&disk, "a", "1"), "1 Same");
}

#[test]
fn an_applied_policy_stays_until_the_file_changes() {
    let disk = FakeDisk::default();
    applied(&disk, false, false);
    assert_eq!(chosen(&disk, "a", "1"), "2 Unchanged");
    assert_eq!(chosen(&disk, "c", "1"), "file None Changed");
}

#[test]
fn a_file_that_was_rolled_back_is_not_loaded_again() {
    let disk = FakeDisk::default();
    // The file was changed to `b`, applied and rolled back.
    let mut history = applied(&disk, true, true);
    let back = Generation { of: Some(1), ..generation(3, How::AutomaticRollback) };
    history.record(back, Content::Of(1), false, None, Care::Owe).unwrap();
    assert!(history.differs_from_file());
    assert_eq!(chosen(&disk, "b", "1"), "3 Unchanged");
    // Not when a list that it names changes either; a new file is what its operator wants.
    assert_eq!(chosen(&disk, "b", "2"), "3 Unchanged");
    assert_eq!(chosen(&disk, "a", "1"), "file None Changed");
    assert_eq!(history.generation(2).unwrap().standing, Standing::RolledBack);
    assert_eq!(history.generation(3).unwrap().bundle, 1);
}

#[test]
fn list_files_that_have_changed_are_read_anew_and_a_mode_that_was_set_stays() {
    let disk = FakeDisk::default();
    let mut history = begun(&disk);
    assert_eq!(chosen(&disk, "a", "2"), "file None ListsChanged");
    let observe = Generation { mode: Some(Mode::Observe), ..generation(2, How::Mode) };
    history.record(observe, Content::Of(1), false, None, Care::Must).unwrap();
    assert_eq!(chosen(&disk, "a", "1"), "2 Same");
    assert_eq!(chosen(&disk, "a", "2"), "file Some(Observe) ListsChanged");
    assert_eq!(chosen(&disk, "b", "1"), "file Some(Observe) Changed");
    let observing = bundle("[policy]\nmode = \"observe\"\n", "1");
    let choice = choose(&open(&disk), Some((&observing, Mode::Observe)), now(1));
    assert_eq!(choice, Choice::File(None, Why::Changed), "the file's own mode has changed");
}

#[test]
fn a_start_sees_that_an_included_file_has_changed_is_new_or_is_gone() {
    let with = |texts: &[&str]| {
        let file =
            |(number, text): (usize, &&str)| BundledFile { path: format!("/d/{number}.toml"), text: (*text).into() };
        Bundle { included: texts.iter().enumerate().map(file).collect(), ..bundle("a", "1") }
    };
    let disk = FakeDisk::default();
    let content = Content::Sent(with(&["x", "y"]));
    open(&disk).record(generation(1, How::Start), content, true, None, Care::Must).unwrap();
    let chosen = |texts: &[&str]| choose(&open(&disk.after_kill()), Some((&with(texts), Mode::Enforce)), now(1));
    assert!(matches!(chosen(&["x", "y"]), Choice::Kept(_, Why::Same)));
    for changed in [&["x", "z"][..], &["x", "y", ""], &["x"], &[], &["y", "x"], &["xy"]] {
        assert_eq!(chosen(changed), Choice::File(None, Why::Changed), "{changed:?}");
    }
    let list = Bundle { files: bundle("a", "2").files, ..with(&["x", "y"]) };
    let choice = choose(&open(&disk.after_kill()), Some((&list, Mode::Enforce)), now(1));
    assert_eq!(choice, Choice::File(None, Why::ListsChanged));
}

#[test]
fn what_waits_goes_on_until_its_deadline_and_then_the_one_before_comes_back_whatever_the_file_says() {
    let disk = FakeDisk::default();
    applied(&disk, true, true);
    let choice = |second: i64| choose(&open(&disk.after_kill()), Some((&bundle("c", "9"), Mode::Enforce)), now(second));
    let left = |deadline: Deadline, second| deadline.left(now(second)).as_secs();
    assert!(matches!(choice(20), Choice::Waiting(two, _, deadline) if two.number == 2 && left(deadline, 20) == 40));
    assert!(matches!(choice(60), Choice::Back(one, _) if one.number == 1));
    assert!(matches!(choice(-30), Choice::Back(one, _) if one.number == 1), "the clock was set back");
}

#[test]
fn what_was_confirmed_stays() {
    let disk = FakeDisk::default();
    let mut history = applied(&disk, true, true);
    history.confirm("root").unwrap();
    assert_eq!(chosen(&disk, "b", "1"), "2 Same");
    assert_eq!(open(&disk.after_kill()).generation(2).unwrap().standing, Standing::Confirmed);
}

#[test]
fn a_look_finds_the_configurations_that_a_start_may_go_back_to_and_locks_nothing() {
    let path = std::env::temp_dir().join(format!("portcullis-peek-{}", std::process::id()));
    let disk = crate::state::disk::Folder::open(&path).unwrap();
    let looked = || configurations(&path).into_iter().map(|bundle| bundle.config).collect::<Vec<_>>();
    assert_eq!(looked(), [""; 0], "nothing is there");
    let numbered = |number| Generation { bundle: number, ..generation(number, How::Reload) };
    let mut document = HistoryDocument::default();
    (document.generations, document.active) = ((1..=7).map(numbered).collect(), Some(2));
    document.generations[6].standing = Standing::RolledBack;
    crate::state::whole::write(&disk, NAME, "history.tmp", &document).unwrap();
    for number in 1..=7 {
        let name = file::bundle_name(number);
        crate::state::whole::write(&disk, &name, "history.tmp", &bundle(&number.to_string(), "192.0.2.1")).unwrap();
    }
    // Of the live one and the three newest that were confirmed; the lock of a daemon is no obstacle.
    assert_eq!(looked(), ["2", "4", "5", "6"]);
    disk.remove(&file::bundle_name(2)).unwrap();
    assert_eq!(looked(), ["4", "5", "6"], "what cannot be read is left out");
    drop(disk);
    std::fs::remove_dir_all(path).unwrap();
}
