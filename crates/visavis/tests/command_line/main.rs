//! Runs the program as a user does, with hand-made networks: no other weights and no ONNX Runtime are needed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod stage;
#[path = "../../../visavis-infer/tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use stage::{Stage, files, picture};

const PROGRAM: &str = env!("CARGO_BIN_EXE_visavis");
const MODELS: [&str; 2] = ["--models", "models"];

fn with_models<'a>(words: &[&'a str]) -> Vec<&'a str> {
    // The program's own detector does not find bright cells. So commands that detect faces get the detector of these tests.
    let looks = words[0] != "models" && !words.contains(&"--detector");
    [words, &MODELS, if looks { &["--detector", "bright"] } else { &[] }].concat()
}

/// With the network of these tests for embeddings, instead of the program's own.
fn comparing<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&with_models(words)[..], &["--similarity", "face"]].concat()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_film_is_analysed_whole_and_a_run_repeats_to_the_byte() {
    let stage = Stage::new();
    stage.film("film.mp4", 30);
    let words = with_models(&["analyze", "film.mp4", "--workers", "3"]);
    let once = stage.succeeds(&words);
    assert_eq!(once, stage.succeeds(&words));
    assert_eq!(once, stage.succeeds(&with_models(&["analyze", "film.mp4", "--workers", "1"])));
    let frames = lines(&once);
    assert_eq!(frames.len(), 30);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["frame"], number);
        let faces = frame["faces"].as_array().unwrap();
        assert_eq!(faces.len(), 1, "shown from the first detection on");
        for face in faces {
            assert_eq!(face["track"], 1);
            assert_eq!(face["box"], serde_json::json!([16.0, 16.0, 16.0, 16.0]));
            assert!(face["age"].is_number() && face["female"].is_number(), "{face}");
        }
    }
}

#[test]
fn csv_and_annotated_copies() {
    let stage = Stage::new();
    stage.film("film.mp4", 10);
    std::fs::create_dir(stage.path("photos")).unwrap();
    stage.picture("photos/a.png", &[(0, 0), (3, 2)], [255; 3]);
    stage.picture("photos/b.png", &[], [255; 3]);
    let words = ["analyze", "film.mp4", "photos", "--format", "csv", "--out", "faces.csv", "--annotate", "seen"];
    stage.succeeds(&with_models(&words));
    let table = String::from_utf8(stage.read("faces.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(rows[0][..4], ["source", "frame", "time", "track"]);
    let of = |file: &str| rows.iter().filter(|row| row[0] == file).count();
    assert_eq!((of("photos/a.png"), of("photos/b.png"), of("film.mp4")), (2, 0, 10));
    assert_eq!(files(&stage.path("seen")), ["a.annotated.jpg", "b.annotated.jpg", "film.annotated.mp4"]);
    // The copies are complete, and the overlay is in them.
    let seen = lines(&stage.succeeds(&with_models(&["analyze", "seen/film.annotated.mp4"])));
    assert_eq!(seen.len(), 10);
    let drawn = visavis_image::codec::decode(&stage.read("seen/a.annotated.jpg"), 10_000).unwrap();
    let plain = picture(&[(0, 0), (3, 2)], [255; 3]);
    let changed = drawn.pixels().iter().zip(plain.pixels()).filter(|(a, b)| a.abs_diff(**b) > 60).count();
    assert!(changed > 50, "{changed}");
}

#[test]
fn one_bad_picture_does_not_hide_the_others() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("photos")).unwrap();
    stage.picture("photos/a.png", &[(0, 0)], [255; 3]);
    stage.write("photos/b.png", b"no picture at all");
    stage.picture("photos/c.png", &[(1, 1)], [255; 3]);
    let output = stage.run(&with_models(&["analyze", "photos"]));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("b.png"), "{told}");
    let seen = lines(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(
        seen.iter().map(|line| line["source"].as_str().unwrap()).collect::<Vec<_>>(),
        ["photos/a.png", "photos/c.png"]
    );
}

