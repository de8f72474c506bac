//! How far long work is: a line on a terminal, and nothing where standard error goes anywhere else.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn in a second, at most.
const HERTZ: u8 = 10;

/// What is shown while it is not known how much there is.
const OPEN: &str = "{msg}: {human_pos} {prefix}";

/// What is shown when it is.
const BOUNDED: &str = "{msg}: {human_pos} of {human_len} {prefix} {wide_bar}";

/// A line that goes away when the work ends, however it ends.
pub struct Progress {
    line: ProgressBar,
}

impl Progress {
    /// Of work on `things`.
    pub fn of(things: &'static str) -> Self {
        Self::on(things, ProgressDrawTarget::stderr_with_hz(HERTZ))
    }

    /// The same, not shown where the work itself writes to the terminal.
    pub fn beside_output(things: &'static str) -> Self {
        let is_seen = std::io::IsTerminal::is_terminal(&std::io::stdout());
        if is_seen { Self::on(things, ProgressDrawTarget::hidden()) } else { Self::of(things) }
    }

    fn on(things: &'static str, target: ProgressDrawTarget) -> Self {
        Self { line: ProgressBar::with_draw_target(None, target).with_prefix(things) }
    }

    /// Says what is done, how much of it, and of how much where that is known.
    pub fn tell(&self, what: &'static str, done: u64, total: Option<u64>) {
        let template = if total.is_some() { BOUNDED } else { OPEN };
        // The templates are constants; one that could not be read would leave the usual one.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.line.set_style(style);
        }
        self.line.set_message(what);
        match total {
            Some(total) => self.line.set_length(total),
            None => self.line.unset_length(),
        }
        self.line.set_position(total.map_or(done, |total| done.min(total)));
    }

    /// Writes words above the line.
    pub fn beside(&self, say: impl FnOnce()) {
        self.line.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_line_can_be_read() {
        for template in [OPEN, BOUNDED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn what_is_done_and_how_much_there_is_follow_each_stage() {
        let progress = Progress::on("entries", ProgressDrawTarget::hidden());
        progress.tell("sent", 512_000, None);
        assert_eq!(
            (progress.line.position(), progress.line.length(), &*progress.line.message()),
            (512_000, None, "sent")
        );
        progress.tell("in force", 9, Some(7));
        assert_eq!((progress.line.position(), progress.line.length()), (7, Some(7)), "never more than there is");
        progress.tell("sent", 1, None);
        assert_eq!((progress.line.position(), progress.line.length()), (1, None));
    }
}
