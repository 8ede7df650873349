//! Tables in pages of `docs/` whose rows are measured: between `<!-- rows NAME -->` and `<!-- end of rows -->`. What is
//! written around them by hand stays as it is.

use anyhow::{Context, Result, ensure};
use std::path::Path;

const END: &str = "<!-- end of rows -->";

/// Puts these rows (`| first cell | ... |`) into a page's table. A row replaces the one with the same first cell, others come
/// at the end. With `all` nothing else stays there.
pub fn put_rows(page: &Path, table: &str, rows: &[String], all: bool) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let text = with_rows(&text, table, rows, all).with_context(|| format!("in {}", page.display()))?;
    std::fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))
}

fn with_rows(text: &str, table: &str, rows: &[String], all: bool) -> Result<String> {
    let begin = format!("<!-- rows {table} -->\n");
    let (before, rest) = text.split_once(&begin).with_context(|| format!("no `{}`", begin.trim_end()))?;
    let (body, after) = rest.split_once(END).with_context(|| format!("no `{END}` after it"))?;
    let mut lines = body.lines();
    let head: Vec<&str> = lines.by_ref().take(2).collect();
    ensure!(head.len() == 2 && head[1].starts_with("|---"), "a table begins with its head");
    let mut kept: Vec<&str> = lines.filter(|_| !all).collect();
    for row in rows {
        match kept.iter_mut().find(|line| first_cell(line) == first_cell(row)) {
            Some(line) => *line = row,
            None => kept.push(row),
        }
    }
    let table = [head, kept].concat().join("\n");
    Ok(format!("{before}{begin}{table}\n{END}{after}"))
}

fn first_cell(row: &str) -> &str {
    row.split('|').nth(1).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Title\n\n<!-- rows other -->\n| n |\n|---|\n| b | 9 |\n<!-- end of rows -->\n\nBy hand.\n\
                        <!-- rows costs -->\n| n | v |\n|---|---|\n| a | 1 |\n| b | 2 |\n<!-- end of rows -->\nBy hand, too.\n";

    fn costs(rows: &[&str], all: bool) -> String {
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        with_rows(PAGE, "costs", &rows, all).expect("the table is there")
    }

    /// The whole page used to be written anew, and what somebody had said about its figures went with it.
    #[test]
    fn rows_are_replaced_and_what_is_written_by_hand_stays() {
        assert_eq!(costs(&["| b | 3 |"], false), PAGE.replace("| b | 2 |", "| b | 3 |"));
        assert_eq!(costs(&["| c | 3 |"], false), PAGE.replace("| b | 2 |", "| b | 2 |\n| c | 3 |"));
        assert_eq!(costs(&["| b | 3 |"], true), PAGE.replace("| a | 1 |\n| b | 2 |", "| b | 3 |"));
    }

    #[test]
    fn a_page_without_the_table_is_an_error() {
        assert!(with_rows(PAGE, "cost", &[], false).is_err());
        assert!(with_rows("<!-- rows costs -->\n| n |\n|---|\n", "costs", &[], false).is_err());
        assert!(with_rows("<!-- rows costs -->\n<!-- end of rows -->", "costs", &[], false).is_err());
    }
}
