//! Packs a small set with a fake detector, and tests the errors of damaged packs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use visavis_data::pack::{
    DetectedFace, Mixer, Pack, PackParams, PackReport, PackWriter, PackedFace, Packer, Summary, usual_box,
};
use visavis_data::{DataError, DataSet, Gender, Labels, Sample, Split, SplitRule};
use visavis_face::{Detect, Face, FaceError};
use visavis_image::{Landmarks, Picture, Point, Rect, Turn, codec, face_template};
use visavis_infer::Placement;

/// Detects every white block of a picture's 10-pixel grid as a face.
struct WhiteBlocks;

impl Detect for WhiteBlocks {
    fn detect(&mut self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        let mut faces = Vec::new();
        for (y, x) in (0..picture.height() / 10).flat_map(|y| (0..picture.width() / 10).map(move |x| (y * 10, x * 10)))
        {
            if picture.pixel(x + 5, y + 5) == [255; 3] {
                let rect = Rect::new(x as f32, y as f32, 10.0, 10.0);
                let landmarks = face_template(10).map(|p| Point::new(p.x + rect.x, p.y + rect.y));
                faces.push(Face { rect, score: 0.75, landmarks: Some(landmarks), turn: Turn::None });
            }
        }
        Ok(faces)
    }

    fn placement(&self) -> Placement {
        Placement { engine: "by hand".into(), device: "CPU".into(), threads: 1 }
    }
}

fn detectors(count: usize) -> Vec<Box<dyn Detect>> {
    (0..count).map(|_| Box::new(WhiteBlocks) as Box<dyn Detect>).collect()
}

/// A grey picture with white blocks at these places.
fn write_picture(path: &Path, blocks: &[(u32, u32)]) {
    let mut picture = Picture::filled(60, 40, [90; 3]);
    for &(left, top) in blocks {
        for (y, x) in (0..10).flat_map(|y| (0..10).map(move |x| (y, x))) {
            picture.set_pixel(left + x, top + y, [255; 3]);
        }
    }
    fs::write(path, codec::encode_png(&picture).unwrap()).unwrap();
}

fn sample(folder: &Path, file: &str) -> Sample {
    Sample {
        path: folder.join(file),
        file: file.into(),
        rect: None,
        landmarks: None,
        labels: Labels::default(),
        identity: None,
    }
}

fn set_of(samples: Vec<Sample>) -> DataSet {
    DataSet { name: "blocks".into(), samples, notes: Vec::new() }
}

fn pack(set: &DataSet, workers: usize, out: &Path) -> Result<PackReport, DataError> {
    let params = PackParams { side: 40, ..PackParams::default() };
    let mut calls = 0;
    let report = Packer { params }.pack(set, "by hand", &mut detectors(workers), out, || calls += 1)?;
    assert_eq!(calls, set.samples.len());
    Ok(report)
}

#[test]
fn the_crop_is_centred_on_the_face_and_everything_moves_with_it() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("a.png"), &[(20, 10)]);
    let labelled = Rect::new(21.0, 11.0, 8.0, 10.0);
    let mut sample = sample(folder.path(), "a.png");
    sample.rect = Some(labelled);
    sample.landmarks = Some(face_template(10).map(|p| Point::new(p.x + 20.0, p.y + 10.0)));
    sample.labels = Labels { age: Some(31.0), gender: Some(Gender::Female), ..Labels::default() };
    let out = folder.path().join("pack");
    let report = pack(&set_of(vec![sample]), 1, &out).unwrap();
    assert_eq!((report.faces, report.undetected), (1, 0));
    let pack = Pack::open(&out).unwrap();
    let face = &pack.faces()[0];
    // The longer side, 10, twice: 20 source pixels become 40 around the box's middle (25, 16).
    assert_eq!(face.scale, 2.0);
    assert_eq!(face.rect, Rect::new(12.0, 10.0, 16.0, 20.0));
    let found = face.detected.unwrap();
    assert_eq!(found.rect, Rect::new(10.0, 8.0, 20.0, 20.0));
    assert_eq!(face.landmarks, found.landmarks);
    assert_eq!(face.any_landmarks(), face.landmarks);
    assert!(face.landmarks.unwrap().left_eye.distance(Point::new(10.0, 8.0)) < 20.0);
    let crop = pack.picture(0).unwrap();
    assert!(crop.pixel(20, 20)[0] > 230 && crop.pixel(4, 4)[0] < 110, "white inside, grey outside");
    pack.verify().unwrap();
    let summary = Summary::of(pack.faces());
    let counts: Vec<_> = summary.counts.iter().map(|count| (count.label, count.value.trim())).collect();
    assert_eq!(counts, [("age", "30 to 39"), ("detector", "found"), ("gender", "female"), ("keypoints", "labelled")]);
}

