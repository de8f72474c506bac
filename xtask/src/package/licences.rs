//! Texts of licences: which one a file of a crate is, who holds the copyright, and whether two texts are the same.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

/// Name and a phrase of each licence that `deny.toml` allows. The first whose phrases all occur is it.
const KNOWN: [(&str, &[&str]); 11] = [
    ("LLVM-exception", &[EXCEPTION]),
    (APACHE, &["Apache License Version 2.0, January 2004"]),
    ("BSL-1.0", &["Boost Software License - Version 1.0"]),
    ("Unicode-3.0", &["UNICODE LICENSE V3"]),
    ("Unlicense", &["This is free and unencumbered software released into the public domain"]),
    ("Zlib", &["This software is provided 'as-is', without any express or implied warranty"]),
    ("ISC", &[FREELY, "provided that the above copyright notice"]),
    ("0BSD", &[FREELY]),
    ("MIT", &["to any person obtaining a copy of this software and associated documentation files"]),
    ("BSD-3-Clause", &["Redistribution and use in source and binary forms", "endorse or promote products"]),
    ("BSD-2-Clause", &["Redistribution and use in source and binary forms"]),
];

/// Stands below the whole Apache licence.
const EXCEPTION: &str = "LLVM Exceptions to the Apache 2.0 License";

/// ISC and 0BSD begin alike.
const FREELY: &str = "Permission to use, copy, modify, and/or distribute this software for any purpose";

/// Every Debian system has its text in `/usr/share/common-licenses`.
pub const APACHE: &str = "Apache-2.0";

/// The files in which crates say under what licence they are, by name.
///
/// # Errors
/// When the folder or a file cannot be read, and for a NOTICE, which the package would have to hand on as it is.
pub fn files_of(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read the licence files in {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if name.starts_with("NOTICE") {
            bail!("{} has to be handed on with the package", path.display());
        }
        let is_one = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"];
        if is_one.iter().any(|start| name.starts_with(start)) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).with_context(cannot)).collect()
}

/// The licence whose text this is. `None` for a notice that only names some, and for a text that is not known here.
pub fn recognised(text: &str) -> Option<&'static str> {
    let text = plain(text);
    let is_it = |phrases: &[&str]| phrases.iter().all(|phrase| text.contains(&plain(phrase)));
    KNOWN.iter().find(|(_, phrases)| is_it(phrases)).map(|(name, _)| *name)
}

/// Holders as a text names them: `2014 The Rust Project Developers`.
pub fn holders(text: &str) -> Vec<String> {
    let mut holders: Vec<String> = text.lines().filter_map(holder).collect();
    holders.sort();
    holders.dedup();
    holders
}

fn holder(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("Copyright")?;
    let rest = rest.trim_start_matches([':', ' ']);
    let rest = ["(c)", "(C)", "©"].iter().find_map(|sign| rest.strip_prefix(sign)).unwrap_or(rest).trim();
    let names_nobody = rest.is_empty() || rest.contains(['[', '{', '<']) && !rest.contains('@');
    let is_sentence = rest.starts_with(|first: char| first.is_ascii_lowercase());
    (!names_nobody && !is_sentence).then(|| rest.trim_end_matches(". All rights reserved.").to_owned())
}

/// The terms alone: without title and holders, which differ from crate to crate, and of an exception to the Apache licence without that.
pub fn terms(text: &str) -> String {
    let text = text.find(EXCEPTION).map_or(text, |at| text.get(at..).unwrap_or_default());
    let is_title = |line: &str| {
        let line = line.trim().trim_matches(['#', '(', ')', ' ']).to_lowercase();
        ["mit license", "the mit license", "the mit license (mit", "the mit license mit"].contains(&line.as_str())
    };
    let is_holder = |line: &str| line.trim_start().starts_with("Copyright") || line.trim() == "All rights reserved.";
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !is_title(line) && !is_holder(line)).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Whether two texts say the same: breaks of lines, quotation marks, bullets and capitals apart.
pub fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if "“”‘’\"'`*•-".contains(c) { ' ' } else { c }).collect();
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIT: &str = "MIT License\n\nCopyright (c) 2020 Somebody\n\nPermission is hereby granted, free of charge, to any person\n\
        obtaining a copy of this software and associated documentation files (the \"Software\")\n";

    #[test]
    fn a_licence_is_known_by_its_words_wherever_its_lines_break() {
        assert_eq!(recognised(MIT), Some("MIT"));
        assert_eq!(recognised("   Apache License\n   Version 2.0, January 2004\n"), Some(APACHE));
        let both = "Apache License\nVersion 2.0, January 2004\n---- LLVM Exceptions to the Apache 2.0 License ----\n";
        assert_eq!(recognised(both), Some("LLVM-exception"));
        assert_eq!(terms(both), "LLVM Exceptions to the Apache 2.0 License ----");
        assert_eq!(recognised(&format!("{FREELY} with or without fee is hereby granted.")), Some("0BSD"));
        let notice = "provided that the above copyright notice and this permission notice appear in all copies";
        assert_eq!(recognised(&format!("{FREELY} is hereby granted, {notice}.")), Some("ISC"));
        let two = "Redistribution and use in source and binary forms";
        assert_eq!(recognised(two), Some("BSD-2-Clause"));
        assert_eq!(recognised(&format!("{two} ... to endorse or promote products")), Some("BSD-3-Clause"));
        assert_eq!(recognised("This project is under the MIT licence."), None);
    }

    #[test]
    fn holders_are_told_and_templates_and_sentences_are_not() {
        let text = "Copyright (c) 2014 B\nCopyright © 2013 A\n  Copyright [yyyy] [name of copyright owner]\n\
            Copyright notice above\ncopyright license\nCopyright (c) 2014 B\n";
        assert_eq!(holders(text), ["2013 A", "2014 B"]);
    }

    #[test]
    fn terms_are_the_same_whoever_holds_them() {
        let other = MIT.replace("2020 Somebody", "1999 Else").replace("any person\n", "any person ").replace('"', "“");
        assert_ne!(MIT, other);
        assert!(is_same(&terms(MIT), &terms(&other)));
        assert!(!terms(MIT).contains("Somebody") && !terms(MIT).contains("MIT License"));
        assert!(!is_same(&terms(MIT), &terms(&MIT.replace("free of charge", "for a fee"))));
    }
}
