//! Crops a face as live, and augments it.

use visavis_data::pack::PackedFace;
use visavis_face::{FaceView, align};
use visavis_image::{Landmarks, Picture, Point, Rect, Resizer, Similarity, codec, warp_into};
use visavis_infer::manifest::Crop;

use crate::numbers;
use crate::recipe::AugmentParams;

/// A face as input of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// `side` × `side` pixels.
    pub picture: Picture,
    /// The labelled keypoints, as shares of its side.
    pub landmarks: Option<Landmarks>,
    /// Clockwise rotation of the crop against the picture in degrees, before any mirroring.
    pub turn: f32,
    /// Whether it was mirrored.
    pub mirrored: bool,
}

/// Crops and augments; reuses its buffers.
pub struct Augmenter {
    params: AugmentParams,
    crop: Crop,
    side: u32,
    tint: Tint,
}

impl Augmenter {
    /// For pictures of `side` pixels, cropped by `crop`.
    #[must_use]
    pub fn new(params: AugmentParams, crop: Crop, side: u32) -> Self {
        let tint = Tint::new(params.clone());
        Self { params, crop, side, tint }
    }

    /// The crop as in live use: by the labelled keypoints, else the detector's, else by the box.
    #[must_use]
    pub fn plain(&self, face: &PackedFace, picture: &Picture) -> View {
        let rect = face.detected.map_or(face.rect, |found| found.rect);
        self.cut(face, picture, &rect, face.any_landmarks().as_ref(), &Similarity::scale_then_shift(1.0, 0.0, 0.0))
    }

    /// A random variation of it.
    pub fn vary(&mut self, face: &PackedFace, picture: &Picture, random: &mut fastrand::Rng) -> View {
        // Live uses the detector's boxes and keypoints, labels are more exact: both are used in training.
        let detected = face.detected.filter(|_| random.bool());
        let rect = detected.map_or(face.rect, |found| found.rect);
        let landmarks = detected.and_then(|found| found.landmarks).or(face.any_landmarks());
        let jitter = self.jitter(random);
        let mut view = self.cut(face, picture, &rect, landmarks.as_ref(), &jitter);
        if random.f32() < self.params.mirror {
            view.picture.mirror();
            view.landmarks = view.landmarks.map(|landmarks| landmarks.mirrored(1.0));
            view.mirrored = true;
        }
        self.tint.colour(&mut view.picture, random);
        if random.f32() < self.params.erase {
            erase(&mut view.picture, random);
        }
        view
    }

    /// A rotation, zoom and shift about the crop's centre, in crop pixels.
    fn jitter(&self, random: &mut fastrand::Rng) -> Similarity {
        let (p, side) = (&self.params, self.side as f32);
        let angle = normal(random) * p.rotation.to_radians();
        let zoom = (normal(random) * p.zoom).exp();
        let (a, b) = (zoom * angle.cos(), zoom * angle.sin());
        let (dx, dy) = (normal(random) * p.shift * side, normal(random) * p.shift * side);
        let half = side / 2.0;
        Similarity { a, b, tx: half - a * half + b * half + dx, ty: half - b * half - a * half + dy }
    }

    fn cut(
        &self,
        face: &PackedFace,
        picture: &Picture,
        rect: &Rect,
        landmarks: Option<&Landmarks>,
        jitter: &Similarity,
    ) -> View {
        let view = FaceView::upright(*rect, landmarks.copied());
        let to_source = align::crop_to_source(&self.crop, [self.side; 2], &view).after(jitter);
        let mut out = Picture::new(self.side, self.side);
        warp_into(picture, &to_source, &mut out);
        let back = to_source.inverse();
        let share = |p: Point| {
            let p = back.apply(p);
            Point::new(p.x / self.side as f32, p.y / self.side as f32)
        };
        View {
            picture: out,
            landmarks: face.landmarks.map(|landmarks| landmarks.map(share)),
            turn: to_source.b.atan2(to_source.a).to_degrees(),
            mirrored: false,
        }
    }
}

