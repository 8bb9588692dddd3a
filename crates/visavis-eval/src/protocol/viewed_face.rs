//! One face under one view.

use std::borrow::Cow;

use visavis_data::pack::PackedFace;
use visavis_image::{Landmarks, Picture, Point, Rect, Resizer};

use super::{ProtocolParams, View};
use crate::hard_view::blurred;
use crate::random::Random;

/// A picture with a face, as input of a network.
pub(super) struct ViewedFace<'a> {
    pub(super) picture: Cow<'a, Picture>,
    pub(super) rect: Rect,
    /// The keypoints that are known without a locator.
    pub(super) landmarks: Option<Landmarks>,
    /// Pixels of this picture per pixel of the face's own, across and down.
    scale: [f32; 2],
    /// Whether the view does not change this face.
    pub(super) unchanged: bool,
}

impl ViewedFace<'_> {
    /// Converts pixels of this picture to those of the face's own picture.
    pub(super) fn to_own(&self, landmarks: Landmarks) -> Landmarks {
        landmarks.map(|p| Point::new(p.x / self.scale[0], p.y / self.scale[1]))
    }
}

/// `None` if the view is [`View::Detected`] and the detector missed the face.
pub(super) fn view_face<'a>(
    view: View,
    picture: &'a Picture,
    face: &PackedFace,
    params: &ProtocolParams,
    resizer: &mut Resizer,
) -> Option<ViewedFace<'a>> {
    let as_it_is = |rect, landmarks| ViewedFace {
        picture: Cow::Borrowed(picture),
        rect,
        landmarks,
        scale: [1.0; 2],
        unchanged: false,
    };
    Some(match view {
        View::Labelled => as_it_is(face.rect, face.any_landmarks()),
        View::Detected => {
            let found = face.detected?;
            as_it_is(found.rect, found.landmarks)
        }
        View::Jitter => {
            let mut random = Random::named(params.seed, &format!("{}/{}", face.set, face.file));
            as_it_is(jittered(&face.rect, params.jitter, &mut random), None)
        }
        View::Small => shrunk(picture, face, params.small, resizer),
        View::Blurred => {
            ViewedFace { picture: Cow::Owned(blurred(picture)), ..as_it_is(face.rect, face.any_landmarks()) }
        }
    })
}

/// The centre moves by up to `most` of each side; both sides are scaled by one factor between 1 − `most` and 1 + `most`.
fn jittered(rect: &Rect, most: f32, random: &mut Random) -> Rect {
    let centre = rect.centre();
    let moved = Point::new(
        centre.x + random.symmetric() * most * rect.width,
        centre.y + random.symmetric() * most * rect.height,
    );
    let factor = 1.0 + random.symmetric() * most;
    Rect::around(moved, rect.width * factor, rect.height * factor)
}

/// A face that is already as small does not change.
fn shrunk<'a>(picture: &'a Picture, face: &PackedFace, width: f32, resizer: &mut Resizer) -> ViewedFace<'a> {
    let landmarks = face.any_landmarks();
    let factor = width / face.rect.width;
    if !(factor.is_finite() && factor < 1.0) {
        let picture = Cow::Borrowed(picture);
        return ViewedFace { picture, rect: face.rect, landmarks, scale: [1.0; 2], unchanged: true };
    }
    let side = |pixels: u32| ((pixels as f32 * factor).round() as u32).max(1);
    let mut small = Picture::new(side(picture.width()), side(picture.height()));
    resizer.stretch(picture, &mut small);
    let scale =
        [small.width() as f32 / picture.width().max(1) as f32, small.height() as f32 / picture.height().max(1) as f32];
    ViewedFace {
        picture: Cow::Owned(small),
        rect: face.rect.scaled(scale[0], scale[1]),
        landmarks: landmarks.map(|points| points.map(|p| Point::new(p.x * scale[0], p.y * scale[1]))),
        scale,
        unchanged: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests::face;

    fn params() -> ProtocolParams {
        ProtocolParams { seed: 5, ..ProtocolParams::default() }
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_depends_on_the_name_only() {
        let picture = Picture::new(10, 10);
        let mut seen = Vec::new();
        for number in 0..200 {
            let mut face = face(&format!("{number}.jpg"));
            face.rect = Rect::new(100.0, 50.0, 40.0, 60.0);
            let viewed = view_face(View::Jitter, &picture, &face, &params(), &mut Resizer::new()).unwrap();
            let (centre, rect) = (viewed.rect.centre(), viewed.rect);
            assert!((centre.x - 120.0).abs() <= 4.001 && (centre.y - 80.0).abs() <= 6.001, "{rect:?}");
            assert!((35.99..=44.01).contains(&rect.width) && (rect.height / rect.width - 1.5).abs() < 1e-4, "{rect:?}");
            assert_eq!(viewed.landmarks, None, "keypoints must be located anew");
            seen.push(rect);
        }
        let spread = |pick: fn(&Rect) -> f32| {
            let values = seen.iter().map(pick);
            values.clone().fold(f32::MIN, f32::max) - values.fold(f32::MAX, f32::min)
        };
        assert!(spread(|rect| rect.centre().x) > 7.0 && spread(|rect| rect.width) > 7.0);
        let mut again = face("7.jpg");
        again.rect = Rect::new(100.0, 50.0, 40.0, 60.0);
        assert_eq!(view_face(View::Jitter, &picture, &again, &params(), &mut Resizer::new()).unwrap().rect, seen[7]);
    }

    #[test]
    fn small_faces_are_64_wide_and_lead_back() {
        let picture = Picture::filled(300, 240, [9, 8, 7]);
        let mut face = face("a.jpg");
        face.rect = Rect::new(60.0, 50.0, 128.0, 140.0);
        let small = view_face(View::Small, &picture, &face, &params(), &mut Resizer::new()).unwrap();
        assert_eq!((small.picture.width(), small.picture.height()), (150, 120));
        assert_eq!(small.rect, Rect::new(30.0, 25.0, 64.0, 70.0));
        assert_eq!(small.to_own(small.landmarks.unwrap()), face.landmarks.unwrap());
        face.rect.width = 60.0;
        let same = view_face(View::Small, &picture, &face, &params(), &mut Resizer::new()).unwrap();
        assert_eq!((same.picture.width(), same.rect, same.unchanged), (300, face.rect, true));
    }

    #[test]
    fn a_blurred_picture_has_its_faces_where_they_were() {
        let mut picture = Picture::new(90, 60);
        for (place, pixel) in picture.pixels_mut().chunks_exact_mut(3).enumerate() {
            pixel.fill(if (place % 90 + place / 90) % 2 == 0 { 0 } else { 200 });
        }
        let face = face("a.jpg");
        let blurred = view_face(View::Blurred, &picture, &face, &params(), &mut Resizer::new()).unwrap();
        assert_eq!((blurred.rect, blurred.landmarks), (face.rect, face.landmarks));
        assert_eq!((blurred.picture.width(), blurred.picture.height()), (90, 60));
        // A blurred chessboard is grey.
        assert!(blurred.picture.pixels().iter().all(|value| (60..140).contains(value)));
    }

    #[test]
    fn what_the_detector_missed_has_no_detected_view() {
        let picture = Picture::new(10, 10);
        let mut face = face("a.jpg");
        assert!(view_face(View::Detected, &picture, &face, &params(), &mut Resizer::new()).is_some());
        face.detected = None;
        assert!(view_face(View::Detected, &picture, &face, &params(), &mut Resizer::new()).is_none());
    }
}
