//! A virtual machine, emulated: KVM is not needed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{fetch::Kernel, report::Outcome};
use crate::{interrupt, process};

/// How long a machine may run.
const LIMIT: Duration = Duration::from_secs(1200);

/// The same when it loads every variant.
const LIMIT_OF_ALL: Duration = Duration::from_secs(6 * 3600);

/// Tells the guest to load every variant.
const ALL_VARIANTS: &str = "portcullis.variants=all";

/// Lines of the console that are shown of a machine that ended on its own.
const LAST_LINES: usize = 30;

/// Emulation by one host thread, in which both CPUs take turns. With a thread for each CPU, QEMU 7.2 can keep a translation
/// of code that the other CPU was patching: Linux 6.12 stopped at a breakpoint of its own, in `bpf_dispatcher_xdp_func`,
/// while programs were swapped.
const ACCELERATOR: &str = "tcg,thread=single";

/// Without the fast string instructions of newer CPUs, for which the kernel would copy memory by them: an emulated CPU
/// goes through them octet by octet.
const CPU: &str = "max,-erms,-fsrm";

/// What the kernel is told. Page tables of its own would cost an emulated CPU its translations at each system call.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet panic=-1 pti=off";

/// As little of a network card as the program needs: no offloads, which its driver would refuse it for, and no filter
/// for addresses and tags, so that every frame reaches the driver.
const CARD: &str = "romfile=,ctrl_rx=off,ctrl_vlan=off,\
    guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off";

/// Ends the machine when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel with this first file system, shows what the guest says, and waits for its end. The console of the
/// kernel goes to `console`.
pub(super) fn boot(kernel: &Kernel, image: &Path, console: &Path, all: bool) -> Result<Outcome> {
    eprintln!("[{}] booting {}", kernel.series.name(), kernel.package);
    let (options, limit) = if all {
        (format!("{KERNEL_OPTIONS} {ALL_VARIANTS}"), LIMIT_OF_ALL)
    } else {
        (KERNEL_OPTIONS.to_owned(), LIMIT)
    };
    let mut command = command(&linux(&kernel.folder)?, image, console, &options);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", process::show(&command)))?;
    let output = child.stdout.take().context("QEMU has no output")?;
    let mut running = Running(child);
    let mut outcome = Outcome::new(kernel);
    let outcome = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = line.trim_end_matches('\r');
                if outcome.note(line) {
                    outcome.show(line);
                }
            }
            outcome
        });
        let ended = interrupt::wait_for(limit, || running.0.try_wait().context("cannot wait for QEMU"));
        // Otherwise the reader would wait for more.
        drop(running);
        let outcome = reading.join();
        ended.map(|status| (status, outcome))
    });
    let (status, outcome) = outcome?;
    let mut outcome = outcome.ok().context("the reader of a machine panicked")?;
    outcome.time = start.elapsed();
    match status {
        None => outcome.fail(&format!("not done after {} s", limit.as_secs())),
        Some(status) if !outcome.has_ended() => {
            let console = last_lines(console);
            outcome.fail(&format!("ended before its guest said so; QEMU: {status}; the console ends with\n{console}"));
        }
        Some(_) => {}
    }
    Ok(outcome)
}

fn command(linux: &Path, image: &Path, console: &Path, options: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", ACCELERATOR, "-cpu", CPU, "-smp", "2", "-m", "1024"]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(linux).arg("-initrd").arg(image);
    command.args(["-append", options]);
    // The first port is the kernel's, the second one the guest's.
    command.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    for card in 0..2 {
        command.args(["-netdev", &format!("hubport,id=port{card},hubid=0")]);
        command.args(["-device", &format!("virtio-net-pci,netdev=port{card},{CARD}")]);
    }
    command
}

/// The kernel itself: in `boot`, or beside its modules since Linux 7.
fn linux(folder: &Path) -> Result<PathBuf> {
    let places = [folder.join("boot"), folder.join("usr/lib/modules"), folder.join("lib/modules")];
    let inside = |place: &PathBuf| {
        fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let entries: Vec<_> = places.iter().flat_map(inside).flat_map(|path| [path.join("vmlinuz"), path]).collect();
    let is_kernel = |path: &&PathBuf| {
        path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    };
    entries.iter().find(is_kernel).cloned().with_context(|| format!("there is no kernel in {}", folder.display()))
}

fn last_lines(console: &Path) -> String {
    let text = fs::read(console).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