/// Varies light, camera and compression, but not the places of things.
pub(super) struct Tint {
    params: AugmentParams,
    resizer: Resizer,
    small: Picture,
}

impl Tint {
    pub(super) fn new(params: AugmentParams) -> Self {
        Self { params, resizer: Resizer::new(), small: Picture::new(1, 1) }
    }

    pub(super) fn colour(&mut self, picture: &mut Picture, random: &mut fastrand::Rng) {
        if random.f32() < self.params.small {
            self.shrink(picture, random);
        }
        // If disabled it draws no random number, so that older recipes give the same results as before.
        if self.params.dark > 0.0 && random.f32() < self.params.dark {
            darken(picture, random);
        }
        colours(picture, &self.params, random);
        if random.f32() < self.params.jpeg {
            squeeze(picture, random.u8(20..70));
        }
    }

    /// Shrinks and enlarges again, like a face that is small in its picture.
    fn shrink(&mut self, picture: &mut Picture, random: &mut fastrand::Rng) {
        let share = self.params.smallest + random.f32() * (1.0 - self.params.smallest);
        let shrunk = |length: u32| ((length as f32 * share) as u32).max(8);
        self.small.reshape(shrunk(picture.width()), shrunk(picture.height()));
        self.resizer.stretch(picture, &mut self.small);
        self.resizer.stretch(&self.small, picture);
    }
}

fn colours(picture: &mut Picture, p: &AugmentParams, random: &mut fastrand::Rng) {
    let contrast = (normal(random) * p.contrast).exp();
    let brightness = normal(random) * p.brightness;
    let saturation = if random.f32() < p.grey { 0.0 } else { (normal(random) * p.saturation).exp() };
    for pixel in picture.pixels_mut().chunks_exact_mut(3) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        let grey = 0.299 * r + 0.587 * g + 0.114 * b;
        for (value, out) in [r, g, b].into_iter().zip(pixel) {
            let value = grey + (value - grey) * saturation;
            *out = ((value - 128.0) * contrast + 128.0 + brightness).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Little light: a tenth to a half of it, evenly over the scales, and noise of up to 6 of 255.
fn darken(picture: &mut Picture, random: &mut fastrand::Rng) {
    let light = 0.1 * 5f32.powf(random.f32());
    let noise = 6.0 * random.f32();
    for value in picture.pixels_mut() {
        *value = (f32::from(*value) * light + noise * (2.0 * random.f32() - 1.0)).clamp(0.0, 255.0) as u8;
    }
}

fn squeeze(picture: &mut Picture, quality: u8) {
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    let round = codec::encode_jpeg(picture, quality).ok().and_then(|bytes| codec::decode(&bytes, pixels).ok());
    if let Some(squeezed) = round {
        *picture = squeezed;
    }
}

fn erase(picture: &mut Picture, random: &mut fastrand::Rng) {
    let (width, height) = (picture.width(), picture.height());
    let area = 0.02 + 0.18 * random.f32();
    let aspect = (random.f32() - 0.5).exp();
    let across = ((width as f32 * (area * aspect).sqrt()) as u32).clamp(1, width);
    let down = ((height as f32 * (area / aspect).sqrt()) as u32).clamp(1, height);
    let (x, y) = (random.u32(0..=width - across), random.u32(0..=height - down));
    let colour = [random.u8(..), random.u8(..), random.u8(..)];
    for row in y..y + down {
        let start = (row * width + x) as usize * 3;
        for pixel in picture.pixels_mut()[start..start + across as usize * 3].chunks_exact_mut(3) {
            pixel.copy_from_slice(&colour);
        }
    }
}

/// A standard normal number, clamped to three deviations.
pub(super) fn normal(random: &mut fastrand::Rng) -> f32 {
    numbers::normal(random).clamp(-3.0, 3.0)
}
