//! Small sets in each layout.

use std::fs;

use super::*;
use crate::layout::folder_of;
use crate::layout::matlab::Value;
use crate::layout::matlab::tests::mat_file;
use tempfile::TempDir;
use visavis_image::Picture;

/// These files, and pictures of 100×80 pixels.
fn set(files: &[(&str, &str)], pictures: &[&str]) -> TempDir {
    let folder = folder_of(files.iter().copied());
    let png = codec::encode_png(&Picture::filled(100, 80, [90; 3])).unwrap();
    for picture in pictures {
        let path = folder.path().join(picture);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &png).unwrap();
    }
    folder
}

/// File, `(box, ignored)` of each face, negative.
type Seen<'a> = (&'a str, Vec<([f32; 4], bool)>, bool);

fn seen(set: &BoxSet) -> Vec<Seen<'_>> {
    let ids: Vec<u64> = set.boxes.images.iter().map(|image| image.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert!(set.boxes.images.iter().all(|image| (image.width, image.height) == (100, 80)));
    let faces = |image: &LabelledImage| image.faces.iter().map(|f| (f.rect.into(), f.label == Label::Ignore)).collect();
    set.boxes.images.iter().map(|image| (image.file_name.as_str(), faces(image), image.negative)).collect()
}

fn error(layout: BoxLayout, folder: &TempDir, from: &str) -> String {
    read(layout, &folder.path().join(from), None).unwrap_err().to_string()
}

const WIDER: &str = "0--Parade/0_Parade_1.jpg
3
10 20 30 40 0 0 0 0 0 0
50 5 0 12 2 0 0 0 0 0
60 30 8 9 2 1 1 1 2 1
0--Parade/empty.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Sea/bare.jpg
0
1--Sea/last.jpg
1
-2 70 12.5 12 0 0 0 0 0 0
";
const WIDER_PICTURES: [&str; 4] =
    ["0--Parade/0_Parade_1.jpg", "0--Parade/empty.jpg", "1--Sea/bare.jpg", "1--Sea/last.jpg"];

#[test]
fn wider_face() {
    let pictures = WIDER_PICTURES.map(|file| format!("WIDER_val/images/{file}"));
    let list = "wider_face_split/wider_face_val_bbx_gt.txt";
    let folder = set(&[(list, WIDER)], &pictures.each_ref().map(String::as_str));
    let expected: Vec<Seen<'_>> = vec![
        (WIDER_PICTURES[0], vec![([10.0, 20.0, 30.0, 40.0], false), ([60.0, 30.0, 8.0, 9.0], true)], false),
        (WIDER_PICTURES[1], vec![], true),
        (WIDER_PICTURES[2], vec![], true),
        (WIDER_PICTURES[3], vec![([-2.0, 70.0, 12.5, 12.0], false)], false),
    ];
    for from in ["", "wider_face_split", list] {
        let found = read(BoxLayout::Wider, &folder.path().join(from), None).unwrap();
        assert_eq!(seen(&found), expected, "{from}");
        assert_eq!(found.notes, ["1 boxes without width or height were left out"]);
        assert!(found.images.ends_with("WIDER_val/images"));
    }
    // The pictures may be elsewhere if their folder is given.
    let images = folder.path().join("WIDER_val/images");
    let away = set(&[("x_bbx_gt.txt", WIDER)], &[]);
    assert_eq!(seen(&read(BoxLayout::Wider, away.path(), Some(&images)).unwrap()), expected);
    assert!(error(BoxLayout::Wider, &away, "").contains("name the folder of the pictures"));
}

