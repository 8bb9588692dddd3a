//! IMDB-WIKI (Rothe et al., IJCV 2018): `imdb.mat` or `wiki.mat` beside the pictures.
//!
//! The age is the year of the photo minus the day of birth, and the face is the strongest detection, which is assumed to be the
//! person of the web page. Many labels are therefore wrong; [`ImdbWikiParams`] leaves out those that certainly are.

use std::fs;
use std::path::Path;

use visavis_image::Rect;

use super::field::Place;
use super::matlab::{self, Value};
use crate::{DataError, DataSet, Gender, Labels, Sample, sample};

const LISTS: [&str; 2] = ["imdb.mat", "wiki.mat"];

/// Matlab's day number of 1 January 1970.
const UNIX_EPOCH: i64 = 719_529;

/// Mean length of a Gregorian year in days.
const YEAR: f64 = 365.2425;

/// Which faces are accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImdbWikiParams {
    /// Least score of the face. The set's detector gives −∞ if it found none; below 1 many are not faces.
    pub least_face_score: f64,
    /// Leave out pictures with a second face, since it is not known which one is the person.
    pub alone: bool,
    /// Least and greatest age in years; for others a date is wrong.
    pub ages: [f64; 2],
}

impl Default for ImdbWikiParams {
    fn default() -> Self {
        Self { least_face_score: 1.0, alone: true, ages: [0.0, 100.0] }
    }
}

/// Reads `imdb.mat` or `wiki.mat`, or the one in a folder.
///
/// In the cropped edition (folders named `…_crop`) the face is in the middle. The boxes refer to the whole photo, so they are
/// used for the other edition only.
///
/// # Errors
/// [`DataError::Layout`] if there is no list or it is not a MAT-file with the set's fields, [`DataError::Label`] (with the
/// number of the face as the line) for an invalid gender or box, [`DataError::File`] if it cannot be read.
pub fn read(path: &Path, params: ImdbWikiParams) -> Result<DataSet, DataError> {
    let list = if path.is_dir() {
        let found = LISTS.iter().map(|name| path.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            reason: "neither imdb.mat nor wiki.mat is in there: name the folder that holds it".into(),
        })?
    } else {
        path.to_owned()
    };
    let folder = list.parent().unwrap_or(Path::new(""));
    let name = sample::name_of(folder);
    let wrong = |reason: String| DataError::Layout { path: list.clone(), reason };
    let bytes = fs::read(&list).map_err(|reason| DataError::File { path: list.clone(), reason })?;
    let variables = matlab::parse(&bytes).map_err(wrong)?;
    let table = variables.iter().map(|(_, value)| value).find(|value| value.field("full_path").is_some());
    let table = table.ok_or_else(|| wrong("no structure with the field `full_path` is in it".into()))?;
    let faces = Faces::new(table).map_err(wrong)?;
    let boxed = !name.ends_with("_crop");
    let mut set = DataSet { name, ..DataSet::default() };
    let mut left_out = LeftOut::default();
    for index in 0..faces.paths.len() {
        let place = Place { path: &list, line: index as u64 + 1 };
        set.samples.extend(faces.sample(index, &place, folder, boxed, &params, &mut left_out)?);
    }
    set.notes = left_out.notes();
    Ok(set)
}

/// The fields, each with one entry per face.
struct Faces<'a> {
    paths: &'a [Value],
    births: &'a [f64],
    taken: &'a [f64],
    genders: &'a [f64],
    scores: &'a [f64],
    second_scores: &'a [f64],
    boxes: &'a [Value],
    names: &'a [Value],
}

#[derive(Default)]
struct LeftOut {
    no_face: usize,
    not_alone: usize,
    no_age: usize,
}

impl<'a> Faces<'a> {
    fn new(table: &'a Value) -> Result<Self, String> {
        let field = |name: &str| table.field(name).ok_or_else(|| format!("the field `{name}` is missing"));
        let paths = field("full_path")?.cells();
        let check = |name: &str, length: usize| match length == paths.len() {
            true => Ok(()),
            false => Err(format!("the field `{name}` has {length} entries, `full_path` has {}", paths.len())),
        };
        let numbers = |name: &str| {
            let numbers = field(name)?.numbers();
            check(name, numbers.len()).map(|()| numbers)
        };
        let cells = |name: &str| {
            let cells = field(name)?.cells();
            check(name, cells.len()).map(|()| cells)
        };
        Ok(Self {
            paths,
            births: numbers("dob")?,
            taken: numbers("photo_taken")?,
            genders: numbers("gender")?,
            scores: numbers("face_score")?,
            second_scores: numbers("second_face_score")?,
            boxes: cells("face_location")?,
            names: cells("name")?,
        })
    }

