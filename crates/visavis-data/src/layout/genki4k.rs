//! GENKI-4K: `labels.txt`. Line *i* has the labels of `files/file000i.jpg`: smile (1 or 0), then yaw, pitch and roll of
//! the head in radians.

use std::path::Path;

use super::list::{List, columns};
use crate::{DataError, DataSet, Labels, Sample, sample};

/// Reads the folder with `labels.txt` and `files`.
///
/// # Errors
/// [`DataError::Layout`] if there is no `labels.txt`, [`DataError::Label`] for an invalid line, [`DataError::File`] for a
/// list that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let list = List::find(path, &["labels.txt"])?;
    let mut samples = Vec::new();
    for (place, row) in list.rows() {
        let [smile, angles @ ..] = columns::<4>(&place, &row, "smile, yaw, pitch, roll")?;
        for (what, angle) in ["yaw", "pitch", "roll"].into_iter().zip(angles) {
            place.finite(what, angle)?;
        }
        let file = format!("files/file{:04}.jpg", place.line);
        samples.push(Sample {
            path: list.folder().join(&file),
            file,
            rect: None,
            landmarks: None,
            labels: Labels { smile: Some(place.flag("smile", smile)?), ..Labels::default() },
            identity: None,
        });
    }
    Ok(DataSet { name: sample::name_of(list.folder()), samples, notes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn list(text: &str) -> Result<DataSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("labels.txt"), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn a_line_belongs_to_the_file_of_its_number() {
        let set = list("1 0.03 -0.04 0.01 \n0 0.1 0.2 0.3\n").unwrap();
        let found: Vec<_> = set.samples.iter().map(|s| (s.file.as_str(), s.labels.smile)).collect();
        assert_eq!(found, [("files/file0001.jpg", Some(true)), ("files/file0002.jpg", Some(false))]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, expected) in [
            ("1 0 0 0\n2 0 0 0\n", "labels.txt, line 2: smile `2` is neither 1 nor 0"),
            ("1 0 0\n", "line 1: 3 columns instead of 4: smile, yaw, pitch, roll"),
            ("1 0 0 left\n", "line 1: roll `left` is not a number"),
        ] {
            let error = list(text).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
    }
}
