//! FDDB's lists: a picture without its extension, the number of its faces, and an ellipse for each of them.
//!
//! A line is `major minor angle x y 1`: half the axes in pixels, the angle of the major one in radians against the
//! horizontal, the centre.

use std::path::Path;

use visavis_image::{Point, Rect};

use super::super::field::Place;
use super::super::list::{List, columns};
use super::super::pictures::entries;
use super::{GREATEST_SIDE, Listed, Listing, face};
use crate::DataError;
use crate::boxes::LabelledFace;

const LIST: &str = "ellipseList.txt";
const MEANING: &str = "half the major and the minor axis, angle, x, y, 1";
/// Larger numbers of faces in a picture mean that a line was misread.
const MOST_FACES: usize = 10_000;

pub(super) fn read(path: &Path) -> Result<Listing, DataError> {
    let (folder, lists) = if path.is_dir() {
        let folds = path.join("FDDB-folds");
        let folder = if folds.is_dir() { folds } else { path.to_owned() };
        let mut lists = entries(&folder)?;
        lists.retain(|path| path.to_string_lossy().ends_with(LIST));
        (folder, lists)
    } else {
        (path.parent().unwrap_or(Path::new("")).to_owned(), vec![path.to_owned()])
    };
    if lists.is_empty() {
        let reason = format!("no list named like FDDB-fold-01-{LIST} is in there: name the folder that holds it");
        return Err(DataError::Layout { path: path.to_owned(), reason });
    }
    let mut listing = Listing::default();
    for list in lists {
        read_list(&List::read(&list)?, &mut listing)?;
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    listing.folders = vec![above.join("originalPics"), folder.join("originalPics"), folder.join("images"), folder];
    Ok(listing)
}

fn read_list(list: &List, listing: &mut Listing) -> Result<(), DataError> {
    let mut lines = list.lines();
    while let Some((place, file)) = lines.next() {
        let file = place.file(file)?;
        let file = if Path::new(&file).extension().is_some() { file } else { file + ".jpg" };
        let (count_place, count) =
            lines.next().ok_or_else(|| place.bad(format!("the list ends before the number of faces of {file}")))?;
        let count = count_place.number(&format!("the number of faces of {file}"), count, 0..=MOST_FACES)?;
        let mut faces = Vec::new();
        for number in 0..count {
            let (place, text) = lines.next().ok_or_else(|| {
                count_place.bad(format!("{file} has {count} faces, but the list ends after {number} of them"))
            })?;
            faces.push((place.into(), labelled(&place, text)?));
        }
        listing.pictures.push(Listed { file, origin: place.into(), faces });
    }
    Ok(())
}

fn labelled(place: &Place<'_>, text: &str) -> Result<LabelledFace, DataError> {
    let row: Vec<&str> = text.split_whitespace().collect();
    let [major, minor, angle, x, y, _] = columns::<6>(place, &row, MEANING)?;
    let half = |what, text| place.number(what, text, 0.0..=GREATEST_SIDE / 2.0);
    let (major, minor) = (half("half the major axis", major)?, half("half the minor axis", minor)?);
    let centre = Point::new(place.finite("x", x)?, place.finite("y", y)?);
    Ok(face(around_ellipse(centre, major, minor, place.finite("angle", angle)?), false))
}

/// The upright box that an ellipse touches: its point (a·cos t, b·sin t), turned by θ, is furthest to the right at
/// √(a²·cos²θ + b²·sin²θ), and furthest down with sine and cosine exchanged.
fn around_ellipse(centre: Point, major: f32, minor: f32, angle: f32) -> Rect {
    let (sin, cos) = angle.sin_cos();
    Rect::around(centre, 2.0 * (major * cos).hypot(minor * sin), 2.0 * (major * sin).hypot(minor * cos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::{FRAC_PI_2, FRAC_PI_4};

    #[test]
    fn the_box_touches_the_ellipse() {
        let centre = Point::new(50.0, 40.0);
        let near =
            |a: Rect, b: Rect| <[f32; 4]>::from(a).iter().zip(<[f32; 4]>::from(b)).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(near(around_ellipse(centre, 30.0, 20.0, 0.0), Rect::new(20.0, 20.0, 60.0, 40.0)));
        assert!(near(around_ellipse(centre, 30.0, 20.0, -FRAC_PI_2), Rect::new(30.0, 10.0, 40.0, 60.0)));
        for angle in [FRAC_PI_4, 1.2, -0.3, 3.0] {
            let rect = around_ellipse(centre, 30.0, 20.0, angle);
            // The furthest of many points of the ellipse.
            let points = (0..3600).map(|step| (step as f32 / 1800.0 * std::f32::consts::PI).sin_cos());
            let (sin, cos) = angle.sin_cos();
            let right = points.clone().map(|(s, c)| 30.0 * c * cos - 20.0 * s * sin).fold(0.0, f32::max);
            let down = points.map(|(s, c)| 30.0 * c * sin + 20.0 * s * cos).fold(0.0, f32::max);
            assert!(near(rect, Rect::around(centre, 2.0 * right, 2.0 * down)), "{angle}: {rect:?}");
        }
    }
}