#[test]
fn outside_the_picture_is_black() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("a.png"), &[(0, 0)]);
    let out = folder.path().join("pack");
    pack(&set_of(vec![sample(folder.path(), "a.png")]), 1, &out).unwrap();
    let pack = Pack::open(&out).unwrap();
    assert_eq!(pack.faces()[0].rect, Rect::new(10.0, 10.0, 20.0, 20.0), "the detector's, where the set gives none");
    assert!(pack.picture(0).unwrap().pixel(3, 3)[0] < 10);
}

#[test]
fn the_labelled_face_is_found_among_several() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("a.png"), &[(0, 0), (20, 10), (50, 30)]);
    let plain = sample(folder.path(), "a.png");
    let boxed = Sample { rect: Some(Rect::new(48.0, 29.0, 12.0, 12.0)), ..plain.clone() };
    let elsewhere = Sample { rect: Some(Rect::new(40.0, 0.0, 8.0, 8.0)), ..plain.clone() };
    let corner = face_template(10).map(|p| Point::new(p.x + 1.0, p.y + 1.0));
    let pointed = Sample { landmarks: Some(corner), ..plain.clone() };
    let out = folder.path().join("pack");
    let report = pack(&set_of(vec![plain, boxed, elsewhere, pointed]), 2, &out).unwrap();
    assert_eq!((report.faces, report.undetected), (4, 1));
    let pack = Pack::open(&out).unwrap();
    let faces = pack.faces();
    assert_eq!(faces[0].detected.unwrap().rect, faces[0].rect, "the one nearest to the middle");
    let overlap = |face: &PackedFace| face.detected.map(|found| found.rect.iou(&face.rect));
    assert!(overlap(&faces[1]).unwrap() > 0.6);
    assert_eq!(overlap(&faces[2]), None, "nothing is found where the set says the face is");
    assert!(overlap(&faces[3]).unwrap() > 0.3);
}

#[test]
fn what_has_no_face_or_cannot_be_read_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("face.png"), &[(20, 10)]);
    write_picture(&folder.path().join("grey.png"), &[]);
    fs::write(folder.path().join("broken.jpg"), b"no picture").unwrap();
    let files = ["grey.png", "face.png", "broken.jpg", "missing.jpg"];
    let set = set_of(files.map(|file| sample(folder.path(), file)).into());
    let report = pack(&set, 2, &folder.path().join("pack")).unwrap();
    assert_eq!((report.faces, report.faceless.as_slice()), (1, &["grey.png".to_owned()][..]));
    let unreadable: Vec<&str> = report.unreadable.iter().map(|u| u.file.as_str()).collect();
    assert_eq!(unreadable, ["broken.jpg", "missing.jpg"]);
    // If no face is left there is no pack.
    let out = folder.path().join("none");
    let error = pack(&set_of(vec![sample(folder.path(), "missing.jpg")]), 1, &out).unwrap_err();
    assert!(error.to_string().contains("none of 1 pictures gave a face, 1 could not be read"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "three pictures and one pack");
}

