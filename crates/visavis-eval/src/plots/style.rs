//! Style of the plots.

use std::ops::Range;
use std::sync::OnceLock;

use plotters::coord::{Shift, types::RangedCoordf64};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::{PlotError, failed};

/// Colours that colour-blind people can distinguish (Okabe and Ito, "Color universal design", 2008), without the palest.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

pub(super) const INK: RGBColor = RGBColor(38, 42, 48);
pub(super) const FAINT: RGBColor = RGBColor(120, 126, 134);
pub(super) const RULE: RGBColor = RGBColor(226, 229, 233);

const TYPEFACE: &str = "sans-serif";

/// Registers the typeface with the plotting crate, once, so that it does not search for system fonts.
pub(super) fn register_typeface() -> Result<(), PlotError> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        register_font(TYPEFACE, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(TYPEFACE, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    if *done { Ok(()) } else { Err(PlotError::Draw("the typeface cannot be read".into())) }
}

/// Sizes in pixels of the SVG, scaled to the current drawing.
#[derive(Clone, Copy)]
pub struct Pen {
    scale: u32,
}

impl Pen {
    pub(super) fn new(scale: u32) -> Self {
        Self { scale }
    }

    pub(super) fn px(self, pixels: u32) -> u32 {
        pixels * self.scale
    }

    pub(super) fn at(self, pixels: i32) -> i32 {
        pixels * self.scale as i32
    }

    pub(super) fn text(self, size: u32, colour: RGBColor) -> TextStyle<'static> {
        (TYPEFACE, self.px(size)).into_font().color(&colour)
    }

    pub(super) fn bold(self, size: u32) -> TextStyle<'static> {
        (TYPEFACE, self.px(size), FontStyle::Bold).into_font().color(&INK)
    }

    pub(super) fn line(self, colour: RGBColor, width: u32) -> ShapeStyle {
        colour.stroke_width(self.px(width))
    }
}

/// The colour of series `number`; after the last colour they repeat.
pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// White for 0, deep blue for 1.
pub(super) fn heat(share: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 4] =
        [[255.0, 255.0, 255.0], [198.0, 219.0, 239.0], [66.0, 146.0, 198.0], [8.0, 48.0, 107.0]];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let from = (place as usize).min(STOPS.len() - 2);
    let part = place - from as f64;
    let [r, g, b] = [0, 1, 2].map(|c| (STOPS[from][c] * (1.0 - part) + STOPS[from + 1][c] * part).round() as u8);
    RGBColor(r, g, b)
}

/// A text colour that is readable on [`heat`].
pub(super) fn ink_on_heat(share: f64) -> RGBColor {
    if share > 0.55 { WHITE } else { INK }
}

/// The axes of a chart.
pub(super) struct Axes<'a> {
    pub(super) x: Range<f64>,
    pub(super) y: Range<f64>,
    pub(super) x_name: &'a str,
    pub(super) y_name: &'a str,
    /// Approximate number of labels on each axis.
    pub(super) ticks: (usize, usize),
}

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Axes<'_> {
    /// A chart with its grid in `area`.
    pub(super) fn draw<'a, B: DrawingBackend + 'a>(
        &self,
        area: &DrawingArea<B, Shift>,
        pen: Pen,
    ) -> Result<Chart<'a, B>, PlotError> {
        let mut chart = ChartBuilder::on(area)
            .margin(pen.px(8))
            .margin_right(pen.px(18))
            .x_label_area_size(pen.px(46))
            .y_label_area_size(pen.px(62))
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(failed)?;
        let (x_step, y_step) = (step(&self.x, self.ticks.0), step(&self.y, self.ticks.1));
        chart
            .configure_mesh()
            .x_desc(self.x_name)
            .y_desc(self.y_name)
            .x_labels(self.ticks.0)
            .y_labels(self.ticks.1)
            .x_label_formatter(&|value| short(*value, x_step))
            .y_label_formatter(&|value| short(*value, y_step))
            .max_light_lines(0)
            .bold_line_style(pen.line(RULE, 1))
            .axis_style(pen.line(FAINT, 1))
            .label_style(pen.text(14, INK))
            .axis_desc_style(pen.text(15, INK))
            .set_all_tick_mark_size(pen.px(4))
            .draw()
            .map_err(failed)?;
        Ok(chart)
    }
}

/// Approximate distance of two labels on an axis.
fn step(range: &Range<f64>, ticks: usize) -> f64 {
    (range.end - range.start).abs() / ticks.max(1) as f64
}

/// A number with as many decimals as the step needs, in thousands if it is long.
fn short(value: f64, step: f64) -> String {
    if step >= 1000.0 {
        return format!("{}k", (value / 1000.0 * 10.0).round() / 10.0);
    }
    let decimals = if step >= 1.0 || step <= 0.0 { 0 } else { (-step.log10()).ceil().min(8.0) as usize };
    if value.abs() < step * 1e-6 {
        return "0".into();
    }
    format!("{value:.decimals$}")
}

/// Draws the legend in the corner `position`, with the given margin and text size in pixels.
pub(super) fn legend<'a, B: DrawingBackend + 'a>(
    chart: &mut Chart<'a, B>,
    pen: Pen,
    position: SeriesLabelPosition,
    [margin, size]: [u32; 2],
) -> Result<(), PlotError> {
    chart
        .configure_series_labels()
        .position(position)
        .margin(pen.px(margin))
        .legend_area_size(pen.px(30))
        .background_style(WHITE.mix(0.9))
        .border_style(pen.line(RULE, 1))
        .label_font(pen.text(size, INK))
        .draw()
        .map_err(failed)
}

/// Draws a title at the top of `area`; returns the area below it.
pub(super) fn titled<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    pen: Pen,
    title: &str,
    subtitle: &str,
) -> Result<DrawingArea<B, Shift>, PlotError> {
    area.fill(&WHITE).map_err(failed)?;
    let height = if subtitle.is_empty() { 44 } else { 64 };
    let (top, rest) = area.split_vertically(pen.px(height));
    top.draw(&Text::new(title.to_owned(), (pen.at(16), pen.at(14)), pen.bold(20))).map_err(failed)?;
    if !subtitle.is_empty() {
        top.draw(&Text::new(subtitle.to_owned(), (pen.at(16), pen.at(40)), pen.text(15, FAINT))).map_err(failed)?;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_as_short_as_they_can_be() {
        for (value, step, text) in [
            (0.25, 0.05, "0.25"),
            (20.0, 5.0, "20"),
            (12_000.0, 2_000.0, "12k"),
            (2_500.0, 2_500.0, "2.5k"),
            (0.0003, 0.0001, "0.0003"),
            (1e-17, 0.1, "0"),
        ] {
            assert_eq!(short(value, step), text);
        }
    }

    #[test]
    fn heat_runs_from_white_to_blue() {
        assert_eq!(heat(0.0), RGBColor(255, 255, 255));
        assert_eq!(heat(1.0), RGBColor(8, 48, 107));
        assert_eq!(heat(f64::NAN.max(2.0)), RGBColor(8, 48, 107));
    }
}
