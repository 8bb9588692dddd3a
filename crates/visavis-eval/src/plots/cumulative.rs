//! Cumulative error distributions of keypoint networks.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{Axes, FAINT, Pen, colour, legend, titled};
use super::{PlotError, draw::Draw, failed};
use crate::keypoints::FAILURE;

/// For each network a curve: the share of faces whose error is below the value on the axis.
#[derive(Debug, Clone, PartialEq)]
pub struct CumulativeErrors {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// The curves, in the order of the legend.
    pub curves: Vec<ErrorCurve>,
    /// End of the axis, as a share of the eye distance.
    pub most: f64,
}

/// The errors of one network.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCurve {
    /// Name in the legend.
    pub name: String,
    /// The error of each face as a share of the eye distance, ascending; infinite if nothing was found
    /// ([`crate::keypoints::sorted_errors`]).
    pub errors: Vec<f64>,
}

impl Draw for CumulativeErrors {
    fn size(&self) -> (u32, u32) {
        (860, 580)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let most = if self.most.is_finite() && self.most > 0.0 { self.most * 100.0 } else { 25.0 };
        let axes = Axes {
            x: 0.0..most,
            y: 0.0..100.0,
            x_name: "mean error of the five keypoints, % of the eye distance",
            y_name: "share of the faces, %",
            ticks: (10, 10),
        };
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let mut chart = axes.draw(&rest, pen)?;
        let failure = FAILURE * 100.0;
        if failure < most {
            let dash = [(failure, 0.0), (failure, 100.0)];
            chart.draw_series(DashedLineSeries::new(dash, pen.px(5), pen.px(5), pen.line(FAINT, 1))).map_err(failed)?;
            let style = pen.text(13, FAINT);
            chart.plotting_area().draw(&Text::new("failed", (failure + most * 0.008, 4.0), style)).map_err(failed)?;
        }
        for (number, curve) in self.curves.iter().enumerate() {
            let style = pen.line(colour(number), 2);
            let length = pen.at(22);
            chart
                .draw_series(LineSeries::new(steps(&curve.errors, most), style))
                .map_err(failed)?
                .label(curve.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
        }
        legend(&mut chart, pen, SeriesLabelPosition::LowerRight, [14, 15])
    }
}

/// The distribution as a line in percent, up to the end of the axis, with at most about four points per pixel.
fn steps(sorted: &[f64], most: f64) -> Vec<(f64, f64)> {
    const POINTS: usize = 500;
    let share = |error: f64| {
        let within = sorted.partition_point(|&found| found * 100.0 <= error);
        within as f64 * 100.0 / sorted.len().max(1) as f64
    };
    (0..=POINTS).map(|point| point as f64 * most / POINTS as f64).map(|error| (error, share(error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_ends_below_the_top_where_faces_were_missed() {
        let line = steps(&[0.0, 0.05, f64::INFINITY, f64::INFINITY], 10.0);
        assert_eq!(line[0], (0.0, 25.0));
        assert_eq!(line[249].1, 25.0);
        assert_eq!(line[250], (5.0, 50.0));
        assert_eq!(line.last(), Some(&(10.0, 50.0)));
    }
}