#[test]
fn a_face_outside_of_its_picture_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("a.png"), &[(20, 10)]);
    // The picture has 60×40 pixels.
    let boxed = |file: &str, rect| Sample { file: file.into(), rect: Some(rect), ..sample(folder.path(), "a.png") };
    let far = face_template(10).map(|p| Point::new(p.x + 20.0, p.y + 100.0));
    let pointed = Sample { file: "pointed".into(), landmarks: Some(far), ..sample(folder.path(), "a.png") };
    let right = boxed("right", Rect::new(60.0, 10.0, 10.0, 10.0));
    let cut = boxed("cut", Rect::new(55.0, 35.0, 10.0, 10.0));
    let report = pack(&set_of(vec![right.clone(), cut, pointed]), 2, &folder.path().join("pack")).unwrap();
    assert_eq!((report.faces, report.outside.as_slice()), (1, &["right".to_owned(), "pointed".to_owned()][..]));
    assert_eq!(Pack::open(&folder.path().join("pack")).unwrap().faces()[0].file, "cut");
    let error = pack(&set_of(vec![right]), 1, &folder.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("in 1 the labelled face lies outside"), "{error}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<String> = (0..40).map(|i| format!("{i}.png")).collect();
    for (i, file) in (0..).zip(&files) {
        write_picture(&folder.path().join(file), &[(i % 6 * 10, i % 4 * 10)]);
    }
    let set = set_of(files.iter().map(|file| sample(folder.path(), file)).collect());
    let [one, four] = [1, 4].map(|workers| {
        let out = folder.path().join(format!("pack{workers}"));
        let report = pack(&set, workers, &out).unwrap();
        (report.fingerprint, fs::read(out.join("faces.jsonl")).unwrap(), fs::read(out.join("faces.bin")).unwrap())
    });
    assert!(one == four);
    let pack = Pack::open(&folder.path().join("pack4")).unwrap();
    assert!(pack.faces().iter().map(|face| &face.file).eq(&files));
    for face in pack.faces() {
        assert_eq!(face.split, SplitRule::default().side("blocks", &face.file));
    }
}

#[test]
fn people_stand_on_one_side() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("a.png"), &[(20, 10)]);
    let of = |person: u32| Sample { identity: Some(person.to_string()), ..sample(folder.path(), "a.png") };
    let set = set_of((0..60).map(|i| of(i % 30)).collect());
    let out = folder.path().join("pack");
    let report = pack(&set, 2, &out).unwrap();
    assert_eq!(report.train + report.validation, 60);
    let pack = Pack::open(&out).unwrap();
    for (first, second) in pack.faces()[..30].iter().zip(&pack.faces()[30..]) {
        assert_eq!((&first.identity, first.split), (&second.identity, second.split));
    }
    assert_eq!(Summary::of(pack.faces()).identities, 30);
}

#[test]
fn a_stopped_run_leaves_nothing_and_spares_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pack");
    let writer = || PackWriter::new(&out, "set", "detector", PackParams::default()).unwrap();
    let mut first = writer();
    first.push(&face("a"), b"jpeg").unwrap();
    assert!(!out.exists());
    drop(first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut whole = writer();
    whole.push(&face("b"), b"jpeg").unwrap();
    whole.finish().unwrap();
    drop(writer());
    assert_eq!(Pack::open(&out).unwrap().faces()[0].file, "b");
    writer().finish().unwrap();
    assert_eq!(Pack::open(&out).unwrap().faces().len(), 0, "replaced");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn two_runs_do_not_make_one_pack() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pack");
    let begin = || PackWriter::new(&out, "set", "detector", PackParams::default());
    let first = begin().unwrap();
    let error = begin().unwrap_err();
    assert!(error.to_string().contains("another run is making this pack"), "{error}");
    first.finish().unwrap();
    begin().unwrap();
}

#[test]
fn what_a_killed_run_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(".pack.part");
    fs::create_dir(&left).unwrap();
    for name in ["pack.json", "faces.jsonl", "faces.bin"] {
        fs::write(left.join(name), "half of it").unwrap();
    }
    let out = folder.path().join("pack");
    let mut writer = PackWriter::new(&out, "set", "detector", PackParams::default()).unwrap();
    writer.push(&face("a"), b"jpeg").unwrap();
    writer.finish().unwrap();
    let pack = Pack::open(&out).unwrap();
    assert_eq!((pack.jpeg(0), pack.faces().len()), (&b"jpeg"[..], 1));
    pack.verify().unwrap();
    assert!(!left.exists());
}

