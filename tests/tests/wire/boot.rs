//! What is in force after a boot, whatever has happened to the configuration file: the rows of the table "After a start" of
//! docs/policy.md that need a kernel.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Result, ensure};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Said, Site},
    lab::{FOE4, FRIEND4, HOST4, Lab, MANAGER4, STRANGER4},
    running::wait_until,
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

/// A list of so many entries beside the policy of most tests.
fn with_a_list_of(entries: u8) -> String {
    let mut lines = format!("{POLICY}\n[lists.feed]\nentries = [");
    (0..entries).for_each(|last| write!(lines, "\"198.18.0.{last}\", ").expect("a string takes all"));
    lines + "]\n"
}

/// What a reboot leaves: the state folder and no pins.
fn reboot(daemon: &mut Daemon<'_>) -> Result<Site> {
    daemon.kill()?;
    let said = daemon.site().detach(&[])?;
    ensure!(said.code == 0, "{said:?}");
    Ok(daemon.site().clone())
}

fn filters(lab: &Lab) -> Result<[bool; 3]> {
    let probe = Probe::new(lab, HOST4, DATA, MANAGER4)?;
    Ok([probe.arrives(FRIEND4)?, probe.arrives(FOE4)?, probe.arrives(STRANGER4)?])
}

/// `status`, `/readyz`, the metrics and the log say that the file is not in force, and why.
fn says_not_the_file(daemon: &Daemon<'_>, why: &str) -> Result<()> {
    let status = daemon.status()?;
    let message = status["conditions"][0]["message"].as_str().unwrap_or_default();
    ensure!(status["conditions"][0]["code"] == "not_the_file" && message.contains(why), "{why}: {status:#}");
    ensure!(status["reload"]["successful"] == false, "{status:#}");
    let ready = daemon.get("/readyz")?;
    ensure!(ready.status == 200 && ready.body.contains("not ") && ready.body.contains(why), "{ready:?}");
    let metrics = daemon.metrics()?;
    ensure!(metrics.value("portcullis_condition", &[("code", "not_the_file")]) == Some(1.0));
    ensure!(metrics.value("portcullis_config_last_reload_successful", &[]) == Some(0.0));
    ensure!(daemon.log().contains("THE CONFIGURATION FILE IS NOT IN FORCE"), "{}", daemon.log());
    let screen = daemon.ok(&["status"])?;
    ensure!(screen.contains("WARNING"), "{screen}");
    Ok(())
}

#[test]
fn after_a_reboot_the_last_good_policy_filters_whatever_is_wrong_with_the_file() -> Result<()> {
    let lab = Lab::new()?;
    let list = lab.trial.write("list.txt", "198.18.7.7\n")?;
    let site = Site::of(&lab.trial);
    let good = format!("{POLICY}\n[lists.l]\nfile = \"{}\"\n", list.display());
    site.configure(&good)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    let text = fs::read_to_string(&daemon.site().config)?;
    let test = "\n[[test]]\nname = \"x\"\nsource = \"192.0.2.66\"\ndestination = \"192.0.2.10\"\nprotocol = \"udp\"\nport = 9000\nexpect = \"pass\"\n";
    let config = daemon.site().config.clone();
    let breaks: [(&str, &dyn Fn() -> Result<()>); 4] = [
        ("nane", &|| Ok(fs::write(&config, text.replace("name = ", "nane = "))?)),
        ("list.txt", &|| Ok(fs::remove_file(&list)?)),
        ("the test `x` fails", &|| Ok(fs::write(&config, format!("{text}{test}"))?)),
        ("cannot read", &|| Ok(fs::remove_file(&config)?)),
    ];
    for (why, make) in breaks {
        let site = reboot(&mut daemon)?;
        make()?;
        ensure!(filters(&lab)? == [true; 3], "the host is open without a daemon");
        let mut command = site.command(&lab.host)?;
        command.arg("--state-directory").arg(&site.state);
        // Without its file it does not know where its socket is to be.
        if site.config.exists() {
            daemon = Daemon::start_by(&lab, site, command)?;
            says_not_the_file(&daemon, why)?;
        } else {
            daemon = Daemon::start_by(&lab, site, command)?;
            ensure!(daemon.get("/readyz")?.body.contains(why), "{:?}", daemon.get("/readyz")?);
        }
        ensure!(filters(&lab)? == [true, false, false], "{why}: {}", daemon.log());
        fs::write(&config, &text)?;
        fs::write(&list, "198.18.7.7\n")?;
        daemon.reload()?;
        let status = daemon.status()?;
        ensure!(status["reload"]["successful"] == true && status["conditions"][0].is_null(), "{why}: {status:#}");
        ensure!(daemon.get("/readyz")?.body == "ok\n");
    }
    daemon.stop()
}

