//! The copyright file (DEP-5): holders and licences of everything that is compiled into the package.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::{
    crates::PackagedCrate,
    licences::{self, APACHE},
};

const FORMAT: &str = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/";

/// What the compiler adds: the standard library has no files in the registry.
const STANDARD_LIBRARY: (&str, &str, &str) = ("rust-std", "The Rust Project contributors", "MIT OR Apache-2.0");

/// A part of the package, and the texts that came with it.
struct CopyrightPart {
    /// Pattern of its files.
    files: String,
    license: String,
    holders: Vec<String>,
    texts: Vec<String>,
}

/// The file, for these crates. `root` is the workspace, whose own licences stand first.
///
/// # Errors
/// When a file cannot be read, or the text of a licence is nowhere.
pub fn file(root: &Path, crates: &[PackagedCrate]) -> Result<String> {
    let own = ["LICENSE-MIT", "LICENSE-APACHE"].map(|name| root.join(name));
    let read = |path: &_| fs::read_to_string(path).with_context(|| format!("cannot read {}", Path::display(path)));
    let texts = own.iter().map(|path| read(path.as_path())).collect::<Result<Vec<_>>>()?;
    let mut parts = vec![CopyrightPart {
        files: "*".to_owned(),
        license: "MIT OR Apache-2.0".to_owned(),
        holders: texts.iter().flat_map(|text| licences::holders(text)).collect(),
        texts,
    }];
    for one in crates.iter().filter(|one| !one.is_ours()) {
        let texts = licences::files_of(&one.folder)?;
        let mut holders: Vec<String> = texts.iter().flat_map(|text| licences::holders(text)).collect();
        holders.sort();
        holders.dedup();
        if holders.is_empty() {
            holders = one.authors.clone();
        }
        if holders.is_empty() {
            holders = vec![format!("The authors of {}", one.name)];
        }
        let files = format!("vendor/{}-{}/*", one.name, one.version);
        parts.push(CopyrightPart { files, license: one.license.clone(), holders, texts });
    }
    let (files, holder, license) = STANDARD_LIBRARY;
    parts.push(CopyrightPart {
        files: format!("vendor/{files}/*"),
        license: license.to_owned(),
        holders: vec![holder.to_owned()],
        texts: Vec::new(),
    });
    rendered(&parts)
}

/// Texts by name. A second text of one licence has a name of its own: `MIT-2`.
#[derive(Default)]
struct Texts {
    named: BTreeMap<String, String>,
}

impl Texts {
    /// The name for these terms of a licence.
    fn name(&mut self, license: &str, terms: &str) -> String {
        for number in 1.. {
            let name = if number == 1 { license.to_owned() } else { format!("{license}-{number}") };
            match self.named.get(&name) {
                Some(there) if licences::is_same(there, terms) => return name,
                Some(_) => {}
                None => {
                    self.named.insert(name.clone(), terms.to_owned());
                    return name;
                }
            }
        }
        license.to_owned()
    }
}

fn rendered(parts: &[CopyrightPart]) -> Result<String> {
    let mut texts = Texts::default();
    // Parts that share holders and licences share a paragraph.
    // What is told, and the names of those that it is told of.
    type Paragraph<'a> = ((String, Vec<String>), Vec<&'a str>);
    let mut paragraphs: Vec<Paragraph<'_>> = Vec::new();
    let mut mentioned: BTreeMap<String, &str> = BTreeMap::new();
    for part in parts {
        let mut words: Vec<String> = words(&part.license);
        let mut placed = Vec::new();
        for text in &part.texts {
            let Some(known) = licences::recognised(text) else { continue };
            if known == APACHE {
                continue;
            }
            let name = texts.name(known, &licences::terms(text));
            // A text that the expression does not name, or names once, is of a piece that the crate took over.
            match words.iter().position(|word| word == known) {
                Some(at) if !placed.contains(&known) => words[at] = name,
                _ if words.contains(&name) => {}
                _ => words.extend(["and".to_owned(), name]),
            }
            placed.push(known);
        }
        mentioned.extend(words.iter().filter(|word| !is_joint(word)).map(|word| (word.clone(), part.files.as_str())));
        let key = (expression(&words), part.holders.clone());
        match paragraphs.iter_mut().find(|(there, _)| *there == key && part.files != "*") {
            Some((_, files)) => files.push(&part.files),
            None => paragraphs.push((key, vec![&part.files])),
        }
    }
    let mut file = format!(
        "Format: {FORMAT}\nUpstream-Name: Portcullis\nSource: the repository that this package was built from\n\
         Comment: Folders below vendor/ are crates as `cargo vendor` lays them out. They are compiled into /usr/bin/portcullis.\n"
    );
    for ((license, holders), files) in paragraphs {
        let holders = holders.join("\n           ");
        let _ = write!(file, "\nFiles: {}\nCopyright: {holders}\nLicense: {license}\n", files.join("\n       "));
    }
    for (name, part) in mentioned {
        let _ = match (name.as_str(), texts.named.get(&name)) {
            (APACHE, _) => write!(file, "\nLicense: {APACHE}\n{}", indented(REFERENCE)),
            (_, Some(text)) => write!(file, "\nLicense: {name}\n{}", indented(text)),
            (_, None) => bail!("no crate has the text of the licence {name}, which {part} is under"),
        };
    }
    Ok(file)
}

