//! The panels beside a face: their contents, size and drawing.

use std::sync::Arc;

use super::label::{FaceLabel, Gender, Resemblance, Smile};
use super::layout::Side;
use super::photo::Thumbnails;
use super::text::{TextPainter, Weight};
use super::{Colour, disc, fill_rounded, paste_rounded, polyline, shadow, stroke_rounded, triangle};
use crate::{Picture, Point, Rect};

pub(super) const WHITE: Colour = Colour::new(255, 255, 255);
pub(super) const ALARM: Colour = Colour::new(240, 52, 52);
const MUTED: Colour = Colour::new(190, 199, 210);
const YELLOW: Colour = Colour::new(255, 205, 60);
const INK: Colour = Colour::new(40, 30, 10);
const NIGHT: Colour = Colour::new(14, 18, 26).with_alpha(200);
/// A known person: a calm deep blue, nearly opaque.
const KNOWN: Colour = Colour::new(18, 84, 150).with_alpha(235);
const KNOWN_MUTED: Colour = Colour::new(205, 226, 248);
const ALARM_NIGHT: Colour = Colour::new(130, 14, 20).with_alpha(235);
const ALARM_MUTED: Colour = Colour::new(255, 214, 210);
const SHADE: Colour = Colour::new(0, 0, 0).with_alpha(90);

/// A panel with its layout, not placed yet.
#[derive(Debug)]
pub(super) struct Panel {
    /// In whole pixels.
    pub(super) width: f32,
    /// In whole pixels.
    pub(super) height: f32,
    items: Vec<Item>,
    background: Colour,
    border: Option<Colour>,
    size: f32,
}

/// An element of a panel; positions are relative to the panel's top left corner.
#[derive(Debug)]
enum Item {
    Text { x: f32, baseline: f32, run: Run },
    Smile { centre: Point, radius: f32, smile: Smile },
    Tick { centre: Point, size: f32, colour: Colour },
    Photo { at: Point, side: u32, photo: Arc<Picture> },
}

/// A piece of text in one style.
#[derive(Debug, Clone)]
struct Run {
    text: String,
    weight: Weight,
    size: u32,
    colour: Colour,
}

impl Run {
    fn new(text: impl Into<String>, weight: Weight, size: f32, colour: Colour) -> Self {
        Self { text: text.into(), weight, size: size.round() as u32, colour }
    }
}

/// Sizes of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelForm {
    /// Age above gender and expression, the smile beside them.
    Full,
    /// All in one line.
    Line,
}

/// Sizes of a gallery card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CardForm {
    /// A photo about two thirds as wide as the face, text below.
    Full,
    /// The same with a smaller photo.
    Small,
    /// Text only.
    Text,
    /// The name in one line.
    Name,
}

/// A share in whole percent; `None` if it is not a number.
fn percent(share: f32) -> Option<String> {
    share.is_finite().then(|| format!("{:.0}\u{202f}%", share.clamp(0.0, 1.0) * 100.0))
}

/// A probability in whole percent, at most 99: no comparison of faces is certain.
fn certainty(chance: f32) -> Option<String> {
    percent(if chance > 0.99 { 0.99 } else { chance })
}

/// A similarity from 0 to 1 as filled dots of five.
fn dots(likeness: f32) -> Option<String> {
    let filled = likeness.is_finite().then(|| (likeness.clamp(0.0, 1.0) * 5.0).round() as usize)?;
    Some("\u{25cf}".repeat(filled) + &"\u{25cb}".repeat(5 - filled))
}

fn age_in_years(age: Option<f32>) -> Option<u32> {
    age.filter(|age| age.is_finite()).map(|age| age.clamp(0.0, 150.0).round() as u32)
}

