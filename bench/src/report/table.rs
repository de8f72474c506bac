//! Tables, for a terminal and for Markdown.

use std::fmt;

/// A table with a title; the first column is text, the others are figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    title: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows.
    pub fn new(title: impl Into<String>, head: &[&'static str]) -> Self {
        Self { title: title.into(), head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table alone, without its title.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let mut text = line(&mut self.head.iter().copied());
        let marks = (0..self.head.len()).map(|column| if column == 0 { "-" } else { "-:" });
        text.push_str(&line(&mut marks.into_iter()));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = self
            .head
            .iter()
            .enumerate()
            .map(|(column, head)| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0).max(head.len()))
            .collect();
        writeln!(f, "{}", self.title)?;
        let head: Vec<String> = self.head.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::from(" ");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(&if column == 0 { format!(" {cell:<width$}") } else { format!("  {cell:>width$}") });
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_markdown_has_a_line_a_row() {
        let mut table = Table::new("speed", &["case", "ns"]);
        table.row(["one".to_owned(), "5".to_owned()]);
        table.row(["longer".to_owned(), "12345".to_owned()]);
        assert_eq!(table.to_string(), "speed\n  case       ns\n  one         5\n  longer  12345\n");
        assert_eq!(table.markdown(), "| case | ns |\n| - | -: |\n| one | 5 |\n| longer | 12345 |\n");
    }
}