    fn sample(
        &self,
        index: usize,
        place: &Place<'_>,
        folder: &Path,
        boxed: bool,
        params: &ImdbWikiParams,
        left_out: &mut LeftOut,
    ) -> Result<Option<Sample>, DataError> {
        // NaN means no face too.
        if !(self.scores[index] >= params.least_face_score && self.scores[index].is_finite()) {
            left_out.no_face += 1;
            return Ok(None);
        }
        if params.alone && !self.second_scores[index].is_nan() {
            left_out.not_alone += 1;
            return Ok(None);
        }
        let age = age(self.births[index], self.taken[index]);
        if !(params.ages[0]..=params.ages[1]).contains(&age) {
            left_out.no_age += 1;
            return Ok(None);
        }
        let gender = match self.genders[index] {
            0.0 => Some(Gender::Female),
            1.0 => Some(Gender::Male),
            unknown if unknown.is_nan() => None,
            other => return Err(place.bad(format!("gender {other} is neither 0 (female), 1 (male) nor NaN"))),
        };
        let file = place.file(match &self.paths[index] {
            // Some exports have a row of one cell.
            Value::Cells(cells) => cells.first().map_or("", Value::text),
            path => path.text(),
        })?;
        Ok(Some(Sample {
            path: folder.join(&file),
            file,
            rect: if boxed { Some(rect(self.boxes[index].numbers(), place)?) } else { None },
            landmarks: None,
            labels: Labels { age: Some(age as f32), gender, ..Labels::default() },
            identity: Some(self.names[index].text().to_owned()).filter(|name| !name.is_empty()),
        }))
    }
}

impl LeftOut {
    fn notes(&self) -> Vec<String> {
        let reasons = [
            (self.no_face, "no face, or a weak one"),
            (self.not_alone, "a second face is on the picture"),
            (self.no_age, "the dates give no age of a living person"),
        ];
        let told = reasons.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, reason)| format!("{count} faces left out: {reason}")).collect()
    }
}

/// Age in whole years at the middle of the photo's year, since its day is not known.
fn age(birth: f64, year: f64) -> f64 {
    if !(1800.0..=2200.0).contains(&year) {
        return f64::NAN;
    }
    ((first_of_july(year as i64) as f64 - birth) / YEAR).floor()
}

/// Matlab's day number of 1 July: days since the year 0 of the Gregorian calendar.
fn first_of_july(year: i64) -> i64 {
    // Leap days up to the end of the year before, and that of this year, which is before July.
    let leap = |year: i64| year / 4 - year / 100 + year / 400;
    const DAYS_TO_JULY: i64 = 181;
    let days_since_1970 = 365 * (year - 1970) + leap(year) - leap(1969) + DAYS_TO_JULY;
    UNIX_EPOCH + days_since_1970
}

/// The set counts pixels from 1 and gives the first and the last pixel, right and bottom included.
fn rect(numbers: &[f64], place: &Place<'_>) -> Result<Rect, DataError> {
    let rect = match *numbers {
        [left, top, right, bottom] => {
            Rect::from_corners(left as f32 - 1.0, top as f32 - 1.0, right as f32, bottom as f32)
        }
        _ => return Err(place.bad(format!("the face's box has {} numbers instead of 4", numbers.len()))),
    };
    if rect.is_proper() { Ok(rect) } else { Err(place.bad("the face's box has no area")) }
}

#[cfg(test)]
mod tests {
    use super::super::matlab::tests::mat_file;
    use super::*;

    struct Row {
        path: &'static str,
        birth: f64,
        taken: f64,
        gender: f64,
        score: f64,
        second: f64,
        rect: [f64; 4],
    }

    /// Born on 15 June 1950.
    const GOOD: Row = Row {
        path: "01/a.jpg",
        birth: 712_389.0,
        taken: 1990.0,
        gender: 1.0,
        score: 3.5,
        second: f64::NAN,
        rect: [11.0, 21.0, 40.0, 60.0],
    };

