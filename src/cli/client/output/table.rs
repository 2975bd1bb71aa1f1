//! Aligned columns, which keep their places over the pages of a list as far as the texts allow.

use unicode_width::UnicodeWidthStr as _;

/// The widest cell, in columns of a terminal; names and addresses fit. The last cell of a row is never cut, since nothing follows it;
/// the JSON has all of the others.
const MAX_WIDTH: usize = 64;
const GAP: &str = "  ";
/// The text of a cell without a value.
const NOTHING: &str = "-";

/// A table that is printed part by part.
#[derive(Debug, Default)]
pub(super) struct Table {
    widths: Vec<usize>,
    has_begun: bool,
}

impl Table {
    /// Returns the lines of some rows, after the headings if these are the first.
    pub(super) fn lines(&mut self, headings: &[&str], rows: Vec<Vec<String>>) -> Vec<String> {
        let head = (!self.has_begun).then(|| headings.iter().map(|&text| text.to_owned()).collect());
        self.has_begun = true;
        let last = headings.len().saturating_sub(1);
        let fit = |(index, text)| fit(text, index == last);
        let rows = rows.into_iter().map(|row| row.into_iter().enumerate().map(fit).collect());
        let rows: Vec<Vec<String>> = head.into_iter().chain(rows).collect();
        self.widths.resize(headings.len(), 0);
        for row in &rows {
            for (width, text) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    /// Sets the least widths, for rows that are printed one at a time.
    pub(super) fn reserve(&mut self, widths: &[usize]) {
        self.widths = widths.to_vec();
    }

    fn line(&self, row: &[String]) -> String {
        let padded = row.iter().zip(&self.widths).map(|(text, width)| {
            let missing = width.saturating_sub(text.width());
            format!("{text}{}", " ".repeat(missing))
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }
}

fn fit(text: String, is_last: bool) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    if is_last || text.width() <= MAX_WIDTH {
        return text;
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if short.width() >= MAX_WIDTH {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(texts: [&str; 3]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_are_aligned_also_where_characters_are_wide() {
        let mut table = Table::default();
        let headings = ["ID", "NAME", "STATE"];
        let lines = table.lines(&headings, vec![row(["1", "株式会社", "active"]), row(["22", "", ""])]);
        assert_eq!(lines, ["ID  NAME      STATE", "1   株式会社  active", "22  -         -"]);
        assert_eq!(table.lines(&headings, vec![row(["3", "a", "b"])]), ["3   a         b"], "no second heading");
    }

    #[test]
    fn long_text_is_cut_unless_it_is_the_last() {
        let long = || "x".repeat(500);
        let lines = Table::default().lines(&["A", "B"], vec![vec![long(), long()]]);
        assert_eq!(lines[1], format!("{}…  {}", "x".repeat(MAX_WIDTH - 1), long()));
    }
}
