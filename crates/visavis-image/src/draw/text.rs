//! Text in DejaVu Sans, from a cache of rasterised glyphs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use super::{Colour, blend};
use crate::Picture;

/// Regular or bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// DejaVu Sans.
    Regular,
    /// DejaVu Sans Bold.
    Bold,
}

/// Glyphs are placed at quarters of a pixel: finer is not visible, coarser makes uneven gaps in small text.
const QUARTERS: f32 = 4.0;

/// The cache is cleared beyond this many glyphs (some 3 MB at usual sizes), so that many text sizes and scripts cannot
/// fill the memory.
const MOST_GLYPHS: usize = 4096;

/// Largest text size in pixels; larger text is drawn at this size.
const MOST_SIZE: u32 = 400;

/// Draws and measures text. Sizes are pixels per em: a capital letter is about 0.73 of that high.
///
/// DejaVu Sans contains the Latin, Greek and Cyrillic scripts and more; a missing character is drawn as a box. There is
/// no shaping: scripts that need it (Arabic, Indic) are drawn as separate letters, left to right.
pub struct TextPainter {
    regular: Typeface,
    bold: Typeface,
    glyphs: HashMap<GlyphKey, Glyph>,
}

/// Whether the font contains every character of a text; missing ones are drawn as boxes.
#[must_use]
pub fn can_write(text: &str) -> bool {
    // The font compiled in is valid; if it were not, no text could be drawn.
    FontRef::try_from_slice(dejavu::sans::regular())
        .is_ok_and(|font| text.chars().filter(|letter| !letter.is_control()).all(|letter| font.glyph_id(letter).0 != 0))
}

/// A font with frequently used values looked up in advance.
struct Typeface {
    font: FontRef<'static>,
    /// Glyph and advance in em of the first characters: Latin, Greek, Cyrillic.
    letters: Vec<(GlyphId, f32)>,
    /// Height of a capital in em.
    capital: f32,
    /// Em per font unit.
    per_unit: f32,
}

/// End of the Cyrillic block.
const KNOWN_LETTERS: u32 = 0x0530;

impl Typeface {
    fn new(bytes: &'static [u8]) -> Self {
        let font = FontRef::try_from_slice(bytes).expect("the font compiled in is a valid one");
        let per_unit = 1.0 / font.units_per_em().unwrap_or(2048.0);
        let letter = |code| {
            let id = font.glyph_id(char::from_u32(code).unwrap_or(' '));
            (id, font.h_advance_unscaled(id) * per_unit)
        };
        let letters = (0..KNOWN_LETTERS).map(letter).collect();
        let capital = font.outline(font.glyph_id('H')).map_or(0.73, |outline| {
            let heights = [outline.bounds.min.y, outline.bounds.max.y];
            heights.map(f32::abs).into_iter().fold(0.0, f32::max) * per_unit
        });
        Self { font, letters, capital, per_unit }
    }

    /// Glyph and advance in em of a character.
    fn letter(&self, letter: char) -> (GlyphId, f32) {
        self.letters.get(letter as usize).copied().unwrap_or_else(|| {
            let id = self.font.glyph_id(letter);
            (id, self.font.h_advance_unscaled(id) * self.per_unit)
        })
    }

    /// Calls `f` with each glyph of a line and the pen position before and after it.
    fn lay_out(&self, text: &str, size: u32, mut f: impl FnMut(GlyphId, f32, f32)) {
        let size = size.min(MOST_SIZE) as f32;
        let (mut pen, mut last) = (0.0, None);
        for (id, advance) in text.chars().filter(|letter| !letter.is_control()).map(|letter| self.letter(letter)) {
            if let Some(last) = last {
                pen += self.font.kern_unscaled(last, id) * self.per_unit * size;
            }
            let before = pen;
            pen += advance * size;
            f(id, before, pen);
            last = Some(id);
        }
    }

    /// ab_glyph's scale, the height from ascent to descent, for a size in pixels per em.
    fn scale(&self, size: u32) -> PxScale {
        PxScale::from(self.font.height_unscaled() * self.per_unit * size.min(MOST_SIZE) as f32)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GlyphKey {
    weight: Weight,
    id: GlyphId,
    size: u32,
    quarter: u8,
}

/// Coverage of each pixel in a glyph's box; the box's corner is relative to the pen position.
struct Glyph {
    left: i32,
    top: i32,
    width: usize,
    coverage: Vec<u8>,
}

impl fmt::Debug for TextPainter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextPainter({} glyphs)", self.glyphs.len())
    }
}

impl Default for TextPainter {
    fn default() -> Self {
        Self::new()
    }
}