    fn list(folder: &str, rows: &[Row]) -> Result<DataSet, DataError> {
        let numbers = |pick: fn(&Row) -> f64| Value::Numbers(rows.iter().map(pick).collect());
        let cells = |pick: fn(&Row) -> Value| Value::Cells(rows.iter().map(pick).collect());
        let fields = [
            ("dob", numbers(|row| row.birth)),
            ("photo_taken", numbers(|row| row.taken)),
            ("full_path", cells(|row| Value::Text(row.path.into()))),
            ("gender", numbers(|row| row.gender)),
            ("name", cells(|row| Value::Text(format!("owner of {}", row.path)))),
            ("face_location", cells(|row| Value::Numbers(row.rect.into()))),
            ("face_score", numbers(|row| row.score)),
            ("second_face_score", numbers(|row| row.second)),
        ];
        let table = Value::Structure(fields.into_iter().map(|(name, value)| (name.into(), value)).collect());
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("wiki.mat"), mat_file("wiki", &table, true)).unwrap();
        read(&folder, ImdbWikiParams::default())
    }

    #[test]
    fn faces_are_read() {
        let unknown = Row { path: "02/b.jpg", taken: 1949.0 + 50.0, gender: f64::NAN, ..GOOD };
        let set = list("wiki", &[GOOD, unknown]).unwrap();
        let [first, second] = &set.samples[..] else { panic!("{} samples", set.samples.len()) };
        assert_eq!((first.file.as_str(), first.identity.as_deref()), ("01/a.jpg", Some("owner of 01/a.jpg")));
        assert_eq!(first.labels, Labels { age: Some(40.0), gender: Some(Gender::Male), ..Labels::default() });
        assert_eq!(first.rect, Some(Rect::new(10.0, 20.0, 30.0, 40.0)));
        assert_eq!((second.labels.age, second.labels.gender), (Some(49.0), None));
        assert_eq!(list("wiki_crop", &[GOOD]).unwrap().samples[0].rect, None);
    }

    #[test]
    fn what_is_surely_wrong_is_left_out_and_counted() {
        let rows = [
            Row { score: f64::NEG_INFINITY, ..GOOD },
            Row { score: f64::INFINITY, ..GOOD },
            Row { score: 0.5, ..GOOD },
            Row { second: 1.2, ..GOOD },
            Row { taken: 1940.0, ..GOOD },
            Row { birth: 0.0, ..GOOD },
            Row { taken: 0.0, ..GOOD },
            GOOD,
        ];
        let set = list("wiki", &rows).unwrap();
        assert_eq!(set.samples.len(), 1);
        assert_eq!(
            set.notes,
            [
                "3 faces left out: no face, or a weak one",
                "1 faces left out: a second face is on the picture",
                "3 faces left out: the dates give no age of a living person"
            ]
        );
    }

    #[test]
    fn days_are_counted_as_matlab_does() {
        // datenum(2000, 7, 1), datenum(1970, 7, 1), datenum(1900, 7, 1)
        assert_eq!([2000, 1970, 1900].map(first_of_july), [730_668, 719_710, 694_143]);
        // A birthday on 1 July is reached on that day.
        assert_eq!((age(719_710.0, 2000.0), age(719_711.0, 2000.0)), (30.0, 29.0));
    }

    #[test]
    fn a_bad_face_is_named_by_its_number() {
        let cases = [
            (Row { gender: 2.0, ..GOOD }, "wiki.mat, line 2: gender 2 is neither 0 (female)"),
            (Row { rect: [9.0, 9.0, 3.0, 9.0], ..GOOD }, "line 2: the face's box has no area"),
            (Row { path: "", ..GOOD }, "line 2: no file is named"),
        ];
        for (row, expected) in cases {
            let error = list("wiki", &[GOOD, row]).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path(), ImdbWikiParams::default()).unwrap_err().to_string();
        assert!(error.contains("neither imdb.mat nor wiki.mat is in there"), "{error}");
        fs::write(folder.path().join("imdb.mat"), mat_file("x", &Value::Numbers(vec![1.0]), false)).unwrap();
        let error = read(folder.path(), ImdbWikiParams::default()).unwrap_err().to_string();
        assert!(error.contains("no structure with the field `full_path`"), "{error}");
    }
}
