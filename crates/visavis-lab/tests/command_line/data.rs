//! `visavis-lab data`, and `visavis-lab evaluate` of detectors on its output. The test's own detector takes bright cells for
//! faces.

use serde_json::Value;
use visavis_image::codec;

use crate::stage::{Stage, files};
use crate::{lines, with_models};

fn json(stage: &Stage, words: &[&str]) -> Value {
    serde_json::from_str(&stage.succeeds(&[words, &["--json"]].concat())).unwrap()
}

/// `set/labels.csv` and six pictures, the last without a face.
fn labelled(stage: &Stage) {
    std::fs::create_dir(stage.path("set")).unwrap();
    let mut table = String::from("file,age,gender,smile\n");
    for number in 0..6_u32 {
        let cell = (number % 4, number / 4);
        let cells = if number < 5 { vec![cell] } else { Vec::new() };
        stage.picture(&format!("set/{number}.png"), &cells, [255 - number as u8; 3]);
        let gender = if number % 2 == 0 { "female" } else { "male" };
        table += &format!("{number}.png,{},{gender},{}\n", 20 + number, number % 2);
    }
    stage.write("set/labels.csv", table.as_bytes());
}

#[test]
fn a_set_is_packed_shown_and_drawn() {
    let stage = Stage::new();
    labelled(&stage);
    let words = ["data", "pack", "--layout", "table", "--from", "set", "--out", "packs/set", "--side", "64"];
    std::fs::create_dir(stage.path("packs")).unwrap();
    let packed = json(&stage, &with_models(&words));
    assert_eq!(packed["detector"], "bright");
    assert_eq!(packed["report"]["faces"], 5);
    assert_eq!(packed["report"]["faceless"], serde_json::json!(["5.png"]));
    let count = |side: &str| packed["report"][side].as_u64().unwrap();
    assert_eq!(count("train") + count("validation"), 5);

    let shown = json(&stage, &["data", "show", "packs/set", "--verify"]);
    assert_eq!(shown["pack"]["fingerprint"], packed["report"]["fingerprint"]);
    let counts = shown["summary"]["counts"].as_array().unwrap();
    let of = |label: &str, value: &str| -> u64 {
        let row = counts.iter().find(|row| row["label"] == label && row["value"].as_str().unwrap().trim() == value);
        ["train", "validation"].iter().map(|side| row.unwrap()[*side].as_u64().unwrap()).sum()
    };
    assert_eq!((of("gender", "female"), of("gender", "male"), of("smile", "yes")), (3, 2, 2));
    assert_eq!((of("age", "20 to 29"), of("detector", "found")), (5, 5));
    let told = stage.succeeds(&["data", "show", "packs/set"]);
    assert!(told.contains("set: crops of 64 pixels") && told.contains("female"), "{told}");

    stage.succeeds(&["data", "sheet", "packs/set", "--out", "sheet.png", "--columns", "3"]);
    let sheet = codec::decode(&stage.read("sheet.png"), codec::MAX_PIXELS).unwrap();
    assert_eq!(sheet.width(), 3 * 64);

    let said = stage.fails(&["data", "sheet", "packs/set", "--out", "set/labels.csv"]);
    assert!(said.contains("name a file that ends with .png"), "{said}");
    let said = stage.fails(&["data", "mix", "packs/set", "--faces", "4", "--out", "packs/set"]);
    assert!(said.contains("one of the packs to be mixed"), "{said}");

    // The same set gives the same pack, whatever the number of workers.
    let again = json(&stage, &with_models(&[&words[..], &["--workers", "3"]].concat()));
    assert_eq!(again["report"]["fingerprint"], packed["report"]["fingerprint"]);
}

