//! Predicted against labelled ages.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{Axes, FAINT, INK, Pen, colour, heat, legend, titled};
use super::{PlotError, draw::Draw, failed};
use crate::attributes::AgePair;

/// A map of the number of faces by labelled and predicted age, with the mean predicted age.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeMap {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// Ages of all faces.
    pub pairs: Vec<AgePair>,
}

/// Years per cell of the map.
const CELL: f64 = 2.0;
/// Years over which predicted ages are averaged.
const BAND: f64 = 5.0;
/// Least number of faces for which a mean is shown.
const LEAST_FACES: usize = 5;

impl AgeMap {
    /// End of both axes: 100, or more where a face is older.
    fn most(&self) -> f64 {
        let oldest = self.pairs.iter().map(|pair| pair.labelled.max(pair.predicted)).filter(|age| age.is_finite());
        (f64::from(oldest.fold(0.0, f32::max)) / 10.0).ceil().max(10.0) * 10.0
    }

    /// (column, row, faces) of every cell that is not empty.
    fn cells(&self) -> Vec<(usize, usize, usize)> {
        let side = (self.most() / CELL) as usize + 1;
        let mut counts = vec![0; side * side];
        for pair in self.pairs.iter().filter(|pair| pair.predicted.is_finite()) {
            let place = |years: f32| ((f64::from(years).max(0.0) / CELL) as usize).min(side - 1);
            counts[place(pair.predicted) * side + place(pair.labelled)] += 1;
        }
        let filled = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        filled.map(|(place, count)| (place % side, place / side, count)).collect()
    }

    /// (middle of the band, mean predicted age) for bands with enough faces.
    fn means(&self) -> Vec<(f64, f64)> {
        let bands = (self.most() / BAND) as usize;
        let predicted = |band: usize| -> Vec<f64> {
            let holds = |age: &&AgePair| (f64::from(age.labelled) / BAND) as usize == band && age.predicted.is_finite();
            self.pairs.iter().filter(holds).map(|pair| f64::from(pair.predicted)).collect()
        };
        (0..bands)
            .map(|band| (band as f64 * BAND + BAND / 2.0, predicted(band)))
            .filter(|(_, predicted)| predicted.len() >= LEAST_FACES)
            .map(|(middle, predicted)| (middle, predicted.iter().sum::<f64>() / predicted.len() as f64))
            .collect()
    }
}

impl Draw for AgeMap {
    fn size(&self) -> (u32, u32) {
        (760, 720)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let most = self.most();
        let axes =
            Axes { x: 0.0..most, y: 0.0..most, x_name: "labelled age", y_name: "predicted age", ticks: (10, 10) };
        let (left, scale) = rest.split_horizontally(pen.px(760 - 76));
        let mut chart = axes.draw(&left, pen)?;
        let cells = self.cells();
        let fullest = cells.iter().map(|(_, _, count)| *count).max().unwrap_or(1);
        // Logarithmic, because in many sets most faces have a few young ages.
        let shade = |count: usize| heat(0.25 + 0.75 * share_of_log(count, fullest));
        let square = |&(column, row, count): &(usize, usize, usize)| {
            let (x, y) = (column as f64 * CELL, row as f64 * CELL);
            Rectangle::new([(x, y), ((x + CELL).min(most), (y + CELL).min(most))], shade(count).filled())
        };
        chart.draw_series(cells.iter().map(square)).map_err(failed)?;
        let diagonal = [(0.0, 0.0), (most, most)];
        chart.draw_series(DashedLineSeries::new(diagonal, pen.px(6), pen.px(5), pen.line(FAINT, 1))).map_err(failed)?;
        let (mean, length) = (pen.line(colour(1), 2), pen.at(22));
        chart
            .draw_series(LineSeries::new(self.means(), mean))
            .map_err(failed)?
            .label(format!("mean predicted age per {BAND:.0} labelled years"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], mean));
        let dots = self.means().into_iter().map(|at| Circle::new(at, pen.px(4), colour(1).filled()));
        chart.draw_series(dots).map_err(failed)?;
        legend(&mut chart, pen, SeriesLabelPosition::UpperLeft, [14, 15])?;
        colour_bar(&scale, pen, fullest, shade)
    }
}

/// 0 for one face, 1 for the fullest cell.
fn share_of_log(count: usize, fullest: usize) -> f64 {
    if fullest <= 1 { 1.0 } else { (count as f64).ln() / (fullest as f64).ln() }
}

/// The colour scale beside the map.
fn colour_bar<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    pen: Pen,
    fullest: usize,
    shade: impl Fn(usize) -> RGBColor,
) -> Result<(), PlotError> {
    const STEPS: i32 = 60;
    const HEIGHT: i32 = 4;
    let (x, top) = (pen.at(4), 30);
    for step in 0..STEPS {
        let part = 1.0 - f64::from(step) / f64::from(STEPS - 1);
        let count = (fullest as f64).powf(part).round() as usize;
        let y = top + step * HEIGHT;
        let corners = [(x, pen.at(y)), (x + pen.at(16), pen.at(y + HEIGHT))];
        area.draw(&Rectangle::new(corners, shade(count).filled())).map_err(failed)?;
    }
    let middle = (fullest as f64).sqrt().round() as usize;
    for (count, y) in [(fullest, top), (middle, top + STEPS * HEIGHT / 2 - 7), (1, top + STEPS * HEIGHT - 14)] {
        let at = (x + pen.at(22), pen.at(y));
        area.draw(&Text::new(count.to_string(), at, pen.text(13, INK))).map_err(failed)?;
    }
    area.draw(&Text::new("faces", (x, pen.at(8)), pen.text(13, FAINT))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(f32, f32)]) -> AgeMap {
        let pairs = pairs.iter().map(|&(labelled, predicted)| AgePair { labelled, predicted }).collect();
        AgeMap { title: String::new(), subtitle: String::new(), pairs }
    }

    #[test]
    fn cells_and_means_by_hand() {
        let map =
            map(&[(21.0, 24.9), (21.9, 25.0), (20.0, 24.0), (24.0, 30.0), (24.9, 20.0), (80.0, 70.0), (3.0, -2.0)]);
        assert_eq!(map.cells(), [(1, 0, 1), (12, 10, 1), (10, 12, 3), (12, 15, 1), (40, 35, 1)]);
        let means = map.means();
        assert_eq!(means.len(), 1, "five faces of 20 to 24, too few of the others");
        assert_eq!(means[0].0, 22.5);
        assert!((means[0].1 - 24.78).abs() < 1e-4);
        assert_eq!((map.most(), super::tests::map(&[(116.0, 90.0)]).most()), (100.0, 120.0));
    }
}