#[test]
fn a_bad_line_of_wider_face_is_named() {
    let cases = [
        ("a.jpg\n1\n1 2 3 4 0 0 0 0 0\n", "gt.txt, line 3: 9 columns instead of 10: x, y, width"),
        ("a.jpg\n1\n1 2 -3 4 0 0 0 0 0 0\n", "line 3: width `-3` is not a number from 0"),
        ("a.jpg\n1\n1 2 3 4 3 0 0 0 0 0\n", "line 3: blur `3` is not a number from 0 to 2"),
        ("a.jpg\n1\n1 2 3 4 0 0 0 2 0 0\n", "line 3: invalid `2` is not a number from 0 to 1"),
        ("\na.jpg\nb.jpg\n", "line 3: the number of faces of a.jpg `b.jpg` is not a number"),
        ("a.jpg\n", "line 1: the list ends before the number of faces of a.jpg"),
        ("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "line 2: a.jpg has 2 faces, but the list ends after 1 of them"),
        (
            "a.jpg\n1\n200 2 3 4 0 0 0 0 0 0\n",
            "line 3: the box at (200, 2) of 3x4 lies outside of a.jpg, which is 100x80",
        ),
        ("a.jpg\n0\nmissing.jpg\n0\n", "line 3: missing.jpg: "),
        ("a.jpg\n0\nbroken.jpg\n0\n", "line 3: broken.jpg: the picture cannot be decoded"),
        ("", "no picture is listed in there"),
    ];
    for (text, expected) in cases {
        let folder = set(&[("wider_gt.txt", text), ("broken.jpg", "no picture")], &["a.jpg"]);
        let error = error(BoxLayout::Wider, &folder, "wider_gt.txt");
        assert!(error.contains(expected), "`{error}` for `{expected}`");
    }
    let folder = set(&[("a_bbx_gt.txt", ""), ("b_bbx_gt.txt", "")], &[]);
    assert!(error(BoxLayout::Wider, &folder, "").contains("there are several lists: name one of"));
    assert!(error(BoxLayout::Wider, &set(&[("notes.txt", "")], &[]), "").contains("wider_face_train_bbx_gt.txt"));
}

fn annotation(file: &str, objects: &str) -> String {
    format!("<annotation>\n<filename>{file}</filename>\n{objects}\n</annotation>\n")
}

fn object(name: &str, [xmin, ymin, xmax, ymax]: [&str; 4], more: &str) -> String {
    format!(
        "<object><name>{name}</name>{more}\n<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax>\
         <ymax>{ymax}</ymax></bndbox></object>"
    )
}

#[test]
fn pascal_voc() {
    let first = [
        object("face", ["1", "1", "100", "80"], "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"),
        object("dog", ["5", "6", "7", "8"], ""),
        object("face", [" 11 ", "21", "40", "60"], "<difficult>1</difficult>"),
        object("face", ["0", "0", "9.5", "20"], ""),
    ];
    let (first, second) = (annotation("a.png", &first.concat()), annotation("b.png", ""));
    let files = [("Annotations/a.xml", first.as_str()), ("Annotations/b.xml", &second), ("Annotations/readme", "")];
    let folder = set(&files, &["JPEGImages/a.png", "JPEGImages/b.png"]);
    let whole = ([0.0, 0.0, 100.0, 80.0], false);
    let expected: Vec<Seen<'_>> = vec![
        ("a.png", vec![whole, ([10.0, 20.0, 30.0, 40.0], true), ([0.0, 0.0, 9.5, 20.0], false)], false),
        ("b.png", vec![], true),
    ];
    for from in ["", "Annotations"] {
        assert_eq!(seen(&read(BoxLayout::Voc, &folder.path().join(from), None).unwrap()), expected, "{from}");
    }
}

#[test]
fn a_bad_annotation_is_named() {
    let box_of = |corners| object("face", corners, "");
    let cases = [
        ("<annotation>\n<filename>a.png</annotation>".to_owned(), "a.xml, line 2: not XML"),
        ("<annotation>\n</annotation>".into(), "a.xml, line 1: <annotation> has no <filename>"),
        (annotation("a.png", "<object><name>face</name></object>"), "line 3: <object> has no <bndbox>"),
        (annotation("a.png", &box_of(["1", "2", "x", "4"])), "line 4: xmax `x` is not a number"),
        (
            annotation("a.png", &box_of(["9", "2", "3", "4"])),
            "line 4: the box ends at (3, 4), before it begins at (8, 1)",
        ),
        (
            annotation("a.png", &object("face", ["1", "2", "3", "4"], "\n<difficult>often</difficult>")),
            "line 4: difficult `often` is neither 1 nor 0",
        ),
        (annotation("a.png", &object("mask", ["1", "2", "3", "4"], "")), "no object is named `face`, only mask"),
    ];
    for (text, expected) in cases {
        let error = error(BoxLayout::Voc, &set(&[("a.xml", &text)], &["a.png"]), "");
        assert!(error.contains(expected), "`{error}` for `{expected}`");
    }
    assert!(error(BoxLayout::Voc, &set(&[], &["a.png"]), "").contains("no XML file is in there"));
}

