//! Face boxes as COCO JSON.
//!
//! A box file has `images` (id, file_name, width, height) and `annotations` (image_id, bbox `[x, y, width, height]` in
//! pixels of the stored picture) with, if known, five `keypoints` (x, y and visibility of each). Extensions of COCO are
//! `source` and `negative` of a picture, and `ignore` and the WIDER FACE subsets `easy`, `medium`, `hard` of a box. Flags
//! may be written 0/1 or false/true.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use visavis_image::{Landmarks, Point, Rect};

use super::{FaceBoxes, Label, LabelledFace, LabelledImage, WiderFlags};

/// The category of all boxes and detections that are written: 1, face.
pub const FACE_CATEGORY: u64 = 1;

/// COCO's visibility code of a keypoint that is labelled and visible.
const VISIBLE: f32 = 2.0;

/// A box or detection file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CocoError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The detections cannot be written.
    #[error("cannot write detections: {0}")]
    WriteDetections(serde_json::Error),
    /// Not JSON, or a field is missing or of another type; the source has line and column.
    #[error("{path} is not a COCO {kind} file: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The expected kind: "box" or "detection".
        kind: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// Two pictures share an id.
    #[error("{path}: image id {id} occurs twice ({first} and {second}); give every image its own id")]
    DuplicateImage {
        /// The file.
        path: PathBuf,
        /// The shared id.
        id: u64,
        /// File name of the first picture.
        first: String,
        /// File name of the second.
        second: String,
    },
    /// A picture with a width or height of 0.
    #[error("{path}: image {id} ({file_name}) has size {width}x{height}; both must be at least 1")]
    EmptyImage {
        /// The file.
        path: PathBuf,
        /// Its id.
        id: u64,
        /// Its file name.
        file_name: String,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A box of a picture that the file does not list.
    #[error("{path}: annotations[{index}] belongs to image id {image_id}, which images[] does not list")]
    UnknownImage {
        /// The file.
        path: PathBuf,
        /// Index in `annotations`, from 0.
        index: usize,
        /// The picture's id in the annotation.
        image_id: u64,
    },
    /// A box without area or with a coordinate that is not a number.
    #[error(
        "{path}: annotations[{index}] on image id {image_id} has bbox {bbox:?}; it must be four finite numbers \
        [x, y, width, height] with width and height above 0"
    )]
    BadBox {
        /// The file.
        path: PathBuf,
        /// Index in `annotations`, from 0.
        index: usize,
        /// The picture.
        image_id: u64,
        /// The box as read.
        bbox: [f32; 4],
    },
    /// Boxes of several categories.
    #[error("{path}: boxes of several categories {categories:?}; keep only the faces in the file")]
    Categories {
        /// The file.
        path: PathBuf,
        /// The category ids found.
        categories: Vec<u64>,
    },
}

impl FaceBoxes {
    /// Reads a box file.
    ///
    /// # Errors
    /// [`CocoError`] with the path and the invalid entry.
    pub fn read(path: &Path) -> Result<Self, CocoError> {
        Self::parse(&read_file(path)?, path)
    }

