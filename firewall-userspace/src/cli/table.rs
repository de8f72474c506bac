//! Columns of text, for people.

use std::fmt;

use crate::text::shown::escaped;

/// A table; each row has as many cells as the header.
pub struct TextTable<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
    /// Of what was [taken](Self::take): columns of a long table do not become narrower.
    widths: [usize; N],
}

impl<const N: usize> TextTable<N> {
    /// A table without rows.
    pub fn new(header: [&'static str; N]) -> Self {
        Self { header, rows: Vec::new(), widths: [0; N] }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The text of the rows so far, which are gone then: below the header if they are the first ones.
    pub fn take(&mut self) -> String {
        let is_first = self.widths == [0; N];
        self.widths = self.needed();
        let mut text = String::new();
        // Writing to a string cannot fail.
        if is_first {
            let _ = write_row(&mut text, &self.header, &self.widths);
        }
        for row in self.rows.drain(..) {
            let _ = write_row(&mut text, &row, &self.widths);
        }
        text
    }

    /// The widths of all columns, in characters.
    fn needed(&self) -> [usize; N] {
        let mut widths = self.header.map(|cell| cell.chars().count());
        for (width, before) in widths.iter_mut().zip(self.widths) {
            *width = (*width).max(before);
        }
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    /// Adds a row.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| escaped(&cell).into_owned()));
    }
}

impl<const N: usize> fmt::Display for TextTable<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.needed();
        write_row(f, &self.header, &widths)?;
        self.rows.iter().try_for_each(|row| write_row(f, row, &widths))
    }
}

/// Writes the cells two blanks apart, without blanks at the end of the line.
fn write_row(f: &mut impl fmt::Write, cells: &[impl AsRef<str>], widths: &[usize]) -> fmt::Result {
    let mut missing = 0;
    for (cell, &width) in cells.iter().zip(widths) {
        let cell = cell.as_ref();
        if !cell.is_empty() {
            write!(f, "{:missing$}{cell}", "")?;
            missing = 0;
        }
        missing += width.saturating_sub(cell.chars().count()) + 2;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_blanks_at_the_end() {
        let mut table = TextTable::new(["A", "BB", "C"]);
        table.push(["äöü".into(), String::new(), "x".into()]);
        table.push(["1".into(), "2".into(), String::new()]);
        assert_eq!(table.to_string(), "A    BB  C\näöü      x\n1    2\n");
    }

    #[test]
    fn a_long_table_is_taken_in_pieces_whose_columns_do_not_become_narrower() {
        let mut table = TextTable::new(["A", "B"]);
        table.push(["wide".into(), "1".into()]);
        assert_eq!(table.take(), "A     B\nwide  1\n");
        table.push(["x".into(), "2".into()]);
        assert_eq!((table.take(), table.len()), ("x     2\n".into(), 0));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = TextTable::new(["A"]);
        table.push(["\u{1b}[2J\n\u{9b}\u{202e}".into()]);
        assert_eq!(table.to_string(), "A\n\\u{1b}[2J\\n\\u{9b}\\u{202e}\n");
    }
}
