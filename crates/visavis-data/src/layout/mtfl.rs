//! MTFL (Zhang et al., ECCV 2014): `training.txt` beside the folders `AFLW`, `lfw_5590` and `net_7876`.
//!
//! A line is the picture, five x, five y (left eye, right eye, nose, left and right mouth corner, as seen in the
//! picture), gender (1 male, 2 female), smile, glasses (1 yes, 2 no), pose (1 left profile to 5 right profile).

use std::path::Path;

use visavis_image::{Landmarks, Point};

use super::field::Place;
use super::list::{List, columns};
use crate::{DataError, DataSet, Gender, Labels, Sample, sample};

const LISTS: [&str; 1] = ["training.txt"];
const MEANING: &str = "picture, five x, five y, gender, smile, glasses, pose";

/// Reads `training.txt` of a folder, or a list in the same form such as `testing.txt`.
///
/// # Errors
/// [`DataError::Layout`] if there is no list, [`DataError::Label`] for an invalid line, [`DataError::File`] for a list
/// that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let list = List::find(path, &LISTS)?;
    let read = |(place, row): (Place<'_>, Vec<&str>)| line(&place, &row, list.folder());
    let samples = list.rows().map(read).collect::<Result<_, _>>()?;
    Ok(DataSet { name: sample::name_of(list.folder()), samples, notes: Vec::new() })
}

fn line(place: &Place<'_>, row: &[&str], folder: &Path) -> Result<Sample, DataError> {
    let [file, numbers @ .., gender, smile, glasses, pose] = columns::<15>(place, row, MEANING)?;
    let mut points = [Point::default(); 5];
    for (i, point) in points.iter_mut().enumerate() {
        *point = Point::new(place.finite("x", numbers[i])?, place.finite("y", numbers[i + 5])?);
    }
    let first_of_two = |what: &str, text| Ok::<bool, DataError>(place.number(what, text, 1..=2)? == 1);
    let file = place.file(file)?;
    Ok(Sample {
        path: folder.join(&file),
        file,
        rect: None,
        landmarks: Some(Landmarks::from(points)),
        labels: Labels {
            gender: Some(if first_of_two("gender", gender)? { Gender::Male } else { Gender::Female }),
            smile: Some(first_of_two("smile", smile)?),
            glasses: Some(first_of_two("glasses", glasses)?),
            pose: Some(place.number("pose", pose, 1..=5)?),
            ..Labels::default()
        },
        identity: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn list(text: &str) -> Result<DataSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("training.txt"), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn lines_are_read() {
        // As in the original: a leading blank, backslashes, an empty line at the end.
        let set = list(
            " lfw_5590\\Some_One_0001.jpg 10.5 20 15 11 19 30.5 30 35 40 41 1 2 2 3 \r\n \
             net_7876\\x.jpg 1 2 3 4 5 6 7 8 9 10 2 1 1 5\r\n\r\n",
        )
        .unwrap();
        let [first, second] = &set.samples[..] else { panic!("{} samples", set.samples.len()) };
        assert_eq!(first.file, "lfw_5590/Some_One_0001.jpg");
        let points = [(10.5, 30.5), (20.0, 30.0), (15.0, 35.0), (11.0, 40.0), (19.0, 41.0)];
        assert_eq!(first.landmarks, Some(points.map(|(x, y)| Point::new(x, y)).into()));
        let labels = |gender, flag, pose| Labels {
            gender: Some(gender),
            smile: Some(flag),
            glasses: Some(flag),
            pose: Some(pose),
            ..Labels::default()
        };
        assert_eq!(first.labels, labels(Gender::Male, false, 3));
        assert_eq!(second.labels, labels(Gender::Female, true, 5));
    }

    #[test]
    fn a_bad_line_is_named() {
        let cases = [
            ("a.jpg 1 2 3 4 5 6 7 8 9 10 1 1 1 3\na.jpg 1 2\n", "training.txt, line 2: 3 columns instead of 15"),
            ("a.jpg 1 2 3 4 5 6 7 8 9 ten 1 1 1 3\n", "line 1: y `ten` is not a number"),
            ("a.jpg 1 2 3 4 5 6 7 8 9 10 0 1 1 3\n", "line 1: gender `0` is not a number from 1 to 2"),
            ("a.jpg 1 2 3 4 5 6 7 8 9 10 1 1 1 6\n", "line 1: pose `6` is not a number from 1 to 5"),
        ];
        for (text, expected) in cases {
            let error = list(text).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
        let error = read(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(error.contains("training.txt is not in there"), "{error}");
    }
}
