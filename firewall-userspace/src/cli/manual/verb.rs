//! The page of a command.

use clap::{Arg, Command};

use super::roff::Roff;
use crate::cli::EXIT_CODES;

/// Section of the manual: commands of administrators.
const SECTION: u8 = 8;

/// What every page points to.
const CONFIGURATION: &str = "`portcullis.toml`(5)";

/// Adds the pages of `command` and of all its commands; `above` are the names that are typed before its own.
pub fn add(command: &Command, above: &[&str], pages: &mut Vec<(String, String)>) {
    let path: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
    pages.push((format!("{}.{SECTION}", path.join("-")), page(command, &path)));
    commands(command).for_each(|one| add(one, &path, pages));
}

fn page(command: &Command, path: &[&str]) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Roff::new(&path.join("-"), SECTION, &about);
    page.section("SYNOPSIS");
    page.text(&synopsis(command, path));
    page.section("DESCRIPTION");
    page.paragraphs(&command.get_long_about().map_or(about, ToString::to_string));
    let all: Vec<&Arg> = command.get_arguments().filter(|one| !one.is_hide_set()).collect();
    for heading in headings(&all) {
        page.section(&heading.to_uppercase());
        for one in all.iter().filter(|one| heading_of(one) == heading) {
            page.item(&tag(one), &explanation(one));
        }
    }
    if commands(command).next().is_some() {
        page.section("COMMANDS");
        for one in commands(command) {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            page.item(&reference(path, Some(one.get_name())), &about);
        }
    }
    exit_status(&mut page, path);
    environment(&mut page, &all);
    see_also(&mut page, command, path);
    page.finish()
}

/// What is typed: `portcullis allow add [OPTIONS] <LIST> [PREFIX]...`.
fn synopsis(command: &Command, path: &[&str]) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let typed = path.join(" ");
    let rest = usage.strip_prefix(&typed).unwrap_or_default();
    format!("`{typed}`{rest}")
}

/// The titles below which arguments stand, in the order of their appearance.
fn headings(all: &[&Arg]) -> Vec<String> {
    let mut headings: Vec<String> = Vec::new();
    let positional = all.iter().filter(|one| one.is_positional());
    for one in positional.chain(all.iter().filter(|one| !one.is_positional())) {
        let heading = heading_of(one);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings
}

fn heading_of(argument: &Arg) -> String {
    let usual = if argument.is_positional() { "Arguments" } else { "Options" };
    argument.get_help_heading().unwrap_or(usual).to_owned()
}

/// How an argument is written.
fn tag(argument: &Arg) -> String {
    let values: Vec<String> =
        argument.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let values = values.join(" ");
    if argument.is_positional() {
        return values.trim_matches(['<', '>']).to_owned();
    }
    let short = argument.get_short().map(|short| format!("`-{short}`"));
    let long = argument.get_long().map(|long| format!("`--{long}`"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let names = names.join(", ");
    let takes = argument.get_num_args().is_some_and(|range| range.takes_values());
    let may_miss = argument.get_num_args().is_some_and(|range| range.min_values() == 0);
    match (takes, may_miss) {
        (false, _) => names,
        (true, true) => format!("{names}[={values}]"),
        (true, false) => format!("{names} {values}"),
    }
}

/// What an argument is for, its values and its default.
fn explanation(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let values = argument.get_possible_values();
    let takes = argument.get_num_args().is_some_and(|range| range.takes_values());
    if takes && !values.is_empty() && !argument.is_hide_possible_values_set() {
        let told: Vec<String> = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({})", value.get_name(), help.to_string().trim_end_matches('.')),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        text.push_str(&format!("\n\nValues: {}.", told.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes && !defaults.is_empty() && !argument.is_hide_default_value_set() {
        text.push_str(&format!("\n\nDefault: {}.", defaults.join(", ")));
    }
    text
}

/// The exit codes: all of them on the first page, and where they stand on the others.
fn exit_status(page: &mut Roff, path: &[&str]) {
    page.section("EXIT STATUS");
    if path.len() > 1 {
        page.text(&format!("That of every command: {} has the table.", reference(&path[..1], None)));
        return;
    }
    for line in EXIT_CODES.lines().skip(1) {
        if let Some((code, meaning)) = line.trim().split_once("  ") {
            page.item(&format!("`{code}`"), meaning);
        }
    }
}

/// Variables that stand for options.
fn environment(page: &mut Roff, all: &[&Arg]) {
    let named: Vec<(&Arg, String)> =
        all.iter().filter_map(|one| Some((*one, one.get_env()?.to_string_lossy().into_owned()))).collect();
    if named.is_empty() {
        return;
    }
    page.section("ENVIRONMENT");
    for (argument, variable) in named {
        page.item(&format!("`{variable}`"), &format!("Stands for {}, which goes before it.", tag(argument)));
    }
}

fn see_also(page: &mut Roff, command: &Command, path: &[&str]) {
    page.section("SEE ALSO");
    let above = (path.len() > 1).then(|| reference(&path[..path.len() - 1], None));
    let below = commands(command).map(|one| reference(path, Some(one.get_name())));
    let mut all: Vec<String> = above.into_iter().chain(below).collect();
    all.push(CONFIGURATION.to_owned());
    page.text(&all.join(",\n"));
}

/// A page, as others name it.
fn reference(path: &[&str], below: Option<&str>) -> String {
    let name: Vec<&str> = path.iter().copied().chain(below).collect();
    format!("`{}`({SECTION})", name.join("-"))
}

/// The commands that have pages.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set())
}