#[test]
fn fddb() {
    let first = "2002/08/11/big/img_1\n2\n30 20 0.0 50 40  1\n20 10 -1.5707964 50 40 1\n";
    let files = [
        ("FDDB-folds/FDDB-fold-01-ellipseList.txt", first),
        ("FDDB-folds/FDDB-fold-02-ellipseList.txt", "img_2.png\n1\n5 5 1 10 10 1\n"),
        ("FDDB-folds/FDDB-fold-01.txt", "2002/08/11/big/img_1\n"),
    ];
    let folder = set(&files, &["originalPics/2002/08/11/big/img_1.jpg", "originalPics/img_2.png"]);
    let found = read(BoxLayout::Fddb, folder.path(), None).unwrap();
    let rounded: Vec<[f32; 4]> = found
        .boxes
        .images
        .iter()
        .flat_map(|image| image.faces.iter().map(|face| <[f32; 4]>::from(face.rect).map(f32::round)))
        .collect();
    assert_eq!(rounded, [[20.0, 20.0, 60.0, 40.0], [40.0, 20.0, 20.0, 40.0], [5.0, 5.0, 10.0, 10.0]]);
    assert_eq!(seen(&found)[0].0, "2002/08/11/big/img_1.jpg");

    for (text, expected) in [
        ("a\n1\n30 20 0.0 50 40\n", "ellipseList.txt, line 3: 5 columns instead of 6"),
        ("a\n1\n30 20 north 50 40 1\n", "line 3: angle `north` is not a number"),
        ("a\n1\n-1 20 0 50 40 1\n", "line 3: half the major axis `-1` is not a number from 0"),
        ("a\n1\n", "line 2: a.jpg has 1 faces, but the list ends after 0 of them"),
    ] {
        let error = error(BoxLayout::Fddb, &set(&[("ellipseList.txt", text)], &["a.jpg"]), "");
        assert!(error.contains(expected), "`{error}` for `{expected}`");
    }
    assert!(error(BoxLayout::Fddb, &set(&[], &["a.jpg"]), "").contains("FDDB-fold-01-ellipseList.txt"));
}

#[test]
fn coco_is_held_against_its_pictures() {
    let json = |width: u32| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": {width}, "height": 80}}],
            "annotations": [{{"image_id": 1, "bbox": [1, 2, 3, 4], "ignore": 1}}]}}"#
        )
    };
    let folder = set(&[("boxes.json", &json(100)), ("other.json", &json(99))], &["images/a.png"]);
    let found = read(BoxLayout::Coco, &folder.path().join("boxes.json"), None).unwrap();
    assert_eq!(seen(&found), [("a.png", vec![([1.0, 2.0, 3.0, 4.0], true)], false)]);
    let said = error(BoxLayout::Coco, &folder, "other.json");
    assert!(said.contains("image id 1 (a.png) is said to be 99x80, but the picture is 100x80"), "{said}");
    assert!(error(BoxLayout::Coco, &folder, "missing.json").contains("cannot read"));
}

#[test]
fn a_folder_of_negatives_has_pictures_and_no_boxes() {
    let folder = set(&[], &["hands/a.png", "b.png"]);
    let found = read(BoxLayout::Negatives, folder.path(), None).unwrap();
    assert_eq!(seen(&found), [("b.png", Vec::new(), true), ("hands/a.png", Vec::new(), true)]);
    let empty = tempfile::tempdir().unwrap();
    assert!(read(BoxLayout::Negatives, empty.path(), None).unwrap_err().to_string().contains("no picture"));
}