#[test]
fn a_set_or_pack_that_is_not_whole_is_named() {
    let stage = Stage::new();
    labelled(&stage);
    let pack =
        |layout: &'static str| with_models(&["data", "pack", "--from", "set", "--out", "pack", "--layout", layout]);
    stage.succeeds(&pack("table"));
    let faces = stage.read("pack/faces.bin");
    stage.write("pack/faces.bin", &faces[..faces.len() - 1]);
    assert!(stage.fails(&["data", "show", "pack"]).contains("pack"));
    let said = stage.fails(&["data", "show", "set"]);
    assert!(said.contains("set: no pack is there") && said.contains("'visavis-lab data pack' makes a pack"), "{said}");
    let said = stage.fails(&pack("mtfl"));
    assert!(said.contains("training.txt is not in there"), "{said}");
    stage.write("set/labels.csv", b"file,age\n0.png,30\n1.png,old\n");
    let said = stage.fails(&pack("table"));
    assert!(said.contains("labels.csv, line 3") && said.contains("old"), "{said}");
}

#[test]
fn a_face_outside_of_its_picture_is_left_out_and_a_class_has_one_rule() {
    let stage = Stage::new();
    labelled(&stage);
    // The pictures have 64×48 pixels.
    stage.write("set/labels.csv", b"file,x,y,width,height\n0.png,100,0,16,16\n1.png,16,0,16,16\n");
    let words = with_models(&["data", "pack", "--layout", "table", "--from", "set", "--out", "pack"]);
    let output = stage.run(&words);
    let [told, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(said.contains("left out, the labelled face lies outside of the picture: 0.png"), "{said}");
    assert!(told.contains("1 faces of 2 pictures") && told.contains("outside of the picture 1"), "{told}");

    std::fs::create_dir_all(stage.path("classes/grin")).unwrap();
    stage.picture("classes/grin/a.png", &[(1, 1)], [255; 3]);
    let words = with_models(&["data", "pack", "--layout", "classes", "--from", "classes", "--out", "grins"]);
    let said = stage.fails(&words);
    assert!(said.contains("give a rule such as grin=smile:1") && said.contains("--class FOLDER=LABEL:VALUE"), "{said}");
    let rules = |rules: &[&'static str]| [&words[..], rules].concat();
    let said = stage.fails(&rules(&["--class", "grin=smile:1", "--class", "grin=smile:0"]));
    assert!(said.contains("there are two rules for the folder `grin`"), "{said}");
    stage.succeeds(&rules(&["--class", "grin=smile:1"]));
}

#[test]
fn photos_are_labelled_by_two_detectors_and_broken_ones_are_left_out() {
    let stage = Stage::new();
    second_detector(&stage);
    std::fs::create_dir(stage.path("photos")).unwrap();
    stage.picture("photos/a.png", &[(1, 1)], [255; 3]);
    stage.write("photos/broken.png", b"no picture");
    let words = ["data", "label", "--images", "photos", "--side", "64", "--out", "photos.json", "--models", "models"];
    let by = |teachers: &[&'static str]| {
        let teachers = teachers.iter().flat_map(|name| ["--teacher", *name]);
        words.into_iter().chain(teachers).collect::<Vec<&str>>()
    };
    let told = json(&stage, &by(&["bright", "brisk"]));
    assert_eq!((&told["pictures"], &told["faces"]), (&1.into(), &1.into()), "{told}");
    assert_eq!(told["unreadable"], serde_json::json!(["broken.png"]));
    let boxes: Value = serde_json::from_slice(&stage.read("photos.json")).unwrap();
    assert_eq!(boxes["images"].as_array().unwrap().len(), 1);
    let output = stage.run(&by(&["bright", "brisk"]));
    let [told, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(said.contains("left out, not readable: photos/broken.png"), "{said}");
    assert!(told.contains("1 faces on 1 pictures") && told.contains("pictures not readable 1"), "{told}");

    let said = stage.fails(&by(&["bright"]));
    assert!(said.contains("bright alone labels no face"), "{said}");
    let said = stage.fails(&by(&["bright", "bright"]));
    assert!(said.contains("--teacher names bright twice"), "{said}");
    std::fs::remove_file(stage.path("photos/a.png")).unwrap();
    let said = stage.fails(&by(&["bright", "brisk"]));
    assert!(said.contains("photos: none of 1 pictures could be read"), "{said}");
}

/// Cells as boxes: columns and rows of 16 pixels.
fn cell(column: u32, row: u32) -> [u32; 4] {
    [column * 16, row * 16, 16, 16]
}

/// WIDER FACE's layout: one correct face, one labelled face where nothing is, one ignored; and a second picture with a bright
/// cell that is no face.
fn wider(stage: &Stage) {
    std::fs::create_dir_all(stage.path("wider/images/0--Cells")).unwrap();
    stage.picture("wider/images/0--Cells/a.png", &[(1, 1), (3, 0)], [255; 3]);
    stage.picture("wider/images/0--Cells/b.png", &[(0, 0)], [255; 3]);
    let line =
        |[x, y, width, height]: [u32; 4], invalid: u32| format!("{x} {y} {width} {height} 0 0 0 {invalid} 0 0\n");
    let list = format!(
        "0--Cells/a.png\n3\n{}{}{}0--Cells/b.png\n0\n0 0 0 0 0 0 0 0 0 0\n",
        line(cell(1, 1), 0),
        line(cell(0, 2), 0),
        line(cell(3, 0), 1)
    );
    stage.write("wider/wider_face_train_bbx_gt.txt", list.as_bytes());
}

#[test]
fn boxes_of_every_layout_become_one_and_the_same_file() {
    let stage = Stage::new();
    wider(&stage);
    let from_wider = ["data", "boxes", "--layout", "wider", "--from", "wider", "--out", "wider/boxes.json"];
    let told = json(&stage, &from_wider);
    let summary = &told["summary"];
    assert_eq!(summary["set"], "wider");
    for (name, count) in [("pictures", 2), ("negatives", 1), ("faces", 2), ("ignored", 1)] {
        assert_eq!(summary[name], count, "{name}: {told}");
    }
    assert_eq!(summary["by_side"][1], serde_json::json!({ "side": "from 16 to 32", "faces": 2 }));
    assert!(
        stage.succeeds(&from_wider).contains("2 faces on 2 pictures, 1 pictures without one; 1 boxes to be ignored")
    );
    assert_eq!(files(&stage.path("wider")), ["boxes.json", "images", "wider_face_train_bbx_gt.txt"], "nothing is left");
    let boxes: Value = serde_json::from_slice(&stage.read("wider/boxes.json")).unwrap();
    assert_eq!(boxes["images"][0]["file_name"], "0--Cells/a.png");
    assert_eq!((&boxes["images"][0]["width"], &boxes["images"][0]["height"]), (&Value::from(64), &Value::from(48)));
    assert_eq!(boxes["annotations"][0]["bbox"], serde_json::json!([16.0, 16.0, 16.0, 16.0]));

    // COCO to COCO changes nothing.
    let words = ["data", "boxes", "--layout", "coco", "--from", "wider/boxes.json", "--out", "copy.json"];
    stage.succeeds(&words);
    assert_eq!(stage.read("copy.json"), stage.read("wider/boxes.json"));

    // The same boxes in the two other layouts.
    let object = |[x, y, width, height]: [u32; 4], difficult: u32| {
        format!(
            "<object><name>face</name><difficult>{difficult}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>\
             <xmax>{}</xmax><ymax>{}</ymax></bndbox></object>",
            x + 1,
            y + 1,
            x + width,
            y + height
        )
    };
    std::fs::create_dir(stage.path("voc")).unwrap();
    for (name, objects) in
        [("a", [object(cell(1, 1), 0), object(cell(0, 2), 0), object(cell(3, 0), 1)].concat()), ("b", String::new())]
    {
        let text = format!("<annotation><filename>0--Cells/{name}.png</filename>{objects}</annotation>");
        stage.write(&format!("voc/{name}.xml"), text.as_bytes());
    }
    let circle =
        |[x, y, width, _]: [u32; 4]| format!("{0} {0} 0.0 {1} {2} 1\n", width / 2, x + width / 2, y + width / 2);
    let list = format!("0--Cells/a.png\n2\n{}{}0--Cells/b.png\n0\n", circle(cell(1, 1)), circle(cell(0, 2)));
    stage.write("ellipseList.txt", list.as_bytes());
    for (layout, from) in [("voc", "voc"), ("fddb", "ellipseList.txt")] {
        let out = format!("{layout}.json");
        stage.succeeds(&[
            "data",
            "boxes",
            "--layout",
            layout,
            "--from",
            from,
            "--images",
            "wider/images",
            "--out",
            &out,
        ]);
        let found: Value = serde_json::from_slice(&stage.read(&out)).unwrap();
        assert_eq!(found["images"], boxes["images"], "{layout}");
        let expected = boxes["annotations"].as_array().unwrap();
        let expected = if layout == "voc" { &expected[..] } else { &expected[..2] };
        assert_eq!(found["annotations"].as_array().unwrap()[..], *expected, "{layout}");
    }
}

#[test]
fn a_bad_label_is_named_with_file_and_line_and_nothing_is_written() {
    let stage = Stage::new();
    wider(&stage);
    let list = String::from_utf8(stage.read("wider/wider_face_train_bbx_gt.txt")).unwrap();
    stage.write("wider/wider_face_train_bbx_gt.txt", list.replace("16 16 16 16 0", "16 16 sixteen 16 0").as_bytes());
    let words = ["data", "boxes", "--layout", "wider", "--from", "wider", "--out", "boxes.json"];
    let said = stage.fails(&words);
    assert!(said.contains("wider_face_train_bbx_gt.txt, line 3: width `sixteen`"), "{said}");
    assert!(!stage.path("boxes.json").exists());
    stage.write("wider/wider_face_train_bbx_gt.txt", list.replace("b.png", "c.png").as_bytes());
    let said = stage.fails(&words);
    assert!(said.contains("line 6: 0--Cells/c.png"), "{said}");
}

/// `bright` under a second name, with a lower threshold.
fn second_detector(stage: &Stage) {
    let manifest = String::from_utf8(stage.read("models/bright.toml")).unwrap();
    let manifest = manifest.replace("name = \"bright\"", "name = \"brisk\"").replace("score = 0.9", "score = 0.3");
    stage.write("models/brisk.toml", manifest.as_bytes());
}

fn evaluate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    with_models(&[&["evaluate", "detection", "--boxes", "wider/boxes.json", "--score", "0.2"], more].concat())
}

#[test]
fn detectors_are_compared_plotted_and_looked_at() {
    let stage = Stage::new();
    wider(&stage);
    second_detector(&stage);
    stage.succeeds(&["data", "boxes", "--layout", "wider", "--from", "wider", "--out", "wider/boxes.json"]);
    let both = stage.succeeds(&evaluate(&["--detector", "bright,brisk", "--plot", "curve.svg", "--json"]));
    let both = lines(&both);
    assert_eq!((&both[0]["detector"], &both[1]["detector"]), (&Value::from("bright"), &Value::from("brisk")));
    // One of two faces is found; the bright cell of the negative has the same score, so it may be first or second.
    let ap = both[0]["figures"]["all"]["ap50"].as_f64().unwrap();
    assert!((ap - 51.0 / 101.0).abs() < 1e-6 || (ap - 25.5 / 101.0).abs() < 1e-6, "{ap}");
    assert_eq!(both[0]["figures"]["all"]["faces"], 2);
    assert_eq!(both[0]["negatives"]["images"], 1);
    let at: Vec<f64> =
        both[0]["negatives"]["at"].as_array().unwrap().iter().map(|at| at["score"].as_f64().unwrap()).collect();
    assert!((at[0] - 0.9).abs() < 1e-6 && at[1] == 0.5, "{at:?}");
    assert_eq!(both[0]["negatives"]["at"][1]["false_positives_per_image"], 1.0);
    let curve = String::from_utf8(stage.read("curve.svg")).unwrap();
    assert!(curve.starts_with("<svg ") && curve.contains("bright: AP@0.5") && curve.contains("brisk: AP@0.5"));
    let table = stage.succeeds(&evaluate(&["--detector", "bright,brisk", "--plot", "curve.png"]));
    assert!(table.contains("16 to 32 px") && table.matches("brisk").count() >= 2, "{table}");
    assert!(table.contains(
        "brisk: false positives on 1 negatives: 1 (1.000 a picture) at score 0.3, 1 (1.000 a picture) at score 0.5"
    ));
    assert!(codec::decode(&stage.read("curve.png"), codec::MAX_PIXELS).is_ok());

    // At an input of 64×48, which the pictures have, every face is too small.
    let said = stage.fails(&evaluate(&["--least-side", "16.5"]));
    assert!(said.contains("wider/boxes.json: the shorter side of none of its 2 faces has 16.5 pixels"), "{said}");
    let large = lines(&stage.succeeds(&evaluate(&["--least-side", "16", "--json"])));
    assert_eq!(large[0]["figures"]["all"]["faces"], 2);

    stage.succeeds(&evaluate(&["--detector", "bright", "--sheet", "faults.png"]));
    let sheet = codec::decode(&stage.read("faults.png"), codec::MAX_PIXELS).unwrap();
    let orange = sheet.pixels().chunks_exact(3).filter(|pixel| **pixel == [255, 190, 60]).count();
    let green = sheet.pixels().chunks_exact(3).filter(|pixel| **pixel == [80, 230, 120]).count();
    assert!(orange > 100 && green > 100, "one miss and one false positive: {green} green, {orange} orange");

    for (words, told) in [
        (&["--plot", "curve.pdf"][..], "curve.pdf: name a file that ends with .svg or .png"),
        (&["--sheet", "faults.gif"], "faults.gif: name a file that ends with .png"),
        (&["--detections", "wider/boxes.json"], "--detections would replace the labelled boxes"),
        (&["--detector", "bright,brisk", "--sheet", "faults.png"], "--sheet and --detections are for one detector"),
        (&["--detector", "bright,face"], "face"),
        (&["--size", "100x100"], "64x48 only"),
    ] {
        let said = stage.fails(&evaluate(words));
        assert!(said.contains(told), "{words:?} should say {told}: {said}");
    }
}

#[test]
fn the_sides_of_a_split_make_up_the_whole() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("many/images")).unwrap();
    let mut list = String::new();
    for number in 0..40 {
        stage.picture(&format!("many/images/{number}.png"), &[(1, 1)], [255; 3]);
        list += &format!("{number}.png\n1\n16 16 16 16 0 0 0 0 0 0\n");
    }
    stage.write("many/list.txt", list.as_bytes());
    let told =
        json(&stage, &["data", "boxes", "--layout", "wider", "--from", "many/list.txt", "--out", "many/boxes.json"]);
    let images = |split: &str| {
        let words = ["evaluate", "detection", "--boxes", "many/boxes.json", "--split", split, "--json"];
        lines(&stage.succeeds(&with_models(&words)))[0]["figures"]["all"]["images"].as_u64().unwrap()
    };
    let (train, validation) = (images("train"), images("validation"));
    assert_eq!((train + validation, images("all")), (40, 40));
    assert_eq!((&told["summary"]["train"], &told["summary"]["validation"]), (&train.into(), &validation.into()));
    assert!((1..=12).contains(&validation), "{validation}");
}

