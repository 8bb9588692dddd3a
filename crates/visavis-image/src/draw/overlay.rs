//! The overlay of the live picture: a bracket around each face, and panels with its data beside it.

use std::collections::HashMap;

use super::label::FaceLabel;
use super::layout::{CARD_SPOTS, LABEL_SPOTS, Layout, Placement, Spot};
use super::panel::{ALARM, CardForm, LabelForm, Panel, WHITE};
use super::photo::Thumbnails;
use super::text::{TextPainter, Weight};
use super::{Colour, brackets, disc, fill_rounded};
use crate::{Picture, Rect};

/// A corner of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Corner {
    /// Top left.
    #[default]
    TopLeft,
    /// Top right.
    TopRight,
    /// Bottom left.
    BottomLeft,
    /// Bottom right.
    BottomRight,
}

/// Appearance of the overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct OverlayParams {
    /// Factor on the size of all text, photos and lines; 0.5 to 3. Sizes already follow the face and the picture's height;
    /// a screen that is far from its viewers needs more.
    pub scale: f32,
    /// Whether keypoints are drawn, as dots.
    pub landmarks: bool,
    /// Whether the probability of gender and of an identification, and the dots of a similarity, are shown.
    pub shares: bool,
    /// Whether gallery photos are shown; otherwise the card contains text only.
    pub photos: bool,
    /// Where [`Overlay::status`] writes.
    pub status: Corner,
}

impl Default for OverlayParams {
    /// Usual size, no keypoints, probabilities and photos shown, status top left.
    fn default() -> Self {
        Self { scale: 1.0, landmarks: false, shares: true, photos: true, status: Corner::TopLeft }
    }
}

/// Picture height at which text has the sizes named below.
const REFERENCE_HEIGHT: f32 = 720.0;
/// Text size per face width.
const TEXT_PER_FACE: f32 = 0.105;
/// Smallest and largest text size in pixels at the reference height, so that text is readable but does not fill the picture.
const TEXT_SIZES: (f32, f32) = (13.0, 40.0);
/// Photo side per face width, and its limits in pixels at the reference height.
const PHOTO_PER_FACE: f32 = 0.66;
const PHOTO_SIDES: (f32, f32) = (56.0, 240.0);
/// Sizes follow the width of a face only after it has changed by this factor; otherwise text would change size in every frame.
const SIZE_STEP: f32 = 1.1;
/// Pixels at the reference height between a panel and the picture's edge.
const EDGE_INSET: f32 = 6.0;
/// A card that would cover more of other panels than this is left out. One that is shown already may cover a bit more.
const MOST_CROWDING: (f32, f32) = (0.3, 0.5);

/// Draws the overlay. Each stream needs its own, since it stores glyphs, photos and the places of panels between frames.
///
/// The same frames in the same order give the same pixels.
#[derive(Debug)]
pub struct Overlay {
    params: OverlayParams,
    painter: TextPainter,
    thumbnails: Thumbnails,
    held: HashMap<u64, Held>,
    /// Area of the status; panels avoid it.
    status: Option<Rect>,
}

/// Stored for a track between frames.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Face width for which the sizes were chosen.
    width: f32,
    label: Option<(LabelForm, Spot)>,
    card: Option<(CardForm, Spot)>,
}

/// A panel and its place.
struct Placed {
    panel: Panel,
    at: Placement,
    face: Rect,
}

/// Sizes for one face in pixels.
struct Sizes {
    text: f32,
    photo: f32,
    /// Whether the face is so narrow that two lines of text would be larger than it.
    tiny: bool,
}

impl Overlay {
    /// An overlay without stored state. A scale that is out of range or not a number is clamped.
    #[must_use]
    pub fn new(params: OverlayParams) -> Self {
        let scale = if params.scale.is_finite() { params.scale.clamp(0.5, 3.0) } else { 1.0 };
        Self {
            params: OverlayParams { scale, ..params },
            painter: TextPainter::new(),
            thumbnails: Thumbnails::default(),
            held: HashMap::new(),
            status: None,
        }
    }