impl Panel {
    /// The label with age, gender and smile at text size `size`; `None` if none of them is known.
    pub(super) fn label(
        painter: &TextPainter,
        face: &FaceLabel,
        form: LabelForm,
        size: f32,
        shares: bool,
    ) -> Option<Self> {
        let (background, muted, border) =
            if face.alarm { (ALARM_NIGHT, ALARM_MUTED, Some(ALARM)) } else { (NIGHT, MUTED, None) };
        let age = age_in_years(face.age);
        let gender = face.gender.map(|(gender, share)| {
            let word = match gender {
                Gender::Female => "female",
                Gender::Male => "male",
            };
            (word, percent(share).filter(|_| shares))
        });
        let smile = face.smile.filter(|smile| smile.share.is_finite());
        let lines = match form {
            LabelForm::Full => {
                let years = age.map(|age| if age == 1 { "1 year".to_owned() } else { format!("{age} years") });
                let age = years.map(|years| vec![Run::new(years, Weight::Bold, size, WHITE)]);
                let gender = gender.map(|(word, share)| {
                    let word = Run::new(word, Weight::Regular, size * 0.88, WHITE);
                    let share = share.map(|share| Run::new(share, Weight::Regular, size * 0.88, muted));
                    std::iter::once(word).chain(share).collect()
                });
                let expression = face.expression.as_deref();
                let expression = expression.map(|word| vec![Run::new(word, Weight::Regular, size * 0.88, muted)]);
                [age, gender, expression].into_iter().flatten().collect()
            }
            LabelForm::Line => {
                let age = age.map(|age| Run::new(age.to_string(), Weight::Bold, size * 0.92, WHITE));
                let gender = gender.map(|(word, _)| Run::new(word, Weight::Regular, size * 0.92, WHITE));
                let line: Vec<Run> = age.into_iter().chain(gender).collect();
                if line.is_empty() { Vec::new() } else { vec![line] }
            }
        };
        if lines.is_empty() && smile.is_none() {
            return None;
        }
        let icon = match (lines.len(), form) {
            (2.., _) => size * 1.9,
            (_, LabelForm::Full) => size * 1.5,
            (_, LabelForm::Line) => size * 1.2,
        };
        let block = Block::new(painter, lines, size * 0.28);
        let (pad_x, pad_y) = (size * 0.6, size * 0.42);
        let (mut x, mut height) = (pad_x, block.height);
        let mut items = Vec::new();
        if smile.is_some() {
            // An icon is round, so it may be nearer to the edge than letters.
            x = pad_y.max(pad_x * 0.8);
            height = height.max(icon);
        }
        height = (height + pad_y * 2.0).round();
        if let Some(smile) = smile {
            items.push(Item::Smile { centre: Point::new(x + icon / 2.0, height / 2.0), radius: icon / 2.0, smile });
            x += icon + if block.width > 0.0 { size * 0.45 } else { 0.0 };
        }
        let width = if block.width > 0.0 { (x + block.width + pad_x).ceil() } else { x + pad_y.max(pad_x * 0.8) };
        let top = (height - block.height) / 2.0;
        block.put(&mut items, x, top, None);
        Some(Self { width: width.ceil(), height, items, background, border, size })
    }

