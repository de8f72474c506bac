//! What the build script decides.

#[path = "../build/decide.rs"]
mod decide;

use decide::{reads_repository, revision, warning};

#[test]
fn an_optimised_build_without_the_packet_program_is_told_how_to_get_one_and_no_other_build_is() {
    let told = warning("release", false).unwrap();
    assert!(told.contains("without the packet program") && told.contains("`cargo xtask build`"), "{told}");
    assert_eq!(told.lines().count(), 1, "cargo reads one line");
    assert_eq!((warning("release", true), warning("debug", false), warning("debug", true)), (None, None, None));
}

#[test]
fn a_revision_is_what_the_caller_says_else_that_of_the_repository() {
    let found = || Some("0123abc".to_owned());
    assert_eq!(revision(Some("1.0-1~deb12u1"), found).as_deref(), Ok("1.0-1~deb12u1"));
    assert_eq!(
        (revision(None, found).as_deref(), revision(Some(""), found).as_deref()),
        (Ok("0123abc"), Ok("0123abc"))
    );
    assert_eq!(revision(None, || None).as_deref(), Ok("unknown"));
    assert_eq!(revision(None, || Some("fatal: not a repository".into())).as_deref(), Ok("unknown"));
    // A second line would be an instruction to cargo.
    for odd in ["a\ncargo::rustc-env=PATH=/tmp", "a b", "\u{e9}", &"a".repeat(65)] {
        assert!(revision(Some(odd), found).is_err(), "{odd}");
    }
    assert!(reads_repository("release") && !reads_repository("debug"));
}
