use proptest::prelude::*;

use super::*;

/// Painted heads are blue above and red below, so that they have an upper end.
const TOP: [u8; 3] = [0, 0, 255];
const BOTTOM: [u8; 3] = [255, 0, 0];

/// Paints an upright head of `width` × `width` pixels.
fn paint(photo: &mut Picture, left: u32, top: u32, width: u32) {
    for y in 0..width {
        for x in 0..width {
            photo.set_pixel(left + x, top + y, if y < width / 2 { TOP } else { BOTTOM });
        }
    }
}

fn is(pixel: [u8; 3], colour: [u8; 3]) -> bool {
    pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 60)
}

/// Finds painted heads of 16 to 300 pixels that are upright: their blue half is above the red one. As a real detector would,
/// it also finds a head of which a tile shows only a part, with a lower score.
struct Heads {
    sizes: Option<InputSizes>,
    input: [u32; 2],
    /// Sizes of the pictures that it received.
    seen: std::sync::Arc<std::sync::Mutex<Vec<[u32; 2]>>>,
}

impl Heads {
    fn new(sizes: Option<InputSizes>) -> Self {
        Self { sizes, input: [0; 2], seen: std::sync::Arc::default() }
    }
}

impl Detect for Heads {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        let size = [picture.width(), picture.height()];
        // A detector of one input size scales every picture to it.
        if let Some(InputSizes::MultiplesOf(_)) = self.sizes {
            assert_eq!(size, self.input, "tiles are of the size of the input");
        }
        self.seen.lock().unwrap().push(size);
        let mut faces: Vec<Face> = Vec::new();
        for y in 0..size[1] {
            for x in 0..size[0] {
                let known = |face: &Face| face.rect.expanded(1.1).contains(Point::new(x as f32, y as f32));
                if !is(picture.pixel(x, y), TOP) || faces.iter().any(known) {
                    continue;
                }
                let width = (x..size[0]).take_while(|&x| is(picture.pixel(x, y), TOP)).count() as u32;
                let blue = (y..size[1]).take_while(|&y| is(picture.pixel(x, y), TOP)).count() as u32;
                let red = (y + blue + 2..size[1]).take_while(|&y| is(picture.pixel(x, y), BOTTOM)).count() as u32;
                let middle = Point::new((x + width / 2) as f32, y as f32);
                let rect = Rect::new(x as f32, y as f32, width as f32, (blue + red) as f32);
                let complete = width.abs_diff(blue + red) <= 4;
                if (8..=300).contains(&width) && red >= 4 {
                    let score = if complete { 0.95 } else { 0.7 };
                    let landmarks = Some(visavis_image::Landmarks::from([middle; 5]));
                    faces.push(Face { rect, score, landmarks, turn: Turn::None });
                }
            }
        }
        faces.retain(|face| face.rect.width >= 14.0);
        Ok(faces)
    }

    fn placement(&self) -> Placement {
        Placement { engine: "by hand".into(), device: "CPU".into(), threads: 1 }
    }

    fn input_sizes(&self) -> Option<InputSizes> {
        self.sizes
    }

    fn set_input_size(&mut self, size: [u32; 2]) -> Result<(), FaceError> {
        if let Some(InputSizes::Fixed(only)) = self.sizes {
            assert_eq!(size, only);
        }
        self.input = size;
        Ok(())
    }
}

fn detector(sizes: Option<InputSizes>) -> PhotoDetector {
    PhotoDetector::new(Box::new(Heads::new(sizes)), PhotoParams::default())
}

/// Heads of several sizes all over a large photo.
fn crowd() -> (Picture, Vec<Rect>) {
    let mut photo = Picture::filled(2400, 1800, [90; 3]);
    let mut heads = Vec::new();
    for (at, width) in [20, 24, 33, 47, 60, 85, 120, 170, 240, 330, 500, 25, 40, 64].into_iter().enumerate() {
        let (left, top) = (20 + (at as u32 % 4) * 590, 20 + (at as u32 / 4) * 440);
        // The four large heads have as much space as several small ones.
        let width = if top + width > 1790 { 60 } else { width };
        if heads
            .iter()
            .any(|head: &Rect| head.iou(&Rect::new(left as f32, top as f32, width as f32, width as f32)) > 0.0)
        {
            continue;
        }
        paint(&mut photo, left, top, width);
        heads.push(Rect::new(left as f32, top as f32, width as f32, width as f32));
    }
    (photo, heads)
}

fn assert_found(faces: &[Face], heads: &[Rect]) {
    for head in heads {
        assert!(faces.iter().any(|face| face.rect.iou(head) > 0.65), "not found: {head:?} in {faces:?}");
    }
    assert_eq!(faces.len(), heads.len(), "{faces:?}");
}

