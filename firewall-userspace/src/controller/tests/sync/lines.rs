//! What the lines of a sync may say, and what is refused of them.

use super::*;

#[test]
fn what_a_line_cannot_say_is_named() {
    let restored = |owner: &str| {
        format!(
            "{{\"restore\":true}}\n{{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"layer\":\"runtime\",\"owner\":\"{owner}\",\"created\":\"2020-01-01T00:00:00Z\"}}"
        )
    };
    let push = |lines: &str| format!("{{\"verb\":\"deny\"}}\n{lines}");
    for (text, wanted) in [
        (restored(&"x".repeat(300)), "the owner is too long"),
        (restored("a\\u0000"), "has control characters"),
        (restored(""), "held by nobody"),
        (push("{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"remove\":true,\"ttl\":\"1h\"}"), "no `ttl` and no `comment`"),
        (
            push(
                "{\"list\":\"b\",\"prefix\":\"192.0.2.1\"}\n{\"list\":\"b\",\"prefix\":\"192.0.2.1\",\"remove\":true}",
            ),
            "192.0.2.1/32 is both added to `b` and removed from it",
        ),
    ] {
        let refused = compare(&mut World::new(0), "ada", &text).map(drop).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
}

#[test]
fn what_is_restored_does_not_shorten_what_is_there() {
    let mut world = World::new(0);
    push(&mut world, "ada", deny(1)).unwrap();
    let there = entries(&world);
    let line = |address: u32, expires: &str| {
        let address = self::address(address);
        format!(
            "{{\"list\":\"b\",\"prefix\":\"{address}\",\"layer\":\"runtime\",\"owner\":\"ada\",\"created\":\"2020-01-01T00:00:00Z\"{expires}}}\n"
        )
    };
    let ends = ",\"expires\":\"2200-01-01T00:00:00Z\"";
    let restore = |lines: String| format!("{{\"restore\":true}}\n{lines}");
    let pushed = sync(&mut world, "root", &restore(line(1, ends) + &line(2, ends))).unwrap();
    assert_eq!((counts(&pushed), &entries(&world)[..1]), ([1, 0, 0, 1], &there[..]));
    let pushed = sync(&mut world, "root", &restore(line(2, ""))).unwrap();
    assert_eq!((counts(&pushed), entries(&world)[1].2.expires), ([0, 1, 0, 0], None));
}

#[test]
fn guards_hold_syncs_up_as_they_do_pushes() {
    let mut world = World::new(EMPTY);
    let add = "{\"verb\":\"allow\",\"layer\":\"feed\"}\n{\"list\":\"a\",\"prefix\":\"192.0.2.7\"}\n";
    sync(&mut world, "ada", add).unwrap();
    let empty = "{\"verb\":\"allow\",\"layer\":\"feed\",\"replace\":[\"a\"]}\n";
    let Err(Refusal::Guarded(harms)) = sync(&mut world, "ada", empty) else { panic!("it is emptied") };
    assert_eq!(harms.len(), 1, "{harms:?}");
    assert!(harms[0].to_string().contains("`a`"), "{harms:?}");
    let wrong = sync(&mut world, "ada", "{\"verb\":\"deny\"}\n{\"list\":\"a\",\"prefix\":\"192.0.2.7\"}\n");
    assert!(matches!(wrong, Err(Refusal::WrongVerb { .. })), "{wrong:?}");
    let everything = "{\"verb\":\"deny\"}\n{\"list\":\"b\",\"prefix\":\"0.0.0.0/0\"}\n";
    assert!(matches!(sync(&mut world, "ada", everything), Err(Refusal::Guarded(_))));
    let forced = everything.replace("\"deny\"}", "\"deny\",\"force\":true}");
    assert_eq!(counts(&sync(&mut world, "ada", &forced).unwrap()), [1, 0, 0, 0]);
}

#[test]
fn an_export_is_restored_with_owner_end_and_comment() {
    let mut world = World::new(0);
    let lines = "{\"restore\":true}\n\
        {\"list\":\"b\",\"prefix\":\"192.0.2.9\",\"layer\":\"ban\",\"owner\":\"zeek\",\"person\":\"eve\",\"comment\":\"why\",\
         \"created\":\"2026-01-01T00:00:00Z\",\"expires\":\"2099-01-01T00:00:00Z\"}\n\
        {\"list\":\"b\",\"prefix\":\"192.0.2.10\",\"layer\":\"ban\",\"owner\":\"zeek\",\
         \"created\":\"2020-01-01T00:00:00Z\",\"expires\":\"2021-01-01T00:00:00Z\"}\n";
    let pushed = sync(&mut world, "ada", lines).unwrap();
    assert_eq!(counts(&pushed), [1, 0, 0, 1]);
    assert_eq!(pushed.notes, ["1 entry that is not restored: their time is over"]);
    let [(list, holding, entry)] = &entries(&world)[..] else { panic!("one entry") };
    let told = format!(
        "{list} {} {:?} {} {:?} {:?}",
        holding.prefix, holding.layer, holding.owner, entry.person, entry.comment
    );
    assert_eq!(told, "b 192.0.2.9/32 Ban zeek Some(\"eve\") Some(\"why\")");
    let times = (entry.created.to_string(), entry.expires.unwrap().to_string());
    assert_eq!(times, ("2026-01-01T00:00:00Z".to_owned(), "2099-01-01T00:00:00Z".to_owned()));
    assert_eq!(counts(&sync(&mut world, "ada", lines).unwrap()), [0, 0, 0, 2]);
    let owner = "{}\n{\"list\":\"b\",\"prefix\":\"192.0.2.9\",\"owner\":\"zeek\"}\n";
    assert!(matches!(sync(&mut world, "ada", owner), Err(Refusal::Invalid(_))), "an owner without `restore`");
}

#[test]
fn ten_mistakes_of_a_kind_are_told_with_the_number_of_their_entry() {
    let mut world = World::new(0);
    let mut text = String::from("{}\n{\"list\":\"b\",\"prefix\":\"192.0.2.1\"}\n");
    text.push_str(&"{\"list\":\"b\",\"prefix\":\"192.0.2.1/33\"}\n".repeat(50_000));
    text.push_str(&"[1,2]\n".repeat(50_000));
    let Err(Refusal::Invalid(problems)) = sync(&mut world, "ada", &text) else { panic!("it is wrong") };
    let told = problems.told();
    assert_eq!((problems.len(), told[0].pointer.as_str()), (100_000, "/add/1/prefix"));
    assert!(told.len() < 40 && told.iter().all(|problem| problem.detail.len() < 600), "{told:?}");
    let unknown = "{}\n".to_owned() + &"{\"list\":\"x\",\"prefix\":\"192.0.2.1\"}\n".repeat(9);
    let Err(Refusal::Invalid(problems)) = sync(&mut world, "ada", &unknown) else { panic!("there is no `x`") };
    assert_eq!(problems.told()[0].detail, "there is no list `x`; there are `a`, `b`; 1 entry names it");
}
