//! Properties of every forest, trained or not.

use proptest::prelude::*;
use visavis_image::{Picture, Turn};

use super::*;
use crate::Locate;

/// A face at roughly the usual places.
const MEAN: Shape = [
    Point { x: -0.2, y: -0.1 },
    Point { x: 0.2, y: -0.1 },
    Point { x: 0.0, y: 0.1 },
    Point { x: -0.15, y: 0.3 },
    Point { x: 0.15, y: 0.3 },
];

/// Largest move by a tree, in sides of the box.
const REACH: f32 = 0.002;

/// Pseudo-random numbers from 0 to 1, the same in every run.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        // Knuth's MMIX congruence; its upper bits are good enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    }
}

/// An untrained forest with random splits and leaves.
fn wild(seed: u64, levels: usize, trees: usize, depth: u8) -> Forest {
    const PIXELS: usize = 40;
    let mut next = noise(seed);
    let levels = (0..levels)
        .map(|_| {
            let mut spot = || next() - 0.5;
            let pixels = (0..PIXELS)
                .map(|index| PixelSample { anchor: (index % POINTS) as u8, offset: Point::new(spot(), spot()) })
                .collect();
            let mut level = Level::new(depth, pixels);
            for _ in 0..trees {
                let mut below = |n: usize| ((next() * n as f32) as usize).min(n - 1);
                let splits = (0..split_count(depth))
                    .map(|_| Split {
                        a: below(PIXELS) as u16,
                        b: below(PIXELS) as u16,
                        threshold: below(81) as i16 - 40,
                    })
                    .collect();
                let leaves =
                    (0..leaf_count(depth)).map(|_| std::array::from_fn(|_| (below(255) as i16 - 127) as i8)).collect();
                level.push(Tree { splits, leaves, step: REACH / 127.0 });
            }
            level
        })
        .collect();
    Forest::new(MEAN, 64, levels).unwrap()
}

/// A picture of smooth hills. `at` is the place of its upper left corner in the pattern, `zoom` the factor by which the
/// pattern is enlarged; the pattern itself is always the same.
fn hills(width: u32, height: u32, at: (f32, f32), zoom: f32, light: u8) -> Picture {
    let mut picture = Picture::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = ((x as f32 + 0.5) / zoom + at.0, (y as f32 + 0.5) / zoom + at.1);
            let hill = (u * 0.11).sin() * 45.0 + (v * 0.13 + 1.0).sin() * 40.0 + ((u + v) * 0.05).cos() * 20.0;
            let grey = (115.0 + hill) as u8 + light;
            picture.set_pixel(x, y, [grey; 3]);
        }
    }
    picture
}

fn locate(forest: &Forest, picture: &Picture, rect: Rect) -> [Point; 5] {
    ForestLocator::new(forest.clone()).locate(picture, &rect, Turn::None).unwrap().to_array()
}

/// Two pixel values that differ by rounding may give different answers at one split in a hundred. This moves the points by less
/// than the tolerance; a real difference moves them several times as far.
fn same_places(found: [Point; 5], expected: [Point; 5], side: f32) -> Result<(), TestCaseError> {
    for (found, expected) in found.into_iter().zip(expected) {
        let apart = found.distance(expected) / side;
        prop_assert!(apart < 2.5 * REACH, "{apart} sides apart");
    }
    Ok(())
}