#[test]
fn bad_input_is_named_and_never_a_panic() {
    let stage = Stage::new();
    stage.film("film.mp4", 20);
    let film = stage.read("film.mp4");
    stage.write("empty.mp4", b"");
    stage.write("empty.jpg", b"");
    // The index of an MP4 is at the end or at the front; the cuts cover both.
    stage.write("short.mp4", &film[..film.len() / 2]);
    stage.write("head.mp4", &film[..40]);
    let photo = visavis_image::codec::encode_jpeg(&picture(&[(1, 1)], [250; 3]), 90).unwrap();
    stage.write("short.jpg", &photo[..photo.len() / 3]);
    stage.write("bomb.png", &bomb());
    stage.write("text.mp4", b"This is a letter, not a film.");
    std::fs::create_dir(stage.path("nothing")).unwrap();
    let cases: [(&[&str], &[&str]); 16] = [
        (&["analyze", "missing.mp4"], &["missing.mp4"]),
        (&["analyze", "missing.jpg"], &["missing.jpg"]),
        (&["analyze", "empty.mp4"], &["empty.mp4"]),
        (&["analyze", "empty.jpg"], &["empty.jpg", "empty"]),
        (&["analyze", "short.mp4"], &["short.mp4"]),
        (&["analyze", "head.mp4"], &["head.mp4"]),
        (&["analyze", "short.jpg"], &["short.jpg"]),
        (&["analyze", "bomb.png"], &["bomb.png", "60000x60000"]),
        (&["analyze", "text.mp4"], &["text.mp4"]),
        (&["analyze", "nothing"], &["nothing"]),
        (&["live", "missing.mp4"], &["missing.mp4"]),
        (&["live", "camera:77"], &["77"]),
        (&["live", "film.mp4", "--detector", "brihgt"], &["brihgt", "bright"]),
        (&["live", "film.mp4", "--age", "bright"], &["bright", "age"]),
        (&["live", "film.mp4", "--detector-size", "100x100"], &["bright", "64x48"]),
        (&["live", "film.mp4", "--gallery", "missing.gallery"], &["missing.gallery"]),
    ];
    for (words, told) in cases {
        let said = stage.fails(&with_models(words));
        for word in told {
            assert!(said.contains(word), "{words:?} should name {word}: {said}");
        }
    }
    let said = stage.fails(&["live", "film.mp4", "--models", "nowhere"]);
    assert!(said.contains("nowhere"), "{said}");
    // Without additional networks, the program uses its own.
    assert!(stage.succeeds(&["analyze", "film.mp4"]).starts_with(r#"{"frame":0"#));
}

/// A PNG header that announces 60,000 × 60,000 pixels, without data.
fn bomb() -> Vec<u8> {
    let mut png = visavis_image::codec::encode_png(&picture(&[], [0; 3])).unwrap();
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = !png[12..29].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

#[test]
fn bad_networks_are_refused_by_name() {
    let stage = Stage::new();
    stage.picture("a.png", &[(0, 0)], [255; 3]);
    let manifest = String::from_utf8(stage.read("models/bright.toml")).unwrap();
    let analyze = with_models(&["analyze", "a.png"]);
    // A missing output.
    stage.write("models/bright.toml", manifest.replace(r#"scores = "scores""#, r#"scores = "marks""#).as_bytes());
    let said = stage.fails(&analyze);
    assert!(said.contains("bright") && said.contains("marks") && said.contains("scores"), "{said}");
    // An unknown task.
    stage.write("models/bright.toml", manifest.replace(r#"["detection"]"#, r#"["smell"]"#).as_bytes());
    let said = stage.fails(&analyze);
    assert!(said.contains("bright.toml") && said.contains("smell"), "{said}");
    // Weights that differ from the manifest.
    stage.write("models/bright.toml", manifest.as_bytes());
    let mut weights = stage.read("models/bright.onnx");
    let last = weights.len() - 1;
    weights[last] ^= 1;
    stage.write("models/bright.onnx", &weights);
    for words in [analyze.clone(), with_models(&["models", "verify"])] {
        let output = stage.run(&words);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("bright") && said.to_lowercase().contains("sha-256"), "{words:?}: {said}");
    }
    // Truncated weights with a matching manifest.
    weights.truncate(weights.len() / 2);
    stage.write("models/bright.onnx", &weights);
    stage.write("models/bright.toml", stage::bright_manifest(&weights).as_bytes());
    assert!(stage.fails(&analyze).contains("bright"));
}

#[test]
fn known_networks_are_listed_even_without_weights() {
    let stage = Stage::new();
    let rows: Vec<Value> = serde_json::from_str(&stage.succeeds(&with_models(&["models", "list", "--json"]))).unwrap();
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not listed"));
    assert!(of("bright")["weights"].as_str().unwrap().contains("bright.onnx"));
    for known in [
        "yunet_n",
        "ultraface_rfb_320",
        "mtcnn_onet",
        "faceapi_age_gender",
        "faceapi_expression",
        "dlib_face_recognition",
    ] {
        assert!(of(known)["weights"].is_null());
    }
    let shown: Value = serde_json::from_str(&stage.succeeds(&["models", "show", "yunet_n", "--json"])).unwrap();
    assert_eq!(shown["licence"], "Apache-2.0");
    assert!(stage.fails(&["models", "show", "yunet_n2"]).contains("yunet_n"));
}

/// A forest of one tree that always gives the same result.
fn one_tree() -> Vec<u8> {
    use visavis_face::forest::{Forest, Leaf, Level, PixelSample, Split, Tree};
    use visavis_image::Point;
    let pixel = PixelSample { anchor: 0, offset: Point::default() };
    let mut level = Level::new(1, vec![pixel; 2]);
    let leaf: Leaf = [5, 0, -5, 0, 0, 0, 0, 0, 0, 0];
    level.push(Tree { splits: vec![Split::default()], leaves: vec![leaf; 2], step: 0.01 });
    let mean = [(-0.2, -0.1), (0.2, -0.1), (0.0, 0.1), (-0.15, 0.3), (0.15, 0.3)].map(|(x, y)| Point::new(x, y));
    Forest::new(mean, 64, vec![level]).unwrap().write()
}

#[test]
fn a_forest_locates_keypoints_as_a_network_would() {
    let stage = Stage::new();
    stage.picture("a.png", &[(1, 1)], [240; 3]);
    let forest = one_tree();
    stage.write("models/wood.forest", &forest);
    stage.write("models/wood.toml", support::forest_manifest("wood", &forest).as_bytes());
    let rows = stage.succeeds(&with_models(&["models", "list", "--task", "keypoints", "--json"]));
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let row = rows.iter().find(|row| row["name"] == "wood").unwrap();
    assert!(row["weights"].as_str().unwrap().contains("wood.forest") && row["input"].is_null(), "{row}");
    assert!(stage.succeeds(&with_models(&["models", "list"])).contains("wood"));
    assert!(stage.succeeds(&with_models(&["models", "show", "wood"])).contains("wood.forest"));
    assert_eq!(stage.succeeds(&with_models(&["models", "verify", "wood"])), "wood  ok\n");
    let analyze = with_models(&["analyze", "a.png", "--keypoints", "wood"]);
    let age = |words: &[&str]| lines(&stage.succeeds(words))[0]["faces"][0]["age"].as_f64().unwrap();
    let plain = with_models(&["analyze", "a.png", "--keypoints", "detector"]);
    assert_ne!(age(&analyze), age(&plain), "the crop does not follow the forest's keypoints");
    // It has no other task, and a changed forest is refused.
    assert!(stage.fails(&with_models(&["analyze", "a.png", "--age", "wood"])).contains("does not do age"));
    let mut other = forest.clone();
    *other.last_mut().unwrap() ^= 1;
    stage.write("models/wood.forest", &other);
    assert!(stage.fails(&analyze).contains("wood: refused"));
    stage.write("models/wood.forest", &forest[..forest.len() - 1]);
    stage.write("models/wood.toml", support::forest_manifest("wood", &forest[..forest.len() - 1]).as_bytes());
    let said = stage.fails(&analyze);
    assert!(said.contains("wood") && said.contains("its header says"), "{said}");
}

#[test]
fn a_gallery_is_built_searched_thinned_out_and_refused_when_cut() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("people")).unwrap();
    stage.picture("people/Ada_Lovelace.png", &[(1, 1)], [255, 210, 190]);
    stage.picture("people/Alan Turing_2.png", &[(2, 1)], [200, 255, 220]);
    stage.picture("people/Nobody.png", &[], [0; 3]);
    // The painted faces have no details, so that they count as blurred.
    let build = ["gallery", "build", "people", "--out", "p.gallery", "--json"];
    let said = stage.fails(&comparing(&build));
    assert!(said.contains("Ada_Lovelace.png") && said.contains("--accept-poor"), "{said}");
    let built = stage.succeeds(&comparing(&[&build[..], &["--accept-poor"]].concat()));
    let built: Value = serde_json::from_str(&built).unwrap();
    assert_eq!((&built["people"], &built["photos"]), (&Value::from(2), &Value::from(2)));
    assert!(built["failures"][0].as_str().unwrap().contains("Nobody.png"));
    let found = stage.succeeds(&comparing(&["gallery", "search", "p.gallery", "people/Alan Turing_2.png", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found[0]["name"], &found[0]["same_person"]), (&Value::from("Alan Turing"), &Value::from(true)));
    // With an index the answers are equal. The index is deleted when a person is removed.
    let indexed: Value = serde_json::from_str(&stage.succeeds(&["gallery", "index", "p.gallery", "--json"])).unwrap();
    assert_eq!(indexed["bytes"], stage.read("p.gallery.index").len());
    let again = stage.succeeds(&comparing(&["gallery", "search", "p.gallery", "people/Alan Turing_2.png", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), found);
    // `analyze` reports the name for the same photo.
    let told = stage.succeeds(&comparing(&["analyze", "people/Ada_Lovelace.png", "--gallery", "p.gallery"]));
    assert_eq!(lines(&told)[0]["faces"][0]["resembles"]["name"], "Ada Lovelace");
    // One more photo of somebody, and somebody new.
    let adding = |name, photo| ["gallery", "add", "p.gallery", name, photo, "--json", "--accept-poor"];
    let add = |name, photo| stage.succeeds(&comparing(&adding(name, photo)));
    let added: Value = serde_json::from_str(&add("Ada Lovelace", "people/Alan Turing_2.png")).unwrap();
    assert_eq!((&added["person"], &added["photos"]), (&Value::from(1), &Value::from(1)));
    let eve: Value = serde_json::from_str(&add("Eve", "people/Ada_Lovelace.png")).unwrap();
    assert!(eve["person"].as_i64().is_some_and(|person| person > 2), "somebody new: {eve}");
    stage.fails(&comparing(&adding("Eve", "people/Nobody.png")));
    // Of two faces the larger one is taken, and this is reported; a photo that is there already is not added again.
    let known: Value = serde_json::from_str(&add("Eve", "people/Ada_Lovelace.png")).unwrap();
    assert_eq!((&known["photos"], &known["known"]), (&Value::from(0), &Value::from(1)));
    stage.picture("two.png", &[(0, 0), (2, 1)], [255, 210, 190]);
    let two: Value = serde_json::from_str(&add("Two", "two.png")).unwrap();
    let warnings = two["taken"][0]["warnings"].to_string();
    assert!(two["taken"][0]["faces"] == 2 && warnings.contains("2 faces found; the largest was taken"), "{two}");
    stage.succeeds(&["gallery", "remove", "p.gallery", "Two"]);
    // The check finds that Ada has a photo of Alan, or that they are one person.
    let findings = stage.succeeds(&comparing(&["gallery", "check", "p.gallery", "--json"]));
    let findings: Value = serde_json::from_str(&findings).unwrap();
    let kinds: Vec<&str> = findings.as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"same_person") && kinds.contains(&"poor"), "{findings}");
    stage.succeeds(&["gallery", "merge", "p.gallery", "Eve", "Ada Lovelace"]);
    // A gallery of another network is refused with the command that converts it.
    let other = crate::support::onnx::face_network(8);
    stage.write("models/face.onnx", &other);
    let manifest = String::from_utf8(stage.read("models/face.toml")).unwrap();
    let hash = manifest.lines().find(|line| line.starts_with("sha256")).unwrap();
    stage.write(
        "models/face.toml",
        manifest.replace(hash, &format!("sha256 = \"{}\"", support::sha256(&other))).as_bytes(),
    );
    let said = stage.fails(&comparing(&["analyze", "people/Ada_Lovelace.png", "--gallery", "p.gallery"]));
    assert!(said.contains("p.gallery") && said.contains("visavis gallery convert"), "{said}");
    // Removal.
    stage.succeeds(&["gallery", "remove", "p.gallery", "Ada Lovelace"]);
    assert!(!stage.path("p.gallery.index").exists());
    assert!(!String::from_utf8_lossy(&stage.read("p.gallery")).contains("Lovelace"));
    let left: Value = serde_json::from_str(&stage.succeeds(&["gallery", "list", "p.gallery", "--json"])).unwrap();
    assert_eq!(left["people"].as_array().unwrap().len(), 1);
    assert!(stage.fails(&["gallery", "remove", "p.gallery", "Ada Lovelace"]).contains("Ada Lovelace"));
    // A truncated gallery.
    let whole = stage.read("p.gallery");
    for cut in [0, 50, 100, whole.len() / 2, whole.len() - 4096] {
        stage.write("cut.gallery", &whole[..cut]);
        assert!(stage.fails(&["gallery", "list", "cut.gallery"]).contains("cut.gallery"), "cut at {cut}");
    }
}

#[test]
fn a_gallery_is_encrypted_gets_another_key_and_is_decrypted() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("people")).unwrap();
    stage.picture("people/Ada_Lovelace.png", &[(1, 1)], [255, 210, 190]);
    stage.succeeds(&comparing(&["gallery", "build", "people", "--out", "p.gallery", "--accept-poor"]));
    let list = ["gallery", "list", "p.gallery"];
    // With a variable of the environment.
    let with = |name: &str, value: &str, words: &[&str]| {
        let output = stage.command(words).env(name, value).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        if output.status.success() { Ok(said) } else { Err(said) }
    };
    const FILE: &str = "VISAVIS_GALLERY_KEY_FILE";
    let unencrypted = with(FILE, "no.key", &list).unwrap_err();
    assert!(unencrypted.contains("no.key"), "{unencrypted}");

    stage.succeeds(&["gallery", "encrypt", "p.gallery", "--key", "a.key"]);
    let refused = stage.fails(&list);
    assert!(refused.contains("p.gallery is encrypted") && refused.contains(FILE), "{refused}");
    assert!(with(FILE, "a.key", &list).unwrap().contains("Ada Lovelace"));
    let analyze = comparing(&["analyze", "people/Ada_Lovelace.png", "--gallery", "p.gallery"]);
    let told = with(FILE, "a.key", &analyze).unwrap();
    assert!(told.contains(r#""name":"Ada Lovelace""#), "{told}");
    assert!(with(FILE, "a.key", &["gallery", "index", "p.gallery"]).unwrap_err().contains("encrypted"));

    // Another key, from the file, from the environment, and from systemd.
    with(FILE, "a.key", &["gallery", "encrypt", "p.gallery", "--key", "b.key"]).unwrap();
    assert!(with(FILE, "a.key", &list).unwrap_err().contains("another key"));
    let key = String::from_utf8(stage.read("b.key")).unwrap();
    std::fs::create_dir(stage.path("credentials")).unwrap();
    stage.write("credentials/gallery-key", key.as_bytes());
    for (name, value) in [(FILE, "b.key"), ("VISAVIS_GALLERY_KEY", &*key), ("CREDENTIALS_DIRECTORY", "credentials")] {
        assert!(with(name, value, &list).unwrap().contains("Ada Lovelace"), "{name}");
    }
    let bad = with("VISAVIS_GALLERY_KEY", "open-sesame", &list).unwrap_err();
    assert!(bad.contains("VISAVIS_GALLERY_KEY") && !bad.contains("open-sesame"), "{bad}");

    with(FILE, "b.key", &["gallery", "decrypt", "p.gallery"]).unwrap();
    assert!(stage.succeeds(&list).contains("Ada Lovelace"));
    let advised = with(FILE, "b.key", &list).unwrap_err();
    assert!(advised.contains("visavis gallery encrypt p.gallery"), "{advised}");
    // With a key, a new gallery is encrypted.
    let build = comparing(&["gallery", "build", "people", "--out", "new.gallery", "--accept-poor"]);
    with(FILE, "b.key", &build).unwrap();
    assert!(stage.fails(&["gallery", "list", "new.gallery"]).contains("new.gallery is encrypted"));
}

#[test]
fn a_database_that_is_not_there_is_said_so_without_its_password() {
    let stage = Stage::new();
    stage.picture("a.png", &[(1, 1)], [255; 3]);
    // Nothing listens there.
    let place = "postgres://ada:open-sesame@127.0.0.1:1/faces";
    for (words, told) in [
        (vec!["gallery", "list", place], "postgres://ada@127.0.0.1:1/faces cannot be reached"),
        (vec!["gallery", "remove", place, "Ada"], "cannot be reached"),
        (comparing(&["analyze", "a.png", "--gallery", place]), "cannot be reached"),
        (comparing(&["live", "a.png", "--gallery", place, "--grow"]), "cannot be reached"),
        (vec!["gallery", "index", place], "cannot be reached"),
        (vec!["gallery", "list", "postgres://ada:open-sesame@127.0.0.1:1/faces?sslmode=require"], "cannot be reached"),
        (vec!["gallery", "list", "postgres://ada:open-sesame@127.0.0.1:1/faces?sslmode=on"], "verify-full"),
        (vec!["gallery", "list", "postgres://ada:open-sesame@127.0.0.1:x/faces"], "port"),
    ] {
        let said = stage.fails(&words);
        assert!(said.contains(told) && !said.contains("sesame"), "{words:?}: {said}");
        assert_eq!(said.contains("whether the server runs"), told.ends_with("cannot be reached"), "{words:?}: {said}");
    }
}

#[test]
fn live_writes_lines_and_a_film_and_obeys_what_is_typed() {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    let words = with_models(&["live", "film.mp4", "--repeat", "--jsonl", "out.jsonl", "--record", "seen.mp4"]);
    let mut child = stage.command(&words).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(b"networks\nswitch age none\nswitch age missing\nnonsense\n").unwrap();
    // Faces were detected once there are lines.
    while std::fs::metadata(stage.path("out.jsonl")).map_or(0, |meta| meta.len()) < 2000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    typed.write_all(b"quit\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    for word in ["face: age, gender", "age: switched off", "age: missing could not be loaded", "switch TASK NETWORK"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!lines(&String::from_utf8(stage.read("out.jsonl")).unwrap()).is_empty());
    assert!(!stage.succeeds(&with_models(&["analyze", "seen.mp4"])).is_empty(), "the recorded film is whole");
}

#[test]
fn no_output_writes_over_what_is_read() {
    let stage = Stage::new();
    stage.film("film.mp4", 5);
    std::fs::create_dir(stage.path("photos")).unwrap();
    stage.picture("photos/1.png", &[(1, 1)], [255, 210, 190]);
    stage.write("faces.gallery", b"a gallery");
    stage.write("live.toml", b"fps = 5\n");
    let names = ["film.mp4", "photos/1.png", "faces.gallery", "live.toml"];
    let before = names.map(|name| stage.read(name));
    for words in [
        vec!["analyze", "photos", "--out", "photos/1.png"],
        vec!["analyze", "film.mp4", "--gallery", "faces.gallery", "--similarity", "none", "--out", "faces.gallery"],
        vec!["live", "door=film.mp4", "--no-page", "--record", "film.mp4"],
        vec!["live", "door=film.mp4", "--no-page", "--jsonl", "./film.mp4"],
        vec!["live", "virtual:photos", "--no-page", "--record", "photos/1.png"],
        vec!["live", "film.mp4", "--no-page", "--gallery", "faces.gallery", "--record", "faces.gallery"],
        vec!["live", "film.mp4", "--no-page", "--gallery", "faces.gallery", "--alarm-log", "faces.gallery"],
        vec!["live", "film.mp4", "--no-page", "--config", "live.toml", "--jsonl", "live.toml"],
        vec!["live", "film.mp4", "--no-page", "--record", "x.mp4", "--jsonl", "./x.mp4"],
        vec!["live", "film.mp4", "--no-page", "--record", "missing/x.mp4"],
        vec!["live", "film.mp4", "--no-page", "--record", "photos"],
    ] {
        let said = stage.fails(&with_models(&words));
        let told = ["is an input", "two outputs", "no folder", "is a folder", "no network", "embedding"];
        assert!(told.iter().any(|told| said.contains(told)), "{words:?}: {said}");
        for (name, before) in names.iter().zip(&before) {
            assert!(stage.read(name) == *before, "{words:?} changed {name}");
        }
    }
}

#[test]
fn a_run_ends_with_the_reader_of_its_lines() {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    let words = with_models(&["live", "film.mp4", "--repeat", "--no-page", "--jsonl", "-"]);
    let mut child = stage.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    // The pipe is closed, but standard input stays open.
    assert!(child.wait().unwrap().success());
}

#[test]
fn several_cameras_run_at_once() {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    stage.picture("a.png", &[(1, 1)], [255, 210, 190]);
    let words =
        ["live", "film.mp4", "yard=a.png", "--no-page", "--jsonl", "-", "--record", "seen.mp4", "--detector", "bright"];
    let told = lines(&stage.succeeds(&with_models(&words)));
    let of = |camera: &str| told.iter().filter(|line| line["source"] == camera).count();
    assert!(of("camera1") > 1 && of("yard") >= 1 && of("camera1") + of("yard") == told.len(), "{told:?}");
    for film in ["seen-camera1.mp4", "seen-yard.mp4"] {
        assert!(!stage.succeeds(&with_models(&["analyze", film])).is_empty(), "{film} is whole");
    }
    let said = stage.fails(&with_models(&["live", "film.mp4", "yard=missing.mp4", "--no-page"]));
    assert!(said.contains("yard") && said.contains("missing.mp4"), "{said}");
    let said = stage.fails(&with_models(&["live", "a=film.mp4", "a=film.mp4", "--no-page"]));
    assert!(said.contains("two cameras have the name a"), "{said}");
}

#[test]
fn bench_prints_what_scripts_expect() {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    let bench = with_models(&["bench", "live", "--source", "film.mp4", "--seconds", "1", "--json"]);
    let live: Value = serde_json::from_str(&stage.succeeds(&bench)).unwrap();
    for key in [
        "shown_fps",
        "detection_fps",
        "expression_hz_per_face",
        "latency_p50_ms",
        "latency_p95_ms",
        "dropped_frames",
        "rss_mib",
        "engine",
    ] {
        assert!(live.get(key).is_some(), "{key}: {live}");
    }
    assert!(live["engine"].as_str().unwrap().contains("tract"));
    // A busy machine may need longer than a second for all frames.
    let every = with_models(&["bench", "live", "--source", "film.mp4", "--json", "--pacing", "every-frame"]);
    let every: Value = serde_json::from_str(&stage.succeeds(&every)).unwrap();
    assert_eq!(every["frames"], 25);
    assert!(every["frames_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_address_of_another_machine_is_refused_with_the_flags_that_help() {
    let stage = Stage::new();
    stage.film("film.mp4", 2);
    for (words, without_page) in [(&["live", "film.mp4"][..], true), (&["serve"][..], false)] {
        let said = stage.fails(&with_models(&[words, &["--listen", "192.0.2.1:80"]].concat()));
        assert!(said.contains("192.0.2.1:80") && said.contains("--listen"), "{said}");
        assert_eq!(said.contains("--no-page"), without_page, "{said}");
    }
}

#[test]
fn a_command_of_the_laboratory_is_named_as_such() {
    let stage = Stage::new();
    for command in ["data", "evaluate", "train"] {
        let said = stage.fails(&[command, "--data", "faces"]);
        assert!(said.contains("visavis-lab"), "{command}: {said}");
    }
}

#[test]
fn runtime_status_tells_what_would_run() {
    let stage = Stage::new();
    let status: Value =
        serde_json::from_str(&stage.succeeds(&["runtime", "status", "--json", "--engine", "tract"])).unwrap();
    assert_eq!(status["engine"], "tract");
    let said = stage.fails(&["runtime", "status", "--onnxruntime", "nowhere.so"]);
    assert!(said.contains("nowhere.so"), "{said}");
    let said = stage.fails(&["runtime", "status", "--engine", "tract", "--device", "cuda"]);
    assert!(said.contains("tract runs on the CPU only"), "{said}");
}
