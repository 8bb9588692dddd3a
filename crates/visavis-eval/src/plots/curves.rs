//! Training curves from a metrics file.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{Axes, Pen, colour, legend, titled};
use super::{Plot, PlotError, draw::Draw, failed};

/// Prefixes of series that share a panel, with the text for the legend.
const SIDES: [(&str, &str); 4] =
    [("train", "training"), ("training", "training"), ("validation", "validation"), ("val", "validation")];

/// A panel for each quantity; training and validation of one quantity share a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingCurves {
    /// Title above the plot.
    pub title: String,
    /// Name of the horizontal axis.
    along: String,
    panels: Vec<Panel>,
}

#[derive(Debug, Clone, PartialEq)]
struct Panel {
    name: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws the curves of a metrics CSV as an SVG document.
///
/// Columns: `step`, `epoch` (at least one of them), and any number of series, named `train_X`, `validation_X` (or `val_X`)
/// if a quantity has both. An empty cell is a value that was not measured.
///
/// # Errors
/// [`PlotError::Metrics`] with the line for an invalid table; [`PlotError::Draw`].
pub fn curves(csv: &str) -> Result<String, PlotError> {
    TrainingCurves::from_csv("training", csv)?.svg()
}

impl TrainingCurves {
    /// Reads a metrics CSV, as [`curves`] does.
    ///
    /// # Errors
    /// [`PlotError::Metrics`] with the line for an invalid table.
    pub fn from_csv(title: &str, csv: &str) -> Result<Self, PlotError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv.as_bytes());
        let refuse = |line: u64, reason: String| PlotError::Metrics { line, reason };
        let names = reader.headers().map_err(|error| refuse(1, error.to_string()))?.clone();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let along = place("step")
            .or_else(|| place("epoch"))
            .ok_or_else(|| refuse(1, "there is neither a column `step` nor a column `epoch`".into()))?;
        let mut series: Vec<(usize, Vec<(f64, f64)>)> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !["step", "epoch"].contains(name))
            .map(|(column, _)| (column, Vec::new()))
            .collect();
        for row in reader.records() {
            let row =
                row.map_err(|error| refuse(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            let number = |column: usize| -> Result<Option<f64>, PlotError> {
                let text = row.get(column).unwrap_or_default();
                if text.is_empty() {
                    return Ok(None);
                }
                let wrong = || refuse(line, format!("`{text}` in column `{}` is no number", &names[column]));
                text.parse().map(Some).map_err(|_| wrong())
            };
            let Some(x) = number(along)? else {
                return Err(refuse(line, format!("`{}` is empty", &names[along])));
            };
            for (column, points) in &mut series {
                // Values that are not finite, as of a loss that diverges, are not drawn.
                if let Some(y) = number(*column)?.filter(|y| y.is_finite()) {
                    points.push((x, y));
                }
            }
        }
        let mut panels: Vec<Panel> = Vec::new();
        for (column, points) in series.into_iter().filter(|(_, points)| !points.is_empty()) {
            let (quantity, side) = sides(&names[column]);
            let line = Line { name: side.to_owned(), points };
            match panels.iter_mut().find(|panel| panel.name == quantity) {
                Some(panel) => panel.lines.push(line),
                None => panels.push(Panel { name: quantity, lines: vec![line] }),
            }
        }
        Ok(Self { title: title.to_owned(), along: names[along].to_owned(), panels })
    }

    fn columns(&self) -> usize {
        if self.panels.len() > 1 { 2 } else { 1 }
    }

    fn rows(&self) -> usize {
        self.panels.len().div_ceil(self.columns()).max(1)
    }
}

/// `train_age_mae` is the training side of `age mae`.
fn sides(name: &str) -> (String, &'static str) {
    let spaced = |text: &str| text.replace(['_', '/', '.'], " ");
    for (prefix, side) in SIDES {
        if let Some(rest) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(['_', '/', '.'])) {
            return (spaced(rest), side);
        }
    }
    (spaced(name), "")
}

