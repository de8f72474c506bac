//! The part that needs root: everything that was asked for, one after the other.

use std::{path::PathBuf, thread};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use firewall_tests::live;

use crate::{
    cases::Case,
    effort::Effort,
    frame::Family,
    interrupt, kept, load,
    machine::Machine,
    memory, packets, push, readers,
    results::{Results, SCHEMA},
    sizes,
    subject::reference_object,
    wire,
};

/// What is measured.
#[derive(Args, Debug)]
pub struct Options {
    /// Object of the reference program
    #[arg(long)]
    reference: PathBuf,
    /// Few rounds and no long list
    #[arg(long)]
    quick: bool,
    /// Entries of one sync of `sizes`
    #[arg(long)]
    entries: Option<usize>,
    /// Only what has this in its name
    #[arg(long)]
    only: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Measures. What is under way is told on standard error.
///
/// # Errors
/// When this is not root, the kernel refuses something, or a filter does not do its job.
pub fn measure(options: &Options) -> Result<Results> {
    interrupt::notice()?;
    let effort = if options.quick { Effort::QUICK } else { Effort::WHOLE };
    let reference = reference_object(&options.reference)?;
    let mut results = Results {
        schema: SCHEMA.to_owned(),
        machine: Machine::here(),
        effort,
        packets: Vec::new(),
        wire: None,
        load: Vec::new(),
        kept: None,
        memory: Vec::new(),
        pushes: None,
        readers: None,
        sizes: None,
    };
    let cases = Case::all().into_iter();
    for case in cases.filter(|case| case.prefixes <= effort.longest && options.wants(&case.to_string())) {
        interrupt::check()?;
        let measured = on_one_cpu(|| packets::measure(case, effort, &reference));
        let measured = measured.with_context(|| format!("cannot measure {case}"))?;
        eprintln!("{measured}");
        results.packets.push(measured);
    }
    if options.wants("wire") {
        let wire = on_one_cpu(|| wire::measure(effort, &reference)).context("cannot measure end to end")?;
        eprintln!("{wire}");
        results.wire = Some(wire);
    }
    for family in Family::ALL {
        if options.wants(&format!("load/{}", family.name())) {
            let load = load::measure(family, effort).context("cannot time a start")?;
            eprintln!("{load}");
            results.load.push(load);
        }
    }
    if options.wants("kept") {
        let kept = kept::measure(effort).context("cannot time pushes that are kept")?;
        eprintln!("{kept}");
        results.kept = Some(kept);
    }
    if options.wants("memory") {
        results.memory = memory::measure(effort, &reference).context("cannot measure memory")?;
        results.memory.iter().for_each(|memory| eprintln!("{memory}"));
    }
    if options.wants("push") {
        let first_cpu = live::cpus(2)?.first().copied().context("there is no CPU")?;
        let pushes = on_one_cpu(|| push::measure(effort, first_cpu)).context("cannot time pushes")?;
        eprintln!("{pushes}");
        results.pushes = Some(pushes);
    }
    control_plane(options, effort, &mut results)?;
    Ok(results)
}

/// What does not look at frames.
fn control_plane(options: &Options, effort: Effort, results: &mut Results) -> Result<()> {
    if options.wants("readers") {
        let readers = readers::measure(effort).context("cannot time readers")?;
        eprintln!("{readers}");
        results.readers = Some(readers);
    }
    if options.wants("sizes") {
        results.sizes = Some(sizes::measure(effort, options.entries).context("cannot measure sizes")?);
    }
    Ok(())
}

/// Calls `work` on a thread that stays on the last CPU: the first takes more of the interrupts.
fn on_one_cpu<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let cpus = live::cpus(thread::available_parallelism().context("cannot count the CPUs")?.get())?;
    let last = cpus.last().copied().context("there is no CPU")?;
    let inside = || {
        live::pin_to(last)?;
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("a thread that measured panicked"))?
}