#[test]
fn table_one_measures_detectors_on_box_sets() {
    let stage = Stage::new();
    wider(&stage);
    stage.succeeds(&["data", "boxes", "--layout", "wider", "--from", "wider", "--out", "wider/boxes.json"]);
    // Of the paper's families, but with a size that the paper does not have.
    let manifest = String::from_utf8(stage.read("models/bright.toml")).unwrap();
    let named = manifest.replace("name = \"bright\"", "name = \"ssd_mobilenetv1\"");
    stage.write("models/ssd_mobilenetv1.toml", named.as_bytes());
    let words = ["tables", "--boxes", "wider/boxes.json", "--seconds", "0", "--engine", "tract"];
    let text = stage.succeeds(&with_models(&words));
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("`ssd_mobilenetv1`")).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(rows[..3].iter().all(|row| row.contains("not trained") && row.ends_with("| – | – |")), "{rows:?}");
    assert!(
        rows[3].starts_with("| not in the paper | `ssd_mobilenetv1` | 64×48 |") && rows[3].contains('['),
        "{rows:?}"
    );
    assert!(text.contains("ours: AP@0.5 (wider, n = 2)"), "{text}");
    assert!(text.contains("visavis-lab tables --boxes wider/boxes.json"), "{text}");
}

#[test]
fn harder_views_are_measured() {
    let stage = Stage::new();
    wider(&stage);
    stage.succeeds(&["data", "boxes", "--layout", "wider", "--from", "wider", "--out", "wider/boxes.json"]);
    let ap = |view: &[&str]| {
        let found = lines(&stage.succeeds(&evaluate(&[view, &["--json"]].concat())));
        assert_eq!(found[0]["view"], view.get(1).map_or(Value::Null, |view| Value::from(*view)));
        found[0]["figures"]["all"]["ap50"].as_f64().unwrap()
    };
    // In the view `dark` a bright cell is not bright enough.
    assert!(ap(&[]) > 0.2 && ap(&["--view", "dark"]) == 0.0);
}