#[test]
fn an_applied_policy_filters_after_a_reboot_although_the_file_which_is_not_even_used_is_broken() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, "[lists.none]\n")?;
    let site = daemon.site().clone();
    let other = Site { config: lab.trial.folder().join("other.toml"), ..site.clone() };
    other.configure(POLICY)?;
    daemon.ok(&["apply", other.config.to_str().expect("a path of text")])?;
    reboot(&mut daemon)?;
    fs::write(&site.config, fs::read_to_string(&site.config)?.replace("name = ", "nane = "))?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    ensure!(filters(&lab)? == [true, false, false], "{}", daemon.log());
    says_not_the_file(&daemon, "nane")?;
    daemon.stop()
}

#[test]
fn what_a_reload_refuses_a_restart_and_a_reboot_refuse_until_it_is_forced() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, &with_a_list_of(99))?;
    let cut = with_a_list_of(5);
    let open = with_a_list_of(99).replace("management = [\"192.0.2.4\", \"2001:db8:1::4\"]", "management = []");
    for (policy, why) in [(cut, "feed"), (open, "192.0.2.4")] {
        let site = daemon.site().clone();
        site.configure(&policy)?;
        let said: Said = daemon.cli(&["reload"])?;
        ensure!(said.code == 4 && said.stderr.contains(why), "{said:?}");
        daemon.kill()?;
        let mut restarted = Daemon::start_at(&lab, site)?;
        says_not_the_file(&restarted, why)?;
        ensure!(filters(&lab)? == [true, false, false], "{}", restarted.log());
        let site = reboot(&mut restarted)?;
        let mut rebooted = Daemon::start_at(&lab, site.clone())?;
        says_not_the_file(&rebooted, why)?;
        rebooted.ok(&["reload", "--force"])?;
        rebooted.kill()?;
        daemon = Daemon::start_at(&lab, site)?;
        let status = daemon.status()?;
        ensure!(status["conditions"][0].is_null() && status["differs_from_file"] == false, "{status:#}");
    }
    daemon.stop()
}

#[test]
fn an_interface_that_is_misspelt_is_refused_by_a_reload_and_a_start_alike_and_no_mode_hides_it() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let site = daemon.site().clone();
    site.configure(&format!("[[interface]]\nname = \"eht0\"\n{POLICY}"))?;
    let said = daemon.cli(&["reload"])?;
    ensure!(said.code == 4 && said.stderr.contains("eht0"), "{said:?}");
    daemon.stop()?;
    let mut restarted = Daemon::start_at(&lab, site)?;
    says_not_the_file(&restarted, "eht0")?;
    ensure!(filters(&lab)? == [true, false, false], "{}", restarted.log());
    restarted.ok(&["mode", "observe"])?;
    says_not_the_file(&restarted, "eht0")?;
    let site = reboot(&mut restarted)?;
    let mut rebooted = Daemon::start_at(&lab, site)?;
    says_not_the_file(&rebooted, "eht0")?;
    rebooted.ok(&["mode", "enforce", "--force"])?;
    ensure!(filters(&lab)? == [true, false, false], "{}", rebooted.log());
    rebooted.stop()
}

#[test]
fn with_nothing_to_enforce_a_daemon_stays_up_says_so_and_begins_when_the_file_is_right() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let good = fs::read_to_string(&site.config)?;
    fs::write(&site.config, good.replace("ports =", "prots ="))?;
    let said = site.attempt_with(&lab, &["--strict"])?;
    ensure!(said.code == 5 && said.stderr.contains("prots"), "{said:?}");

    let mut daemon = Daemon::launch(&lab, site.clone())?;
    let answer = wait_until("an answer", LIMIT, || Ok(daemon.get("/readyz").ok()))?;
    ensure!(answer.status == 503 && answer.body.contains("prots"), "{answer:?}");
    ensure!(daemon.get("/livez")?.status == 200, "it is alive");
    let (status, metrics) = (daemon.status()?, daemon.metrics()?);
    ensure!(status["conditions"][0]["code"] == "no_policy" && status["mode"] == "none", "{status:#}");
    ensure!(metrics.value("portcullis_ready", &[]) == Some(0.0), "not ready");
    ensure!(metrics.value("portcullis_enforcing", &[]) == Some(0.0), "not enforcing");
    for arguments in [&["allow", "add", "friends", STRANGER4][..], &["reload"], &["mode", "enforce"]] {
        let said = daemon.cli(arguments)?;
        ensure!(said.code == 4 && said.stderr.contains("nothing to enforce"), "{arguments:?}: {said:?}");
    }
    daemon.must_run()?;

    fs::write(&site.config, good)?;
    wait_until("a daemon that has begun", LIMIT, || Ok(daemon.get("/readyz").ok().filter(|got| got.status == 200)))?;
    ensure!(filters(&lab)? == [true, false, false], "{}", daemon.log());
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    ensure!(filters(&lab)? == [true, false, true]);
    let metrics = daemon.metrics()?;
    for (trigger, result) in [("start", "success"), ("api", "failure")] {
        let attempts = metrics.count("portcullis_config_reloads_total", &[("trigger", trigger), ("result", result)]);
        ensure!(attempts == 1, "{trigger}, {result}: {attempts}");
    }
    daemon.stop()
}