    /// The gallery card: photo, name and similarity. `photo_side` is the side of the full-size photo in pixels.
    pub(super) fn card(
        painter: &TextPainter,
        resemblance: &Resemblance,
        alarm: bool,
        form: CardForm,
        size: f32,
        photo_side: f32,
        shares: bool,
    ) -> Self {
        let known = resemblance.same_person;
        let (background, muted) = match (alarm, known) {
            (true, _) => (ALARM_NIGHT, ALARM_MUTED),
            (false, true) => (KNOWN, KNOWN_MUTED),
            (false, false) => (NIGHT, MUTED),
        };
        let shrink = if form == CardForm::Full { 1.0 } else { 0.85 };
        let (name_size, note_size) = ((size * 0.95 * shrink).max(9.0), (size * 0.76 * shrink).max(9.0));
        let photo = resemblance.photo.as_ref().filter(|_| matches!(form, CardForm::Full | CardForm::Small));
        let side = (photo_side * if form == CardForm::Full { 1.0 } else { 0.68 }).round().max(8.0);

        let note = if known { "identified" } else { "looks like" };
        let more = if known { resemblance.identified.and_then(certainty) } else { dots(resemblance.likeness) };
        let more = more.filter(|_| shares).map(|more| Run::new(more, Weight::Regular, note_size, muted));
        let note: Vec<Run> = [Run::new(note, Weight::Regular, note_size, muted)].into_iter().chain(more).collect();
        let wide = if photo.is_some() { side } else { 0.0 };
        let (usual, widest) = ((size * 7.5 * shrink).max(wide), (size * 10.5 * shrink).max(wide));
        let (name, text_size) = (resemblance.name.trim(), name_size.round() as u32);
        let names = if form == CardForm::Name {
            vec![painter.fitted(name, Weight::Bold, text_size, usual).into_owned()]
        } else {
            wrapped(painter, name, text_size, usual, widest)
        };
        let names = names.into_iter().map(|line| vec![Run::new(line, Weight::Bold, name_size, WHITE)]);
        let lines = match (form, known) {
            (CardForm::Name, _) => names.collect(),
            (_, true) => names.chain([note]).collect(),
            (_, false) => [note].into_iter().chain(names).collect(),
        };
        let mut block = Block::new(painter, lines, size * 0.24);
        let tick = if known { name_size * 1.15 } else { 0.0 };
        if known {
            // The tick is to the right of the first line, that of the name.
            block.width = block.width.max(block.widths.first().map_or(0.0, |first| first + tick));
        }

        let pad = (size * 0.4).round();
        let inner = block.width.max(if photo.is_some() { side } else { 0.0 });
        let mut items = Vec::new();
        let (width, mut y) = (if photo.is_some() { inner + pad * 2.0 } else { inner + pad * 3.0 }.ceil(), pad);
        if let Some(photo) = photo {
            let at = Point::new(((width - side) / 2.0).round(), pad);
            items.push(Item::Photo { at, side: side as u32, photo: Arc::clone(photo) });
            y = pad + side + size * 0.36;
        }
        let top = y;
        if known {
            let first = block.widths.first().copied().unwrap_or(0.0);
            let centre = Point::new((width + first) / 2.0 + name_size * 0.25, top + block.line_middle(0));
            items.push(Item::Tick { centre, size: name_size * 0.72, colour: WHITE });
        }
        let shift = if known { tick } else { 0.0 };
        let (block_height, bottom) = (block.height, if photo.is_some() { size * 0.5 } else { pad });
        block.put(&mut items, 0.0, top, Some((width, shift)));
        let height = (top + block_height + bottom).ceil();
        let border = alarm.then_some(ALARM);
        Self { width, height, items, background, border, size }
    }

    /// Draws the panel with its top left corner at that of `place`, and a small pointer towards `face` on the side of the
    /// face.
    pub(super) fn draw(
        &self,
        canvas: &mut Picture,
        painter: &mut TextPainter,
        thumbnails: &mut Thumbnails,
        place: Rect,
        towards: Option<(Rect, Side)>,
    ) {
        let radius = (self.size * 0.5).min(self.height / 2.0);
        shadow(canvas, place, radius, self.size * 0.45, SHADE);
        if let Some((face, side)) = towards {
            let tip = tip(place, face, side, radius, self.size * 0.34);
            if let Some(corners) = tip {
                triangle(canvas, corners, self.border.unwrap_or(self.background));
            }
        }
        fill_rounded(canvas, place, radius, self.background);
        if let Some(border) = self.border {
            let line = (self.size * 0.1).max(1.5);
            let inset = Rect::new(place.x + line / 2.0, place.y + line / 2.0, place.width - line, place.height - line);
            stroke_rounded(canvas, inset, radius - line / 2.0, line, border);
        }
        for item in &self.items {
            match item {
                Item::Text { x, baseline, run } => painter.draw(
                    canvas,
                    place.x + x,
                    (place.y + baseline).round() as i32,
                    &run.text,
                    run.weight,
                    run.size,
                    run.colour,
                ),
                Item::Smile { centre, radius, smile } => {
                    draw_smile(canvas, Point::new(place.x + centre.x, place.y + centre.y), *radius, *smile);
                }
                Item::Tick { centre, size, colour } => {
                    let at = |x: f32, y: f32| Point::new(place.x + centre.x + x * size, place.y + centre.y + y * size);
                    polyline(canvas, &[at(-0.5, 0.05), at(-0.15, 0.4), at(0.5, -0.4)], size * 0.2, *colour);
                }
                Item::Photo { at, side, photo } => {
                    let Some(scaled) = thumbnails.get(photo, *side) else { continue };
                    let (x, y) = (place.x + at.x, place.y + at.y);
                    let round = radius * 0.62;
                    paste_rounded(canvas, &scaled, x as i32, y as i32, round);
                    let frame = Rect::new(x, y, *side as f32, *side as f32);
                    let line = (self.size * 0.06).max(1.0);
                    stroke_rounded(canvas, frame, round, line, WHITE.with_alpha(150));
                }
            }
        }
    }
}

