//! A configuration in several files, one of which is broken or gone.

use std::{fs, path::PathBuf};

use super::world::{CONFIGS, World};
use crate::{
    control::{Caller, Refusal, Reload, Reloaded},
    controller::{ConfigFile, Message, ReadConfig},
};

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As a daemon does it: the file is read, then the controller hears of it.
fn reload(world: &mut World, file: &ConfigFile) -> Result<Reloaded, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loaded = runtime.block_on(async { file.read(&mut *file.turn().await).await });
    let read = Box::new(ReadConfig { loaded, is_file: true });
    let caller = Caller::signal("SIGHUP");
    world.ask(|reply| Message::Reload(caller, Reload::default(), read, reply))
}

#[test]
fn a_reload_with_a_broken_included_file_keeps_the_old_policy() {
    let folder = Folder(std::env::temp_dir().join(format!("portcullis-included-{}", std::process::id())));
    fs::create_dir_all(folder.0.join("conf.d")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    write("p.toml", &format!("include = [\"conf.d/*.toml\", \"more.toml\"]\n{}", CONFIGS[0]));
    write("more.toml", "[lists.c]\n");
    let file = ConfigFile::new(folder.0.join("p.toml"));
    let mut world = World::new(0);
    let before = world.core.in_force.policy.clone();

    write("conf.d/10.toml", "[lists.d]\n[services.t]\nprotocol = \"tcp\"\nports = [\n");
    let Err(Refusal::Config { report, .. }) = reload(&mut world, &file) else { panic!("it cannot be used") };
    assert!(report.contains("conf.d/10.toml:4:"), "{report}");
    write("conf.d/10.toml", "[lists.d]\n");
    fs::remove_file(folder.0.join("more.toml")).unwrap();
    let Err(Refusal::Config { report, .. }) = reload(&mut world, &file) else { panic!("a file is missing") };
    assert!(report.contains("p.toml:1:29") && report.contains("more.toml"), "{report}");
    assert!(std::sync::Arc::ptr_eq(&world.core.in_force.policy, &before));
    assert_eq!(world.core.in_force.reloads.tally.total().failures, 2);

    write("more.toml", "[lists.c]\n");
    reload(&mut world, &file).unwrap();
    let names: Vec<_> = world.core.in_force.policy.lists.iter().map(|list| list.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}
