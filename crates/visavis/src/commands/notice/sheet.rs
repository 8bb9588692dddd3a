//! The sheet: where its parts are, in millimetres, and how it is drawn.

use std::fmt::Write;

use qrcode::{Color, QrCode};
use visavis_image::Picture;
use visavis_image::draw::{Colour, TextPainter, Weight};
use visavis_web::{Language, notice_invitation};

/// Dots per millimetre of a picture: 300 per inch.
const DOTS: f32 = 300.0 / 25.4;
/// Share of the width that is left free on each side.
const MARGIN: f32 = 0.08;
/// Side of the code, without its border, as a share of the width: beside texts in one or two languages, and in more.
const CODE: [f32; 2] = [0.74, 0.56];
/// Em in which texts are measured: large, so that rounding to pixels does not matter.
const MEASURED: u32 = 200;
/// Share of an em that the letters of fonts without DejaVu Sans may be wider.
const SPARE: f32 = 1.04;

/// A line of text, centred.
struct Line {
    text: String,
    weight: Weight,
    /// Size of an em.
    size: f32,
    /// Height of the baseline.
    y: f32,
}

/// A sheet of paper with a QR code and texts. All measures are millimetres.
pub(super) struct Sheet {
    width: f32,
    height: f32,
    /// The dark modules of the code, as column and row.
    dark: Vec<(usize, usize)>,
    /// Sides of the code and of a module, and left and upper edge of the code.
    side: f32,
    module: f32,
    left: f32,
    top: f32,
    lines: Vec<Line>,
}

impl Sheet {
    /// A sheet of this size for an address, with texts in these languages.
    pub(super) fn new(code: &QrCode, address: &str, languages: &[Language], [width, height]: [f32; 2]) -> Self {
        let count = code.width();
        let dark = code.to_colors().into_iter().enumerate().filter(|(_, colour)| *colour == Color::Dark);
        let dark = dark.map(|(at, _)| (at % count, at / count)).collect();
        let side = width * CODE[usize::from(languages.len() > 2)];
        // Below the code: the texts in equal blocks, and the address.
        let top = height * 0.085;
        let (mut lines, first, last) = (Vec::new(), top + side + height * 0.06, height * 0.93);
        let block = (last - first) / languages.len() as f32;
        let large = (block * 0.32).min(width * 0.062);
        for (number, language) in languages.iter().enumerate() {
            let (title, invitation) = notice_invitation(*language);
            let y = first + block * number as f32 + large;
            lines.push(Line::fitting(title, Weight::Bold, large, y, width));
            lines.push(Line::fitting(invitation, Weight::Regular, large * 0.68, y + large * 1.15, width));
        }
        lines.push(Line::fitting(address, Weight::Regular, width * 0.03, height * 0.965, width));
        Self { width, height, dark, side, module: side / count as f32, left: (width - side) / 2.0, top, lines }
    }

    /// The sheet as SVG.
    pub(super) fn svg(&self) -> String {
        let Self { width, height, module, left, top, .. } = self;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" viewBox=\"0 0 {width} {height}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <path transform=\"translate({left} {top}) scale({module})\" shape-rendering=\"crispEdges\" d=\""
        );
        for (column, row) in &self.dark {
            let _ = write!(svg, "M{column} {row}h1v1h-1z");
        }
        svg += "\"/>\n<g font-family=\"'DejaVu Sans',Verdana,Arial,sans-serif\" text-anchor=\"middle\">\n";
        for line in &self.lines {
            let weight = if line.weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
            let text = line.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(
                svg,
                "<text x=\"{:.2}\" y=\"{:.2}\" font-size=\"{:.2}\"{weight}>{text}</text>",
                width / 2.0,
                line.y,
                line.size
            );
        }
        svg + "</g>\n</svg>\n"
    }

    /// The sheet as a picture with 300 dots per inch.
    pub(super) fn picture(&self) -> Picture {
        let dots = |length: f32| (length * DOTS).round() as u32;
        let mut picture = Picture::filled(dots(self.width), dots(self.height), [255; 3]);
        // Whole dots for each module, so that all have the same size.
        let module = dots(self.module).max(1);
        let count = (self.side / self.module).round() as u32;
        let left = (picture.width() - count * module) / 2;
        let top = dots(self.top);
        for &(column, row) in &self.dark {
            let (x, y) = (left + column as u32 * module, top + row as u32 * module);
            for y in y..y + module {
                (x..x + module).for_each(|x| picture.set_pixel(x, y, [0; 3]));
            }
        }
        let mut painter = TextPainter::new();
        for Line { text, weight, size, y } in &self.lines {
            let size = (size * DOTS).round() as u32;
            let x = (picture.width() as f32 - painter.width(text, *weight, size)) / 2.0;
            painter.draw(&mut picture, x, (y * DOTS).round() as i32, text, *weight, size, Colour::new(0, 0, 0));
        }
        picture
    }
}

impl Line {
    /// A line that is made smaller if it is wider than the sheet within its margins.
    fn fitting(text: &str, weight: Weight, size: f32, y: f32, width: f32) -> Self {
        let em = TextPainter::new().width(text, weight, MEASURED) / MEASURED as f32 * SPARE;
        let size = size.min(width * (1.0 - 2.0 * MARGIN) / em.max(1.0));
        Self { text: text.to_owned(), weight, size, y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(languages: &[Language]) -> Sheet {
        let address = "https://faces.example/notice?a=1&b=2";
        Sheet::new(&QrCode::new(address).unwrap(), address, languages, [148.0, 210.0])
    }

    #[test]
    fn the_code_and_all_texts_are_on_the_sheet() {
        for languages in [&Language::ALL[..], &[Language::German]] {
            let sheet = sheet(languages);
            let svg = sheet.svg();
            assert!(
                svg.starts_with("<svg ") && svg.contains("width=\"148mm\"") && svg.contains("a=1&amp;b=2"),
                "{svg}"
            );
            assert_eq!(svg.matches("h1v1h-1z").count(), sheet.dark.len());
            for language in languages {
                assert!(svg.contains(notice_invitation(*language).0), "{svg}");
            }
            let mut below = sheet.top + sheet.side;
            for line in &sheet.lines {
                assert!(line.y - line.size > below - 3.0 && line.y < sheet.height, "{}: {}", line.text, line.y);
                let wide = TextPainter::new().width(&line.text, line.weight, 200) / 200.0 * line.size;
                assert!(wide < sheet.width * 0.86 && line.size > 2.0, "{}: {wide} mm, em of {}", line.text, line.size);
                below = line.y;
            }
        }
    }

    #[test]
    fn the_picture_shows_the_modules() {
        let sheet = sheet(&[Language::English]);
        let picture = sheet.picture();
        assert_eq!((picture.width(), picture.height()), (1748, 2480));
        let count = (sheet.side / sheet.module).round() as u32;
        let module = (sheet.module * DOTS).round() as u32;
        let left = (picture.width() - count * module) / 2;
        let top = (sheet.top * DOTS).round() as u32;
        for row in 0..count {
            for column in 0..count {
                let middle = picture.pixel(left + column * module + module / 2, top + row * module + module / 2);
                let dark = sheet.dark.contains(&(column as usize, row as usize));
                assert_eq!(middle, if dark { [0; 3] } else { [255; 3] }, "{column}, {row}");
            }
        }
        // A border of four modules around the code is white, as readers need it.
        assert!((left - 4 * module..left).all(|x| picture.pixel(x, top + 9) == [255; 3]));
    }
}