proptest! {
    #[test]
    fn files_are_read_as_written(seed: u64, levels in 1usize..4, trees in 1usize..6, depth in 1u8..5) {
        let forest = wild(seed, levels, trees, depth);
        let bytes = forest.write();
        prop_assert_eq!(Forest::read(&bytes).unwrap(), forest);
    }

    #[test]
    fn files_cut_off_or_too_long_are_refused(seed: u64, share in 0.0f64..1.0, tail in 1usize..50) {
        let mut bytes = wild(seed, 2, 3, 2).write();
        let kept = (bytes.len() as f64 * share) as usize;
        prop_assert!(Forest::read(&bytes[..kept]).is_err());
        bytes.resize(bytes.len() + tail, 0);
        let refused = matches!(Forest::read(&bytes), Err(ForestError::Length { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn damaged_files_never_panic(seed: u64, damage in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..20)) {
        let mut bytes = wild(seed, 2, 3, 3).write();
        for (place, bit) in damage {
            // The first ten bytes are checked before all others, so damage there would hide damage elsewhere.
            let place = 10 + place.index(bytes.len() - 10);
            bytes[place] ^= 1 << bit;
        }
        if let Ok(forest) = Forest::read(&bytes) {
            let found = locate(&forest, &hills(40, 30, (0.0, 0.0), 1.0, 0), Rect::new(5.0, 5.0, 20.0, 20.0));
            prop_assert!(found.iter().all(|point| point.x.is_finite() && point.y.is_finite()));
        }
    }

    #[test]
    fn bytes_from_anywhere_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"VVFOREST\x01\x00\x05".to_vec();
        bytes.extend(tail);
        let _ = Forest::read(&bytes);
    }

    #[test]
    fn any_box_gives_five_points(seed: u64, rect in [-1e6f32..1e6, -1e6f32..1e6, -10f32..1e5, -10f32..1e5].prop_map(Rect::from)) {
        let forest = wild(seed, 2, 4, 3);
        let _ = locate(&forest, &hills(30, 20, (0.0, 0.0), 1.0, 0), rect);
        let _ = locate(&forest, &Picture::new(0, 0), rect);
        let _ = locate(&forest, &Picture::new(1, 1), rect);
    }

    #[test]
    fn points_move_with_the_face(seed: u64, dx in 0u32..60, dy in 0u32..40) {
        let forest = wild(seed, 3, 12, 3);
        let rect = Rect::new(40.0, 30.0, 60.0, 66.0);
        let here = locate(&forest, &hills(220, 180, (0.0, 0.0), 1.0, 0), rect);
        let shift = (-(dx as f32), -(dy as f32));
        let moved = Rect::new(rect.x + dx as f32, rect.y + dy as f32, rect.width, rect.height);
        let there = locate(&forest, &hills(220, 180, shift, 1.0, 0), moved);
        let back = there.map(|p| Point::new(p.x - dx as f32, p.y - dy as f32));
        same_places(back, here, rect.area().sqrt())?;
    }

    #[test]
    fn pixels_look_the_same_however_large_the_face(zoom in 1.0f32..6.0, x in -0.8f32..0.8, y in -0.8f32..0.8) {
        let rect = Rect::new(40.0, 40.0, 60.0, 66.0);
        let (small, large) = (hills(140, 140, (0.0, 0.0), 1.0, 0), hills(840, 840, (0.0, 0.0), zoom, 0));
        let place = Point::new(x, y);
        let once = Sampler::new(&small, BoxFrame::of(&rect), 64).at(place);
        let again = Sampler::new(&large, BoxFrame::of(&rect.scaled(zoom, zoom)), 64).at(place);
        // The hills rise by at most 10 grey levels per pixel; the nearest pixel is at most half a pixel away, and the mean of
        // four pixels is closer than that.
        prop_assert!(once.abs_diff(again) <= 4, "{once} once, {again} in a picture {zoom} times as large");
    }

    #[test]
    fn more_light_changes_nothing(seed: u64, light in 0u8..30, side in 20.0f32..150.0) {
        let forest = wild(seed, 3, 12, 3);
        let rect = Rect::new(10.0, 10.0, side, side);
        let dark = locate(&forest, &hills(170, 170, (0.0, 0.0), 1.0, 0), rect);
        let bright = locate(&forest, &hills(170, 170, (0.0, 0.0), 1.0, light), rect);
        prop_assert_eq!(dark, bright);
    }
}

#[test]
fn a_tree_by_hand() {
    // One split: is the pixel left of the left eye brighter than the one right of the right eye by more than 20?
    let pixel = |anchor, x| PixelSample { anchor, offset: Point::new(x, 0.0) };
    let mut level = Level::new(1, vec![pixel(0, -0.25), pixel(1, 0.25)]);
    let (mut yes, mut no) = ([0; COORDINATES], [0; COORDINATES]);
    yes[4] = 100;
    no[5] = -50;
    level.push(Tree { splits: vec![Split { a: 0, b: 1, threshold: 20 }], leaves: vec![yes, no], step: 0.001 });
    let forest = Forest::new(MEAN, 50, vec![level]).unwrap();
    let rect = Rect::new(0.0, 0.0, 100.0, 100.0);
    let mut picture = Picture::new(100, 100);
    let moved = |picture: &Picture| {
        let nose = locate(&forest, picture, rect)[2];
        [nose.x - 50.0, nose.y - 60.0].map(|by| (by * 100.0).round() / 100.0)
    };
    assert_eq!(moved(&picture), [0.0, -5.0]);
    for y in 0..100 {
        for x in 0..50 {
            picture.set_pixel(x, y, [21; 3]);
        }
    }
    assert_eq!(moved(&picture), [10.0, 0.0]);
}

#[test]
fn a_turned_face_moves_as_an_upright_one() {
    let angle = 0.4f32;
    let turn = Similarity { a: angle.cos(), b: angle.sin(), tx: 0.0, ty: 0.0 };
    let turned = MEAN.map(|point| turn.apply(point));
    let found = orientation(&MEAN, &turned);
    assert!((found.angle() - angle).abs() < 1e-5 && (found.scale() - 1.0).abs() < 1e-5);
    let moves: [f32; COORDINATES] = std::array::from_fn(|i| i as f32 * 0.01);
    let (mut upright, mut other) = (MEAN, turned);
    advance(&mut upright, &Similarity::IDENTITY, &moves);
    advance(&mut other, &found, &moves);
    for (a, b) in upright.into_iter().zip(other) {
        assert!(turn.apply(a).distance(b) < 1e-5);
    }
}

#[test]
fn parts_that_do_not_go_together_are_named() {
    let pixel = |anchor: u8| PixelSample { anchor, offset: Point::new(0.1, 0.0) };
    let tree = |a: u16, step: f32| Tree {
        splits: vec![Split { a, b: 0, threshold: 0 }],
        leaves: vec![[0; COORDINATES]; 2],
        step,
    };
    let made = |anchor: u8, a: u16, step: f32, x: f32| {
        let mut level = Level::new(1, vec![pixel(0), pixel(anchor)]);
        level.push(tree(a, step));
        let mut mean = MEAN;
        mean[0].x = x;
        Forest::new(mean, 64, vec![level]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(made(4, 1, 0.1, 0.0), Ok(()));
    let cases = [
        (made(5, 1, 0.1, 0.0), "level 0, pixel 1"),
        (made(4, 2, 0.1, 0.0), "level 0, split 0"),
        (made(4, 1, f32::NAN, 0.0), "level 0, tree 0"),
        (made(4, 1, 0.1, f32::NAN), "mean shape"),
        (Forest::new(MEAN, 64, vec![]).map(|_| ()).map_err(|error| error.to_string()), "levels: 0"),
    ];
    for (found, words) in cases {
        let error = found.unwrap_err();
        assert!(error.contains(words), "no `{words}` in: {error}");
    }
}

#[test]
fn what_a_file_is_not_is_told() {
    let bytes = wild(1, 1, 1, 1).write();
    let with = |place: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = value;
        Forest::read(&bytes).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(Forest::read(b"\x08\x07onnx"), Err(ForestError::Magic));
    assert!(with(8, 2).contains("version 2"));
    assert!(with(10, 68).contains("keypoints: 68"));
    assert!(with(11, 40).contains("depth: 40"));
    assert!(with(13, 255).contains("its header says"));
    assert!(matches!(Forest::read(&bytes[..20]), Err(ForestError::Length { .. })));
}

#[test]
fn grey_parts_and_mirrors() {
    let mut picture = Picture::filled(4, 3, [10, 20, 30]);
    picture.set_pixel(3, 1, [255; 3]);
    let (part, corner) = GreyPicture::cut(&picture, &Rect::new(1.5, 0.2, 9.0, 1.1));
    assert_eq!((part.width(), part.height(), corner), (3, 2, Point::new(1.0, 0.0)));
    assert_eq!((part.grey(2, 1), part.grey(0, 0)), (255, picture.grey(0, 0)));
    assert_eq!(Mirrored(&part).grey(0, 1), 255);
    let nothing = GreyPicture::cut(&picture, &Rect::new(9.0, 9.0, 3.0, 3.0)).0;
    assert_eq!((nothing.width(), nothing.height()), (0, 0));
    assert_eq!(GreyPicture::from(&picture).height(), 3);
}