    /// Draws brackets, labels and gallery cards of all faces.
    ///
    /// Panels are placed beside their face, inside the picture, and avoid one another and other faces as far as there is
    /// space. They stay where they were in the last frame while that place is free. If there is little space, labels
    /// shrink to one line; cards become smaller, then text only, and are left out except for alarms and recognised people.
    pub fn draw(&mut self, canvas: &mut Picture, faces: &[FaceLabel]) {
        let frame = Rect::new(0.0, 0.0, canvas.width() as f32, canvas.height() as f32);
        let visible =
            |face: &FaceLabel| Some(face.bounds).filter(Rect::is_proper).and_then(|bounds| bounds.intersection(&frame));
        // By track, oldest first: whatever the order of the faces, the places of older ones are chosen first.
        let mut shown: Vec<(&FaceLabel, Rect)> =
            faces.iter().filter_map(|face| visible(face).map(|area| (face, area))).collect();
        shown.sort_by_key(|(face, _)| face.track);
        self.held.retain(|track, _| shown.binary_search_by_key(track, |(face, _)| face.track).is_ok());

        let unit = self.unit(canvas);
        for (face, _) in &shown {
            self.draw_face(canvas, face, unit);
        }
        for Placed { panel, at, face } in self.arrange(canvas, &shown, unit) {
            panel.draw(canvas, &mut self.painter, &mut self.thumbnails, at.rect, Some((face, at.spot.side)));
        }
        self.thumbnails.end_frame();
    }

    /// Chooses the panels of all faces and their places. `shown` has each face with its visible part.
    fn arrange(&mut self, canvas: &Picture, shown: &[(&FaceLabel, Rect)], unit: f32) -> Vec<Placed> {
        let areas = shown.iter().map(|(_, area)| *area).collect();
        let mut layout = Layout::new(canvas.width(), canvas.height(), (EDGE_INSET * unit).round(), areas);
        if let Some(status) = self.status.take() {
            layout.take(status);
        }
        let sizes: Vec<Sizes> = shown.iter().map(|(face, _)| self.sizes(face, unit)).collect();
        let mut placed = Vec::new();
        for (index, ((face, _), sizes)) in shown.iter().zip(&sizes).enumerate() {
            placed.extend(self.place_label(&mut layout, index, face, sizes));
        }
        // Recognised people and alarms first, since their cards must not be left out.
        let urgent = |face: &FaceLabel| face.alarm || face.resembles.as_ref().is_some_and(|found| found.same_person);
        for first in [true, false] {
            for (index, ((face, _), sizes)) in shown.iter().zip(&sizes).enumerate() {
                if urgent(face) == first {
                    placed.extend(self.place_card(&mut layout, index, face, sizes, first));
                }
            }
        }
        placed
    }

    /// Writes a few short lines in the corner that the parameters name. Lines that are too long are shortened; those
    /// beyond the picture's height are left out. Call it after [`Overlay::draw`], so that it is on top; the panels of the
    /// next `draw` avoid it.
    pub fn status(&mut self, canvas: &mut Picture, lines: &[&str]) {
        let size = (12.5 * self.unit(canvas)).round();
        let (pitch, pad, off) = ((size * 1.45).round(), (size * 0.6).round(), (size * 0.7).round());
        let (width, height) = (canvas.width() as f32, canvas.height() as f32);
        let room = ((height - (off + pad) * 2.0) / pitch).floor().max(0.0) as usize;
        let most = width - (off + pad) * 2.0;
        let fitted = |line: &&str| self.painter.fitted(line, Weight::Regular, size as u32, most).into_owned();
        let lines: Vec<String> = lines.iter().take(room).map(fitted).collect();
        if lines.is_empty() || most < size * 2.0 {
            return;
        }
        let longest =
            lines.iter().map(|line| self.painter.width(line, Weight::Regular, size as u32)).fold(0.0, f32::max);
        let (panel_width, panel_height) = ((longest + pad * 2.0).ceil(), lines.len() as f32 * pitch + pad);
        let (right, bottom) = (width - off - panel_width, height - off - panel_height);
        let (x, y) = match self.params.status {
            Corner::TopLeft => (off, off),
            Corner::TopRight => (right, off),
            Corner::BottomLeft => (off, bottom),
            Corner::BottomRight => (right, bottom),
        };
        let area = Rect::new(x, y, panel_width, panel_height);
        fill_rounded(canvas, area, size * 0.5, Colour::new(10, 13, 18).with_alpha(140));
        let cap = self.painter.cap_height(Weight::Regular, size as u32);
        for (index, line) in lines.iter().enumerate() {
            let baseline = y + pad / 2.0 + index as f32 * pitch + (pitch + cap) / 2.0;
            let colour = WHITE.with_alpha(225);
            let baseline = baseline.round() as i32;
            self.painter.draw(canvas, x + pad, baseline, line, Weight::Regular, size as u32, colour);
        }
        self.status = Some(area);
    }

