//! WIDER FACE's lists: a picture, the number of its faces, and a line for each of them.
//!
//! A line is `x y width height blur expression illumination invalid occlusion pose`. A picture without faces says 0 and is
//! followed, in the lists as they are given out, by a line of zeros all the same.

use std::path::Path;

use visavis_image::Rect;

use super::super::field::Place;
use super::super::list::{List, columns};
use super::super::pictures::entries;
use super::{GREATEST_SIDE, Listed, Listing, face};
use crate::DataError;
use crate::boxes::LabelledFace;

const LIST: &str = "_bbx_gt.txt";
const MEANING: &str = "x, y, width, height, blur, expression, illumination, invalid, occlusion, pose";
/// More faces than this in a picture are a misread line: the fullest one of WIDER FACE has 1,968.
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
    listing.folders.extend([folder.join("images"), folder.to_owned()]);
    Ok(listing)
}

fn labelled(place: &Place<'_>, text: &str) -> Result<LabelledFace, DataError> {
    let row: Vec<&str> = text.split_whitespace().collect();
    let [x, y, width, height, blur, expression, illumination, invalid, occlusion, pose] =
        columns::<10>(place, &row, MEANING)?;
    let side = |what, text| place.number(what, text, 0.0..=GREATEST_SIDE);
    let rect = Rect::new(place.finite("x", x)?, place.finite("y", y)?, side("width", width)?, side("height", height)?);
    // Only `invalid` is used; the others tell a line that has slipped.
    for (what, text, most) in [("blur", blur, 2), ("expression", expression, 1), ("illumination", illumination, 1)] {
        place.number::<u8>(what, text, 0..=most)?;
    }
    for (what, text, most) in [("occlusion", occlusion, 2), ("pose", pose, 1)] {
        place.number::<u8>(what, text, 0..=most)?;
    }
    Ok(face(rect, place.number::<u8>("invalid", invalid, 0..=1)? == 1))
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