const REFERENCE: &str = "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use this file except in compliance\n\
    with the License.\n\nOn Debian systems, the text of the License is in /usr/share/common-licenses/Apache-2.0.";

/// Names and joints of an SPDX expression; parentheses stay with their words no longer than until [`expression`].
fn words(license: &str) -> Vec<String> {
    let spaced = license.replace('(', "( ").replace(')', " )");
    spaced.split_whitespace().map(str::to_owned).collect()
}

fn is_joint(word: &str) -> bool {
    let joints: BTreeSet<&str> = ["OR", "AND", "WITH", "and", "(", ")"].into();
    joints.contains(word)
}

/// As DEP-5 writes it, which binds `and` closer than `or`, and has a comma where parentheses would say otherwise.
fn expression(words: &[String]) -> String {
    let mut text = String::new();
    let mut inside = false;
    for (at, word) in words.iter().enumerate() {
        let has_or = || words.iter().any(|word| word == "OR");
        // Beside a group, or of a piece that the crate took over.
        let is_beside = words.get(at + 1).is_some_and(|next| next == "(") || text.ends_with(')');
        let joint = match word.as_str() {
            "OR" => " or ",
            "WITH" => " with ",
            "and" if has_or() => ", and ",
            "AND" if has_or() && !inside && is_beside => ", and ",
            "AND" | "and" => " and ",
            word => {
                inside = (inside || word == "(") && word != ")";
                word
            }
        };
        text.push_str(joint);
    }
    text.replace(['(', ')'], "")
}

/// As the continuation of a field.
fn indented(text: &str) -> String {
    let line = |line: &str| if line.trim().is_empty() { " .\n".to_owned() } else { format!(" {}\n", line.trim_end()) };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIT: &str = "MIT License\n\nCopyright (c) 2020 A\n\nPermission is hereby granted, free of charge, to any person obtaining a \
        copy of this software and associated documentation files\n\nNo warranty.\n";

    fn part(files: &str, license: &str, holder: &str, texts: &[&str]) -> CopyrightPart {
        CopyrightPart {
            files: files.to_owned(),
            license: license.to_owned(),
            holders: vec![holder.to_owned()],
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn a_text_stands_once_and_crates_of_one_holder_share_a_paragraph() {
        let parts = [
            part("*", "MIT OR Apache-2.0", "2026 Us", &[MIT]),
            part("vendor/a-1/*", "MIT", "2020 A", &[MIT]),
            part("vendor/b-1/*", "MIT", "2020 A", &[&MIT.replace("2020 A", "2021 B")]),
        ];
        let file = rendered(&parts).unwrap();
        assert_eq!(file.matches("\nLicense: MIT\n Permission").count(), 1, "{file}");
        assert!(
            file.contains("\nFiles: vendor/a-1/*\n       vendor/b-1/*\nCopyright: 2020 A\nLicense: MIT\n"),
            "{file}"
        );
        assert!(file.contains("\nFiles: *\nCopyright: 2026 Us\nLicense: MIT or Apache-2.0\n"), "{file}");
        assert!(
            file.contains("/usr/share/common-licenses/Apache-2.0") && file.contains("files\n .\n No warranty."),
            "{file}"
        );
    }

    #[test]
    fn another_text_of_a_licence_has_a_name_of_its_own() {
        let parts = [
            part("*", "MIT", "2026 Us", &[MIT]),
            part("vendor/a-1/*", "MIT OR Apache-2.0", "2020 A", &[&MIT.replace("No warranty", "No promise")]),
        ];
        let file = rendered(&parts).unwrap();
        assert!(file.contains("License: MIT-2 or Apache-2.0\n"), "{file}");
        assert!(file.contains("\nLicense: MIT-2\n Permission") && file.contains(" No promise."), "{file}");
    }

    #[test]
    fn a_text_that_the_crate_does_not_name_is_told_too_and_one_that_is_nowhere_is_refused() {
        let zlib = "This software is provided 'as-is', without any express or implied warranty.";
        let parts = [part("*", "MIT", "2026 Us", &[MIT]), part("vendor/a-1/*", "MIT", "A", &[MIT, zlib])];
        assert!(rendered(&parts).unwrap().contains("License: MIT and Zlib\n"));
        let taken = MIT.replace("No warranty", "No promise");
        let parts = [part("*", "MIT OR Apache-2.0", "2026 Us", &[MIT, MIT, &taken])];
        assert!(rendered(&parts).unwrap().contains("License: MIT or Apache-2.0, and MIT-2\n"));
        let error = rendered(&[part("vendor/a-1/*", "Zlib", "A", &[])]).unwrap_err().to_string();
        assert_eq!(error, "no crate has the text of the licence Zlib, which vendor/a-1/* is under");
    }

    #[test]
    fn expressions_are_written_as_debian_has_them() {
        let write = |license: &str| expression(&words(license));
        assert_eq!(write("(MIT OR Apache-2.0) AND Unicode-3.0"), "MIT or Apache-2.0, and Unicode-3.0");
        assert_eq!(write("Apache-2.0 WITH LLVM-exception OR MIT"), "Apache-2.0 with LLVM-exception or MIT");
        assert_eq!(write("MIT AND BSD-3-Clause"), "MIT and BSD-3-Clause");
        assert_eq!(write("Apache-2.0 OR MIT AND ISC"), "Apache-2.0 or MIT and ISC");
        assert_eq!(write("Apache-2.0 OR (MIT AND ISC)"), "Apache-2.0 or MIT and ISC");
    }
}