    /// Pixels per pixel of the reference height. At least 0.75: smaller text is not readable in any picture.
    fn unit(&self, canvas: &Picture) -> f32 {
        (canvas.height() as f32 / REFERENCE_HEIGHT).clamp(0.75, 8.0) * self.params.scale
    }

    /// Sizes for a face; those of the last frame while its width is about the same.
    fn sizes(&mut self, face: &FaceLabel, unit: f32) -> Sizes {
        let width = face.bounds.width;
        let held = self.held.entry(face.track).or_insert(Held { width, label: None, card: None });
        if width > held.width * SIZE_STEP || width * SIZE_STEP < held.width {
            held.width = width;
        }
        let scaled = |share: f32, (least, most): (f32, f32)| {
            (held.width * share * self.params.scale).clamp(least * unit, most * unit).round()
        };
        Sizes {
            text: scaled(TEXT_PER_FACE, TEXT_SIZES),
            photo: scaled(PHOTO_PER_FACE, PHOTO_SIDES),
            tiny: held.width < TEXT_SIZES.0 * unit * 4.0,
        }
    }

    /// The brackets around a face, and its keypoints.
    fn draw_face(&self, canvas: &mut Picture, face: &FaceLabel, unit: f32) {
        let (bounds, side) = (face.bounds, face.bounds.width.min(face.bounds.height));
        let thickness = (side * 0.019).clamp(1.6 * unit, 8.0 * unit) * if face.alarm { 1.35 } else { 1.0 };
        let colour = if face.alarm { ALARM } else { WHITE };
        brackets(canvas, bounds, side * 0.22, thickness, (thickness * 1.2).max(2.0), colour);
        if let Some(landmarks) = face.landmarks.filter(|_| self.params.landmarks) {
            let radius = (side * 0.012).clamp(1.3 * unit, 4.5 * unit);
            for point in landmarks.to_array() {
                disc(canvas, point, radius + 1.0, Colour::new(0, 0, 0).with_alpha(120));
                disc(canvas, point, radius, colour);
            }
        }
    }

    fn place_label(&mut self, layout: &mut Layout, own: usize, face: &FaceLabel, sizes: &Sizes) -> Option<Placed> {
        let held = self.held.get_mut(&face.track)?;
        let forms: &[LabelForm] = if sizes.tiny { &[LabelForm::Line] } else { &[LabelForm::Full, LabelForm::Line] };
        let chosen = choose(forms, held.label, |form, held, margin| {
            let panel = Panel::label(&self.painter, face, form, sizes.text, self.params.shares)?;
            let gap = (sizes.text * 0.5).round();
            let at = layout.place(own, (panel.width, panel.height), gap, gap * margin, &LABEL_SPOTS, held)?;
            Some((panel, at))
        });
        held.label = chosen.as_ref().map(|(form, _, at)| (*form, at.spot));
        let (_, panel, at) = chosen?;
        layout.take(at.rect);
        Some(Placed { panel, at, face: layout.face(own) })
    }