impl TextPainter {
    /// A painter with an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self {
            regular: Typeface::new(dejavu::sans::regular()),
            bold: Typeface::new(dejavu::sans::bold()),
            glyphs: HashMap::new(),
        }
    }

    fn typeface(&self, weight: Weight) -> &Typeface {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// Width of a line of text in pixels, kerning included.
    #[must_use]
    pub fn width(&self, text: &str, weight: Weight, size: u32) -> f32 {
        let mut end = 0.0;
        self.typeface(weight).lay_out(text, size, |_, _, after| end = after);
        end
    }

    /// The text, or, if that is wider than `most` pixels, as much of it as fits, followed by "…"; empty if not even that
    /// fits.
    #[must_use]
    pub fn fitted<'a>(&self, text: &'a str, weight: Weight, size: u32, most: f32) -> Cow<'a, str> {
        if self.width(text, weight, size) <= most {
            return Cow::Borrowed(text);
        }
        let mut shortened = String::with_capacity(text.len() + 3);
        for (end, _) in text.char_indices().rev() {
            shortened.clear();
            shortened.push_str(text[..end].trim_end());
            shortened.push('…');
            if self.width(&shortened, weight, size) <= most {
                return Cow::Owned(shortened);
            }
        }
        Cow::Borrowed("")
    }

    /// Height of a capital letter in pixels, for centring a line between two edges.
    #[must_use]
    pub fn cap_height(&self, weight: Weight, size: u32) -> f32 {
        self.typeface(weight).capital * size.min(MOST_SIZE) as f32
    }

    /// Draws one line. The pen starts at `x` on the baseline `y` (the pixel row below the letters). Control characters
    /// are left out.
    #[expect(clippy::too_many_arguments, reason = "a text, its style and its place")]
    pub fn draw(
        &mut self,
        canvas: &mut Picture,
        x: f32,
        y: i32,
        text: &str,
        weight: Weight,
        size: u32,
        colour: Colour,
    ) {
        if !x.is_finite() || x.abs() > 1e6 {
            return;
        }
        if self.glyphs.len() > MOST_GLYPHS {
            self.glyphs.clear();
        }
        let Self { regular, bold, glyphs } = self;
        let typeface = match weight {
            Weight::Regular => &*regular,
            Weight::Bold => &*bold,
        };
        let size = size.min(MOST_SIZE);
        typeface.lay_out(text, size, |id, before, _| {
            let pen = ((x + before) * QUARTERS).round() as i32;
            let (column, quarter) = (pen.div_euclid(QUARTERS as i32), pen.rem_euclid(QUARTERS as i32) as u8);
            let key = GlyphKey { weight, id, size, quarter };
            let glyph = glyphs.entry(key).or_insert_with(|| Glyph::rasterise(typeface, key));
            glyph.draw(canvas, column, y, colour);
        });
    }
}

