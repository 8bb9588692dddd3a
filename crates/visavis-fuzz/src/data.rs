//! Data sets and packs.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
use visavis_data::boxes::FaceBoxes;
use visavis_data::layout::boxes::BoxLayout;
use visavis_data::layout::{self, Layout, classes, lfw};
use visavis_data::pack::{Pack, PackParams, PackWriter, PackedFace, contact_sheet};
use visavis_data::{Labels, Split};
use visavis_image::{Picture, Rect, codec};

use crate::{Target, parts, scratch};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "layout", run: data_set, seeds: data_sets, most_bytes: 64 << 10, mutations: 300 },
    Target { name: "coco", run: coco, seeds: coco_files, most_bytes: 8 << 10, mutations: 400 },
    Target { name: "pack", run: pack, seeds: packs, most_bytes: 32 << 10, mutations: 200 },
];

/// The files of a data set. The first part names the layout and has no contents.
fn data_set(bytes: &[u8]) {
    let files = parts::split(bytes);
    let Some((name, _)) = files.first() else { return };
    scratch::in_folder(|folder| {
        let folder = folder.join("set");
        std::fs::create_dir(&folder).expect("a temporary folder can be made");
        parts::write(&files[1..], &folder).expect("temporary files can be written");
        if let Ok(layout) = name.parse::<Layout>() {
            let _ = layout::read(layout, &folder);
        }
        if let Ok(layout) = name.parse::<BoxLayout>() {
            // COCO JSON is a file beside its pictures.
            let file = folder.join("boxes.json");
            let path = if layout == BoxLayout::Coco { &file } else { &folder };
            let _ = layout::boxes::read(layout, path, None);
        }
        if name == "lfw" {
            let _ = (lfw::pairs(&folder.join("pairs.txt")), lfw::pairs(&folder.join("pairs.csv")));
        }
        if name == "classes" {
            let rule = files.iter().find(|(name, _)| name == "rule").map(|(_, rule)| String::from_utf8_lossy(rule));
            if let Some(Ok(rule)) = rule.map(|rule| rule.parse::<classes::ClassRule>()) {
                let _ = classes::read(&folder, &[rule]);
            }
        }
    });
}

/// Face boxes as COCO JSON.
fn coco(bytes: &[u8]) {
    if let Ok(boxes) = FaceBoxes::parse(bytes, Path::new("fuzzing")) {
        let written = boxes.to_json();
        assert!(FaceBoxes::parse(&written, Path::new("fuzzing")).is_ok(), "what was read can be written and read");
    }
}

/// The files of a pack: as they are, and once more with the lengths in `pack.json` made to fit.
fn pack(bytes: &[u8]) {
    let mut files = parts::split(bytes);
    let read = |files: &[(String, &[u8])]| {
        scratch::in_folder(|folder| {
            parts::write(files, folder).expect("temporary files can be written");
            let Ok(pack) = Pack::open(folder) else { return };
            for face in 0..pack.faces().len().min(4) {
                let _ = pack.picture(face);
            }
            let _ = (pack.verify(), contact_sheet(&pack, 4, 2));
        });
    };
    read(&files);
    let length = |name: &str| files.iter().find(|(file, _)| file == name).map_or(0, |(_, contents)| contents.len());
    let (faces_bytes, crops_bytes) = (length("faces.jsonl"), length("faces.bin"));
    let lines = files.iter().find(|(file, _)| file == "faces.jsonl").map_or(&[][..], |(_, contents)| contents);
    let faces = lines.split_inclusive(|byte| *byte == b'\n').count();
    let Some((_, info)) = files.iter_mut().find(|(file, _)| file == "pack.json") else { return };
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(info) else { return };
    for (name, value) in [("faces_bytes", faces_bytes), ("crops_bytes", crops_bytes), ("faces", faces)] {
        fields.insert(name.into(), value.into());
    }
    let fitting = Value::Object(fields).to_string();
    *info = fitting.as_bytes();
    read(&files);
}

// Seeds.

const AFLW: &str = "
    CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
    CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT, filepath TEXT);
    CREATE TABLE FaceRect (face_id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, w INTEGER, h INTEGER);
    CREATE TABLE FaceMetaData (face_id INTEGER PRIMARY KEY, sex TEXT, glasses INTEGER);
    CREATE TABLE FeatureCoordTypes (feature_id INTEGER PRIMARY KEY, descr TEXT);
    CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL);
    INSERT INTO FeatureCoordTypes (feature_id, descr) VALUES (8, 'LeftEyeCenter'), (11, 'RightEyeCenter'), (15, 'NoseCenter'),
        (18, 'MouthLeftCorner'), (20, 'MouthRightCorner');
    INSERT INTO FaceImages (db_id, file_id, filepath) VALUES ('flickr', 'a.jpg', '0/a.jpg');
    INSERT INTO Faces VALUES (1, 'a.jpg', 'flickr');
    INSERT INTO FaceRect VALUES (1, 6, 7, 30, 31);
    INSERT INTO FaceMetaData VALUES (1, 'f', 0);
    INSERT INTO FeatureCoords VALUES (1, 8, 10, 20), (1, 11, 20, 22), (1, 15, 15, 25), (1, 18, 11, 30), (1, 20, 19, 31);";

