//! UTKFace: the file name has the labels, `age_gender_race_time.jpg`, with gender 0 for male and 1 for female.

use std::path::Path;

use super::field::GREATEST_AGE;
use super::pictures::pictures_in;
use crate::{DataError, DataSet, Gender, Labels, Sample, sample};

/// Reads all pictures of a folder and of the folders within.
///
/// In the published set a few names lack the race: such pictures are left out, with a note.
///
/// # Errors
/// [`DataError::Layout`] for a name with four parts that are invalid, or a folder without pictures; [`DataError::File`]
/// for a folder that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let mut set = DataSet { name: sample::name_of(path), ..DataSet::default() };
    let mut lacking = Vec::new();
    for picture in pictures_in(path, path)? {
        let name = picture.file.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let [age, gender, race, _time] = stem.split('_').collect::<Vec<_>>()[..] else {
            lacking.push(picture.file);
            continue;
        };
        let labels = labels(age, gender, race).map_err(|what| DataError::Layout {
            path: picture.path.clone(),
            reason: format!("{what}: correct or remove it"),
        })?;
        set.samples.push(Sample {
            path: picture.path,
            file: picture.file,
            rect: None,
            landmarks: None,
            labels,
            identity: None,
        });
    }
    if set.samples.is_empty() {
        let reason = "no picture in there is named age_gender_race_time.jpg: name the folder that holds them".into();
        return Err(DataError::Layout { path: path.to_owned(), reason });
    }
    if !lacking.is_empty() {
        set.notes.push(format!("left out, not named age_gender_race_time: {}", lacking.join(", ")));
    }
    Ok(set)
}

fn labels(age: &str, gender: &str, race: &str) -> Result<Labels, String> {
    let age = age.parse::<f32>().ok().filter(|age| (0.0..=GREATEST_AGE).contains(age));
    Ok(Labels {
        age: Some(age.ok_or_else(|| format!("the name's first part is no age from 0 to {GREATEST_AGE}"))?),
        gender: Some(match gender {
            "0" => Gender::Male,
            "1" => Gender::Female,
            _ => return Err(format!("the name's second part, `{gender}`, is neither 0 (male) nor 1 (female)")),
        }),
        race: match race.parse::<u8>() {
            Ok(code @ 0..=4) => Some(code),
            _ => return Err(format!("the name's third part, `{race}`, is no race code from 0 to 4")),
        },
        ..Labels::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::folder_of;

    fn folder(files: &[&str]) -> Result<DataSet, DataError> {
        let folder = folder_of(files.iter().map(|file| (*file, "")));
        read(folder.path())
    }

    #[test]
    fn names_are_read() {
        let set = folder(&[
            "part1/7_1_3_20170112222336458.jpg.chip.jpg",
            "part1/100_0_4_20170112.jpg",
            "61_1_20170109142408075.jpg.chip.jpg",
            "readme.txt",
        ])
        .unwrap();
        let [old, young] = &set.samples[..] else { panic!("{} samples", set.samples.len()) };
        let labels =
            |age, gender, race| Labels { age: Some(age), gender: Some(gender), race: Some(race), ..Labels::default() };
        assert_eq!(old.file, "part1/100_0_4_20170112.jpg");
        assert_eq!(old.labels, labels(100.0, Gender::Male, 4));
        assert_eq!(young.labels, labels(7.0, Gender::Female, 3));
        assert_eq!(set.notes, ["left out, not named age_gender_race_time: 61_1_20170109142408075.jpg.chip.jpg"]);
    }

    #[test]
    fn a_bad_name_is_named() {
        for (file, expected) in [
            ("old_0_0_1.jpg", "old_0_0_1.jpg: the name's first part is no age"),
            ("150_0_0_1.jpg", "150_0_0_1.jpg: the name's first part is no age"),
            ("15_2_0_1.jpg", "the name's second part, `2`, is neither"),
            ("15_1_5_1.jpg", "the name's third part, `5`, is no race code"),
            ("15.jpg", "no picture in there is named"),
        ] {
            let error = folder(&[file]).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
    }
}
