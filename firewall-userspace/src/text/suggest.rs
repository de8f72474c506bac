//! The word an operator probably meant.

/// The candidate nearest to `word`, when one is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are not compared: no key and no name has as many octets.
const MAX_LENGTH: usize = 64;

/// Insertions, removals, replacements and swaps of neighbours that turn `from` into `to`
/// (optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, left) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, right) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(left != right);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *left == to[column - 1] && from[row - 1] == *right {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = above;
        above = current;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let keys = ["entries", "file", "packets", "limit_for"];
        for (slip, meant) in [
            ("entrys", "entries"),
            ("File", "file"),
            ("pakcets", "packets"),
            ("limitfor", "limit_for"),
            ("limit-for", "limit_for"),
            ("flie", "file"),
        ] {
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
    }

    #[test]
    fn a_different_word_finds_nothing() {
        for word in ["", "x", "colour", "entries_of_this_list", &"file".repeat(100)] {
            assert_eq!(nearest(word, ["entries", "file"]), None, "{word}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_step() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
