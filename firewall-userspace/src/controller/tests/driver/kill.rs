//! Kills and reboots, with the start that follows.
//!
//! A kill loses what the disk had refused so far. What comes back then is what was kept, or what is so, for each entry and for the
//! policy; a script ends there.

use super::{super::world, Driver};

impl Driver {
    pub(super) fn kill(&mut self, is_reboot: bool) {
        let is_owing = self.is_owing();
        // The new daemon's file system is there, and the kernel works, or it does not start.
        self.world.kernel.refuse(0, 0);
        (self.is_refusing, self.is_disk_bad) = (false, false);
        // Nor does a daemon start without a place for its pins.
        self.world.kernel.set_bpffs(true);
        if is_reboot {
            self.world.kernel.reboot();
        } else {
            self.world.kernel.drop_unpinned();
        }
        let file = *self.world.file.lock().unwrap();
        let mut is_met = self.meets_unwilling(file);
        if let Err(why) = self.world.restart() {
            assert!(why.contains("refused as told: attach"), "{why}");
            self.give_in();
            is_met = self.meets_unwilling(file);
            self.world.restart().unwrap();
        }
        if is_owing {
            return self.check_what_came_back(file);
        }
        self.model.restart(file, is_met, self.world.now);
        self.model.forget_pushes();
        self.read_at = None;
    }

    /// Whether a start with this configuration meets an interface that refuses, or a new one that is not there.
    fn meets_unwilling(&self, config: usize) -> bool {
        let filtered = self.world.kernel.filtered();
        let Ok(loaded) = world::load(config) else { return false };
        let before = self.model.policy().interfaces;
        loaded.policy.interfaces.iter().any(|interface| {
            let is_new = before.iter().all(|known| known.name != interface.name);
            if is_new && !self.world.kernel.has_interface(&interface.name) {
                return true;
            }
            let index = self.world.kernel.index_of(&interface.name);
            self.unwilling.contains(&*interface.name) && index.is_some_and(|index| !filtered.contains(&index))
        })
    }
}