/// The corners of a pointer at the panel's edge towards the face; `None` if panel and face overlap or are not side by side.
fn tip(place: Rect, face: Rect, side: Side, radius: f32, length: f32) -> Option<[Point; 3]> {
    let between = |low: f32, high: f32, face_low: f32, face_high: f32| {
        let (low, high) = (low.max(face_low), high.min(face_high));
        (low <= high).then_some((low + high) / 2.0)
    };
    let spare = radius + length;
    if matches!(side, Side::Below | Side::Above) {
        let x = between(place.x + spare, place.right() - spare, face.x, face.right())?;
        let (edge, out) = match side {
            Side::Below if place.y >= face.bottom() => (place.y, -length),
            Side::Above if place.bottom() <= face.y => (place.bottom(), length),
            _ => return None,
        };
        Some([Point::new(x - length, edge), Point::new(x + length, edge), Point::new(x, edge + out)])
    } else {
        let y = between(place.y + spare, place.bottom() - spare, face.y, face.bottom())?;
        let (edge, out) = match side {
            Side::Right if place.x >= face.right() => (place.x, -length),
            Side::Left if place.right() <= face.x => (place.right(), length),
            _ => return None,
        };
        Some([Point::new(edge, y - length), Point::new(edge, y + length), Point::new(edge + out, y)])
    }
}

/// A face icon whose mouth curves with the probability: grey and straight without a smile, warm yellow with one.
fn draw_smile(canvas: &mut Picture, centre: Point, radius: f32, smile: Smile) {
    let share = smile.share.clamp(0.0, 1.0);
    let at = |x: f32, y: f32| Point::new(centre.x + x * radius, centre.y + y * radius);
    let line = (radius * 0.17).max(1.1);
    let ink = if smile.smiling {
        disc(canvas, centre, radius, YELLOW);
        INK
    } else {
        let ring = Rect::around(centre, radius * 2.0 - line, radius * 2.0 - line);
        stroke_rounded(canvas, ring, radius, line * 0.8, MUTED);
        MUTED
    };
    let eye = (radius * 0.13).max(0.8);
    for x in [-0.33, 0.33] {
        disc(canvas, at(x, -0.24), eye, ink);
    }
    // A parabola: its ends rise and its middle sinks as the smile grows.
    let (half, depth) = (0.42 + 0.1 * share, 0.06 + 0.36 * share * if smile.smiling { 1.0 } else { 0.6 });
    let mouth: [Point; 9] = std::array::from_fn(|index| {
        let t = index as f32 / 4.0 - 1.0;
        at(half * t, 0.34 + depth * (0.5 - t * t))
    });
    polyline(canvas, &mouth, line, ink);
}

/// Lines of text below one another.
struct Block {
    /// The runs of each line with their widths.
    lines: Vec<Vec<(Run, f32)>>,
    widths: Vec<f32>,
    /// Top of the capitals of each line, and their height.
    tops: Vec<(f32, f32)>,
    width: f32,
    height: f32,
}

