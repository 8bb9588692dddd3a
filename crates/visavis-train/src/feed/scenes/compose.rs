//! Composes a training picture from one or more scenes.

use std::sync::Arc;

use visavis_data::Split;
use visavis_image::draw::{Colour, fill_rounded};
use visavis_image::{Picture, Point, Rect, Similarity, warp_into};

use super::{Scene, SceneSet};
use crate::detector::LabelledBox;
use crate::feed::augment::{Tint, normal};
use crate::recipe::{AugmentParams, SceneParams};

/// Least share of a face that must be in the picture for it to be a target.
const LEAST_VISIBLE: f32 = 0.45;

/// Least scale of a scene, relative to the one at which the whole scene just fits into its tile.
const LEAST_FILLED: f32 = 0.6;

/// A picture with its boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The picture, of the requested size.
    pub picture: Picture,
    /// The boxes in its pixels, clipped to it.
    pub boxes: Vec<LabelledBox>,
}

/// Composes pictures; reuses its buffers.
pub struct Composer {
    params: SceneParams,
    tint: Tint,
    tile: Picture,
}

impl Composer {
    /// A composer with these parameters.
    #[must_use]
    pub fn new(params: SceneParams, augment: AugmentParams) -> Self {
        Self { params, tint: Tint::new(augment), tile: Picture::new(1, 1) }
    }

    /// A variation of a scene, alone or with other scenes of the same sets around it.
    pub fn compose(
        &mut self,
        sets: &[(Arc<SceneSet>, f32)],
        (set, scene): (usize, usize),
        [width, height]: [u32; 2],
        random: &mut fastrand::Rng,
    ) -> View {
        let mut view = View { picture: Picture::new(width, height), boxes: Vec::new() };
        let kind = random.f32();
        if kind < self.params.mosaic {
            let mut cut = |length: u32| (length as f32 * (0.3 + 0.4 * random.f32())) as u32;
            let (x, y) = (cut(width), cut(height));
            let tiles = [[0, 0, x, y], [x, 0, width, y], [0, y, x, height], [x, y, width, height]];
            self.tile(sets, (set, scene), &tiles, &mut view, random);
        } else if kind < self.params.mosaic + self.params.crowd {
            let (across, down) = (random.u32(3..=6), random.u32(3..=6));
            let edge = |at: u32, of: u32, length: u32| at * length / of;
            let tiles: Vec<[u32; 4]> = (0..across * down)
                .map(|at| {
                    let (column, row) = (at % across, at / across);
                    let corner = |column, row| [edge(column, across, width), edge(row, down, height)];
                    let ([left, top], [right, bottom]) = (corner(column, row), corner(column + 1, row + 1));
                    [left, top, right, bottom]
                })
                .collect();
            self.tile(sets, (set, scene), &tiles, &mut view, random);
        } else {
            self.place(&sets[set].0, scene, [0, 0, width, height], &mut view, random);
        }
        if self.params.covered > 0.0 && random.f32() < self.params.covered {
            view.boxes.iter().filter(|labelled| labelled.face).for_each(|face| cover(&mut view.picture, face, random));
        }
        if random.f32() < self.params.mirror {
            view.picture.mirror();
            for labelled in &mut view.boxes {
                labelled.rect.x = width as f32 - labelled.rect.right();
                labelled.landmarks = labelled.landmarks.map(|landmarks| landmarks.mirrored(width as f32));
            }
        }
        self.tint.colour(&mut view.picture, random);
        view
    }

    /// Places one scene in one of the tiles `[left, top, right, bottom]`, others in the others.
    fn tile(
        &mut self,
        sets: &[(Arc<SceneSet>, f32)],
        (set, scene): (usize, usize),
        tiles: &[[u32; 4]],
        view: &mut View,
        random: &mut fastrand::Rng,
    ) {
        let first = random.usize(..tiles.len());
        for (at, tile) in tiles.iter().enumerate() {
            // Sets are drawn with the weight of their sources.
            let (set, scene) = if at == first { (set, scene) } else { any(sets, random).unwrap_or((set, scene)) };
            self.place(&sets[set].0, scene, *tile, view, random);
        }
    }