#[test]
fn what_a_killed_daemon_left_filters_on_beside_one_that_has_nothing_to_enforce() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.kill()?;
    let site = daemon.site().clone();
    fs::remove_dir_all(&site.state)?;
    fs::write(&site.config, fs::read_to_string(&site.config)?.replace("ports =", "prots ="))?;
    let mut idle = Daemon::launch(&lab, site)?;
    wait_until("an answer", LIMIT, || Ok(idle.get("/readyz").ok()))?;
    ensure!(filters(&lab)? == [true, false, false], "{}", idle.log());
    idle.stop()?;
    ensure!(filters(&lab)? == [true, false, false], "{}", idle.log());
    Ok(())
}

#[test]
fn a_mode_that_was_set_stays_over_reloads_until_the_mode_of_the_file_changes() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let mode = |daemon: &Daemon<'_>| Ok::<_, anyhow::Error>(daemon.status()?["mode"].as_str().map(str::to_owned));
    daemon.ok(&["mode", "observe"])?;
    daemon.ok(&["reload"])?;
    ensure!(mode(&daemon)?.as_deref() == Some("observe"), "a reload of the same file");
    let site = daemon.site().clone();
    site.configure(&with_a_list_of(3))?;
    daemon.ok(&["reload"])?;
    ensure!(mode(&daemon)?.as_deref() == Some("observe"), "a reload of a file whose mode is the same");
    daemon.kill()?;
    site.configure(&with_a_list_of(4))?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    ensure!(mode(&daemon)?.as_deref() == Some("observe"), "a start with another file whose mode is the same");
    for wanted in ["observe", "enforce"] {
        site.configure(&with_a_list_of(4).replace("[policy]", &format!("[policy]\nmode = \"{wanted}\"")))?;
        daemon.ok(&["reload"])?;
        ensure!(mode(&daemon)?.as_deref() == Some(wanted), "the mode of the file changed to {wanted}");
    }
    daemon.stop()
}

#[test]
fn a_required_interface_that_is_not_there_makes_the_daemon_not_ready_and_the_others_filter() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    let both = |required| {
        format!(
            "[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"late0\"\nmode = \"generic\"\nrequired = {required}\n{POLICY}"
        )
    };
    site.configure(&both(true))?;
    let mut daemon = Daemon::launch(&lab, site.clone())?;
    let answer = wait_until("an answer", LIMIT, || Ok(daemon.get("/readyz").ok()))?;
    ensure!(answer.status == 503 && answer.body.contains("late0 is not filtered: missing"), "{answer:?}");
    ensure!(filters(&lab)? == [true, false, false], "{}", daemon.log());
    lab.host.ip("link add late0 type veth peer name late1")?;
    wait_until("readiness", LIMIT, || Ok(daemon.get("/readyz").ok().filter(|answer| answer.status == 200)))?;
    lab.host.ip("link delete late0")?;
    wait_until("no readiness", LIMIT, || Ok(daemon.get("/readyz").ok().filter(|answer| answer.status == 503)))?;
    site.configure(&both(false))?;
    daemon.reload()?;
    let answer = daemon.get("/readyz")?;
    ensure!(answer.status == 200 && answer.body.contains("late0"), "{answer:?}");
    daemon.stop()
}

#[test]
fn a_fifo_as_configuration_or_list_holds_nobody_up() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let site = daemon.site().clone();
    let fifo = lab.trial.folder().join("fifo");
    ensure!(Command::new("mkfifo").arg(&fifo).status()?.success());
    site.configure(&format!("{POLICY}\n[lists.l]\nfile = \"{}\"\n", fifo.display()))?;
    let said = daemon.cli(&["reload"])?;
    ensure!(said.code == 5 && said.stderr.contains("fifo"), "{said:?}");
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let site = reboot(&mut daemon)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    says_not_the_file(&daemon, "fifo")?;
    ensure!(filters(&lab)? == [true, false, true], "{}", daemon.log());
    daemon.stop()
}