    fn place_card(
        &mut self,
        layout: &mut Layout,
        own: usize,
        face: &FaceLabel,
        sizes: &Sizes,
        urgent: bool,
    ) -> Option<Placed> {
        let held = self.held.get_mut(&face.track)?;
        let Some(resemblance) = &face.resembles else {
            held.card = None;
            return None;
        };
        let with_photo =
            self.params.photos && resemblance.photo.as_ref().is_some_and(|photo| !photo.pixels().is_empty());
        // The bare name alone would suggest an identification where there is only a similarity.
        let forms = [CardForm::Full, CardForm::Small, CardForm::Text, CardForm::Name];
        let forms = &forms[if with_photo { 0 } else { 2 }..if resemblance.same_person { 4 } else { 3 }];
        let chosen = choose(forms, held.card, |form, held, margin| {
            let panel =
                Panel::card(&self.painter, resemblance, face.alarm, form, sizes.text, sizes.photo, self.params.shares);
            let gap = (sizes.text * 0.5).round();
            let at = layout.place(own, (panel.width, panel.height), gap, gap * margin, &CARD_SPOTS, held)?;
            Some((panel, at))
        });
        let most = if held.card.is_some() { MOST_CROWDING.1 } else { MOST_CROWDING.0 };
        let chosen = chosen.filter(|(_, _, at)| urgent || at.crowding <= most);
        held.card = chosen.as_ref().map(|(form, _, at)| (*form, at.spot));
        let (_, panel, at) = chosen?;
        layout.take(at.rect);
        Some(Placed { panel, at, face: layout.face(own) })
    }
}

