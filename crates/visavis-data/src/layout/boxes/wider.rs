//! WIDER FACE's lists: a picture, the number of its faces, and a line for each of them.
//!
//! A line is `x y width height blur expression illumination invalid occlusion pose`. A picture without faces has the number
//! 0; in the published lists a line of zeros follows nevertheless.
//!
//! Which faces are easy, medium and hard is given by three MAT-files of the evaluation tools, for the validation part only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use visavis_image::Rect;

use super::super::field::Place;
use super::super::list::{List, columns};
use super::super::matlab::{self, Value};
use super::super::pictures::entries;
use super::{GREATEST_SIDE, Listed, Listing, face};
use crate::DataError;
use crate::boxes::{LabelledFace, WiderFlags};

const LIST: &str = "_bbx_gt.txt";
const MEANING: &str = "x, y, width, height, blur, expression, illumination, invalid, occlusion, pose";
/// Larger numbers mean that a line was misread: the largest number in WIDER FACE is 1,968.
const MOST_FACES: usize = 100_000;

pub(super) fn read(path: &Path) -> Result<Listing, DataError> {
    let list = List::read(&the_list(path)?)?;
    let mut listing = Listing::default();
    let mut lines = list.lines().peekable();
    while let Some((place, file)) = lines.next() {
        let file = place.file(file)?;
        let (count_place, count) =
            lines.next().ok_or_else(|| place.bad(format!("the list ends before the number of faces of {file}")))?;
        let count = count_place.number(&format!("the number of faces of {file}"), count, 0..=MOST_FACES)?;
        let mut faces = Vec::new();
        if count == 0 {
            lines.next_if(|(_, text)| text.split_whitespace().all(|column| column == "0"));
        }
        for number in 0..count {
            let (place, text) = lines.next().ok_or_else(|| {
                count_place.bad(format!("{file} has {count} faces, but the list ends after {number} of them"))
            })?;
            faces.push((place.into(), labelled(&place, text)?));
        }
        listing.pictures.push(Listed { file, origin: place.into(), faces });
    }
    let folder = list.folder();
    let above = folder.parent().unwrap_or(Path::new(""));
    let name = list.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    for part in ["train", "val", "test"].into_iter().filter(|part| name.contains(&format!("_{part}_"))) {
        let images = format!("WIDER_{part}/images");
        listing.folders.extend([above.join(&images), folder.join(&images)]);
    }
    if let Some(subsets) = Subsets::beside(folder)? {
        listing.pictures.iter_mut().try_for_each(|picture| subsets.mark(picture))?;
    }
    listing.folders.extend([folder.join("images"), folder.to_owned()]);
    Ok(listing)
}

fn labelled(place: &Place<'_>, text: &str) -> Result<LabelledFace, DataError> {
    let row: Vec<&str> = text.split_whitespace().collect();
    let [x, y, width, height, blur, expression, illumination, invalid, occlusion, pose] =
        columns::<10>(place, &row, MEANING)?;
    let side = |what, text| place.number(what, text, 0.0..=GREATEST_SIDE);
    let rect = Rect::new(place.finite("x", x)?, place.finite("y", y)?, side("width", width)?, side("height", height)?);
    // Only `invalid` is used; the others are checked to detect a misaligned line.
    for (what, text, most) in [("blur", blur, 2), ("expression", expression, 1), ("illumination", illumination, 1)] {
        place.number::<u8>(what, text, 0..=most)?;
    }
    for (what, text, most) in [("occlusion", occlusion, 2), ("pose", pose, 1)] {
        place.number::<u8>(what, text, 0..=most)?;
    }
    Ok(face(rect, place.number::<u8>("invalid", invalid, 0..=1)? == 1))
}

/// For each subset the indices of its faces, from 0, by the picture's path without its extension.
struct Subsets {
    /// Easy, medium, hard.
    places: [HashMap<String, Vec<usize>>; 3],
    folder: PathBuf,
}

impl Subsets {
    /// Those in or near the folder of a list; `None` if there are none.
    fn beside(folder: &Path) -> Result<Option<Self>, DataError> {
        let above = folder.parent().unwrap_or(Path::new(""));
        let near = [folder, above].into_iter().flat_map(|folder| {
            [folder.to_owned(), folder.join("ground_truth"), folder.join("eval_tools/ground_truth")]
        });
        let file = |folder: &Path, subset: &str| folder.join(format!("wider_{subset}_val.mat"));
        let Some(folder) = near.into_iter().find(|folder| file(folder, "easy").is_file()) else { return Ok(None) };
        let [easy, medium, hard] = ["easy", "medium", "hard"].map(|subset| read_subset(&file(&folder, subset)));
        Ok(Some(Self { places: [easy?, medium?, hard?], folder }))
    }

    /// Marks the faces of a picture with their subsets. Pictures that are in no MAT-file do not change.
    fn mark(&self, picture: &mut Listed) -> Result<(), DataError> {
        let name = Path::new(&picture.file).with_extension("");
        let name = name.to_string_lossy();
        let places = self.places.each_ref().map(|subset| subset.get(&*name));
        if places.iter().all(Option::is_none) {
            return Ok(());
        }
        let [easy, medium, hard] = places.map(|places| places.map_or(&[][..], Vec::as_slice));
        if let Some(beyond) = [easy, medium, hard].concat().iter().find(|place| **place >= picture.faces.len()) {
            let reason = format!(
                "face {} of {name} is named, of {} in the list: list and MAT-files are not of one set",
                beyond + 1,
                picture.faces.len()
            );
            return Err(DataError::Layout { path: self.folder.clone(), reason });
        }
        for (place, (_, face)) in picture.faces.iter_mut().enumerate() {
            let among = |places: &[usize]| places.contains(&place);
            face.wider = Some(WiderFlags { easy: among(easy), medium: among(medium), hard: among(hard) });
        }
        Ok(())
    }
}

/// `event_list` has the folders, `file_list` the pictures of each, `gt_list` the faces of each that count, from 1.
fn read_subset(path: &Path) -> Result<HashMap<String, Vec<usize>>, DataError> {
    let wrong = |reason: String| DataError::Layout { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|reason| DataError::File { path: path.to_owned(), reason })?;
    let variables = matlab::parse(&bytes).map_err(wrong)?;
    let list = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.cells());
        found.ok_or_else(|| wrong(format!("there is no `{name}` in it: it is none of WIDER FACE's evaluation tools")))
    };
    let (events, files, faces) = (list("event_list")?, list("file_list")?, list("gt_list")?);
    let mut places = HashMap::new();
    for ((event, files), faces) in events.iter().zip(files).zip(faces) {
        for (file, faces) in files.cells().iter().zip(faces.cells()) {
            let faces = faces.numbers().iter().map(|number| (*number as usize).saturating_sub(1)).collect();
            places.insert(format!("{}/{}", event.text(), Value::text(file)), faces);
        }
    }
    Ok(places)
}

/// The list itself, or the only one in a folder or in its `wider_face_split`.
fn the_list(path: &Path) -> Result<std::path::PathBuf, DataError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let split = path.join("wider_face_split");
    let mut lists = entries(if split.is_dir() { &split } else { path })?;
    lists.retain(|path| path.to_string_lossy().ends_with(LIST));
    let wrong = |reason| Err(DataError::Layout { path: path.to_owned(), reason });
    match &lists[..] {
        [list] => Ok(list.clone()),
        [] => wrong(format!("no list named like wider_face_train{LIST} is in there: name the folder that holds it")),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            wrong(format!("there are several lists: name one of {}", names.join(", ")))
        }
    }
}
