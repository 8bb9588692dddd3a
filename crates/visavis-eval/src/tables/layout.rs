//! Rows and cells of a Markdown table.

use super::Tables;
use crate::bootstrap::Estimate;

/// An empty cell.
pub(super) const NOTHING: &str = "–";

/// A table that is built row by row.
pub(super) struct Table {
    pub(super) text: String,
    columns: usize,
}

impl Table {
    pub(super) fn new(header: &[String]) -> Self {
        let mut table = Self { text: String::new(), columns: header.len() };
        table.row(header);
        let rules = (0..header.len()).map(|column| if column < 2 { "---|" } else { "---:|" });
        table.text += &format!("|{}\n", rules.collect::<String>());
        table
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        debug_assert_eq!(cells.len(), self.columns);
        self.text += &format!("| {} |\n", cells.join(" | "));
    }
}

pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or(NOTHING.into(), |value| format!("{value:.decimals$}"))
}

/// One cell for each engine.
pub(super) fn speeds(tables: &Tables, measured: Option<&[Option<Estimate>]>) -> Vec<String> {
    let of = |engine: usize| measured.and_then(|measured| measured.get(engine).copied().flatten());
    let text = |speed: Estimate| speed.text(if speed.value < 10.0 { 2 } else { 1 });
    (0..tables.engines.len()).map(|engine| of(engine).map_or(NOTHING.into(), text)).collect()
}
