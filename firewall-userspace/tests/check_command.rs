//! `portcullis check` as an operator or a script runs it.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

/// Runs `portcullis check` in tests/data, where its messages are the same on every machine.
fn check(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary that cargo built starts")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("check").args(arguments).current_dir(data("")).stdin(Stdio::null());
    command
}

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the answer is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// Compares `text` with a file in tests/data.
fn assert_is(text: &str, name: &str) {
    let wanted = fs::read_to_string(data(name)).unwrap_or_default();
    assert_eq!(text, wanted, "{name} is not up to date; if the new text is meant, it is:\n{text}");
}

#[test]
fn a_good_file_is_summed_up_in_one_line() {
    let output = check(&["good.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "good.toml: ok: 1 interface, 2 lists (3 entries), 1 limit, 1 service\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn twelve_mistakes_are_all_reported_with_their_places() {
    let output = check(&["mistakes.toml"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(stdout(&output), "");
    assert_is(&stderr(&output), "mistakes.txt");
}

#[test]
fn loopback_is_refused_with_what_to_name_in_its_place() {
    let output = check(&["lo.toml"]);
    assert_eq!(output.status.code(), Some(5));
    let told = stderr(&output);
    assert!(told.contains("error: interface[0].name: `lo` is the loopback interface"), "{told}");
    assert!(told.contains("--> lo.toml:2:8") && told.contains("hint: name the interfaces through which"), "{told}");
    // The same on whichever host.
    assert_eq!(check(&["--host", "lo.toml"]).status.code(), Some(5));
}

#[test]
fn twelve_mistakes_as_json_have_file_line_column_and_message() {
    let output = check(&["-o", "json", "mistakes.toml"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(stderr(&output), "");
    assert_is(&stdout(&output), "mistakes.json");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");
    let place = |error: &serde_json::Value| {
        let number = |key: &str| error[key].as_u64().expect("a number");
        let text = |key: &str| error[key].as_str().expect("a string").to_owned();
        (text("file"), number("line"), number("column"), text("path"))
    };
    let places: Vec<_> = json["errors"].as_array().expect("an array").iter().map(place).collect();
    let config = |line, column, path: &str| ("mistakes.toml".to_owned(), line, column, path.to_owned());
    assert_eq!(
        places,
        [
            config(4, 8, "interface[0].mode"),
            config(7, 1, "policy.managment"),
            config(10, 30, "lists.partners.entries[1]"),
            config(16, 20, "limits.standard.packets.rate"),
            config(17, 32, "limits.standard.bytes.per"),
            config(18, 24, "limits.standard.connections.rate"),
            config(22, 15, "services.api.ports[1]"),
            config(23, 10, "services.api.allow[0]"),
            config(29, 14, "services.web.ports[1]"),
            config(30, 9, "services.web.allow"),
            config(33, 10, "admin.listen"),
            ("lists/one-bad-line.txt".to_owned(), 3, 1, "lists.blocked.file".to_owned()),
        ]
    );
}

/// `../shared/field/all-ports.toml`: talos#13926 and cilium#34107.
#[test]
fn a_service_over_all_ports_is_warned_of_what_dies_and_fatal_only_with_strict() {
    let output = check(&["all-ports.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).ends_with(", 2 services, 2 warnings\n"), "{}", stdout(&output));
    assert_is(&stderr(&output), "all-ports.txt");
    assert_eq!(check(&["--strict", "all-ports.toml"]).status.code(), Some(5));
}

#[test]
fn a_warning_is_fatal_only_with_strict() {
    let output = check(&["warning.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "warning.toml: ok: 1 interface, 0 lists (0 entries), 0 limits, 1 service, 1 warning\n");
    assert_is(&stderr(&output), "warning.txt");

    let output = check(&["--strict", "warning.toml"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(stdout(&output), "");
    let refused = "error: warning.toml is refused: 1 warning, fatal with --strict\n";
    assert_eq!(stderr(&output), fs::read_to_string(data("warning.txt")).unwrap_or_default() + refused);

    assert_eq!(check(&["--strict", "-o", "json", "warning.toml"]).status.code(), Some(5));
    assert_eq!(check(&["--strict", "good.toml"]).status.code(), Some(0));
}

#[test]
fn failing_tests_are_named_with_both_verdicts_and_the_exit_code_is_1() {
    let output = check(&["--tests", "tests.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert_is(&stderr(&output), "tests.txt");

    let output = check(&["--tests", "-o", "json", "tests.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");
    let tests = json["tests"].as_array().expect("an array");
    let passed: Vec<_> = tests.iter().map(|test| test["passed"].as_bool().expect("a boolean")).collect();
    assert_eq!(passed, [true, false, false, true]);
    let failed = serde_json::json!({
        "name": "strangers reach it too", "passed": false, "expected": "pass", "expected_service": null,
        "verdict": "not_allowed", "service": "https", "file": "tests.toml", "line": 31, "column": 10,
    });
    assert_eq!(tests[1], failed);
}

#[test]
fn tests_are_run_when_asked_for_and_counted() {
    let output = check(&["tests.toml"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/portcullis.toml");
    let output = check(&["--tests", sample]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert!(stdout(&output).ends_with(", 4 tests passed\n"), "{}", stdout(&output));
    let output = check(&["--tests", "good.toml"]);
    assert!(stdout(&output).ends_with(", 0 tests passed\n"), "{}", stdout(&output));
    assert_eq!(check(&["--tests", "mistakes.toml"]).status.code(), Some(5));
}

#[test]
fn a_configuration_can_come_from_a_pipe() {
    for (file, code, said) in [("good.toml", 0, "<stdin>: ok: 1 interface"), ("warning.toml", 0, ", 1 warning\n")] {
        let mut child = command(&["-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that cargo built starts");
        let mut input = child.stdin.take().expect("it was piped");
        input.write_all(&fs::read(data(file)).expect("the file is there")).expect("the child reads it");
        drop(input);
        let output = child.wait_with_output().expect("the child ends");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stdout(&output).contains(said), "{}", stdout(&output));
    }
}

#[test]
fn what_cannot_be_read_is_refused_as_configuration() {
    let output = check(&["no-such-file.toml"]);
    assert_eq!(output.status.code(), Some(5));
    let wanted = "\
error: cannot read no-such-file.toml: No such file or directory (os error 2)
--> no-such-file.toml

error: no-such-file.toml is refused: 1 error
";
    assert_eq!(stderr(&output), wanted);
    assert_eq!(check(&["lists"]).status.code(), Some(5));
    assert_eq!(check(&["lists/latin1.txt"]).status.code(), Some(5));
    let json: serde_json::Value =
        serde_json::from_slice(&check(&["-o", "json", "lists"]).stdout).expect("the answer is JSON");
    assert_eq!(json["errors"][0]["line"], serde_json::Value::Null);
}

#[test]
fn a_usage_error_is_exit_code_2() {
    assert_eq!(check(&["--no-such-option"]).status.code(), Some(2));
    assert_eq!(check(&["-o", "yaml"]).status.code(), Some(2));
}

#[test]
fn nobody_reading_the_answer_is_no_panic() {
    for (arguments, code) in
        [(["-o", "json", "mistakes.toml"], 5), (["-o", "json", "good.toml"], 0), (["-o", "table", "good.toml"], 0)]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(&arguments).stdout(writer).output().expect("the binary that cargo built starts");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
    for code in [5, 0] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let file = if code == 0 { "warning.toml" } else { "mistakes.toml" };
        let output = command(&[file]).stderr(writer).output().expect("the binary that cargo built starts");
        assert_eq!(output.status.code(), Some(code), "{file}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_not_a_success() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = command(&["good.toml"]).stdout(full).output().expect("the binary that cargo built starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: cannot write the answer: No space left on device (os error 28)\n");
}

#[test]
fn a_pipe_gets_no_colours() {
    let said = stderr(&check(&["mistakes.toml"]));
    assert!(said.contains("error") && !said.contains('\u{1b}'), "{said}");
}