    /// Converts to a box file for [`read`](Self::read) and pycocotools. Boxes are numbered from 1, because pycocotools takes
    /// the id 0 for "no box".
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let images: Vec<serde_json::Value> = self
            .images
            .iter()
            .map(|image| {
                serde_json::json!({
                    "id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height,
                    "source": image.source, "negative": u8::from(image.negative),
                })
            })
            .collect();
        let faces = self.images.iter().flat_map(|image| image.faces.iter().map(move |face| (image.id, face)));
        let annotations: Vec<serde_json::Value> = (1..)
            .zip(faces)
            .map(|(id, (image_id, face)): (u64, _)| {
                let bbox: [f32; 4] = face.rect.into();
                let mut entry = serde_json::json!({
                    "id": id, "image_id": image_id, "category_id": FACE_CATEGORY, "bbox": bbox,
                    "area": face.rect.area(),
                    "ignore": u8::from(face.label == Label::Ignore), "iscrowd": u8::from(face.label == Label::Crowd),
                });
                if let Some(flags) = face.wider {
                    for (name, flag) in [("easy", flags.easy), ("medium", flags.medium), ("hard", flags.hard)] {
                        entry[name] = flag.into();
                    }
                }
                if let Some(landmarks) = face.landmarks {
                    let points = landmarks.to_array().into_iter().flat_map(|point| [point.x, point.y, VISIBLE]);
                    entry["keypoints"] = points.collect::<Vec<f32>>().into();
                    entry["num_keypoints"] = 5.into();
                }
                entry
            })
            .collect();
        let categories = [serde_json::json!({ "id": FACE_CATEGORY, "name": "face" })];
        serde_json::json!({ "categories": categories, "images": images, "annotations": annotations })
            .to_string()
            .into_bytes()
    }

    /// The same from bytes; errors name `origin`.
    ///
    /// # Errors
    /// [`CocoError`] with the origin and the invalid entry.
    pub fn parse(json: &[u8], origin: &Path) -> Result<Self, CocoError> {
        let file: BoxFile = serde_json::from_slice(json).map_err(|source| CocoError::Format {
            path: origin.to_owned(),
            kind: "box",
            source,
        })?;
        let categories: BTreeSet<u64> = file.annotations.iter().map(|entry| entry.category_id).collect();
        if categories.len() > 1 {
            return Err(CocoError::Categories {
                path: origin.to_owned(),
                categories: categories.into_iter().collect(),
            });
        }

        let mut images: Vec<LabelledImage> = file.images.into_iter().map(LabelledImage::from).collect();
        images.sort_by_key(|image| image.id);
        if let Some(pair) = images.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(CocoError::DuplicateImage {
                path: origin.to_owned(),
                id: pair[0].id,
                first: pair[0].file_name.clone(),
                second: pair[1].file_name.clone(),
            });
        }
        if let Some(image) = images.iter().find(|image| image.width == 0 || image.height == 0) {
            return Err(CocoError::EmptyImage {
                path: origin.to_owned(),
                id: image.id,
                file_name: image.file_name.clone(),
                width: image.width,
                height: image.height,
            });
        }

        let places: HashMap<u64, usize> = images.iter().enumerate().map(|(place, image)| (image.id, place)).collect();
        for (index, entry) in file.annotations.into_iter().enumerate() {
            let Some(&place) = places.get(&entry.image_id) else {
                return Err(CocoError::UnknownImage { path: origin.to_owned(), index, image_id: entry.image_id });
            };
            if !entry.bbox.is_proper() {
                return Err(CocoError::BadBox {
                    path: origin.to_owned(),
                    index,
                    image_id: entry.image_id,
                    bbox: entry.bbox.into(),
                });
            }
            images[place].faces.push(entry.into());
        }
        Ok(Self { images })
    }

    /// Writes a box file for [`read`](Self::read) and pycocotools, under a temporary name, and renames it at the end.
    ///
    /// # Errors
    /// [`CocoError::Write`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CocoError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = path.with_file_name(format!(".{name}.part"));
        let written = fs::write(&aside, self.to_json()).and_then(|()| fs::rename(&aside, path));
        written.map_err(|source| {
            let _ = fs::remove_file(&aside);
            CocoError::Write { path: path.to_owned(), source }
        })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CocoError> {
    fs::read(path).map_err(|source| CocoError::Read { path: path.to_owned(), source })
}

#[derive(Deserialize)]
struct BoxFile {
    images: Vec<ImageEntry>,
    annotations: Vec<BoxEntry>,
}

#[derive(Deserialize)]
struct ImageEntry {
    id: u64,
    file_name: String,
    width: u32,
    height: u32,
    source: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    negative: Option<bool>,
}