/// Space between two runs of a line, in em.
const WORD_GAP: f32 = 0.34;

impl Block {
    /// Measures lines with `leading` pixels more than the size from one to the next.
    fn new(painter: &TextPainter, lines: Vec<Vec<Run>>, leading: f32) -> Self {
        let (mut widths, mut tops, mut y) = (Vec::new(), Vec::new(), 0.0);
        let measured = |run: Run| {
            let width = painter.width(&run.text, run.weight, run.size);
            (run, width)
        };
        let lines: Vec<Vec<_>> = lines.into_iter().map(|line| line.into_iter().map(measured).collect()).collect();
        for line in &lines {
            let runs: f32 = line.iter().map(|(_, width)| width).sum();
            let gaps: f32 = line.iter().skip(1).map(|(run, _)| run.size as f32 * WORD_GAP).sum();
            widths.push(runs + gaps);
            let capital = line.iter().map(|(run, _)| painter.cap_height(run.weight, run.size)).fold(0.0, f32::max);
            let size = line.iter().map(|(run, _)| run.size as f32).fold(0.0, f32::max);
            tops.push((y, capital));
            y += size + leading;
        }
        // From the top of the first line's capitals to slightly below the last baseline.
        let height = tops.last().map_or(0.0, |(top, capital)| top + capital);
        Self { lines, width: widths.iter().copied().fold(0.0, f32::max), widths, tops, height }
    }

    /// Middle of a line's capitals, below the top of the block.
    fn line_middle(&self, line: usize) -> f32 {
        self.tops.get(line).map_or(0.0, |(top, capital)| top + capital / 2.0)
    }

    /// Adds the lines to `items`, flush left from `x`, or centred in a width; in that case the first line is `shift`
    /// pixels wider than its text.
    fn put(self, items: &mut Vec<Item>, x: f32, top: f32, centred: Option<(f32, f32)>) {
        for (index, line) in self.lines.into_iter().enumerate() {
            let mut pen = match centred {
                Some((width, shift)) => (width - self.widths[index] - if index == 0 { shift } else { 0.0 }) / 2.0,
                None => x,
            };
            let baseline = top + self.tops[index].0 + self.tops[index].1;
            for (place, (run, width)) in line.into_iter().enumerate() {
                if place > 0 {
                    pen += run.size as f32 * WORD_GAP;
                }
                items.push(Item::Text { x: pen, baseline, run });
                pen += width;
            }
        }
    }
}

/// A name in one line of the usual width, or in two of at most `most` pixels, broken at a space or after a hyphen and
/// shortened if it does not fit.
fn wrapped(painter: &TextPainter, name: &str, size: u32, usual: f32, most: f32) -> Vec<String> {
    let width = |text: &str| painter.width(text, Weight::Bold, size);
    let fitted = |text: &str| painter.fitted(text, Weight::Bold, size, most).into_owned();
    if name.is_empty() {
        return Vec::new();
    }
    if width(name) <= usual {
        return vec![name.to_owned()];
    }
    let breaks = name.char_indices().filter(|(_, letter)| letter.is_whitespace() || *letter == '-');
    let halves: Vec<(&str, &str)> = breaks
        .map(|(at, letter)| name.split_at(at + letter.len_utf8()))
        .map(|(first, second)| (first.trim_end(), second.trim_start()))
        .filter(|(_, second)| !second.is_empty())
        .collect();
    // Two lines of similar length if both fit, else as much as fits in the first.
    let longer = |(first, second): &(&str, &str)| width(first).max(width(second));
    let even = halves.iter().min_by(|a, b| longer(a).total_cmp(&longer(b))).filter(|half| longer(half) <= most);
    let full = || halves.iter().rev().find(|(first, _)| width(first) <= most);
    match even.or_else(full) {
        Some((first, second)) => vec![(*first).to_owned(), fitted(second)],
        None => vec![fitted(name)],
    }
}
