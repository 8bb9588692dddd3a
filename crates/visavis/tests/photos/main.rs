//! Runs `visavis analyze` without flags on photos: small faces in large photos, and rotated photos. The faces are those of
//! the demo's photos; if these are not available, the tests are skipped with a message.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use visavis_image::{Picture, Point, Rect, Similarity, Turn, codec, warp_into};

/// A photo of the demo, the centre of its face and the width of the face in pixels.
type Head = (&'static str, (f32, f32), f32);

const HEADS: [Head; 5] = [
    ("obama.jpg", (492.0, 252.0), 221.0),
    ("obama2.jpg", (333.0, 429.0), 270.0),
    ("obama3.jpg", (782.0, 435.0), 268.0),
    ("biden.jpg", (570.0, 369.0), 276.0),
    ("collins.png", (226.0, 120.0), 93.0),
];

/// Runs the program. Returns standard output, or standard error if it fails.
fn run(words: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_visavis")).args(words).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The folder of the demo's photos, downloaded by `visavis demo` if they are not in the cache.
fn photos() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let folder = cache.join("visavis").join("samples");
    if HEADS.iter().any(|(file, ..)| !folder.join(file).is_file())
        && let Err(reason) = run(&["demo", "--headless", "--seconds", "0.1", "--json"])
    {
        eprintln!("skipped: the photos of the demo are not available: {reason}");
        return None;
    }
    Some(folder)
}

fn read(path: &Path) -> Picture {
    codec::decode(&std::fs::read(path).unwrap(), codec::MAX_PIXELS).unwrap()
}

/// The faces that `analyze` finds in a picture.
fn analyze(picture: &Picture) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    // Lossless where that is fast: the JPEG of a rotated picture has other errors than that of the upright one.
    let small = picture.width() * picture.height() < 2_000_000;
    let bytes = if small { codec::encode_png(picture) } else { codec::encode_jpeg(picture, 92) };
    let file = folder.path().join(if small { "photo.png" } else { "photo.jpg" });
    std::fs::write(&file, bytes.unwrap()).unwrap();
    let line: Value = serde_json::from_str(&run(&["analyze", file.to_str().unwrap()]).unwrap()).unwrap();
    line["faces"].as_array().unwrap().clone()
}

fn box_of(face: &Value) -> Rect {
    let side = |at: usize| face["box"][at].as_f64().unwrap() as f32;
    Rect::new(side(0), side(1), side(2), side(3))
}

/// Twelve heads whose faces are `width` pixels wide, in four columns, on a canvas with a brightness gradient.
fn twelve(photos: &Path, canvas: [u32; 2], width: f32) -> (Picture, Vec<Point>) {
    let mut out = Picture::new(canvas[0], canvas[1]);
    for y in 0..canvas[1] {
        for x in 0..canvas[0] {
            let light = 70 + 90 * x / canvas[0] + 60 * y / canvas[1];
            out.set_pixel(x, y, [light as u8, (light - 10) as u8, (light - 25) as u8]);
        }
    }
    let heads: Vec<Picture> = HEADS.iter().map(|(file, ..)| read(&photos.join(file))).collect();
    let mut middles = Vec::new();
    for place in 0..12 {
        let ((_, (x, y), face), photo) = (HEADS[place % HEADS.len()], &heads[place % HEADS.len()]);
        // A square with twice the width of the face.
        let side = 2.0 * width;
        let mut head = Picture::new(side as u32, side as u32);
        let corner = Point::new(x - face, y - face);
        warp_into(photo, &Similarity::scale_then_shift(face / width, corner.x, corner.y), &mut head);
        if place % 2 == 1 {
            head.mirror();
        }
        let column = canvas[0] / 4 * (place as u32 % 4) + 37 + 11 * place as u32;
        let row = canvas[1] / 3 * (place as u32 / 4) + 53 + 7 * place as u32;
        for (line, from) in (0..head.height()).map(|y| (row + y, head.row(y))) {
            let at = (line as usize * canvas[0] as usize + column as usize) * 3;
            out.pixels_mut()[at..at + from.len()].copy_from_slice(from);
        }
        middles.push(Point::new(column as f32 + width, row as f32 + width));
    }
    (out, middles)
}

#[test]
fn small_faces_of_large_photos_are_all_found_and_nothing_else() {
    let Some(photos) = photos() else { return };
    for (canvas, width) in [([4000, 3000], 120.0), ([4000, 3000], 40.0), ([1920, 1080], 40.0)] {
        let (picture, middles) = twelve(&photos, canvas, width);
        let faces: Vec<Rect> = analyze(&picture).iter().map(box_of).collect();
        for middle in middles {
            let here = faces.iter().filter(|face| face.centre().distance(middle) < width / 3.0).collect::<Vec<_>>();
            assert_eq!(here.len(), 1, "{canvas:?}, {width}: at {middle:?} of {faces:?}");
            assert!((0.6..1.6).contains(&(here[0].width / width)), "{canvas:?}, {width}: {here:?}");
        }
        assert_eq!(faces.len(), 12, "{canvas:?}, {width}: {faces:?}");
    }
}

#[test]
fn a_face_that_fills_the_photo_is_found_once() {
    let Some(photos) = photos() else { return };
    let (file, (x, y), width) = HEADS[0];
    let mut close = Picture::new(3000, 4000);
    let scale = width * 1.5 / 4000.0;
    let corner = Point::new(x - 1500.0 * scale, y - 2000.0 * scale);
    warp_into(&read(&photos.join(file)), &Similarity::scale_then_shift(scale, corner.x, corner.y), &mut close);
    let faces = analyze(&close);
    assert_eq!(faces.len(), 1, "{faces:?}");
    assert!(box_of(&faces[0]).width > 2000.0, "{faces:?}");
}

#[test]
fn a_portrait_on_its_side_or_head_tells_the_same() {
    let Some(photos) = photos() else { return };
    for file in ["obama.jpg", "collins.png"] {
        let upright = read(&photos.join(file));
        let told = analyze(&upright);
        assert_eq!(told.len(), 1, "{file}: {told:?}");
        let (told, size) = (&told[0], [upright.width() as f32, upright.height() as f32]);
        assert!(told["turned"].is_null() && told["age"].is_number() && told["gender"].is_string(), "{told}");
        for turn in [Turn::Right, Turn::Half, Turn::Left] {
            let faces = analyze(&upright.turned(turn));
            assert_eq!(faces.len(), 1, "{file}, {turn:?}: {faces:?}");
            let face = &faces[0];
            assert_eq!(face["turned"], turn.degrees(), "{file}, {turn:?}");
            assert!(turn.rect(&box_of(told), size).iou(&box_of(face)) > 0.7, "{file}, {turn:?}: {face} for {told}");
            let years = |face: &Value| face["age"].as_f64().unwrap();
            assert!((years(face) - years(told)).abs() < 3.0, "{file}, {turn:?}: {face} for {told}");
            assert_eq!(face["gender"], told["gender"], "{file}, {turn:?}");
        }
    }
}
