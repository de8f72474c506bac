//! docs/performance.md, from a template.

use anyhow::{Result, ensure};

use super::table::Table;
use crate::{machine::Machine, results::Results};

const TEMPLATE: &str = include_str!("../../performance.md.in");

/// The document. The template names each section once, as `{{name}}`.
///
/// # Errors
/// When the template names a section that there is not.
pub fn document(results: &Results, sections: &[(&'static str, Table)], promises: &[String]) -> Result<String> {
    let mut text = TEMPLATE.to_owned();
    let effort = results.effort;
    let facts = [
        ("machine", machine(&results.machine)),
        ("rounds", effort.rounds.to_string()),
        ("frames", grouped(effort.frames)),
        ("promises", promises.iter().map(|line| format!("- {line}\n")).collect()),
    ];
    for (name, value) in facts {
        text = text.replace(&format!("{{{{{name}}}}}"), &value);
    }
    for (name, table) in sections {
        text = text.replace(&format!("{{{{{name}}}}}"), &table.markdown());
    }
    ensure!(!text.contains("{{"), "the template of the document names what there is not");
    Ok(text)
}

fn machine(machine: &Machine) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "not told".to_owned());
    let rows = [
        ("Day", machine.date.clone()),
        ("CPU", format!("{}, {} CPUs", machine.cpu, machine.cpus)),
        ("Virtual", machine.hypervisor.clone().unwrap_or_else(|| "no".to_owned())),
        ("Memory", format!("{} MiB", machine.memory_mib)),
        ("Kernel", machine.kernel.clone()),
        ("HZ", known(machine.hz.map(|hz| hz.to_string()))),
        ("bpf_jit_harden", known(machine.jit_harden.clone())),
        (
            "Mitigations",
            if machine.mitigations.is_empty() { "none".to_owned() } else { machine.mitigations.join("; ") },
        ),
        ("Load average at the start", machine.load.clone()),
    ];
    let mut table = Table::new("", &["Measured on", ""]);
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    table.markdown().replace("| - | -: |", "| - | - |")
}

fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{effort::Effort, report::promise::Promises, report::sections::sections, results::SCHEMA};

    #[test]
    fn the_template_names_every_section_and_nothing_else() {
        let results = Results {
            schema: SCHEMA.to_owned(),
            machine: Machine::default(),
            effort: Effort::WHOLE,
            packets: Vec::new(),
            wire: None,
            load: Vec::new(),
            kept: None,
            memory: Vec::new(),
            pushes: None,
            readers: None,
            sizes: None,
        };
        let sections = sections(&results, &mut Promises::default());
        assert!(sections.iter().all(|(name, _)| TEMPLATE.matches(&format!("{{{{{name}}}}}")).count() == 1));
        let frames = grouped(Effort::WHOLE.frames);
        assert!(document(&results, &sections, &[]).unwrap().contains(&format!("rounds of {frames} frames")));
    }
}