#[test]
fn the_main_faces_of_a_set_are_counted_by_kind() {
    let stage = Stage::new();
    labelled(&stage);
    let words = with_models(&["evaluate", "main-face", "--layout", "table", "--from", "set"]);
    let rows = json(&stage, &[&words[..], &["--sheet", "missed.png"]].concat());
    let row = |by: &str, group: &str| {
        let found = rows.as_array().unwrap().iter().find(|row| row["by"] == by && row["group"] == group).unwrap();
        (found["found"]["n"].as_u64().unwrap(), found["missed"].as_u64().unwrap())
    };
    // The sixth picture, of a man, has no bright cell.
    assert_eq!((row("", "all"), row("gender", "male"), row("gender", "female")), ((6, 1), (3, 1), (3, 0)));
    assert!(codec::decode(&stage.read("missed.png"), codec::MAX_PIXELS).is_ok());
    assert!(stage.succeeds(&words).contains("gender: male"));
    let said = stage.fails(&[&words[..], &["--within", "elsewhere"]].concat());
    assert!(said.contains("no picture begins with `elsewhere`"), "{said}");
    stage.write("set/labels.csv", b"file\nmissing.png\n");
    let said = stage.fails(&words);
    assert!(said.contains("set: none of its 1 pictures could be read"), "{said}");
}

