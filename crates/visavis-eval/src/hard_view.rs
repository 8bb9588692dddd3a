//! Makes pictures harder for detectors, with their boxes: conditions that cameras meet, but photographs rarely show.

use std::fmt;
use std::str::FromStr;

use visavis_data::boxes::{Label, LabelledFace, LabelledImage};
use visavis_image::draw::{Colour, fill_rounded};
use visavis_image::{Picture, Point, Rect, Resizer, Similarity, warp_into};

use crate::random::Random;

/// A way to make a picture harder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardView {
    /// An eighth of the light, with sensor noise: ± 6 of 255.
    Dark,
    /// A third of the resolution, as if out of focus.
    Blurred,
    /// Rotated by 30° about the centre.
    Turned,
    /// The lower half of every face is covered with grey, as by a mask or a scarf.
    Covered,
    /// The largest face fills the picture; the others are outside.
    Close,
}

/// Share of the light in a dark picture.
const LIGHT: f32 = 0.125;
/// Largest change of a value by noise.
const NOISE: f32 = 6.0;
/// Factor by which a blurred picture was shrunk.
const BLUR: u32 = 3;
/// Rotation in degrees.
const TURN: f32 = 30.0;
/// Least visible share of a face that still counts after rotating or cropping.
const LEAST_VISIBLE: f32 = 0.5;
/// Side of a close picture as a multiple of the longer side of the face.
const CLOSE: f32 = 1.1;
const COVER: Colour = Colour::new(128, 128, 128);

impl HardView {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Blurred, Self::Turned, Self::Covered, Self::Close];

    /// Makes the picture harder and moves its boxes accordingly; `None` if this is impossible: a picture without a face cannot be
    /// [`HardView::Close`]. Deterministic for each picture.
    #[must_use]
    pub fn show(self, picture: &Picture, image: &LabelledImage) -> Option<(Picture, LabelledImage)> {
        let mut seen = image.clone();
        let picture = match self {
            Self::Dark => dark(picture, &image.file_name),
            Self::Blurred => blurred(picture),
            Self::Turned => {
                let (to_view, size) = turned(picture);
                see(picture, &to_view, size, &mut seen)
            }
            Self::Covered => covered(picture, &image.faces),
            Self::Close => {
                let faces = image.faces.iter().filter(|face| face.label == Label::Face);
                let largest = faces.max_by(|a, b| a.rect.area().total_cmp(&b.rect.area()))?;
                let square = largest.rect.square().expanded(CLOSE);
                let size = square.width.ceil().max(1.0) as u32;
                let to_view = Similarity::scale_then_shift(1.0, -square.x, -square.y);
                see(picture, &to_view, [size; 2], &mut seen)
            }
        };
        Some((picture, seen))
    }
}

fn dark(picture: &Picture, name: &str) -> Picture {
    let mut dark = picture.clone();
    let mut random = Random::named(1, name);
    for value in dark.pixels_mut() {
        *value = (f32::from(*value) * LIGHT + NOISE * random.symmetric()).round().clamp(0.0, 255.0) as u8;
    }
    dark
}

/// The picture without fine detail.
pub(crate) fn blurred(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let mut resizer = Resizer::new();
    let mut small = Picture::new(width.div_ceil(BLUR), height.div_ceil(BLUR));
    resizer.stretch(picture, &mut small);
    let mut blurred = Picture::new(width, height);
    resizer.stretch(&small, &mut blurred);
    blurred
}

/// Rotates about the centre and enlarges the picture so that nothing is cut off.
fn turned(picture: &Picture) -> (Similarity, [u32; 2]) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (a, b) = (TURN.to_radians().cos(), TURN.to_radians().sin());
    let size = [(width * a + height * b).ceil(), (width * b + height * a).ceil()];
    let about = Similarity { a, b, tx: 0.0, ty: 0.0 }.apply(Point::new(width / 2.0, height / 2.0));
    (Similarity { a, b, tx: size[0] / 2.0 - about.x, ty: size[1] / 2.0 - about.y }, size.map(|side| side as u32))
}

