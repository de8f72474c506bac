//! The contract in docs/policy.md: every paragraph names what keeps it, and what it names is there.

use std::{collections::BTreeSet, fs, path::Path};

use firewall_tests::cases::scenarios;
use firewall_userspace::config::{Bundle, BundledFile, load_bundle};

/// What a paragraph says that no test keeps as a whole.
const NOT_YET: &str = "not yet kept";

/// Kinds of test functions, and where each is.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    ("host", &["tests/tests/host"]),
    ("kernel", &["tests/tests/kernel"]),
    ("wire", &["tests/tests/wire"]),
    ("unit", &["firewall-common", "firewall-userspace"]),
];

#[test]
fn every_paragraph_of_the_contract_names_cases_and_tests_that_exist() {
    let kinds = known();
    let mut wrong = Vec::new();
    let mut named = 0;
    for block in blocks(&contract()) {
        let references = references(&block);
        if references.is_empty() && !block.contains(NOT_YET) {
            wrong.push(format!("names neither a case nor a test, nor says \"{NOT_YET}\": {block}"));
        }
        for (kind, name) in references {
            match kinds.iter().find(|(known, _)| *known == kind) {
                Some((_, names)) if names.contains(&name) => named += 1,
                Some(_) => wrong.push(format!("there is no [{kind}: {name}]")),
                None => wrong.push(format!("there is no kind of test called `{kind}`: {name}")),
            }
        }
    }
    assert!(wrong.is_empty(), "docs/policy.md:\n{}", wrong.join("\n"));
    assert!(named > 200, "only {named} references were read");
}

#[test]
fn the_example_is_a_configuration_without_mistakes() {
    let contract = contract();
    let example = contract.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let file = |path: &str, text: &str| BundledFile { path: path.into(), text: text.into() };
    let files = vec![
        file("lists/partners.txt", "192.0.2.128/25 # the second office\n"),
        file("lists/blocked.txt", "# nobody yet\n203.0.113.66\n"),
    ];
    let bundle = Bundle { name: "policy.toml".into(), config: example.into(), included: Vec::new(), files };
    let loaded = load_bundle(&bundle).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace")
}

fn contract() -> String {
    fs::read_to_string(root().join("docs/policy.md")).expect("the contract is there")
}

/// Paragraphs, items of lists and rows of tables behind the introduction, each in one line.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let (mut is_code, mut is_introduction) = (false, true);
    for line in text.lines() {
        is_introduction &= !line.starts_with("## ");
        is_code ^= line.starts_with("```");
        if is_introduction || is_code || line.starts_with("```") {
            continue;
        }
        if line.starts_with("|-") {
            blocks.pop(); // the head of a table
        }
        let is_item =
            line.starts_with("- ") || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if line.is_empty() || line.starts_with(['#', '|']) || is_item {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut().filter(|_| !line.starts_with('#') && !line.starts_with("|-")) {
            *block = format!("{block} {}", line.trim());
        }
    }
    blocks.into_iter().map(|block| block.trim().to_owned()).filter(|block| !block.is_empty()).collect()
}

/// Kind and name of everything in brackets: `[kind: name; name]`.
fn references(block: &str) -> Vec<(String, String)> {
    let brackets = block.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    let lists = brackets.filter_map(|(inside, _)| inside.split_once(": "));
    lists.flat_map(|(kind, names)| names.split("; ").map(move |name| (kind.to_owned(), name.to_owned()))).collect()
}

/// Every name there is, by kind.
fn known() -> Vec<(&'static str, BTreeSet<String>)> {
    let cases = scenarios().into_iter().flat_map(|scenario| scenario.cases).map(|case| case.fact.to_owned()).collect();
    let functions = FUNCTIONS.map(|(kind, folders)| {
        let mut names = BTreeSet::new();
        folders.iter().for_each(|folder| collect_tests(&root().join(folder), &mut names));
        (kind, names)
    });
    functions.into_iter().chain([("case", cases)]).collect()
}

/// Names of the test functions below `folder`.
fn collect_tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect_tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).expect("the file can be read");
            let attributes = code.split("#[").skip(1);
            let of_tests = attributes.filter(|rest| rest.starts_with("test]\n") || rest.starts_with("tokio::test"));
            let behind = of_tests.filter_map(|rest| rest.split_once("fn "));
            names.extend(behind.filter_map(|(_, rest)| rest.split('(').next()).map(str::to_owned));
        }
    }
}