#[test]
fn who_is_who_is_measured_and_looked_at() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("lfw")).unwrap();
    std::fs::create_dir(stage.path("packs")).unwrap();
    for (person, [r, g, b]) in [("Ada", [255, 210, 190]), ("Bob", [190, 255, 210]), ("Eve", [210, 190, 255])] {
        for number in 1..=4u8 {
            stage.picture(&format!("lfw/{person}_000{number}.png"), &[(1, 1)], [r, g - number, b]);
        }
    }
    stage.write(
        "pairs.csv",
        b"fold,a,b,same\n1,Ada_0001.png,Ada_0002.png,1\n1,Ada_0001.png,Bob_0001.png,0\n2,Bob_0003.png,Bob_0004.png,1\n\
          2,Ada_0003.png,Bob_0003.png,0\n2,Eve_0001.png,Sam_0001.png,0\n",
    );
    let pack = ["data", "pack", "--layout", "lfw", "--from", "lfw", "--out", "packs/lfw"];
    stage.succeeds(&with_models(&pack));
    let words =
        ["evaluate", "similarity", "--data", "packs/lfw", "--split", "all", "--view", "labelled", "--network", "face"];
    let words = [&words[..], &["--models", "models"]].concat();
    let rows = json(&stage, &[&words[..], &["--pairs", "pairs.csv", "--sheet", "top.png"]].concat());
    let found = &rows[0]["identification"];
    // Two of each four are queries.
    assert_eq!(
        (&found["rank_1"]["n"], &found["gallery"], &found["people"]),
        (&6.into(), &6.into(), &3.into()),
        "{rows}"
    );
    assert_eq!((&found["rank_1"]["value"], &found["mean_average_precision"]["value"]), (&1.0.into(), &1.0.into()));
    let verification = &rows[0]["verification"];
    assert_eq!((&verification["accuracy"]["n"], &verification["accuracy"]["value"]), (&4.into(), &1.0.into()));
    let sheet = codec::decode(&stage.read("top.png"), codec::MAX_PIXELS).unwrap();
    assert!(sheet.pixels().chunks_exact(3).any(|pixel| pixel == [80, 230, 120]), "something right is framed green");
    let told = stage.succeeds(&[&words[..], &["--pairs", "pairs.csv"]].concat());
    assert!(told.contains("rank-1, %") && told.contains("verification, %"), "{told}");
    let said = stage.fails(&[&words[..], &["--network", "bright"]].concat());
    assert!(said.contains("bright does not do similarity"), "{said}");
}