/// The first of `forms`, largest first, for which `place` finds a free place, else the one that covers least. `place` takes
/// the form, the spot of the last frame if it had this form, and the margin that should be free.
///
/// Changing to a larger form needs more free space than keeping one; otherwise panels would flicker.
fn choose<F: Copy + PartialEq>(
    forms: &[F],
    held: Option<(F, Spot)>,
    mut place: impl FnMut(F, Option<Spot>, f32) -> Option<(Panel, Placement)>,
) -> Option<(F, Panel, Placement)> {
    let mut best: Option<(F, Panel, Placement)> = None;
    for &form in forms {
        let (margin, free) = match held {
            Some((last, _)) if last == form => (0.1, 0.06),
            Some(_) => (0.8, 1e-3),
            None => (0.3, 0.03),
        };
        let spot = held.filter(|(last, _)| *last == form).map(|(_, spot)| spot);
        let Some((panel, at)) = place(form, spot, margin) else { continue };
        if at.crowding <= free {
            return Some((form, panel, at));
        }
        if best.as_ref().is_none_or(|(_, _, found)| at.crowding < found.crowding) {
            best = Some((form, panel, at));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::super::{Gender, Resemblance, Smile};
    use super::*;
    use crate::Point;

    fn face(track: u64, bounds: [f32; 4]) -> FaceLabel {
        let bounds = Rect::from(bounds);
        let at = |x: f32, y: f32| Point::new(bounds.x + bounds.width * x, bounds.y + bounds.height * y);
        FaceLabel {
            bounds,
            track,
            landmarks: Some([at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)].into()),
            age: Some(34.2),
            gender: Some((Gender::Female, 0.92)),
            smile: Some(Smile { share: 0.8, smiling: true }),
            expression: None,
            resembles: Some(Resemblance {
                name: "Marie Skłodowska-Curie".into(),
                likeness: 0.71,
                identified: Some(0.2),
                same_person: false,
                photo: Some(Arc::new(Picture::filled(64, 80, [90, 120, 200]))),
            }),
            alarm: false,
        }
    }

    /// The places of all panels, labels first, as `draw` would choose them.
    fn places(overlay: &mut Overlay, canvas: &Picture, faces: &[FaceLabel]) -> Vec<Rect> {
        let shown: Vec<_> = faces.iter().map(|face| (face, face.bounds)).collect();
        let unit = overlay.unit(canvas);
        overlay.arrange(canvas, &shown, unit).iter().map(|placed| placed.at.rect).collect()
    }

    fn drawn(faces: &[FaceLabel]) -> Picture {
        let mut canvas = Picture::filled(640, 360, [100, 110, 120]);
        Overlay::new(OverlayParams { landmarks: true, ..OverlayParams::default() }).draw(&mut canvas, faces);
        canvas
    }

    #[test]
    fn panels_of_neighbours_do_not_touch_one_another_or_a_face() {
        let canvas = Picture::new(1280, 720);
        for gap in [10.0, 40.0, 200.0] {
            let faces = [face(1, [400.0, 260.0, 140.0, 160.0]), face(2, [540.0 + gap, 250.0, 140.0, 160.0])];
            let panels = places(&mut Overlay::new(OverlayParams::default()), &canvas, &faces);
            assert_eq!(panels.len(), 4, "two labels, two cards at {gap}");
            for (index, panel) in panels.iter().enumerate() {
                for other in panels[..index].iter().chain(faces.iter().map(|face| &face.bounds)) {
                    assert_eq!(panel.intersection(other), None, "at {gap}");
                }
            }
        }
    }

    #[test]
    fn panels_hold_their_side_until_the_face_is_gone() {
        let canvas = Picture::new(1280, 720);
        let (one, below) = (face(1, [500.0, 260.0, 140.0, 160.0]), face(2, [420.0, 430.0, 300.0, 280.0]));
        let mut overlay = Overlay::new(OverlayParams::default());
        let forced = places(&mut overlay, &canvas, &[one.clone(), below]);
        assert!(forced[0].bottom() <= 260.0, "above, since there is a face below: {forced:?}");
        let alone = std::slice::from_ref(&one);
        assert_eq!(places(&mut overlay, &canvas, alone)[0], forced[0]);
        assert!(places(&mut Overlay::new(OverlayParams::default()), &canvas, alone)[0].y >= 420.0);
        let mut picture = canvas.clone();
        overlay.draw(&mut picture, &[]);
        assert!(overlay.held.is_empty());
        assert!(places(&mut overlay, &canvas, alone)[0].y >= 420.0);
    }

    #[test]
    fn sizes_do_not_follow_a_trembling_box() {
        let canvas = Picture::new(1280, 720);
        let mut overlay = Overlay::new(OverlayParams::default());
        let size = |overlay: &mut Overlay, width: f32| {
            let panels = places(overlay, &canvas, &[face(1, [400.0, 200.0, width, 240.0])]);
            (panels[0].width, panels[0].height)
        };
        let first = size(&mut overlay, 200.0);
        assert_eq!(size(&mut overlay, 208.0), first);
        assert_eq!(size(&mut overlay, 193.0), first);
        assert!(size(&mut overlay, 260.0) > first);
    }

    #[test]
    fn a_crowd_keeps_the_cards_of_known_people_only() {
        let canvas = Picture::new(640, 360);
        let mut faces: Vec<_> = (0..60)
            .map(|index| face(index, [(index % 10) as f32 * 62.0 + 4.0, (index / 10) as f32 * 60.0, 56.0, 58.0]))
            .collect();
        let cards = |faces: &[FaceLabel]| {
            let mut overlay = Overlay::new(OverlayParams::default());
            places(&mut overlay, &canvas, faces);
            faces
                .iter()
                .filter(|face| overlay.held[&face.track].card.is_some())
                .map(|face| face.track)
                .collect::<Vec<_>>()
        };
        assert_eq!(cards(&faces), Vec::<u64>::new());
        for known in [17, 42] {
            faces[known].resembles.as_mut().unwrap().same_person = true;
        }
        assert_eq!(cards(&faces), [17, 42]);
    }

    #[test]
    fn same_input_gives_same_bytes_in_any_order_of_faces() {
        let faces = [face(4, [60.0, 60.0, 90.0, 110.0]), face(9, [240.0, 70.0, 90.0, 110.0])];
        let swapped = [faces[1].clone(), faces[0].clone()];
        assert_eq!(drawn(&faces), drawn(&faces));
        assert_eq!(drawn(&faces), drawn(&swapped));
        let mut overlay = Overlay::new(OverlayParams::default());
        let [first, again] = [(); 2].map(|()| {
            let mut canvas = Picture::filled(640, 360, [100, 110, 120]);
            overlay.draw(&mut canvas, &faces);
            canvas
        });
        assert_eq!(first, again);
    }

    #[test]
    fn what_is_known_changes_the_picture() {
        let full = face(1, [60.0, 60.0, 120.0, 140.0]);
        let changes: [fn(&mut FaceLabel); 8] = [
            |face| face.age = None,
            |face| face.gender = Some((Gender::Male, 0.92)),
            |face| face.gender = None,
            |face| face.smile = Some(Smile { share: 0.8, smiling: false }),
            |face| face.resembles = None,
            |face| face.resembles.as_mut().unwrap().photo = None,
            |face| face.resembles.as_mut().unwrap().same_person = true,
            |face| face.landmarks = None,
        ];
        let before = drawn(std::slice::from_ref(&full));
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = full.clone();
            change(&mut changed);
            assert_ne!(drawn(&[changed]), before, "change {index}");
        }
    }

    #[test]
    fn an_alarm_is_red_and_nothing_else_is() {
        let red = |canvas: &Picture| {
            canvas.pixels().chunks_exact(3).any(|pixel| pixel[0] > 200 && pixel[1] < 90 && pixel[2] < 90)
        };
        let mut label = face(1, [60.0, 60.0, 120.0, 140.0]);
        assert!(!red(&drawn(std::slice::from_ref(&label))));
        label.alarm = true;
        assert!(red(&drawn(&[label])));
    }

    #[test]
    fn status_stands_in_its_corner_and_panels_keep_clear() {
        for corner in [Corner::TopLeft, Corner::TopRight, Corner::BottomLeft, Corner::BottomRight] {
            let mut overlay = Overlay::new(OverlayParams { status: corner, ..OverlayParams::default() });
            let mut canvas = Picture::filled(640, 360, [255; 3]);
            overlay.status(&mut canvas, &["30.0 pictures/s", "tract"]);
            let darker: Vec<_> = (0..360)
                .flat_map(|y| (0..640).map(move |x| (x, y)))
                .filter(|&(x, y)| canvas.pixel(x, y) != [255; 3])
                .collect();
            assert!(!darker.is_empty());
            let (left, top) = (
                matches!(corner, Corner::TopLeft | Corner::BottomLeft),
                matches!(corner, Corner::TopLeft | Corner::TopRight),
            );
            assert!(darker.iter().all(|&(x, y)| (x < 320) == left && (y < 180) == top), "{corner:?}");
            let area = overlay.status.unwrap();
            let near = face(1, [if left { 5.0 } else { 555.0 }, if top { 40.0 } else { 240.0 }, 80.0, 80.0]);
            for panel in places(&mut overlay, &canvas, &[near]) {
                assert_eq!(panel.intersection(&area), None, "{corner:?}");
            }
        }
    }

    fn any_number() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => -200.0f32..400.0,
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0, 1e-20, 1e12]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// No input panics, and every chosen place is inside the picture.
        #[test]
        fn anything_can_be_drawn(
            (width, height) in prop_oneof![3 => (1u32..400, 1u32..300), 1 => (0u32..3, 0u32..3)],
            numbers in prop::collection::vec([any_number(), any_number(), any_number(), any_number(), any_number()], 0..5),
            name in "\\PC{0,30}",
            scale in any_number(),
        ) {
            let faces: Vec<_> = numbers.iter().enumerate().map(|(index, &[x, y, w, h, other])| {
                let mut label = face(index as u64 / 2, [x, y, w, h]);
                label.age = Some(other);
                label.gender = Some((Gender::Male, other));
                label.smile = Some(Smile { share: other, smiling: index % 2 == 0 });
                label.alarm = index % 3 == 0;
                let resembles = label.resembles.as_mut().unwrap();
                resembles.name = name.as_str().into();
                resembles.likeness = other;
                resembles.identified = Some(other).filter(|_| index % 3 > 0);
                resembles.same_person = index % 2 == 1;
                resembles.photo = Some(Arc::new(Picture::new(index as u32, 3)));
                label
            }).collect();
            let params = OverlayParams { scale, landmarks: true, ..OverlayParams::default() };
            let (mut overlay, mut canvas) = (Overlay::new(params), Picture::new(width, height));
            for _ in 0..2 {
                overlay.draw(&mut canvas, &faces);
                overlay.status(&mut canvas, &[&name, "second"]);
            }
            prop_assert_eq!(canvas.pixels().len(), (width * height * 3) as usize);
            let proper: Vec<_> = faces.into_iter().filter(|face| face.bounds.is_proper()).collect();
            for place in places(&mut overlay, &canvas, &proper) {
                prop_assert!(place.x >= 0.0 && place.y >= 0.0, "{place:?}");
                prop_assert!(place.right() <= width as f32 && place.bottom() <= height as f32, "{place:?}");
            }
        }
    }
}
