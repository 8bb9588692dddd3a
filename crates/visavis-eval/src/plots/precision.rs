//! Precision over recall of detectors.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{Axes, Pen, colour, legend, titled};
use super::{PlotError, draw::Draw, failed};
use crate::detection::CurvePoint;

/// For each detector a curve: the share of detections that are faces over the share of faces found.
#[derive(Debug, Clone, PartialEq)]
pub struct PrecisionRecall {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// The curves, in the order of the legend.
    pub curves: Vec<DetectorCurve>,
}

/// The curve of one detector.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorCurve {
    /// Name in the legend.
    pub name: String,
    /// Ordered by falling score ([`DetectionReport::curve`](crate::detection::DetectionReport::curve)).
    pub points: Vec<CurvePoint>,
    /// Its usual threshold; a disc marks it on the curve.
    pub threshold: f32,
}

impl Draw for PrecisionRecall {
    fn size(&self) -> (u32, u32) {
        (860, 640)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let axes = Axes {
            x: 0.0..100.0,
            // Space above curves at the top.
            y: 0.0..102.0,
            x_name: "recall: share of the faces found, %",
            y_name: "precision: share of the detections that are faces, %",
            ticks: (10, 10),
        };
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let mut chart = axes.draw(&rest, pen)?;
        for (number, curve) in self.curves.iter().enumerate() {
            let style = pen.line(colour(number), 2);
            let length = pen.at(22);
            chart
                .draw_series(LineSeries::new(curve.line(), style))
                .map_err(failed)?
                .label(curve.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
            let disc = curve.usual().map(|point| Circle::new(point, pen.px(5), colour(number).filled()));
            chart.draw_series(disc).map_err(failed)?;
        }
        legend(&mut chart, pen, SeriesLabelPosition::LowerLeft, [14, 15])
    }
}

impl DetectorCurve {
    /// The curve in percent, without points too near to their neighbours to be visible: thousands would make a large SVG.
    fn line(&self) -> Vec<(f64, f64)> {
        const STEP: f64 = 0.1;
        let mut line: Vec<(f64, f64)> = Vec::new();
        for (place, point) in self.points.iter().enumerate() {
            let (x, y) = percent(point);
            let far = line.last().is_none_or(|last| (x - last.0).abs() >= STEP || (y - last.1).abs() >= STEP);
            if far || place + 1 == self.points.len() {
                line.push((x, y));
            }
        }
        line
    }

    /// The point at the usual threshold; `None` if no detection reaches it.
    fn usual(&self) -> Option<(f64, f64)> {
        self.points.iter().rev().find(|point| point.score >= self.threshold).map(percent)
    }
}

fn percent(point: &CurvePoint) -> (f64, f64) {
    (point.recall * 100.0, point.precision * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_keeps_its_shape_and_its_ends_and_the_disc_its_place() {
        let point = |place: u32| CurvePoint {
            score: 1.0 - place as f32 / 10_000.0,
            recall: f64::from(place) / 10_000.0,
            precision: 1.0 - f64::from(place) / 20_000.0,
            false_positives_per_image: 0.0,
        };
        let curve = DetectorCurve { name: String::new(), points: (0..10_000).map(point).collect(), threshold: 0.75 };
        let line = curve.line();
        assert!((900..=1100).contains(&line.len()), "{} points", line.len());
        assert_eq!((line[0], *line.last().unwrap()), (percent(&point(0)), percent(&point(9999))));
        let (x, y) = curve.usual().unwrap();
        assert!((x - 25.0).abs() < 0.02 && (y - 87.5).abs() < 0.02, "{x} {y}");
        assert_eq!(DetectorCurve { threshold: 1.5, ..curve }.usual(), None);
    }
}
