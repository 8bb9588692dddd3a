//! Distances of pairs of faces: their distributions, and the trade-off of the two kinds of errors.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{Axes, FAINT, Pen, colour, legend, titled};
use super::{PlotError, draw::Draw, failed};
use crate::trust::PairDistances;

/// Bars of the distributions.
const BINS: usize = 120;

/// Distributions of the distances of pairs of one person and of two people.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreDistributions<'a> {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// The distances.
    pub pairs: &'a PairDistances,
    /// The threshold, drawn as a line.
    pub threshold: f32,
}

impl Draw for ScoreDistributions<'_> {
    fn size(&self) -> (u32, u32) {
        (860, 480)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let all = self.pairs.one_person.iter().chain(&self.pairs.two_people);
        let most = f64::from(all.copied().fold(f32::MIN_POSITIVE, f32::max));
        let lines = [("one person", &self.pairs.one_person), ("two people", &self.pairs.two_people)];
        let lines = lines.map(|(name, distances)| (name, density(distances, most)));
        let top = lines.iter().flat_map(|(_, line)| line).map(|point| point.1).fold(1e-9, f64::max);
        let axes = Axes {
            x: 0.0..most,
            y: 0.0..top * 1.05,
            x_name: "distance",
            y_name: "share of the pairs, %",
            ticks: (10, 8),
        };
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let mut chart = axes.draw(&rest, pen)?;
        let threshold = f64::from(self.threshold);
        let dash = [(threshold, 0.0), (threshold, top * 1.05)];
        chart.draw_series(DashedLineSeries::new(dash, pen.px(5), pen.px(5), pen.line(FAINT, 1))).map_err(failed)?;
        for (number, (name, line)) in lines.into_iter().enumerate() {
            let (style, length) = (pen.line(colour(number), 2), pen.at(22));
            chart
                .draw_series(LineSeries::new(line, style))
                .map_err(failed)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
        }
        legend(&mut chart, pen, SeriesLabelPosition::UpperLeft, [14, 15])
    }
}

/// Share of the sorted distances in each of the bins from 0 to `most`, in percent, at the middle of the bin.
fn density(sorted: &[f32], most: f64) -> Vec<(f64, f64)> {
    let below = |at: f64| sorted.partition_point(|distance| f64::from(*distance) < at) as f64;
    let width = most / BINS as f64;
    let bin = |number: usize| {
        let from = number as f64 * width;
        // The last bin includes its end.
        let to = if number + 1 == BINS { f64::INFINITY } else { from + width };
        (from + width / 2.0, (below(to) - below(from)) * 100.0 / sorted.len().max(1) as f64)
    };
    (0..BINS).map(bin).collect()
}

/// False non-matches against false matches, both axes logarithmic (a DET curve, with logarithms instead of normal deviates).
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorTradeOff<'a> {
    /// Title above the plot.
    pub title: String,
    /// Below the title; may be empty.
    pub subtitle: String,
    /// The distances of each network, with its name.
    pub curves: Vec<(String, &'a PairDistances)>,
}

/// Smallest rates on the axes, as exponents of ten.
const LEAST: f64 = -5.0;

impl Draw for ErrorTradeOff<'_> {
    fn size(&self) -> (u32, u32) {
        (860, 520)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let axes = Axes {
            x: LEAST..0.0,
            y: -4.0..0.0,
            x_name: "false-match rate, power of ten",
            y_name: "false non-match rate, power of ten",
            ticks: (6, 5),
        };
        let rest = titled(area, pen, &self.title, &self.subtitle)?;
        let mut chart = axes.draw(&rest, pen)?;
        for (number, (name, pairs)) in self.curves.iter().enumerate() {
            let (style, length) = (pen.line(colour(number), 2), pen.at(22));
            chart
                .draw_series(LineSeries::new(trade_off(pairs), style))
                .map_err(failed)?
                .label(name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
        }
        legend(&mut chart, pen, SeriesLabelPosition::UpperRight, [14, 15])
    }
}

/// Both rates as powers of ten, for thresholds over the distances of two people; rates of zero are left out.
fn trade_off(pairs: &PairDistances) -> Vec<(f64, f64)> {
    const POINTS: usize = 300;
    let others = &pairs.two_people;
    let point = |number: usize| {
        let rate = 10f64.powf(LEAST * (1.0 - number as f64 / POINTS as f64));
        let place = ((rate * others.len() as f64) as usize).min(others.len().saturating_sub(1));
        let [false_matches, false_non_matches] = pairs.rates(*others.get(place)?);
        let drawn = false_matches > 0.0 && false_non_matches > 0.0;
        drawn.then(|| (false_matches.log10(), false_non_matches.log10()))
    };
    (0..=POINTS).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::Plot;

    #[test]
    fn all_pairs_are_in_a_bin() {
        let line = density(&[0.0, 0.1, 0.5, 1.0], 1.0);
        assert_eq!(line.len(), BINS);
        assert!((line.iter().map(|point| point.1).sum::<f64>() - 100.0).abs() < 1e-9);
        assert_eq!((line[0].1, line[BINS - 1].1), (25.0, 25.0));
    }

    #[test]
    fn fewer_false_matches_cost_more_false_non_matches() {
        let pairs = PairDistances {
            one_person: (0..100).map(|at| at as f32 / 100.0).collect(),
            two_people: (0..1000).map(|at| 0.5 + at as f32 / 1000.0).collect(),
        };
        let line = trade_off(&pairs);
        assert!(line.len() > 50);
        assert!(line.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1), "{line:?}");
        let plot = ErrorTradeOff { title: "t".into(), subtitle: String::new(), curves: vec![("n".into(), &pairs)] };
        assert!(plot.svg().unwrap().contains("false-match rate"));
        let plot = ScoreDistributions { title: "t".into(), subtitle: String::new(), pairs: &pairs, threshold: 0.6 };
        assert!(plot.svg().unwrap().contains("two people"));
    }
}