fn aflw() -> Vec<u8> {
    scratch::in_folder(|folder| {
        let path = folder.join("aflw.sqlite");
        let database = Connection::open(&path).expect("a database can be made");
        database.execute_batch(&format!("PRAGMA page_size = 512; {AFLW}")).expect("tables can be made");
        drop(database);
        std::fs::read(path).expect("the database can be read")
    })
}

/// A value of a MAT-file.
enum Matlab {
    Numbers(Vec<f64>),
    Text(&'static str),
    Cells(Vec<Matlab>),
    Structure(Vec<(&'static str, Matlab)>),
}

/// An element of a MAT-file with its tag and padding.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn array(name: &str, value: &Matlab) -> Vec<u8> {
    let (class, count, contents) = match value {
        Matlab::Numbers(numbers) => {
            (6, numbers.len(), element(9, &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()))
        }
        Matlab::Text(text) => (4, text.len(), element(16, text.as_bytes())),
        Matlab::Cells(cells) => (1, cells.len(), cells.iter().flat_map(|cell| array("", cell)).collect()),
        Matlab::Structure(fields) => {
            let mut names = Vec::new();
            for (name, _) in fields {
                names.extend(name.as_bytes());
                names.resize(names.len().next_multiple_of(32), 0);
            }
            let values = fields.iter().flat_map(|(_, value)| array("", value));
            (2, 1, element(5, &32_i32.to_le_bytes()).into_iter().chain(element(1, &names)).chain(values).collect())
        }
    };
    let dimensions = [1_i32.to_le_bytes(), (count as i32).to_le_bytes()].concat();
    let parts =
        [element(6, &[class, 0, 0, 0, 0, 0, 0, 0]), element(5, &dimensions), element(1, name.as_bytes()), contents];
    element(14, &parts.concat())
}

fn matlab(variables: &[(&str, Matlab)]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(variables.iter().flat_map(|(name, value)| array(name, value)));
    bytes
}

fn png() -> Vec<u8> {
    codec::encode_png(&Picture::filled(48, 48, [90; 3])).expect("a picture can be encoded")
}

fn data_sets() -> Vec<Vec<u8>> {
    let png = png();
    let one = |value: f64| Matlab::Numbers(vec![value]);
    let wiki = matlab(&[(
        "wiki",
        Matlab::Structure(vec![
            ("dob", one(712_389.0)),
            ("photo_taken", one(1990.0)),
            ("full_path", Matlab::Cells(vec![Matlab::Text("01/a.jpg")])),
            ("gender", one(1.0)),
            ("name", Matlab::Cells(vec![Matlab::Text("Ada")])),
            ("face_location", Matlab::Cells(vec![Matlab::Numbers(vec![11.0, 21.0, 40.0, 60.0])])),
            ("face_score", one(3.5)),
            ("second_face_score", one(f64::NAN)),
        ]),
    )]);
    let cells = |value: Matlab| Matlab::Cells(vec![Matlab::Cells(vec![value])]);
    let subset = matlab(&[
        ("event_list", Matlab::Cells(vec![Matlab::Text("0--Parade")])),
        ("file_list", cells(Matlab::Text("a"))),
        ("gt_list", cells(Matlab::Numbers(vec![1.0]))),
    ]);
    let wider =
        "0--Parade/a.jpg\n2\n10 20 30 20 0 0 0 0 0 0\n1 1 8 9 2 1 1 1 2 1\n0--Parade/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n";
    let voc = "<annotation>\n<filename>a.jpg</filename>\n<object><name>face</name><difficult>0</difficult>\n\
               <bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>\n</annotation>\n";
    let aflw = aflw();
    let sets: Vec<Vec<(&str, &[u8])>> = vec![
        vec![
            ("table", b""),
            (
                "labels.csv",
                b"file,age,gender,smile,glasses,race,pose,identity,x,y,width,height,left_eye_x,left_eye_y,right_eye_x,right_eye_y,\
                  nose_x,nose_y,left_mouth_x,left_mouth_y,right_mouth_x,right_mouth_y,note\n\
                  a.jpg,31.5,female,1,0,2,3,Ada,1,2,30,40,5,6,15,6,10,12,6,18,14,18,x\n\"b, c.jpg\",,,,,,,,,,,,,,,,,,,,,,\n",
            ),
        ],
        vec![("classes", b""), ("smile/a.png", b""), ("age_31/b.jpg", b""), ("grin/c.jpg", b""), ("rule", b"grin=gender:female")],
        vec![("mtfl", b""), ("training.txt", b" lfw\\a.jpg 10.5 20 15 11 19 30.5 30 35 40 41 1 2 2 3 \r\nb.jpg 1 2 3 4 5 6 7 8 9 10 2 1 1 5\r\n")],
        vec![("aflw", b""), ("aflw.sqlite", &aflw)],
        vec![("imdb-wiki", b""), ("wiki.mat", &wiki)],
        vec![("lap", b""), ("train_gt.csv", b"image,mean,stdv\n000000.jpg,24.5,3.25\n"), ("valid_gt.csv", b"000001.jpg, 70 , 0\n")],
        vec![("utkface", b""), ("7_1_3_2017.jpg.chip.jpg", b""), ("part1/100_0_4_20170112.jpg", b"")],
        vec![("genki4k", b""), ("labels.txt", b"1 0.03 -0.04 0.01 \n0 0.1 0.2 0.3\n")],
        vec![
            ("celeba", b""),
            ("Anno/list_attr_celeba.txt", b"2\nShadow Eyeglasses Male Smiling Young \n000001.jpg -1  1 -1  1  1\n000002.jpg  1 -1  1 -1 -1\n"),
            ("Anno/identity_CelebA.txt", b"000001.jpg 2880\n000002.jpg 2937\n"),
            ("Anno/list_landmarks_align_celeba.txt", b"2\nlefteye_x lefteye_y\n000001.jpg 69  109  106  113   77  142   73  152  108  154\n"),
        ],
        vec![
            ("lfw", b""),
            ("Ada_Lovelace/Ada_Lovelace_0001.jpg", b""),
            ("pairs.txt", b"2\t1\nAda\t1\t4\nAda\t2\tBob_Ray\t10\nBob_Ray 1 2\nAda 1 Bob_Ray 1\n"),
            ("pairs.csv", b"fold,a,b,same\n1,images/Ada_0001.jpg,images/Ada_0004.jpg,1\n1,Ada_0002.jpg,Bob_Ray_0010.png,0\n"),
        ],
        vec![
            ("fer", b""),
            (
                "labels.csv",
                b"file,split,fer2013,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,no_face\n\
                  FER2013Train/a.png,train,angry,4,0,0,1,3,2,0,0,0,0\n",
            ),
            ("FER2013Train/a.png", &png),
        ],
        vec![
            ("wider", b""),
            ("wider_face_split/wider_face_val_bbx_gt.txt", wider.as_bytes()),
            ("wider_face_split/wider_easy_val.mat", &subset),
            ("wider_face_split/wider_medium_val.mat", &subset),
            ("wider_face_split/wider_hard_val.mat", &subset),
            ("WIDER_val/images/0--Parade/a.jpg", &png),
            ("WIDER_val/images/0--Parade/b.jpg", &png),
        ],
        vec![("voc", b""), ("Annotations/a.xml", voc.as_bytes()), ("JPEGImages/a.jpg", &png)],
        vec![
            ("fddb", b""),
            ("FDDB-folds/FDDB-fold-01-ellipseList.txt", b"2002/a\n1\n20.5 10.25 -1.2 24 24  1\n"),
            ("originalPics/2002/a.jpg", &png),
        ],
        vec![("coco", b""), ("boxes.json", COCO.as_bytes()), ("images/a.jpg", &png)],
        vec![("negatives", b""), ("a/b.png", &png)],
    ];
    sets.into_iter().map(parts::join).collect()
}

const COCO: &str = r#"{"categories": [{"id": 1, "name": "face"}],
"images": [{"id": 1, "file_name": "a.jpg", "width": 48, "height": 48, "source": "x", "negative": 0}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.5, 2, 20, 30], "area": 600, "ignore": 0, "iscrowd": 0,
"easy": true, "medium": true, "hard": true, "keypoints": [5, 6, 2, 15, 6, 2, 10, 12, 2, 6, 18, 2, 14, 18, 2], "num_keypoints": 5}]}"#;