    /// Places a scene in a tile `[left, top, right, bottom]` of the view.
    fn place(
        &mut self,
        set: &SceneSet,
        scene: usize,
        [left, top, right, bottom]: [u32; 4],
        view: &mut View,
        random: &mut fastrand::Rng,
    ) {
        let scene = &set.scenes[scene];
        let (width, height) = (right - left, bottom - top);
        let to_tile = self.transform(scene, [width as f32, height as f32], random);
        self.tile.reshape(width, height);
        warp_into(&scene.picture, &to_tile.inverse(), &mut self.tile);
        for row in 0..height {
            let from = &self.tile.pixels()[(row * width * 3) as usize..][..width as usize * 3];
            let start = ((top + row) * view.picture.width() + left) as usize * 3;
            view.picture.pixels_mut()[start..start + from.len()].copy_from_slice(from);
        }
        let tile = Rect::new(0.0, 0.0, width as f32, height as f32);
        for labelled in &scene.boxes {
            let scale = to_tile.scale();
            let centre = to_tile.apply(labelled.rect.centre());
            // A rotated face is as large as before; its box stays upright.
            let whole = Rect::around(centre, labelled.rect.width * scale, labelled.rect.height * scale);
            let Some(seen) = whole.intersection(&tile).filter(Rect::is_proper) else { continue };
            let side = seen.width.min(seen.height);
            let face = labelled.face
                && seen.area() >= LEAST_VISIBLE * whole.area()
                && side >= self.params.least
                && whole.width.max(whole.height) <= 1.6 * width.max(height) as f32;
            let rect = Rect::new(seen.x + left as f32, seen.y + top as f32, seen.width, seen.height);
            let moved = |point: Point| {
                let Point { x, y } = to_tile.apply(point);
                Point::new(x + left as f32, y + top as f32)
            };
            // Keypoints of a face that is cut off may lie outside, so they are dropped.
            let landmarks = labelled.landmarks.filter(|_| seen.area() >= 0.9 * whole.area());
            view.boxes.push(LabelledBox { rect, face, landmarks: landmarks.map(|landmarks| landmarks.map(moved)) });
        }
    }

    /// Maps the scene to a tile: mostly so that one face has a size drawn evenly over all scales (as in PyramidBox, Tang et al.,
    /// ECCV 2018), else the whole scene, larger or smaller.
    fn transform(
        &self,
        Scene { picture, boxes, mistakes, .. }: &Scene,
        [width, height]: [f32; 2],
        random: &mut fastrand::Rng,
    ) -> Similarity {
        let faces: Vec<Rect> = boxes.iter().filter(|labelled| labelled.face).map(|labelled| labelled.rect).collect();
        // False positives are used as centres like faces.
        let centred = if mistakes.is_empty() || !faces.is_empty() && random.f32() < 0.5 { &faces } else { mistakes };
        let short = width.min(height);
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let fit = (width / w).min(height / h);
        let (from, to, scale);
        if !centred.is_empty() && random.f32() < self.params.by_face {
            let face = centred[random.usize(..centred.len())];
            let most = self.params.largest * short;
            let least = self.params.smallest.min(most);
            let side = least * (most / least).powf(random.f32());
            // Not so small that most of the tile stays black.
            scale = (side / (face.width * face.height).sqrt()).max(LEAST_FILLED * fit).min(self.params.enlarged);
            from = face.centre();
            let mut within = |length: f32, face: f32| {
                let room = (length - face).max(0.0);
                face.min(length) / 2.0 + room * random.f32()
            };
            to = Point::new(within(width, face.width * scale), within(height, face.height * scale));
        } else {
            scale = (fit * (0.1 + 0.5 * (2.0 * random.f32() - 1.0)).exp()).min(self.params.enlarged);
            from = Point::new(w / 2.0, h / 2.0);
            let mut around = |length: f32, shown: f32| length / 2.0 + (random.f32() - 0.5) * (length - shown).abs();
            to = Point::new(around(width, w * scale), around(height, h * scale));
        }
        let angle = normal(random) * self.params.rotation.to_radians();
        let (a, b) = (scale * angle.cos(), scale * angle.sin());
        Similarity { a, b, tx: to.x - (a * from.x - b * from.y), ty: to.y - (b * from.x + a * from.y) }
    }
}

/// Covers a half of a face with a colour, mostly the lower one.
fn cover(picture: &mut Picture, face: &LabelledBox, random: &mut fastrand::Rng) {
    let Rect { x, y, width, height } = face.rect;
    let (across, down) = (width / 2.0, height / 2.0);
    let half = match random.u8(..6) {
        0 => Rect::new(x, y, across, height),
        1 => Rect::new(x + across, y, across, height),
        2 => Rect::new(x, y, width, down * 0.8),
        _ => Rect::new(x, y + down, width, down),
    };
    let colour = Colour::new(random.u8(..), random.u8(..), random.u8(..));
    fill_rounded(picture, half, half.width.min(half.height) * 0.5 * random.f32(), colour);
}

