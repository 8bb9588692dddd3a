//! Places of panels: beside their face, inside the picture, without covering other faces and panels.

use crate::Rect;

/// Side of the face at which a panel is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Below,
    Above,
    Right,
    Left,
}

/// A place beside a face: the side, and whether the panel is aligned with the left or top edge of the face (`Start`), its
/// middle, or its right or bottom edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) side: Side,
    align: Align,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Start,
    Middle,
    End,
}

const fn spot(side: Side, align: Align) -> Spot {
    Spot { side, align }
}

/// Places for a label, best first.
pub(super) const LABEL_SPOTS: [Spot; 12] = [
    spot(Side::Below, Align::Middle),
    spot(Side::Below, Align::Start),
    spot(Side::Below, Align::End),
    spot(Side::Above, Align::Middle),
    spot(Side::Above, Align::Start),
    spot(Side::Above, Align::End),
    spot(Side::Right, Align::End),
    spot(Side::Right, Align::Middle),
    spot(Side::Right, Align::Start),
    spot(Side::Left, Align::End),
    spot(Side::Left, Align::Middle),
    spot(Side::Left, Align::Start),
];

/// Places for a gallery card, best first.
pub(super) const CARD_SPOTS: [Spot; 12] = [
    spot(Side::Right, Align::Start),
    spot(Side::Right, Align::Middle),
    spot(Side::Right, Align::End),
    spot(Side::Left, Align::Start),
    spot(Side::Left, Align::Middle),
    spot(Side::Left, Align::End),
    spot(Side::Above, Align::Middle),
    spot(Side::Above, Align::Start),
    spot(Side::Above, Align::End),
    spot(Side::Below, Align::Middle),
    spot(Side::Below, Align::Start),
    spot(Side::Below, Align::End),
];

/// Cost of each further place in the list, in shares of covered area: low, since any place is better than covering
/// a face or a panel.
const RANK_COST: f32 = 0.015;
/// Bonus of the place in the last frame: larger than the cost of the whole list, so that a panel moves only when its place
/// is no longer free.
const HELD_GAIN: f32 = 0.25;
/// Covering another face is worse than covering its own; covering a panel makes both unreadable.
const FACE_COST: f32 = 2.0;
const PANEL_COST: f32 = 3.0;
/// A panel may cover this share of its own face if the face fills more of the picture than `LARGE_FACE`.
const OWN_FREE: f32 = 0.12;
const LARGE_FACE: f32 = 0.2;

/// A chosen place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub(super) rect: Rect,
    pub(super) spot: Spot,
    /// Share of other faces and panels that it covers, or of it that they cover: 0 = none, 1 and more = a lot.
    pub(super) crowding: f32,
    cost: f32,
}

/// The faces and panels in the picture so far.
#[derive(Debug)]
pub(super) struct Layout {
    canvas: Rect,
    /// Distance of panels from the picture's edges, if they fit.
    inset: f32,
    /// The visible parts of the faces.
    faces: Vec<Rect>,
    panels: Vec<Rect>,
}

impl Layout {
    /// A layout for a picture of this size in pixels with these faces; no panel is placed yet. Panels keep a distance of
    /// `inset` whole pixels from the edges if they fit.
    pub(super) fn new(width: u32, height: u32, inset: f32, faces: Vec<Rect>) -> Self {
        Self { canvas: Rect::new(0.0, 0.0, width as f32, height as f32), inset, faces, panels: Vec::new() }
    }

    /// The visible part of face `own`.
    pub(super) fn face(&self, own: usize) -> Rect {
        self.faces[own]
    }

    /// Marks an area as occupied.
    pub(super) fn take(&mut self, rect: Rect) {
        self.panels.push(rect);
    }