#[test]
fn small_and_large_faces_of_a_large_photo_are_found_once() {
    let (photo, heads) = crowd();
    for sizes in [InputSizes::MultiplesOf(32), InputSizes::MultiplesOf(4), InputSizes::Fixed([320, 240])] {
        let faces = detector(Some(sizes)).detect(&photo).unwrap();
        assert_found(&faces, &heads);
        assert!(faces.iter().all(|face| face.turn == Turn::None));
    }
}

#[test]
fn a_photo_on_its_side_gives_the_same_faces_turned() {
    let (photo, heads) = crowd();
    let size = [photo.width() as f32, photo.height() as f32];
    for sizes in [Some(InputSizes::MultiplesOf(32)), Some(InputSizes::Fixed([320, 240]))] {
        for turn in Turn::ALL {
            let faces = detector(sizes).detect(&photo.turned(turn)).unwrap();
            let heads: Vec<Rect> = heads.iter().map(|head| turn.rect(head, size)).collect();
            assert_found(&faces, &heads);
            for face in &faces {
                assert_eq!(face.turn, turn);
                // The keypoints lie in the middle of the upper side, which `turn` has moved.
                let [width, height] = turn.size([face.rect.width, face.rect.height]);
                let upper = turn.transform([width, height]).apply(Point::new(width / 2.0, 0.0));
                let upper = Point::new(face.rect.x + upper.x, face.rect.y + upper.y);
                let nose = face.landmarks.unwrap().nose;
                assert!(nose.distance(upper) < face.rect.width * 0.1, "{turn:?} {face:?} {upper:?}");
            }
        }
    }
}

#[test]
fn a_detector_whose_input_size_is_set_by_the_user_sees_the_whole_photo_once() {
    let mut photo = Picture::filled(500, 400, [90; 3]);
    paint(&mut photo, 100, 100, 120);
    let heads = Heads::new(None);
    let seen = std::sync::Arc::clone(&heads.seen);
    let faces = PhotoDetector::new(Box::new(heads), PhotoParams::default()).detect(&photo).unwrap();
    assert_found(&faces, &[Rect::new(100.0, 100.0, 120.0, 120.0)]);
    let whole = seen.lock().unwrap().iter().filter(|size| **size == [500, 400]).count();
    assert_eq!(whole, 1);
}

#[test]
fn a_small_photo_is_looked_at_at_few_scales() {
    let detector = detector(Some(InputSizes::MultiplesOf(32)));
    assert_eq!(detector.scales(250, 250), [320.0 / 250.0]);
    let scales =
        |width, height| detector.scales(width, height).iter().map(|s| (s * 1000.0).round()).collect::<Vec<_>>();
    assert_eq!(scales(640, 480), [500.0, 1500.0]);
    assert_eq!(scales(4000, 3000), [80.0, 226.0, 640.0]);
    let params = PhotoParams { smallest: 100.0, ..PhotoParams::default() };
    let detector = PhotoDetector::new(Box::new(Heads::new(Some(InputSizes::MultiplesOf(32)))), params);
    let scales: Vec<f32> = detector.scales(4000, 3000).iter().map(|s| (s * 4000.0).round()).collect();
    assert_eq!(scales, [320.0, 640.0], "100 pixels of the photo are 16 of the input");
}

#[test]
fn parts_of_faces_are_no_faces() {
    let face = |x, y, side, score| Face { rect: Rect::new(x, y, side, side), score, landmarks: None, turn: Turn::None };
    let (large, nose) = (face(0.0, 0.0, 100.0, 0.9), face(40.0, 50.0, 20.0, 0.8));
    // In the corner of the box, beside the head.
    let behind = face(-8.0, -8.0, 25.0, 0.7);
    assert_eq!(merged(vec![nose, behind, large], 0.45), [large, behind]);
    // The same face, detected as a rotated one.
    let turned = Face { turn: Turn::Half, score: 0.6, ..face(30.0, 45.0, 60.0, 0.0) };
    assert_eq!(merged(vec![turned, large], 0.45), [large]);
}

proptest! {
    #[test]
    fn tiles_cover_the_side_and_overlap(side in 1u32..9000, most in 3u32..40, overlap in 0u32..128, round in 1u32..33) {
        let most = most * round;
        let overlap = overlap.min(most / 3);
        let Spans { length, starts } = spans(side, most, overlap, round);
        prop_assert!(length <= most && length.is_multiple_of(round));
        prop_assert_eq!(starts[0], 0);
        prop_assert!(starts[starts.len() - 1] + length >= side);
        for pair in starts.windows(2) {
            prop_assert!(pair[0] < pair[1] && pair[0] + length >= pair[1] + overlap, "{:?}", starts);
        }
        // No tile extends beyond the photo, except a single one, which is padded.
        prop_assert!(starts.len() == 1 || starts[starts.len() - 1] + length == side);
    }
}