#[test]
fn a_folder_that_is_no_pack_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let error = PackWriter::new(folder.path(), "set", "detector", PackParams::default()).unwrap_err();
    assert!(error.to_string().contains("something that is no pack is there"), "{error}");
}

#[test]
fn mixtures_are_of_two_faces_that_train() {
    let folder = tempfile::tempdir().unwrap();
    // Faces of one colour each, so that a mixture's colour shows its faces.
    let colours = [("a", [250, 0, 0]), ("b", [0, 250, 0]), ("c", [0, 0, 250]), ("not/d", [250; 3])];
    let landmarks = face_template(40);
    let source = folder.path().join("pack");
    let mut writer =
        PackWriter::new(&source, "set", "by hand", PackParams { side: 40, ..PackParams::default() }).unwrap();
    for (file, colour) in colours {
        let split = if file == "c" { Split::Validation } else { Split::Train };
        let jpeg = codec::encode_jpeg(&Picture::filled(40, 40, colour), 95).unwrap();
        writer.push(&PackedFace { landmarks: Some(landmarks), detected: None, split, ..face(file) }, &jpeg).unwrap();
    }
    writer.finish().unwrap();
    let packs = [Pack::open(&source).unwrap()];
    let params = PackParams { side: 40, ..PackParams::default() };
    let mixed = |seed: u64, threads: usize, out: &str| {
        let mixer = Mixer { faces: 9, seed, except: vec!["not/".into()], params, threads };
        let mut calls = 0;
        let info = mixer.mix(&packs, "mixed", &folder.path().join(out), || calls += 1).unwrap();
        assert_eq!((info.faces, calls), (9, 9));
        Pack::open(&folder.path().join(out)).unwrap()
    };
    let pack = mixed(1, 2, "mixed");
    for (number, face) in pack.faces().iter().enumerate() {
        assert!(face.split == Split::Train && face.identity.is_none() && face.set == "mixed");
        // The middle of the crop shows both faces: 30 to 70 percent of each, and nothing of the others.
        let [red, green, blue] = pack.picture(number).unwrap().pixel(20, 20);
        assert!((70..=180).contains(&red) && (70..=180).contains(&green) && blue < 12, "{red} {green} {blue}");
        let rect = usual_box(&face.landmarks.unwrap()).unwrap();
        assert!((rect.centre().x - 20.0).abs() < 0.5 && (rect.height - 20.0).abs() < 0.5, "{rect:?}");
    }
    assert_eq!(pack.fingerprint(), mixed(1, 1, "again").fingerprint());
    assert_ne!(pack.fingerprint(), mixed(2, 2, "other").fingerprint());
    let alone = Mixer { faces: 1, seed: 1, except: vec!["a".into(), "not/".into()], params, threads: 1 };
    let refused = alone.mix(&packs, "x", &folder.path().join("x"), || ()).unwrap_err();
    assert!(refused.to_string().contains("nothing to mix"), "{refused}");
}

#[test]
fn numbers_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = PackWriter::new(&folder.path().join("pack"), "set", "detector", PackParams::default()).unwrap();
    let odd = PackedFace { rect: Rect::new(0.0, f32::NAN, 1.0, 1.0), ..face("a") };
    let error = writer.push(&odd, b"").unwrap_err();
    assert!(error.to_string().contains("a: a box or keypoint of this face is no finite number"), "{error}");
}

fn face(file: &str) -> PackedFace {
    PackedFace {
        set: "set".into(),
        file: file.into(),
        identity: None,
        split: Split::Train,
        labels: Labels::default(),
        scale: 1.0,
        rect: Rect::new(1.0, 2.0, 3.0, 4.0),
        landmarks: None,
        detected: None,
    }
}