#[test]
fn names_lead_back_to_layouts() {
    for layout in BoxLayout::ALL {
        assert_eq!(layout.name().parse(), Ok(layout));
    }
    assert!("pascal".parse::<BoxLayout>().unwrap_err().contains("wider, voc, fddb, coco, negatives"));
}

/// A folder, its pictures, and for each the faces that count, from 1.
type Counted<'a> = (&'a str, &'a [(&'a str, &'a [f64])]);

/// `wider_NAME_val.mat`.
fn subset_file(folders: &[Counted<'_>]) -> Vec<u8> {
    let text = |text: &str| Value::Text(text.to_owned());
    let cells = |cell: &dyn Fn(&Counted<'_>) -> Value| Value::Cells(folders.iter().map(cell).collect());
    let files = cells(&|(_, files)| Value::Cells(files.iter().map(|(name, _)| text(name)).collect()));
    let faces = cells(&|(_, files)| Value::Cells(files.iter().map(|(_, f)| Value::Numbers(f.to_vec())).collect()));
    let events = cells(&|(event, _)| text(event));
    let mut bytes = mat_file("event_list", &events, true);
    // One header, then all variables.
    bytes.extend_from_slice(&mat_file("file_list", &files, true)[128..]);
    bytes.extend_from_slice(&mat_file("gt_list", &faces, false)[128..]);
    bytes
}

#[test]
fn wider_face_says_which_faces_are_easy() {
    let pictures = WIDER_PICTURES.map(|file| format!("WIDER_val/images/{file}"));
    let list = "wider_face_split/wider_face_val_bbx_gt.txt";
    let folder = set(&[(list, WIDER)], &pictures.each_ref().map(String::as_str));
    let write = |subset: &str, first: &[f64], last: &[f64]| {
        let path = folder.path().join("eval_tools/ground_truth").join(format!("wider_{subset}_val.mat"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = subset_file(&[("0--Parade", &[("0_Parade_1", first)]), ("1--Sea", &[("last", last)])]);
        fs::write(path, bytes).unwrap();
    };
    write("easy", &[1.0], &[]);
    write("medium", &[1.0], &[1.0]);
    let missing = error(BoxLayout::Wider, &folder, "wider_face_split");
    assert!(missing.contains("wider_hard_val.mat"), "{missing}");
    write("hard", &[1.0, 3.0], &[1.0]);
    let found = read(BoxLayout::Wider, &folder.path().join("wider_face_split"), None).unwrap();
    let flags = |picture: usize| -> Vec<Option<[bool; 3]>> {
        let faces = &found.boxes.images[picture].faces;
        faces.iter().map(|face| face.wider.map(|flags| [flags.easy, flags.medium, flags.hard])).collect()
    };
    // The second face has no width and is left out; the indices of the others do not change.
    assert_eq!(flags(0), [Some([true, true, true]), Some([false, false, true])]);
    assert_eq!(flags(3), [Some([false, true, true])]);
    write("easy", &[4.0], &[]);
    assert!(error(BoxLayout::Wider, &folder, "wider_face_split").contains("face 4 of 0--Parade/0_Parade_1"));
    fs::write(
        folder.path().join("eval_tools/ground_truth/wider_easy_val.mat"),
        mat_file("x", &Value::Numbers(vec![1.0]), false),
    )
    .unwrap();
    assert!(error(BoxLayout::Wider, &folder, "wider_face_split").contains("`event_list`"));
}

/// Opening a pipe waits until a program writes to it.
#[cfg(unix)]
#[test]
fn a_pipe_in_a_list_is_not_opened() {
    let pictures = WIDER_PICTURES.map(|file| format!("WIDER_val/images/{file}"));
    let folder =
        set(&[("wider_face_split/wider_face_val_bbx_gt.txt", WIDER)], &[&pictures[0], &pictures[2], &pictures[3]]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join(&pictures[1])).status().unwrap();
    assert!(made.success());
    let (send, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(error(BoxLayout::Wider, &folder, "")));
    let said = said.recv_timeout(std::time::Duration::from_secs(60)).expect("the pipe was opened");
    assert!(said.contains("empty.jpg") && said.contains("there is no such file"), "{said}");
}