fn coco_files() -> Vec<Vec<u8>> {
    vec![COCO.as_bytes().to_vec()]
}

fn packs() -> Vec<Vec<u8>> {
    scratch::in_folder(|folder| {
        let path: PathBuf = folder.join("pack");
        let params = PackParams { side: 16, ..PackParams::default() };
        let mut writer = PackWriter::new(&path, "fuzzing", "none", params).expect("a pack can be begun");
        let jpeg = codec::encode_jpeg(&Picture::filled(16, 16, [90; 3]), 90).expect("a picture can be encoded");
        for number in 0..2 {
            let face = PackedFace {
                set: "fuzzing".into(),
                file: format!("{number}.jpg"),
                identity: Some("Ada".into()),
                split: Split::Train,
                labels: Labels { age: Some(31.0), smile: Some(true), ..Labels::default() },
                scale: 0.5,
                rect: Rect::new(4.0, 4.0, 8.0, 8.0),
                landmarks: None,
                detected: None,
            };
            writer.push(&face, &jpeg).expect("a face can be added");
        }
        writer.finish().expect("a pack can be finished");
        let read = |name: &str| std::fs::read(path.join(name)).expect("the pack can be read");
        let (info, faces, crops) = (read("pack.json"), read("faces.jsonl"), read("faces.bin"));
        vec![parts::join([("pack.json", info.as_slice()), ("faces.jsonl", &faces), ("faces.bin", &crops)])]
    })
}