#[test]
fn a_gallery_needs_no_identities_and_an_evaluation_of_nothing_fails() {
    let stage = Stage::new();
    let manifest = String::from_utf8(stage.read("models/face.toml")).unwrap();
    let likeness =
        "likeness = { median = 0.001, spread = 0.4, strangers = { within = 0.8, scale = 0.05, shape = -0.05 } }";
    let manifest = manifest.replace("same_person = 0.001", &format!("same_person = 0.001, {likeness}"));
    stage.write("models/face.toml", manifest.as_bytes());
    labelled(&stage);
    std::fs::create_dir(stage.path("packs")).unwrap();
    for (name, table) in [
        ("plain", "file\n0.png\n1.png\n2.png\n"),
        ("pairs", "file,name\n0.png,Ada\n1.png,Ada\n2.png,Bob\n3.png,Bob\n"),
        ("singles", "file,name\n0.png,Ada\n1.png,Bob\n"),
    ] {
        stage.write("set/labels.csv", table.as_bytes());
        let out = format!("packs/{name}");
        stage.succeeds(&with_models(&["data", "pack", "--layout", "table", "--from", "set", "--out", &out]));
    }
    let words = ["evaluate", "similarity", "--network", "face", "--models", "models", "--split", "all", "--data"];
    let on = |more: &[&'static str]| [&words[..], more].concat();
    let rows = json(&stage, &on(&["packs/pairs", "--gallery", "packs/plain", "--gallery-sizes", "3"]));
    let found = &rows[0]["galleries"][0];
    assert_eq!((&found["photos"], &found["made_up"]), (&3.into(), &0.into()), "{rows}");
    assert_eq!(found["taken"]["n"], 4);

    stage.write("pairs.csv", b"fold,a,b,same\n1,Eve_0001.png,Sam_0001.png,0\n");
    for (more, told) in [
        (&["packs/plain"][..], "packs/plain: no face that --split selects has an identity"),
        (&["packs/singles"], "packs/singles: no person has two photos in the view `labelled`"),
        (&["packs/pairs", "--pairs", "pairs.csv"], "it has both faces of only 0 of the 1 pairs in pairs.csv"),
        (
            &["packs/pairs", "--gallery", "packs/plain", "--leave-out", "Ada", "--leave-out", "Bob"],
            "packs/pairs: --leave-out leaves no face",
        ),
    ] {
        let said = stage.fails(&on(more));
        assert!(said.contains(told), "{more:?} should say {told}: {said}");
    }
    let trust = ["evaluate", "trust", "--attributes", "face", "--similarity", "face", "--models", "models"];
    let said = stage.fails(&[&trust[..], &["--split", "all", "--data", "packs/plain", "--out", "trust"]].concat());
    assert!(
        said.contains("packs/plain: no face that --split selects has a label that face gives, or an identity"),
        "{said}"
    );
    assert!(!stage.path("trust").exists());

    stage.write(
        "boxes.json",
        br#"{ "images": [{ "id": 1, "file_name": "a.png", "width": 64, "height": 48 }], "annotations": [] }"#,
    );
    let said = stage.fails(&with_models(&["evaluate", "detection", "--boxes", "boxes.json"]));
    assert!(said.contains("boxes.json: its 1 pictures have no labelled face"), "{said}");
}
