//! Which promises are kept.

/// What became of all promises of a run.
#[derive(Debug, Default)]
pub struct Promises {
    kept: usize,
    missed: Vec<String>,
}

/// One figure against what was promised of it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    unit: &'static str,
    value: f64,
    bound: f64,
    is_least: bool,
}

/// A figure that must not be greater.
pub fn at_most(unit: &'static str, value: f64, bound: f64) -> Part {
    Part { unit, value, bound, is_least: false }
}

/// A figure that must not be less.
pub fn at_least(unit: &'static str, value: f64, bound: f64) -> Part {
    Part { unit, value, bound, is_least: true }
}

impl Part {
    fn is_kept(self) -> bool {
        if self.is_least { self.value >= self.bound } else { self.value <= self.bound }
    }

    fn sign(self) -> &'static str {
        if self.is_least { ">=" } else { "<=" }
    }
}

impl Promises {
    /// Notes a promise of one or more figures: how it is written, and whether it is kept.
    pub fn note(&mut self, name: &str, parts: &[Part]) -> (String, String) {
        let promised: Vec<_> =
            parts.iter().map(|part| format!("{} {} {}", part.unit, part.sign(), figure(part.bound))).collect();
        let missed: Vec<_> = parts.iter().filter(|part| !part.is_kept()).collect();
        let kept = if missed.is_empty() {
            self.kept += 1;
            "yes".to_owned()
        } else {
            let told = missed.iter().map(|part| {
                format!("{} is {}, promised {} {}", part.unit, figure(part.value), part.sign(), figure(part.bound))
            });
            self.missed.push(format!("{name}: {}", told.collect::<Vec<_>>().join("; ")));
            let units: Vec<_> = missed.iter().map(|part| part.unit).collect();
            if missed.len() == parts.len() { "no".to_owned() } else { format!("not {}", units.join(", ")) }
        };
        (promised.join(", "), kept)
    }

    /// A line for the count, and one for each that is missed. Nothing when there were none.
    pub fn lines(&self) -> Vec<String> {
        let all = self.kept + self.missed.len();
        if all == 0 {
            return Vec::new();
        }
        let count = format!("{} of {all} promises kept", self.kept);
        let missed = self.missed.iter().map(|line| format!("missed: {line}"));
        std::iter::once(count).chain(missed).collect()
    }
}

/// Two digits behind the point where they tell something.
fn figure(value: f64) -> String {
    let text = if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_kept_when_all_its_figures_are() {
        let mut promises = Promises::default();
        let kept = promises.note("one", &[at_most("ns", 80.0, 80.0), at_least("ratio", 12.5, 12.0)]);
        assert_eq!(kept, ("ns <= 80, ratio >= 12".to_owned(), "yes".to_owned()));
        let half = promises.note("two", &[at_most("ns", 81.0, 80.0), at_least("ratio", 12.5, 12.0)]);
        assert_eq!(half.1, "not ns");
        let none = promises.note("three", &[at_most("ns", 81.0, 80.0)]);
        assert_eq!(none.1, "no");
        let lines = promises.lines();
        assert_eq!(
            lines,
            [
                "1 of 3 promises kept",
                "missed: two: ns is 81, promised <= 80",
                "missed: three: ns is 81, promised <= 80"
            ]
        );
    }

    #[test]
    fn a_figure_that_is_not_a_number_keeps_nothing() {
        assert!(!at_most("ns", f64::NAN, 1.0).is_kept());
        assert!(!at_least("ratio", f64::NAN, 1.0).is_kept());
    }
}
