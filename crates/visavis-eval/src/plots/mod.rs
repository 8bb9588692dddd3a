//! Plots: distributions of distances, cumulative error curves, precision over recall, confusion matrices, age maps, training curves; as SVG and as PNG.

mod ages;
mod confusion;
mod cumulative;
mod curves;
mod precision;
mod scores;
mod style;

pub use ages::AgeMap;
pub use confusion::ConfusionMatrix;
pub use cumulative::{CumulativeErrors, ErrorCurve};
pub use curves::{TrainingCurves, curves};
pub use precision::{DetectorCurve, PrecisionRecall};
pub use scores::{ErrorTradeOff, ScoreDistributions};

use plotters::prelude::*;
use visavis_image::{Picture, codec};

use style::{Pen, register_typeface};

/// PNGs have this many pixels per pixel of the SVG's size, so that they are sharp on a page.
const PNG_SCALE: u32 = 2;

/// A plot that cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The drawing library failed.
    #[error("the plot cannot be drawn: {0}")]
    Draw(String),
    /// The metrics are not in the form that the plot needs.
    #[error("line {line} of the metrics: {reason}")]
    Metrics {
        /// Line number from 1; the first line has the names.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The picture cannot be written as PNG.
    #[error(transparent)]
    Png(#[from] codec::CodecError),
}

/// What each plot implements.
mod draw {
    use plotters::coord::Shift;
    use plotters::prelude::{DrawingArea, DrawingBackend};

    use super::{Pen, PlotError};

    pub trait Draw {
        /// Width and height in pixels of the SVG.
        fn size(&self) -> (u32, u32);

        fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, pen: Pen) -> Result<(), PlotError>;
    }
}
use draw::Draw;

/// A plot that is written as SVG or PNG.
pub trait Plot: Draw {
    /// The plot as an SVG document, with its text as text.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    fn svg(&self) -> Result<String, PlotError> {
        register_typeface()?;
        let mut document = String::new();
        let area = SVGBackend::with_string(&mut document, self.size()).into_drawing_area();
        self.draw(&area, Pen::new(1))?;
        area.present().map_err(failed)?;
        drop(area);
        Ok(document)
    }

    /// The plot as a PNG, twice as large.
    ///
    /// # Errors
    /// [`PlotError::Draw`], [`PlotError::Png`].
    fn png(&self) -> Result<Vec<u8>, PlotError> {
        register_typeface()?;
        let (width, height) = self.size();
        let mut picture = Picture::new(width * PNG_SCALE, height * PNG_SCALE);
        let size = (picture.width(), picture.height());
        let area = BitMapBackend::with_buffer(picture.pixels_mut(), size).into_drawing_area();
        self.draw(&area, Pen::new(PNG_SCALE))?;
        area.present().map_err(failed)?;
        drop(area);
        Ok(codec::encode_png(&picture)?)
    }
}

impl<T: Draw> Plot for T {}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

#[cfg(test)]
mod tests;