impl Glyph {
    fn rasterise(typeface: &Typeface, key: GlyphKey) -> Self {
        let scale = typeface.scale(key.size);
        let at = point(f32::from(key.quarter) / QUARTERS, 0.0);
        let Some(outlined) = typeface.font.as_scaled(scale).outline_glyph(key.id.with_scale_and_position(scale, at))
        else {
            return Self { left: 0, top: 0, width: 0, coverage: Vec::new() };
        };
        let bounds = outlined.px_bounds();
        let (width, height) = (bounds.width() as usize, bounds.height() as usize);
        let mut coverage = vec![0; width * height];
        outlined.draw(|x, y, covered| {
            if let Some(value) = coverage.get_mut(y as usize * width + x as usize) {
                *value = (covered.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        });
        Self { left: bounds.min.x as i32, top: bounds.min.y as i32, width, coverage }
    }

    fn draw(&self, canvas: &mut Picture, x: i32, y: i32, colour: Colour) {
        if self.width == 0 {
            return;
        }
        let (canvas_width, canvas_height) = (i64::from(canvas.width()), i64::from(canvas.height()));
        let (left, top) = (i64::from(x) + i64::from(self.left), i64::from(y) + i64::from(self.top));
        let from = left.clamp(0, canvas_width);
        let to = (left + self.width as i64).clamp(0, canvas_width);
        if from >= to {
            return;
        }
        // Coverage 255 and opacity 255 make a weight of 256.
        let strength = u32::from(colour.alpha) * 256;
        for (line, coverage) in (top..).zip(self.coverage.chunks_exact(self.width)) {
            if !(0..canvas_height).contains(&line) {
                continue;
            }
            let start = (line * canvas_width + from) as usize * 3;
            let row = &mut canvas.pixels_mut()[start..start + (to - from) as usize * 3];
            let coverage = &coverage[(from - left) as usize..(to - left) as usize];
            for (pixel, &covered) in row.chunks_exact_mut(3).zip(coverage) {
                if covered > 0 {
                    blend(pixel, colour.rgb, u32::from(covered) * strength / (255 * 255));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INK: Colour = Colour::new(255, 255, 255);

    #[test]
    fn scripts_that_the_font_has() {
        for text in ["Ada Lovelace", "Müller\n", "Ελένη", "Дарья", ""] {
            assert!(can_write(text), "{text}");
        }
        for text in ["张伟", "Kim 김"] {
            assert!(!can_write(text), "{text}");
        }
    }

    #[test]
    fn width_grows_with_every_letter_and_with_the_size() {
        let painter = TextPainter::new();
        let name = "Łukasz Ärztin Élodie Жанна Ελένη";
        let mut last = 0.0;
        for (end, letter) in name.char_indices() {
            let width = painter.width(&name[..end + letter.len_utf8()], Weight::Bold, 20);
            assert!(width > last, "{letter}");
            last = width;
        }
        let widths: Vec<f32> = (8..60).map(|size| painter.width(name, Weight::Regular, size)).collect();
        assert!(widths.is_sorted_by(|a, b| a < b));
        assert!(painter.width(name, Weight::Bold, 20) > painter.width(name, Weight::Regular, 20));
    }

    #[test]
    fn pairs_are_kerned() {
        let painter = TextPainter::new();
        let width = |text| painter.width(text, Weight::Regular, 100);
        assert!(width("AV") < width("A") + width("V") - 1.0);
    }

    #[test]
    fn letters_of_european_scripts_have_glyphs() {
        let painter = TextPainter::new();
        for weight in [Weight::Regular, Weight::Bold] {
            for letter in "AÄäéłŁßøğšžñçЖжЯїΩλάő…·%–’\u{202f}\u{a0}".chars() {
                assert_ne!(painter.typeface(weight).letter(letter).0.0, 0, "{letter:?}");
            }
        }
    }

    #[test]
    fn ink_lies_where_the_measure_says() {
        let mut painter = TextPainter::new();
        let mut canvas = Picture::new(200, 60);
        painter.draw(&mut canvas, 20.0, 40, "Hamburg", Weight::Regular, 24, INK);
        let width = painter.width("Hamburg", Weight::Regular, 24);
        let inked = |x: u32, y: u32| canvas.pixel(x, y) != [0; 3];
        let columns: Vec<u32> = (0..200).filter(|&x| (0..60).any(|y| inked(x, y))).collect();
        let (first, last) = (columns[0] as f32, columns[columns.len() - 1] as f32);
        assert!((20.0..24.0).contains(&first), "{first}");
        assert!((20.0 + width - 4.0..20.0 + width).contains(&last), "{last} of {width}");
        let capital: Vec<u32> = (0..60).filter(|&y| inked(first as u32 + 1, y)).collect();
        let height = painter.cap_height(Weight::Regular, 24);
        assert_eq!(capital.last(), Some(&39));
        assert!((capital.len() as f32 - height).abs() <= 1.0, "{} of {height}", capital.len());
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        let painter = TextPainter::new();
        let name = "Maximiliane Äußerst-Łangenbrück";
        let fitted = painter.fitted(name, Weight::Bold, 18, 150.0);
        assert!(fitted.ends_with('…') && fitted.starts_with("Max"), "{fitted}");
        assert!(painter.width(&fitted, Weight::Bold, 18) <= 150.0);
        assert_eq!(painter.fitted(name, Weight::Bold, 18, 1000.0), name);
        assert_eq!(painter.fitted(name, Weight::Bold, 18, 3.0), "");
        assert_eq!(painter.fitted("Ab cd", Weight::Bold, 18, painter.width("Ab…", Weight::Bold, 18)), "Ab…");
    }

    #[test]
    fn the_cache_changes_nothing_and_stays_bounded() {
        let mut painter = TextPainter::new();
        let (mut first, mut again) = (Picture::new(120, 30), Picture::new(120, 30));
        painter.draw(&mut first, 3.3, 20, "Jürgen", Weight::Bold, 17, INK);
        let held = painter.glyphs.len();
        painter.draw(&mut again, 3.3, 20, "Jürgen", Weight::Bold, 17, INK);
        assert_eq!(first, again);
        assert_eq!(painter.glyphs.len(), held);
        for size in 1..300 {
            painter.draw(&mut again, 0.0, 20, "Quick brown fox, 19", Weight::Regular, size, INK);
        }
        assert!(painter.glyphs.len() <= MOST_GLYPHS + 19);
    }

    proptest! {
        #[test]
        fn any_text_anywhere_is_clipped(
            text in "\\PC{0,12}|[\\x00-\\x1f]{3}",
            (width, height) in (0u32..30, 0u32..30),
            x in prop_oneof![4 => -80.0f32..80.0, 1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, 1e30, -1e30])],
            y in prop_oneof![4 => -40i32..60, 1 => prop::sample::select(vec![i32::MIN, i32::MAX])],
            size in prop_oneof![9 => 0u32..40, 1 => Just(u32::MAX)],
        ) {
            let mut canvas = Picture::new(width, height);
            TextPainter::new().draw(&mut canvas, x, y, &text, Weight::Regular, size, INK);
            prop_assert_eq!(canvas.pixels().len(), (width * height * 3) as usize);
        }
    }
}