impl From<ImageEntry> for LabelledImage {
    fn from(entry: ImageEntry) -> Self {
        Self {
            id: entry.id,
            file_name: entry.file_name,
            width: entry.width,
            height: entry.height,
            source: entry.source,
            negative: entry.negative.unwrap_or(false),
            faces: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct BoxEntry {
    image_id: u64,
    #[serde(default = "face_category")]
    category_id: u64,
    bbox: Rect,
    #[serde(default, deserialize_with = "flag")]
    ignore: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    iscrowd: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    easy: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    medium: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    hard: Option<bool>,
    /// Five times x, y and visibility; another number of keypoints belongs to other objects.
    #[serde(default)]
    keypoints: Vec<f32>,
}

impl From<BoxEntry> for LabelledFace {
    fn from(entry: BoxEntry) -> Self {
        let label = match (entry.iscrowd, entry.ignore) {
            (Some(true), _) => Label::Crowd,
            (_, Some(true)) => Label::Ignore,
            _ => Label::Face,
        };
        let named = entry.easy.is_some() || entry.medium.is_some() || entry.hard.is_some();
        let wider = named.then(|| WiderFlags {
            easy: entry.easy.unwrap_or(false),
            medium: entry.medium.unwrap_or(false),
            hard: entry.hard.unwrap_or(false),
        });
        let landmarks = (entry.keypoints.len() == 15
            && entry.keypoints.iter().skip(2).step_by(3).all(|seen| *seen > 0.0))
        .then(|| {
            let point = |at: usize| Point::new(entry.keypoints[3 * at], entry.keypoints[3 * at + 1]);
            Landmarks::from(std::array::from_fn(point))
        });
        Self { rect: entry.bbox, label, wider, landmarks }
    }
}

fn face_category() -> u64 {
    FACE_CATEGORY
}

/// COCO writes flags as 0 and 1, other tools as booleans.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a flag must be 0, 1, false or true")]
    enum Flag {
        Truth(bool),
        Number(u8),
    }
    match Option::<Flag>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Flag::Truth(value)) => Ok(Some(value)),
        Some(Flag::Number(0)) => Ok(Some(false)),
        Some(Flag::Number(1)) => Ok(Some(true)),
        Some(Flag::Number(other)) => {
            Err(serde::de::Error::custom(format!("a flag must be 0, 1, false or true, not {other}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "boxes.json";

    fn parse(json: &str) -> Result<FaceBoxes, CocoError> {
        FaceBoxes::parse(json.as_bytes(), Path::new(ORIGIN))
    }

    #[test]
    fn every_field_arrives() {
        let set = parse(
            r#"{"info": {"any": "thing"}, "categories": [{"id": 1, "name": "face"}],
            "images": [
                {"id": 9, "file_name": "b.jpg", "width": 20, "height": 30, "source": "garden", "negative": 1},
                {"id": 3, "file_name": "a.jpg", "width": 40, "height": 50}],
            "annotations": [
                {"id": 0, "image_id": 3, "category_id": 1, "bbox": [1, 2.5, 3, 4], "ignore": 0, "iscrowd": 0},
                {"image_id": 3, "bbox": [0, 0, 9, 9], "ignore": 1, "iscrowd": 0},
                {"image_id": 3, "bbox": [0, 0, 8, 8], "iscrowd": 1, "ignore": 1},
                {"image_id": 3, "bbox": [0, 0, 7, 7], "easy": false, "medium": true, "hard": 1}]}"#,
        )
        .unwrap();
        assert_eq!(set.images.iter().map(|image| image.id).collect::<Vec<_>>(), [3, 9]);
        let [first, second] = &set.images[..] else { panic!("two images") };
        assert!(!first.negative && second.negative);
        assert_eq!((second.width, second.height, second.source.as_deref()), (20, 30, Some("garden")));
        assert_eq!(first.file_name, "a.jpg");
        assert_eq!(first.faces[0].rect, Rect::new(1.0, 2.5, 3.0, 4.0));
        let labels: Vec<Label> = first.faces.iter().map(|face| face.label).collect();
        assert_eq!(labels, [Label::Face, Label::Ignore, Label::Crowd, Label::Face]);
        assert_eq!(first.faces[0].wider, None);
        assert_eq!(first.faces[3].wider, Some(WiderFlags { easy: false, medium: true, hard: true }));
        assert_eq!(set.face_count(), 2);
        assert_eq!(FaceBoxes::parse(&set.to_json(), Path::new(ORIGIN)).unwrap(), set);
    }

    #[test]
    fn errors_name_file_and_fault() {
        let image = r#"{"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}"#;
        let with = |annotation: &str| format!(r#"{{"images": [{image}], "annotations": [{annotation}]}}"#);
        let cases = [
            ("{".to_owned(), "not a COCO box file"),
            (r#"{"images": []}"#.to_owned(), "missing field `annotations`"),
            (format!(r#"{{"images": [{image}, {image}], "annotations": []}}"#), "image id 1 occurs twice"),
            (
                r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 0, "height": 4}], "annotations": []}"#
                    .to_owned(),
                "size 0x4",
            ),
            (with(r#"{"image_id": 2, "bbox": [0, 0, 1, 1]}"#), "annotations[0] belongs to image id 2"),
            (with(r#"{"image_id": 1, "bbox": [0, 0, 0, 1]}"#), "annotations[0] on image id 1 has bbox"),
            (with(r#"{"image_id": 1, "bbox": [0, 0, 1]}"#), "invalid length 3"),
            (with(r#"{"image_id": 1, "bbox": [0, 0, 1, 1], "ignore": 2}"#), "must be 0, 1, false or true, not 2"),
            (with(r#"{"image_id": 1, "bbox": [0, 0, 1, 1], "hard": "yes"}"#), "must be 0, 1, false or true"),
            (
                with(
                    r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]},
                    {"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1]}"#,
                ),
                "categories [1, 7]",
            ),
        ];
        for (json, expected) in cases {
            let message = parse(&json).unwrap_err().to_string();
            assert!(message.contains(ORIGIN) && message.contains(expected), "{message:?} lacks {expected:?}");
        }
        let message = FaceBoxes::read(Path::new("no-such-folder/boxes.json")).unwrap_err().to_string();
        assert!(message.starts_with("cannot read no-such-folder/boxes.json"), "{message}");
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is_left() {
        let landmarks = Landmarks::from([1.0, 2.5, 3.0, 4.25, 5.0].map(|x| Point::new(x, 7.5)));
        let face = |x, label, wider| LabelledFace {
            rect: Rect::new(x, 2.25, 30.5, 40.0),
            label,
            wider,
            landmarks: (label == Label::Face).then_some(landmarks),
        };
        let flags = WiderFlags { easy: false, medium: true, hard: true };
        let image = |id, negative, source: Option<&str>, faces| LabelledImage {
            id,
            file_name: format!("{id}.jpg"),
            width: 640,
            height: 480,
            source: source.map(str::to_owned),
            negative,
            faces,
        };
        let set = FaceBoxes {
            images: vec![
                image(
                    3,
                    false,
                    Some("garden"),
                    vec![
                        face(0.1, Label::Face, Some(flags)),
                        face(1.0, Label::Ignore, None),
                        face(2.0, Label::Crowd, None),
                    ],
                ),
                image(7, true, None, Vec::new()),
            ],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        fs::write(&path, "an older one").unwrap();
        set.write(&path).unwrap();
        assert_eq!(FaceBoxes::read(&path).unwrap(), set);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""categories":[{"id":1,"name":"face"}]"#), "{text}");
        assert!(text.contains(r#""ignore":1"#) && text.contains(r#""iscrowd":1"#) && text.contains("area"), "{text}");

        let nowhere = folder.path().join("missing/boxes.json");
        let message = set.write(&nowhere).unwrap_err().to_string();
        assert!(message.starts_with("cannot write ") && message.contains("missing"), "{message}");
    }
}
