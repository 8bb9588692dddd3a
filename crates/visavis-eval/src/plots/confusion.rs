//! Confusion matrices.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{FAINT, INK, Pen, RULE, heat, ink_on_heat, titled};
use super::{PlotError, draw::Draw, failed};
use crate::attributes::Confusion;

/// Rows are labelled classes, columns predicted classes; a cell is shaded by its share of the row.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfusionMatrix {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// The counts.
    pub confusion: Confusion,
}

/// Space on the left for the names of the rows, and below for those of the columns.
const NAMES: i32 = 132;
const BELOW: i32 = 64;

impl ConfusionMatrix {
    /// Side of a cell.
    fn cell(&self) -> i32 {
        match self.confusion.labels.len() {
            0..=3 => 150,
            4..=5 => 100,
            _ => 74,
        }
    }
}

impl Draw for ConfusionMatrix {
    fn size(&self) -> (u32, u32) {
        let cells = self.cell() * self.confusion.labels.len() as i32;
        ((NAMES + cells + 40).max(600) as u32, (64 + cells + BELOW + 8) as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let cell = self.cell();
        let text = |words: String, x: i32, y: i32, style: TextStyle, h: HPos| {
            let style = style.pos(Pos::new(h, VPos::Center));
            rest.draw(&Text::new(words, (pen.at(x), pen.at(y)), style)).map_err(failed)
        };
        let labels = &self.confusion.labels;
        let cells = cell * labels.len() as i32;
        for (row, counts) in self.confusion.counts.iter().enumerate() {
            let total: usize = counts.iter().sum();
            let middle = row as i32 * cell + cell / 2;
            text(labels[row].clone(), NAMES - 12, middle - 9, pen.text(15, INK), HPos::Right)?;
            text(format!("n = {total}"), NAMES - 12, middle + 10, pen.text(13, FAINT), HPos::Right)?;
            for (column, &count) in counts.iter().enumerate() {
                let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
                let (x, y) = (NAMES + column as i32 * cell, row as i32 * cell);
                let corners = [(pen.at(x), pen.at(y)), (pen.at(x + cell), pen.at(y + cell))];
                rest.draw(&Rectangle::new(corners, heat(share).filled())).map_err(failed)?;
                rest.draw(&Rectangle::new(corners, pen.line(RULE, 1))).map_err(failed)?;
                let ink = ink_on_heat(share);
                let (large, small) = if cell >= 100 { (22, 15) } else { (15, 13) };
                let middle = (x + cell / 2, y + cell / 2);
                let percent = format!("{:.1} %", share * 100.0);
                text(percent, middle.0, middle.1 - cell / 9, pen.text(large, ink), HPos::Center)?;
                text(count.to_string(), middle.0, middle.1 + cell / 6, pen.text(small, ink), HPos::Center)?;
            }
        }
        for (column, label) in labels.iter().enumerate() {
            let middle = NAMES + column as i32 * cell + cell / 2;
            text(label.clone(), middle, cells + 18, pen.text(15, INK), HPos::Center)?;
        }
        let rule = "rows: labelled, columns: predicted".to_owned();
        text(rule, NAMES + cells / 2, cells + 46, pen.text(14, FAINT), HPos::Center)
    }
}
