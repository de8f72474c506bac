//! The tables of floors in docs/architecture.md: under `## Floors`, one for each crate that a `###` names.

/// The floors of a crate, top floor first.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// Folder of its package.
    pub package: String,
    /// Line of its heading.
    pub line: usize,
    pub floors: Vec<Floor>,
}

/// A row: rooms that do not see each other.
#[derive(Debug, PartialEq)]
pub struct Floor {
    pub rooms: Vec<String>,
    pub line: usize,
}

/// All tables of a document.
pub fn read(document: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut here = false;
    for (line, text) in (1..).zip(document.lines()) {
        if let Some(heading) = text.strip_prefix("## ") {
            here = heading.trim() == "Floors";
        } else if let Some(package) = text.strip_prefix("### ").filter(|_| here) {
            tables.push(Table { package: package.trim().trim_matches('`').to_owned(), line, floors: Vec::new() });
        } else if let Some(table) = tables.last_mut().filter(|_| here)
            && let rooms = rooms(text)
            && !rooms.is_empty()
        {
            table.floors.push(Floor { rooms, line });
        }
    }
    tables
}

/// What stands between backticks in the first cell of a row.
fn rooms(line: &str) -> Vec<String> {
    let cell = line.strip_prefix('|').and_then(|row| row.split('|').next()).unwrap_or_default();
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.map(|room| room.trim_end_matches('/').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_up_to_the_next_chapter() {
        let document = "# A\n| `no` | |\n## Floors\nWords on `it`.\n### `crate-one`\n| Rooms | |\n|-|-|\n| `a/`, `b` | `c` |\n| `d` | |\n## B\n| `no` | |\n";
        let floor = |rooms: &[&str], line| Floor { rooms: rooms.iter().map(|&room| room.to_owned()).collect(), line };
        let floors = vec![floor(&["a", "b"], 8), floor(&["d"], 9)];
        assert_eq!(read(document), [Table { package: "crate-one".to_owned(), line: 5, floors }]);
    }
}
