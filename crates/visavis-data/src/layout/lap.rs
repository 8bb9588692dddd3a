//! ChaLearn LAP 2016, apparent age: `train_gt.csv`, `valid_gt.csv`, `test_gt.csv` with the picture, and mean and standard
//! deviation of the ages that people guessed, in years.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::field::{GREATEST_AGE, Place};
use super::pictures::entries;
use crate::{DataError, DataSet, Labels, Sample, sample};

/// The end of the lists' file names.
const LIST: &str = "gt.csv";

/// Reads one list, or all `…gt.csv` of a folder. The pictures of `train_gt.csv` are searched in `train`, in
/// `train_images`, in `images` and beside the list.
///
/// # Errors
/// [`DataError::Layout`] for a folder without lists, [`DataError::Label`] for an invalid line, [`DataError::File`] for a
/// list that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let (root, lists) = if path.is_dir() {
        let is_list = |path: &PathBuf| path.to_string_lossy().ends_with(LIST);
        (path, entries(path)?.into_iter().filter(is_list).collect())
    } else {
        (path.parent().unwrap_or(Path::new("")), vec![path.to_owned()])
    };
    if lists.is_empty() {
        let reason = format!("no list in there is named like train_{LIST}: name the folder that holds it, or the list");
        return Err(DataError::Layout { path: path.to_owned(), reason });
    }
    let mut set = DataSet { name: sample::name_of(root), ..DataSet::default() };
    for list in lists {
        read_list(root, &list, &mut set.samples)?;
    }
    Ok(set)
}

fn read_list(root: &Path, list: &Path, samples: &mut Vec<Sample>) -> Result<(), DataError> {
    let file = File::open(list).map_err(|reason| DataError::File { path: list.to_owned(), reason })?;
    let mut rows = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(file);
    let prefix = list.file_name().unwrap_or_default().to_string_lossy();
    let prefix = prefix.trim_end_matches(LIST).trim_end_matches('_');
    let mut folder = None;
    let mut row = StringRecord::new();
    loop {
        let line = rows.position().line();
        let place = Place { path: list, line };
        if !rows.read_record(&mut row).map_err(|error| place.bad(error.to_string()))? {
            return Ok(());
        }
        let place = Place { path: list, line: row.position().map_or(line, csv::Position::line) };
        let [image, mean, deviation] = row.iter().collect::<Vec<_>>()[..] else {
            return Err(place.bad(format!("{} columns instead of 3: picture, mean, standard deviation", row.len())));
        };
        if place.line == 1 && mean.parse::<f32>().is_err() && deviation.parse::<f32>().is_err() {
            // The header.
            continue;
        }
        let image = place.file(image)?;
        let folder = folder.get_or_insert_with(|| {
            let candidates = [prefix.to_owned(), format!("{prefix}_images"), "images".into()];
            let holds = |name: &String| !name.is_empty() && root.join(name).join(&image).is_file();
            candidates.into_iter().find(holds).map_or_else(String::new, |name| name + "/")
        });
        let file = format!("{folder}{image}");
        samples.push(Sample {
            path: root.join(&file),
            file,
            rect: None,
            landmarks: None,
            labels: Labels {
                age: Some(place.age("mean", mean)?),
                age_deviation: Some(place.number("standard deviation", deviation, 0.0..=GREATEST_AGE)?),
                ..Labels::default()
            },
            identity: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::folder_of;

    fn folder(files: &[(&str, &str)]) -> Result<DataSet, DataError> {
        read(folder_of(files.iter().copied()).path())
    }

    #[test]
    fn lists_are_read_with_and_without_a_header() {
        let set = folder(&[
            ("train_gt.csv", "image,mean,stdv\n000000.jpg,24.5,3.25\n"),
            ("train/000000.jpg", ""),
            ("valid_gt.csv", "000001.jpg, 70 , 0\n"),
        ])
        .unwrap();
        let found: Vec<_> =
            set.samples.iter().map(|s| (s.file.as_str(), s.labels.age, s.labels.age_deviation)).collect();
        assert_eq!(found, [("train/000000.jpg", Some(24.5), Some(3.25)), ("000001.jpg", Some(70.0), Some(0.0))]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, expected) in [
            (
                "image,mean,stdv\na.jpg,24,3\nb.jpg,x,3\n",
                "train_gt.csv, line 3: mean `x` is not a number from 0 to 122",
            ),
            ("a.jpg,24,-3\n", "line 1: standard deviation `-3` is not a number"),
            ("a.jpg,24,3\nb.jpg,24\n", "line 2: 2 columns instead of 3"),
            (",24,3\n", "line 1: no file is named"),
        ] {
            let error = folder(&[("train_gt.csv", text)]).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
        let error = folder(&[("notes.csv", "")]).unwrap_err().to_string();
        assert!(error.contains("no list in there is named like train_gt.csv"), "{error}");
    }
}
