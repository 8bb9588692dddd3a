//! A contact sheet of a detector's errors: crops with surroundings, boxes and captions.

use visavis_image::draw::{Colour, TextPainter, Weight, outline, paste_rounded};
use visavis_image::{Picture, Point, Rect, Similarity, warp_into};

/// Side of a crop in pixels of the sheet.
const SIDE: u32 = 192;
/// Side of a crop as a multiple of the longer side of the box, to show the surroundings of the face.
const EXPANSION: f32 = 3.0;
/// Least side of a crop in pixels of the picture: smaller ones show only large pixels.
const LEAST_SIDE: f32 = 64.0;
/// Distance between crops, and to the edge.
const GAP: u32 = 8;
const TITLE: u32 = 40;
const TITLE_SIZE: u32 = 18;
/// Height of the two lines under each crop.
const CAPTION: u32 = 38;
const TEXT_SIZE: u32 = 12;
const GROUND: [u8; 3] = [24, 24, 28];
const TEXT: Colour = Colour::new(235, 235, 235);
const FAINT: Colour = Colour::new(165, 168, 175);

/// The meaning of a box on a crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Labelled as a face: green.
    Labelled,
    /// Labelled to be ignored: grey.
    Ignored,
    /// Detected: orange.
    Detected,
}

impl Mark {
    const fn colour(self) -> Colour {
        match self {
            Self::Labelled => Colour::new(80, 230, 120),
            Self::Ignored => Colour::new(150, 150, 160),
            Self::Detected => Colour::new(255, 190, 60),
        }
    }
}

/// A sheet that is filled section by section, crop by crop.
#[derive(Debug)]
pub struct FaultSheet {
    columns: u32,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    title: String,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    crop: Picture,
    captions: [String; 2],
}

impl FaultSheet {
    /// An empty sheet with this many crops per row.
    #[must_use]
    pub fn new(columns: u32) -> Self {
        Self { columns: columns.max(1), sections: Vec::new() }
    }

    /// Begins a section.
    pub fn section(&mut self, title: String) {
        self.sections.push(Section { title, cells: Vec::new() });
    }

    /// Adds a crop of `picture` around `subject`, which is drawn with a thick line, the other `marks` with a thin one; boxes in
    /// pixels of the picture. The second of the two captions is shortened if it is too long.
    pub fn add(&mut self, picture: &Picture, subject: (Rect, Mark), marks: &[(Rect, Mark)], captions: [String; 2]) {
        let square = subject.0.square().expanded(EXPANSION);
        let square = square.expanded((LEAST_SIDE / square.width).max(1.0));
        let to_picture = Similarity::scale_then_shift(square.width / SIDE as f32, square.x, square.y);
        let mut crop = Picture::new(SIDE, SIDE);
        warp_into(picture, &to_picture, &mut crop);
        let to_crop = to_picture.inverse();
        let mut draw = |rect: &Rect, mark: Mark, thickness| {
            let ends = [Point::new(rect.x, rect.y), Point::new(rect.right(), rect.bottom())].map(|p| to_crop.apply(p));
            let rect = Rect::from_corners(ends[0].x, ends[0].y, ends[1].x, ends[1].y);
            outline(&mut crop, &rect, thickness, mark.colour());
        };
        marks.iter().for_each(|(rect, mark)| draw(rect, *mark, 1.0));
        draw(&subject.0, subject.1, 2.5);
        if self.sections.is_empty() {
            self.section(String::new());
        }
        if let Some(section) = self.sections.last_mut() {
            section.cells.push(Cell { crop, captions });
        }
    }

    /// The sheet.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let pitch = (SIDE + GAP, SIDE + CAPTION + GAP);
        let rows = |section: &Section| (section.cells.len() as u32).div_ceil(self.columns);
        let height = |section: &Section| TITLE + rows(section) * pitch.1;
        let total: u32 = self.sections.iter().map(height).sum();
        let mut sheet = Picture::filled(GAP + self.columns * pitch.0, (total + GAP).max(TITLE), GROUND);
        let mut painter = TextPainter::new();
        let mut top = 0;
        for section in &self.sections {
            let width = sheet.width() as f32 - 2.0 * GAP as f32;
            let title = painter.fitted(&section.title, Weight::Bold, TITLE_SIZE, width).into_owned();
            let baseline = (top + TITLE - 13) as i32;
            painter.draw(&mut sheet, GAP as f32, baseline, &title, Weight::Bold, TITLE_SIZE, TEXT);
            for (place, cell) in (0..).zip(&section.cells) {
                let (x, y) = (GAP + place % self.columns * pitch.0, top + TITLE + place / self.columns * pitch.1);
                paste_rounded(&mut sheet, &cell.crop, x as i32, y as i32, 0.0);
                for ((caption, colour), line) in cell.captions.iter().zip([TEXT, FAINT]).zip(1..) {
                    let text = painter.fitted(caption, Weight::Regular, TEXT_SIZE, SIDE as f32).into_owned();
                    let baseline = (y + SIDE + line * 16) as i32;
                    painter.draw(&mut sheet, x as f32, baseline, &text, Weight::Regular, TEXT_SIZE, colour);
                }
            }
            top += height(section);
        }
        sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crop_stands_in_its_place_with_its_box() {
        let mut sheet = FaultSheet::new(2);
        let rect = Rect::new(100.0, 100.0, 64.0, 64.0);
        for (title, count) in [("missed", 3), ("none", 0), ("false", 1)] {
            sheet.section(title.into());
            for shade in 0..count {
                let picture = Picture::filled(300, 300, [60 + 40 * shade; 3]);
                let other = (Rect::new(120.0, 120.0, 8.0, 8.0), Mark::Detected);
                sheet.add(&picture, (rect, Mark::Labelled), &[other], ["caption".into(), "file".repeat(30)]);
            }
        }
        let drawn = sheet.draw();
        let row = SIDE + CAPTION + GAP;
        assert_eq!((drawn.width(), drawn.height()), (GAP + 2 * (SIDE + GAP), 3 * TITLE + 3 * row + GAP));
        let (left, right) = (GAP, GAP + SIDE + GAP);
        let tops = [TITLE, TITLE + row, 3 * TITLE + 2 * row];
        for (x, y, shade) in [(left, tops[0], 60), (right, tops[0], 100), (left, tops[1], 140), (left, tops[2], 60)] {
            assert_eq!(drawn.pixel(x + 10, y + 10), [shade; 3]);
            // The box is a third of the crop: its edge is a third from the crop's.
            assert_eq!(drawn.pixel(x + SIDE / 3, y + SIDE / 2), [80, 230, 120]);
        }
        assert_eq!(drawn.pixel(right + 10, tops[1] + 10), GROUND, "an empty place");
        assert!(FaultSheet::new(0).draw().height() > 0);
    }

    #[test]
    fn tiny_boxes_keep_their_surroundings() {
        let mut picture = Picture::filled(64, 64, [0; 3]);
        (0..64).for_each(|y| picture.set_pixel(0, y, [200; 3]));
        let mut sheet = FaultSheet::new(1);
        sheet.add(&picture, (Rect::new(31.0, 31.0, 2.0, 2.0), Mark::Detected), &[], Default::default());
        // All 64 pixels are visible: the first column is three pixels wide on the sheet.
        assert!(sheet.draw().pixel(GAP + 1, TITLE + SIDE / 2)[0] > 150);
    }
}