fn any_number() -> impl Strategy<Value = f32> {
    -1e6f32..1e6
}

fn any_rect() -> impl Strategy<Value = Rect> {
    [any_number(), any_number(), any_number(), any_number()].prop_map(Rect::from)
}

fn any_landmarks() -> impl Strategy<Value = Landmarks> {
    let point = || (any_number(), any_number()).prop_map(|(x, y)| Point::new(x, y));
    [point(), point(), point(), point(), point()].prop_map(Landmarks::from)
}

prop_compose! {
    fn any_labels()(
        ages in (prop::option::of(0f32..120.0), prop::option::of(0f32..20.0)),
        gender in prop::option::of(prop_oneof![Just(Gender::Female), Just(Gender::Male)]),
        flags in (prop::option::of(any::<bool>()), prop::option::of(any::<bool>())),
        codes in (prop::option::of(0u8..5), prop::option::of(1u8..6)),
        votes in prop::option::of(prop::array::uniform8(0f32..1.0)),
    ) -> Labels {
        Labels { age: ages.0, age_deviation: ages.1, gender, smile: flags.0, race: codes.0, glasses: flags.1, pose: codes.1, expression: votes }
    }
}

prop_compose! {
    fn any_face()(
        names in (".{0,12}", ".{0,12}", prop::option::of(".{0,12}")),
        validation in any::<bool>(),
        labels in any_labels(),
        scale in 0.01f32..4.0,
        rect in any_rect(),
        landmarks in prop::option::of(any_landmarks()),
        detected in prop::option::of((any_rect(), 0f32..1.0, prop::option::of(any_landmarks()))),
    ) -> PackedFace {
        PackedFace {
            set: names.0,
            file: names.1,
            identity: names.2,
            split: if validation { Split::Validation } else { Split::Train },
            labels,
            scale,
            rect,
            landmarks,
            detected: detected.map(|(rect, score, landmarks)| DetectedFace { rect, score, landmarks }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(faces in prop::collection::vec((any_face(), prop::collection::vec(any::<u8>(), 0..40)), 0..6)) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pack");
        let mut writer = PackWriter::new(&out, "set", "detector", PackParams::default()).unwrap();
        for (face, jpeg) in &faces {
            writer.push(face, jpeg).unwrap();
        }
        let info = writer.finish().unwrap();
        let pack = Pack::open(&out).unwrap();
        prop_assert_eq!(pack.info(), &info);
        prop_assert!(pack.faces().iter().eq(faces.iter().map(|(face, _)| face)));
        for (index, (_, jpeg)) in faces.iter().enumerate() {
            prop_assert_eq!(pack.jpeg(index), jpeg.as_slice());
        }
        pack.verify().unwrap();
    }

    #[test]
    fn a_pack_that_was_cut_or_changed_is_refused(file in 0usize..3, cut in any::<prop::sample::Index>(), flip in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pack");
        let mut writer = PackWriter::new(&out, "set", "detector", PackParams::default()).unwrap();
        for name in ["a", "b", "c"] {
            writer.push(&face(name), b"a small jpeg").unwrap();
        }
        writer.finish().unwrap();
        let path = out.join(["pack.json", "faces.jsonl", "faces.bin"][file]);
        let mut bytes = fs::read(&path).unwrap();
        // The line end after pack.json may be missing.
        let at = cut.index(bytes.len() - 1);
        if flip {
            bytes[at] ^= 0x15;
        } else {
            bytes.truncate(at);
        }
        fs::write(&path, bytes).unwrap();
        match Pack::open(&out) {
            // If a length or number in pack.json was changed, the error names the file concerned.
            Err(error) => prop_assert!(["pack.json", "faces."].iter().any(|name| error.to_string().contains(name)), "{}", error),
            // A change after which the pack is readable is detected by the hash, except in the descriptions of pack.json.
            Ok(pack) => prop_assert!(flip && (file == 0 || pack.verify().is_err())),
        }
    }
}