/// A random training scene, by the weights of the sets.
fn any(sets: &[(Arc<SceneSet>, f32)], random: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let counts: Vec<f32> = sets.iter().map(|(set, repeat)| repeat * set.scenes.len() as f32).collect();
    let mut at = random.f32() * counts.iter().sum::<f32>();
    let set = counts.iter().position(|count| {
        at -= count;
        at < 0.0
    })?;
    let scenes = &sets[set].0.scenes;
    // Nine of ten are training scenes, so a few draws find one.
    (0..32)
        .map(|_| random.usize(..scenes.len()))
        .find(|&scene| scenes[scene].split == Split::Train)
        .map(|scene| (set, scene))
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_data::boxes::LabelledImage;

    /// A white square on black, labelled.
    fn sets() -> Vec<(Arc<SceneSet>, f32)> {
        let mut picture = Picture::new(100, 80);
        for y in 30..50 {
            for x in 40..60 {
                picture.set_pixel(x, y, [255; 3]);
            }
        }
        let boxes = vec![LabelledBox { rect: Rect::new(40.0, 30.0, 20.0, 20.0), face: true, landmarks: None }];
        let labelled = LabelledImage {
            id: 1,
            file_name: "a".into(),
            width: 100,
            height: 80,
            source: None,
            negative: false,
            faces: Vec::new(),
        };
        let scene = Scene {
            picture: Arc::new(picture),
            boxes,
            split: Split::Train,
            labelled,
            repeat: 1.0,
            mistakes: Vec::new(),
        };
        vec![(Arc::new(SceneSet { name: "a".into(), scenes: vec![scene] }), 1.0)]
    }

    #[test]
    fn boxes_stay_on_their_faces() {
        let params = SceneParams { rotation: 0.0, ..SceneParams::default() };
        let mut composer = Composer::new(params, AugmentParams::still());
        let mut seen = 0;
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let view = composer.compose(&sets(), (0, 0), [120, 90], &mut random);
            assert_eq!((view.picture.width(), view.picture.height()), (120, 90));
            for labelled in view.boxes.iter().filter(|labelled| labelled.face) {
                seen += 1;
                let rect = labelled.rect;
                assert!(rect.x >= 0.0 && rect.right() <= 120.001 && rect.y >= 0.0 && rect.bottom() <= 90.001);
                // White inside; as wide as the box.
                let centre = rect.centre();
                let white = |x: f32, y: f32| view.picture.pixel(x as u32, y as u32)[0] > 128;
                assert!(white(centre.x, centre.y), "seed {seed}: {rect:?}");
                if rect.right() < 117.0 && rect.x > 3.0 && view.boxes.len() == 1 {
                    assert!(
                        !white(rect.right() + 2.0, centre.y) && !white(rect.x - 3.0, centre.y),
                        "seed {seed}: {rect:?}"
                    );
                }
            }
        }
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn crowds_have_many_faces_and_covers_leave_a_half() {
        let params = SceneParams { mosaic: 0.0, crowd: 1.0, covered: 1.0, ..SceneParams::default() };
        let mut composer = Composer::new(params, AugmentParams::still());
        let view = composer.compose(&sets(), (0, 0), [320, 240], &mut fastrand::Rng::with_seed(4));
        assert!(view.boxes.iter().filter(|labelled| labelled.face).count() >= 6, "{:?}", view.boxes);
        let params = SceneParams { mosaic: 0.0, crowd: 0.0, rotation: 0.0, ..SceneParams::default() };
        let bright = |covered: f32| {
            let mut composer = Composer::new(SceneParams { covered, ..params.clone() }, AugmentParams::still());
            let view = composer.compose(&sets(), (0, 0), [120, 90], &mut fastrand::Rng::with_seed(4));
            view.picture.pixels().iter().filter(|value| **value > 250).count()
        };
        let (bare, covered) = (bright(0.0), bright(1.0));
        assert!(covered > bare / 4 && covered < bare * 3 / 4, "{covered} of {bare}");
    }

    #[test]
    fn sizes_go_over_all_scales() {
        let params = SceneParams { mosaic: 0.0, by_face: 1.0, enlarged: 9.0, ..SceneParams::default() };
        let mut composer = Composer::new(params, AugmentParams::still());
        let sides: Vec<f32> = (0..200)
            .flat_map(|seed| composer.compose(&sets(), (0, 0), [300, 300], &mut fastrand::Rng::with_seed(seed)).boxes)
            .map(|labelled| labelled.rect.width)
            .collect();
        let small = sides.iter().filter(|side| **side < 60.0).count();
        let large = sides.iter().filter(|side| **side > 120.0).count();
        assert!(small > 30 && large > 30, "{small} {large} of {}", sides.len());
    }
}