fn covered(picture: &Picture, faces: &[LabelledFace]) -> Picture {
    let mut covered = picture.clone();
    for Rect { x, y, width, height } in faces.iter().map(|face| face.rect) {
        fill_rounded(&mut covered, Rect::new(x, y + height / 2.0, width, height / 2.0), 0.0, COVER);
    }
    covered
}

/// Transforms a picture; the boxes of `image` are transformed too, stay upright and are clipped at the edges.
fn see(picture: &Picture, to_view: &Similarity, [width, height]: [u32; 2], image: &mut LabelledImage) -> Picture {
    let mut view = Picture::new(width, height);
    warp_into(picture, &to_view.inverse(), &mut view);
    (image.width, image.height) = (width, height);
    let frame = Rect::new(0.0, 0.0, width as f32, height as f32);
    image.faces.retain_mut(|face| {
        let scale = to_view.scale();
        let centre = to_view.apply(face.rect.centre());
        let whole = Rect::around(centre, face.rect.width * scale, face.rect.height * scale);
        let Some(seen) = whole.intersection(&frame).filter(Rect::is_proper) else { return false };
        if face.label == Label::Face && seen.area() < LEAST_VISIBLE * whole.area() {
            face.label = Label::Ignore;
        }
        face.rect = seen;
        true
    });
    view
}

impl fmt::Display for HardView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dark => "dark",
            Self::Blurred => "blurred",
            Self::Turned => "turned",
            Self::Covered => "covered",
            Self::Close => "close",
        })
    }
}

impl FromStr for HardView {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|view| view.to_string() == text).ok_or_else(|| {
            let all: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
            format!("it is one of {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white face on grey, and a small one at the edge.
    fn drawn() -> (Picture, LabelledImage) {
        let mut picture = Picture::filled(120, 90, [100; 3]);
        fill_rounded(&mut picture, Rect::new(50.0, 30.0, 30.0, 40.0), 0.0, Colour::new(255, 255, 255));
        let face = |rect| LabelledFace { rect, label: Label::Face, wider: None, landmarks: None };
        let faces = vec![face(Rect::new(50.0, 30.0, 30.0, 40.0)), face(Rect::new(2.0, 2.0, 9.0, 9.0))];
        let image = LabelledImage {
            id: 1,
            file_name: "a".into(),
            width: 120,
            height: 90,
            source: None,
            negative: false,
            faces,
        };
        (picture, image)
    }

    #[test]
    fn boxes_follow_their_faces() {
        let (picture, image) = drawn();
        for view in HardView::ALL {
            let (shown, seen) = view.show(&picture, &image).unwrap();
            assert_eq!((shown.width(), shown.height()), (seen.width, seen.height), "{view}");
            let face = &seen.faces[0];
            assert_eq!(face.label, Label::Face);
            // The upper half is brighter than its surroundings.
            let centre = face.rect.centre();
            let at = |x: f32, y: f32| shown.pixel(x as u32, y as u32)[0];
            let inside = at(centre.x, centre.y - face.rect.height / 4.0);
            if view != HardView::Close {
                assert!(inside > at(centre.x, face.rect.bottom() + 6.0) + 8, "{view}");
            }
            assert_eq!(view.show(&picture, &image).unwrap(), (shown, seen), "{view} repeats");
        }
        let (_, close) = HardView::Close.show(&picture, &image).unwrap();
        assert_eq!((close.faces.len(), close.width), (1, 44));
        let empty = LabelledImage { faces: Vec::new(), ..image };
        assert!(HardView::Close.show(&picture, &empty).is_none());
    }

    #[test]
    fn names_come_back() {
        for view in HardView::ALL {
            assert_eq!(view.to_string().parse::<HardView>(), Ok(view));
        }
        assert!("upside-down".parse::<HardView>().unwrap_err().contains("dark, blurred"));
    }
}