    /// The best of `spots` for a panel of this size in whole pixels, `gap` pixels from face `own`; `margin` pixels around
    /// it should be free too. `None` if the panel is larger than the picture.
    pub(super) fn place(
        &self,
        own: usize,
        (width, height): (f32, f32),
        gap: f32,
        margin: f32,
        spots: &[Spot],
        held: Option<Spot>,
    ) -> Option<Placement> {
        if width > self.canvas.width || height > self.canvas.height {
            return None;
        }
        let placements = spots.iter().enumerate().map(|(rank, &spot)| {
            let rect = self.inside(spot.beside(&self.faces[own], width, height, gap));
            let (crowding, on_own) = self.crowding(own, rect, margin);
            let gain = if held == Some(spot) { HELD_GAIN } else { 0.0 };
            Placement { rect, spot, crowding, cost: crowding + on_own + rank as f32 * RANK_COST - gain }
        });
        // `min_by` returns the first of equals, so the order of the list decides.
        placements.min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// The box moved into the picture, at whole pixels.
    fn inside(&self, rect: Rect) -> Rect {
        let clamped = |start: f32, room: f32| {
            let inset = self.inset.min((room / 2.0).floor());
            start.round().clamp(inset, room - inset)
        };
        let x = clamped(rect.x, self.canvas.width - rect.width);
        let y = clamped(rect.y, self.canvas.height - rect.height);
        Rect::new(x, y, rect.width, rect.height)
    }

    /// How much of others a panel covers, and how much of its own face.
    fn crowding(&self, own: usize, rect: Rect, margin: f32) -> (f32, f32) {
        let wide = Rect::new(rect.x - margin, rect.y - margin, rect.width + margin * 2.0, rect.height + margin * 2.0);
        // Relative to the smaller of the two: a large card on a small face hides all of that face.
        let covered = |other: &Rect| {
            let shared = wide.intersection(other).map_or(0.0, |overlap| overlap.area());
            shared / wide.area().min(other.area()).max(1.0)
        };
        let others = self.faces.iter().enumerate().filter(|(index, _)| *index != own);
        let faces: f32 = others.map(|(_, face)| covered(face)).sum();
        let panels: f32 = self.panels.iter().map(covered).sum();
        let face = self.faces[own];
        let on_own = rect.intersection(&face).map_or(0.0, |overlap| overlap.area()) / face.area().max(1.0);
        let free = if face.area() > self.canvas.area() * LARGE_FACE { OWN_FREE } else { 0.0 };
        (faces * FACE_COST + panels * PANEL_COST + (on_own - free).max(0.0) * 2.0, on_own)
    }
}

impl Spot {
    fn beside(self, face: &Rect, width: f32, height: f32, gap: f32) -> Rect {
        let along = |start: f32, face: f32, panel: f32| match self.align {
            Align::Start => start,
            Align::Middle => start + (face - panel) / 2.0,
            Align::End => start + face - panel,
        };
        let (x, y) = match self.side {
            Side::Below => (along(face.x, face.width, width), face.bottom() + gap),
            Side::Above => (along(face.x, face.width, width), face.y - gap - height),
            Side::Right => (face.right() + gap, along(face.y, face.height, height)),
            Side::Left => (face.x - gap - width, along(face.y, face.height, height)),
        };
        Rect::new(x, y, width, height)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_place_is_taken_where_nothing_is_in_the_way() {
        let layout = Layout::new(1000, 1000, 0.0, vec![Rect::new(400.0, 400.0, 100.0, 120.0)]);
        let label = layout.place(0, (80.0, 30.0), 10.0, 2.0, &LABEL_SPOTS, None).unwrap();
        assert_eq!((label.rect, label.crowding), (Rect::new(410.0, 530.0, 80.0, 30.0), 0.0));
        let card = layout.place(0, (80.0, 100.0), 10.0, 2.0, &CARD_SPOTS, None).unwrap();
        assert_eq!(card.rect, Rect::new(510.0, 400.0, 80.0, 100.0));
    }

    #[test]
    fn labels_dodge_edges_faces_and_panels() {
        let face = Rect::new(400.0, 400.0, 100.0, 120.0);
        let place = |height: u32, faces: Vec<Rect>, taken: &[Rect]| {
            let mut layout = Layout::new(1000, height, 0.0, faces);
            taken.iter().for_each(|&rect| layout.take(rect));
            let found = layout.place(0, (80.0, 30.0), 10.0, 2.0, &LABEL_SPOTS, None).unwrap();
            assert_eq!(found.crowding, 0.0);
            found.spot.side
        };
        let below = Rect::new(300.0, 525.0, 300.0, 100.0);
        let above = Rect::new(300.0, 300.0, 300.0, 95.0);
        assert_eq!(place(1000, vec![face], &[]), Side::Below);
        assert_eq!(place(530, vec![face], &[]), Side::Above);
        assert_eq!(place(1000, vec![face, below], &[]), Side::Above);
        assert_eq!(place(1000, vec![face, below], &[above]), Side::Right);
    }

    #[test]
    fn a_place_once_taken_is_kept_while_it_is_free() {
        let face = Rect::new(400.0, 400.0, 100.0, 120.0);
        let free = Layout::new(1000, 1000, 0.0, vec![face]);
        for &held in &LABEL_SPOTS {
            let again = free.place(0, (80.0, 30.0), 10.0, 2.0, &LABEL_SPOTS, Some(held)).unwrap();
            assert_eq!(again.spot, held);
        }
        let mut blocked = Layout::new(1000, 1000, 0.0, vec![face]);
        blocked.take(Rect::new(300.0, 300.0, 300.0, 95.0));
        let moved = blocked.place(0, (80.0, 30.0), 10.0, 2.0, &LABEL_SPOTS, Some(LABEL_SPOTS[3])).unwrap();
        assert_eq!(moved.spot.side, Side::Below);
    }

    proptest! {
        #[test]
        fn panels_stay_inside(
            (width, height) in (1u32..600, 1u32..400),
            faces in prop::collection::vec((0.0f32..500.0, 0.0f32..300.0, 1.0f32..300.0, 1.0f32..300.0), 1..6),
            (w, h) in (1u32..200, 1u32..200),
        ) {
            let faces: Vec<Rect> = faces.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h)).collect();
            let layout = Layout::new(width, height, 5.0, faces);
            for spots in [LABEL_SPOTS, CARD_SPOTS] {
                let placed = layout.place(0, (w as f32, h as f32), 7.3, 2.0, &spots, None);
                prop_assert_eq!(placed.is_some(), w <= width && h <= height);
                if let Some(Placement { rect, .. }) = placed {
                    prop_assert!(rect.x >= 0.0 && rect.y >= 0.0);
                    prop_assert!(rect.right() <= width as f32 && rect.bottom() <= height as f32);
                    prop_assert_eq!((rect.x.fract(), rect.y.fract()), (0.0, 0.0));
                }
            }
        }
    }
}
