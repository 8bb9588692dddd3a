//! CelebA, aligned and cropped: `list_attr_celeba.txt`, `identity_CelebA.txt`, `list_landmarks_align_celeba.txt` and the
//! pictures in `img_align_celeba`, all in one folder or in `Anno` and `Img` as in the published archive.

use std::collections::HashMap;
use std::path::Path;

use visavis_image::{Landmarks, Point};

use super::field::Place;
use super::list::{List, columns};
use crate::{DataError, DataSet, Gender, Labels, Sample, sample};

const ATTRIBUTES: [&str; 2] = ["list_attr_celeba.txt", "Anno/list_attr_celeba.txt"];
const IDENTITIES: [&str; 2] = ["identity_CelebA.txt", "Anno/identity_CelebA.txt"];
const LANDMARKS: [&str; 2] = ["list_landmarks_align_celeba.txt", "Anno/list_landmarks_align_celeba.txt"];
const PICTURES: [&str; 2] = ["img_align_celeba", "Img/img_align_celeba"];

/// Reads the folder. If the list of identities or of landmarks is missing, these labels are missing, with a note.
///
/// # Errors
/// [`DataError::Layout`] if there is no list of attributes, or it lacks `Male` or `Smiling`; [`DataError::Label`] for an
/// invalid line; [`DataError::File`] for a list that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let attributes = List::find(path, &ATTRIBUTES)?;
    let mut set = DataSet { name: sample::name_of(path), ..DataSet::default() };
    let has = |names: &[&str]| names.iter().any(|name| path.join(name).is_file());
    let identities = if has(&IDENTITIES) { Some(List::find(path, &IDENTITIES)?) } else { None };
    let landmarks = if has(&LANDMARKS) { Some(List::find(path, &LANDMARKS)?) } else { None };
    for (list, names) in [(&identities, &IDENTITIES), (&landmarks, &LANDMARKS)] {
        if list.is_none() {
            set.notes.push(format!("{} is missing: read without it", names[0]));
        }
    }
    let mut people = identities.as_ref().map(people).transpose()?.unwrap_or_default();
    let mut points = landmarks.as_ref().map(points).transpose()?.unwrap_or_default();
    let pictures = PICTURES.into_iter().find(|name| path.join(name).is_dir()).unwrap_or(PICTURES[0]);
    let mut rows = attributes.rows().peekable();
    skip_count(&mut rows);
    let Some((header_place, header)) = rows.next() else {
        return Err(DataError::Layout { path: attributes.path().to_owned(), reason: "it is empty".into() });
    };
    let find = |name: &str| {
        let at = header.iter().position(|column| column.eq_ignore_ascii_case(name));
        at.ok_or_else(|| header_place.bad(format!("no column is named {name}: this is not the list of attributes")))
    };
    let (male, smiling, glasses) = (find("Male")?, find("Smiling")?, find("Eyeglasses")?);
    for (place, row) in rows {
        let [name, values @ ..] = &row[..] else { continue };
        if values.len() != header.len() {
            return Err(place.bad(format!("{} attributes instead of {}", values.len(), header.len())));
        }
        let flag = |what: &str, at: usize| place.flag(what, values[at]);
        let labels = Labels {
            gender: Some(if flag("Male", male)? { Gender::Male } else { Gender::Female }),
            smile: Some(flag("Smiling", smiling)?),
            glasses: Some(flag("Eyeglasses", glasses)?),
            ..Labels::default()
        };
        let file = format!("{pictures}/{}", place.file(name)?);
        set.samples.push(Sample {
            path: path.join(&file),
            file,
            rect: None,
            landmarks: points.remove(*name),
            labels,
            identity: people.remove(*name),
        });
    }
    Ok(set)
}

/// The first line of most lists is the number of lines that follow.
fn skip_count<'a>(rows: &mut std::iter::Peekable<impl Iterator<Item = (Place<'a>, Vec<&'a str>)>>) {
    rows.next_if(|(_, row)| row.len() == 1 && row[0].parse::<u64>().is_ok());
}

fn people(list: &List) -> Result<HashMap<String, String>, DataError> {
    let read = |(place, row): (Place<'_>, Vec<&str>)| {
        let [file, identity] = columns::<2>(&place, &row, "picture, number of the person")?;
        Ok((file.to_owned(), identity.to_owned()))
    };
    list.rows().map(read).collect()
}