impl Draw for TrainingCurves {
    fn size(&self) -> (u32, u32) {
        (if self.columns() > 1 { 1040 } else { 720 }, 44 + 300 * self.rows() as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError> {
        let rest = titled(area, pen, &self.title, "")?;
        let places = rest.split_evenly((self.rows(), self.columns()));
        // All panels share the horizontal axis, so that simultaneous values are above one another.
        let points = self.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
        let x = padded(points.map(|point| point.0).chain([0.0]), 0.0);
        self.panels.iter().zip(&places).try_for_each(|(panel, place)| panel.draw(place, pen, x.clone(), &self.along))
    }
}

impl Panel {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        pen: Pen,
        x: Range<f64>,
        along: &str,
    ) -> Result<(), PlotError> {
        let (top, rest) = area.split_vertically(pen.px(22));
        top.draw(&Text::new(self.name.clone(), (pen.at(74), pen.at(4)), pen.bold(15))).map_err(failed)?;
        let axes = Axes {
            x,
            y: padded(self.lines.iter().flat_map(|line| &line.points).map(|point| point.1), 0.06),
            x_name: along,
            y_name: "",
            ticks: (6, 6),
        };
        let mut chart = axes.draw(&rest, pen)?;
        for (number, line) in self.lines.iter().enumerate() {
            let style = pen.line(colour(number), 2);
            let length = pen.at(22);
            let series = chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).map_err(failed)?;
            if !line.name.is_empty() {
                series
                    .label(line.name.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
            }
            // A single point is drawn as a dot.
            if let [only] = line.points[..] {
                chart.draw_series([Circle::new(only, pen.px(3), colour(number).filled())]).map_err(failed)?;
            }
        }
        if self.lines.iter().all(|line| line.name.is_empty()) {
            return Ok(());
        }
        let falls = self.lines.iter().all(|line| match (line.points.first(), line.points.last()) {
            (Some(first), Some(last)) => last.1 <= first.1,
            _ => false,
        });
        let corner = if falls { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::LowerRight };
        legend(&mut chart, pen, corner, [8, 13])
    }
}

/// The range from the least to the greatest value with a margin; never empty.
fn padded(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    if low == high {
        let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        return low - room..high + room;
    }
    let room = (high - low) * margin;
    low - room..high + room
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "step,epoch,train_loss,validation_loss,val_age_mae,learning_rate
100,0,3.5,,,0.001
200,1,2.5,2.8,7.25,0.0005
300,1,inf,2.7,,0.0005
";

    #[test]
    fn sides_of_a_quantity_share_a_panel() {
        let curves = TrainingCurves::from_csv("run", CSV).unwrap();
        assert_eq!(curves.along, "step");
        let shape: Vec<(&str, Vec<(&str, usize)>)> = curves
            .panels
            .iter()
            .map(|panel| {
                (panel.name.as_str(), panel.lines.iter().map(|line| (line.name.as_str(), line.points.len())).collect())
            })
            .collect();
        assert_eq!(
            shape,
            [
                ("loss", vec![("training", 2), ("validation", 2)]),
                ("age mae", vec![("validation", 1)]),
                ("learning rate", vec![("", 3)]),
            ]
        );
        assert_eq!(curves.panels[0].lines[1].points, [(200.0, 2.8), (300.0, 2.7)]);
    }

    #[test]
    fn what_is_no_table_is_named_with_its_line() {
        for (csv, line, words) in [
            ("loss\n1\n", 1, "`step`"),
            ("step,loss\n1,2\n2,much\n", 3, "`much`"),
            ("step,loss\n1,2\n,3\n", 3, "`step` is empty"),
            ("step,loss\n1,2\n2\n", 3, ""),
        ] {
            match TrainingCurves::from_csv("run", csv) {
                Err(PlotError::Metrics { line: found, reason }) => {
                    assert_eq!(found, line, "{reason}");
                    assert!(reason.contains(words), "{reason}");
                }
                other => panic!("{csv}: {other:?}"),
            }
        }
        assert!(curves("step,loss\n").is_ok(), "a run that has just begun");
    }

    #[test]
    fn axes_are_never_empty() {
        assert_eq!(padded([].into_iter(), 0.1), 0.0..1.0);
        assert_eq!(padded([0.0].into_iter(), 0.1), -1.0..1.0);
        assert_eq!(padded([10.0, 10.0].into_iter(), 0.1), 9.0..11.0);
        assert_eq!(padded([0.0, 10.0].into_iter(), 0.1), -1.0..11.0);
    }
}