fn points(list: &List) -> Result<HashMap<String, Landmarks>, DataError> {
    let mut rows = list.rows().peekable();
    skip_count(&mut rows);
    // The header.
    rows.next_if(|(_, row)| row.iter().all(|name| name.parse::<f32>().is_err() && !name.contains('.')));
    let read = |(place, row): (Place<'_>, Vec<&str>)| {
        let [file, numbers @ ..] = columns::<11>(&place, &row, "picture, then x and y of five keypoints")?;
        let mut points = [Point::default(); 5];
        for (i, point) in points.iter_mut().enumerate() {
            *point = Point::new(place.finite("x", numbers[2 * i])?, place.finite("y", numbers[2 * i + 1])?);
        }
        Ok((file.to_owned(), Landmarks::from(points)))
    };
    rows.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::folder_of;

    const ATTRIBUTE_LIST: &str = "2\n5_o_Clock_Shadow Eyeglasses Male Smiling Young \n\
                                  000001.jpg -1  1 -1  1  1\n000002.jpg  1 -1  1 -1 -1\n";
    const LANDMARK_LIST: &str = "2\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y \
                                 rightmouth_x rightmouth_y\n000001.jpg 69  109  106  113   77  142   73  152  108  154\n\
                                 000002.jpg 1 2 3 4 5 6 7 8 9 10\n";

    fn folder(files: &[(&str, &str)]) -> Result<DataSet, DataError> {
        read(folder_of(files.iter().copied()).path())
    }

    #[test]
    fn the_three_lists_are_joined() {
        let set = folder(&[
            ("Anno/list_attr_celeba.txt", ATTRIBUTE_LIST),
            ("Anno/identity_CelebA.txt", "000001.jpg 2880\n000002.jpg 2937\n"),
            ("Anno/list_landmarks_align_celeba.txt", LANDMARK_LIST),
            ("Img/img_align_celeba/000001.jpg", ""),
        ])
        .unwrap();
        assert!(set.notes.is_empty(), "{:?}", set.notes);
        let [first, second] = &set.samples[..] else { panic!("{} samples", set.samples.len()) };
        assert_eq!(first.file, "Img/img_align_celeba/000001.jpg");
        assert!(first.path.is_absolute() && first.path.ends_with(&first.file));
        assert_eq!(first.identity.as_deref(), Some("2880"));
        assert_eq!(first.landmarks.unwrap().nose, Point::new(77.0, 142.0));
        let labels = |gender, smile, glasses| Labels {
            gender: Some(gender),
            smile: Some(smile),
            glasses: Some(glasses),
            ..Labels::default()
        };
        assert_eq!(first.labels, labels(Gender::Female, true, true));
        assert_eq!(second.labels, labels(Gender::Male, false, false));
        assert_eq!(second.landmarks.unwrap().right_mouth, Point::new(9.0, 10.0));
    }

    #[test]
    fn attributes_alone_are_enough() {
        let set = folder(&[("list_attr_celeba.txt", ATTRIBUTE_LIST)]).unwrap();
        assert_eq!(set.samples[1].file, "img_align_celeba/000002.jpg");
        assert_eq!((&set.samples[1].identity, set.samples[1].landmarks), (&None, None));
        assert_eq!(set.notes.len(), 2);
    }

    #[test]
    fn a_bad_line_is_named() {
        let attributes = |text| vec![("list_attr_celeba.txt", text)];
        let cases = [
            (
                attributes("1\nMale Smiling Eyeglasses\n1.jpg 1 1\n"),
                "list_attr_celeba.txt, line 3: 2 attributes instead of 3",
            ),
            (attributes("1\nMale Smiling Eyeglasses\n1.jpg 1 3 1\n"), "line 3: Smiling `3` is neither 1 nor 0"),
            (attributes("1\nMale Eyeglasses\n"), "line 2: no column is named Smiling"),
            (attributes("\n"), "list_attr_celeba.txt: it is empty"),
            (
                vec![("list_attr_celeba.txt", ATTRIBUTE_LIST), ("identity_CelebA.txt", "1.jpg 3\n2.jpg\n")],
                "identity_CelebA.txt, line 2: 1 columns instead of 2",
            ),
            (
                vec![
                    ("list_attr_celeba.txt", ATTRIBUTE_LIST),
                    ("list_landmarks_align_celeba.txt", "1\na b\n1.jpg 1 2 3 4 5 6 7 8 9 x\n"),
                ],
                "list_landmarks_align_celeba.txt, line 3: y `x` is not a number",
            ),
            (vec![("readme.txt", "")], "list_attr_celeba.txt is not in there"),
        ];
        for (files, expected) in cases {
            let error = folder(&files).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
    }
}
