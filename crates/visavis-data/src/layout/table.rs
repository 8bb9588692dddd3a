//! A CSV with a header: the layout for a set of your own.
//!
//! | column | contents |
//! |---|---|
//! | `file` | the picture, relative to the CSV's folder (the only required column) |
//! | `age` | years |
//! | `gender`, or `male` | `female` or `male`; or 1 and 0 |
//! | `smile` or `smiling`, `glasses` or `eyeglasses` | 1 or 0 |
//! | `race` | UTKFace's code, 0 to 4 |
//! | `pose` | MTFL's code, 1 to 5 |
//! | `identity`, `name` or `person` | the person |
//! | `x`, `y`, `width`, `height` | the face's box in pixels |
//! | `left_eye_x`, `left_eye_y`, `right_eye_…`, `nose_…`, `left_mouth_…`, `right_mouth_…` | keypoints in pixels |
//!
//! A cell is empty if its value is not known. Other columns are ignored, with a note.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use visavis_image::{Landmarks, Point, Rect};

use super::field::Place;
use crate::{DataError, DataSet, Gender, Labels, Sample, sample};

/// The file name of the list if only the folder is given.
const LIST: &str = "labels.csv";

const BOX: [&str; 4] = ["x", "y", "width", "height"];
const KEYPOINTS: [&str; 10] = [
    "left_eye_x",
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "nose_x",
    "nose_y",
    "left_mouth_x",
    "left_mouth_y",
    "right_mouth_x",
    "right_mouth_y",
];

/// Reads a CSV, or `labels.csv` of a folder.
///
/// # Errors
/// [`DataError::Layout`] for a header without `file`, with an incomplete box or incomplete keypoints, or with two columns
/// for one label; [`DataError::Label`] for an invalid cell; [`DataError::File`] if the CSV cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let list = if path.is_dir() { path.join(LIST) } else { path.to_owned() };
    let folder = list.parent().map(Path::to_owned).unwrap_or_default();
    let file = File::open(&list).map_err(|reason| DataError::File { path: list.clone(), reason })?;
    let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let header = rows.headers().map_err(|error| wrong(&list, &error))?.clone();
    let columns = Columns::new(&list, &header)?;
    let mut set = DataSet { name: sample::name_of(&folder), ..DataSet::default() };
    if !columns.ignored.is_empty() {
        set.notes.push(format!("ignored, unknown columns: {}", columns.ignored.join(", ")));
    }
    let mut row = StringRecord::new();
    while rows.read_record(&mut row).map_err(|error| wrong(&list, &error))? {
        let place = Place { path: &list, line: row.position().map_or(0, csv::Position::line) };
        set.samples.push(columns.sample(&row, &place, &folder)?);
    }
    Ok(set)
}

fn wrong(list: &Path, error: &csv::Error) -> DataError {
    match error.position() {
        Some(position) => Place { path: list, line: position.line() }.bad(error.to_string()),
        None => DataError::Layout { path: list.to_owned(), reason: error.to_string() },
    }
}

/// The column of each label.
#[derive(Debug, Default)]
struct Columns {
    file: usize,
    age: Option<usize>,
    gender: Option<usize>,
    male: Option<usize>,
    smile: Option<usize>,
    race: Option<usize>,
    glasses: Option<usize>,
    pose: Option<usize>,
    identity: Option<usize>,
    rect: Option<[usize; 4]>,
    landmarks: Option<[usize; 10]>,
    ignored: Vec<String>,
}

impl Columns {
    fn new(list: &Path, header: &StringRecord) -> Result<Self, DataError> {
        let wrong = |reason: String| DataError::Layout { path: list.to_owned(), reason };
        let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
        let mut used = vec![false; names.len()];
        let mut find = |wanted: &[&str]| {
            let mut found = names.iter().enumerate().filter(|(_, name)| wanted.contains(&name.as_str()));
            let (first, second) = (found.next(), found.next());
            if let (Some((_, first)), Some((_, second))) = (first, second) {
                return Err(wrong(format!("the columns `{first}` and `{second}` say the same: leave one out")));
            }
            Ok(first.map(|(at, _)| {
                used[at] = true;
                at
            }))
        };
        let mut columns = Self {
            file: find(&["file"])?.ok_or_else(|| {
                wrong("the first line names no column `file`: write a header such as `file,age,gender,smile`".into())
            })?,
            age: find(&["age"])?,
            // Found together, so that a table with both is rejected.
            gender: find(&["gender", "male"])?,
            smile: find(&["smile", "smiling"])?,
            race: find(&["race"])?,
            glasses: find(&["glasses", "eyeglasses"])?,
            pose: find(&["pose"])?,
            identity: find(&["identity", "name", "person"])?,
            ..Self::default()
        };
        if let Some(at) = columns.gender.filter(|&at| names[at] == "male") {
            (columns.gender, columns.male) = (None, Some(at));
        }
        let boxes: Vec<Option<usize>> = BOX.iter().map(|name| find(&[name])).collect::<Result<_, _>>()?;
        let points: Vec<Option<usize>> = KEYPOINTS.iter().map(|name| find(&[name])).collect::<Result<_, _>>()?;
        columns.rect = all_or_none(&boxes, &BOX).map_err(wrong)?;
        columns.landmarks = all_or_none(&points, &KEYPOINTS).map_err(wrong)?;
        columns.ignored = names.iter().zip(used).filter(|(_, used)| !used).map(|(name, _)| name.clone()).collect();
        Ok(columns)
    }

    fn sample(&self, row: &StringRecord, place: &Place<'_>, folder: &Path) -> Result<Sample, DataError> {
        let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).filter(|text| !text.is_empty());
        let flag = |what: &str, at| cell(at).map(|text| place.flag(what, text)).transpose();
        let gender = cell(self.gender).map(|text| place.gender("gender", text)).transpose()?;
        let male = flag("male", self.male)?.map(|male| if male { Gender::Male } else { Gender::Female });
        let labels = Labels {
            age: cell(self.age).map(|text| place.age("age", text)).transpose()?,
            age_deviation: None,
            gender: gender.or(male),
            smile: flag("smile", self.smile)?,
            race: cell(self.race).map(|text| place.number("race", text, 0..=4)).transpose()?,
            glasses: flag("glasses", self.glasses)?,
            pose: cell(self.pose).map(|text| place.number("pose", text, 1..=5)).transpose()?,
            expression: None,
        };
        let file = place.file(row.get(self.file).unwrap_or_default())?;
        let rect = numbers(row, self.rect, &BOX, place)?.map(Rect::from);
        if rect.is_some_and(|rect| !rect.is_proper()) {
            return Err(place.bad("the box has no area: width and height are positive"));
        }
        let landmarks = numbers(row, self.landmarks, &KEYPOINTS, place)?
            .map(|v| Landmarks::from(std::array::from_fn(|i| Point::new(v[2 * i], v[2 * i + 1]))));
        Ok(Sample {
            path: folder.join(PathBuf::from(&file)),
            file,
            rect,
            landmarks,
            labels,
            identity: cell(self.identity).map(str::to_owned),
        })
    }
}

fn all_or_none<const N: usize>(found: &[Option<usize>], names: &[&str; N]) -> Result<Option<[usize; N]>, String> {
    let present: Vec<usize> = found.iter().copied().flatten().collect();
    match <[usize; N]>::try_from(present) {
        Ok(all) => Ok(Some(all)),
        Err(some) if some.is_empty() => Ok(None),
        Err(_) => {
            let missing: Vec<&str> =
                names.iter().zip(found).filter(|(_, at)| at.is_none()).map(|(name, _)| *name).collect();
            Err(format!("the column{} {} missing", if missing.len() == 1 { "" } else { "s" }, verb(&missing)))
        }
    }
}

fn verb(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// The numbers of several columns; `None` if all cells are empty.
fn numbers<const N: usize>(
    row: &StringRecord,
    at: Option<[usize; N]>,
    names: &[&str; N],
    place: &Place<'_>,
) -> Result<Option<[f32; N]>, DataError> {
    let Some(at) = at else { return Ok(None) };
    let cells = at.map(|at| row.get(at).unwrap_or_default());
    if cells.iter().all(|cell| cell.is_empty()) {
        return Ok(None);
    }
    let mut values = [0.0; N];
    for ((value, cell), name) in values.iter_mut().zip(cells).zip(names) {
        *value = place.finite(name, cell)?;
    }
    Ok(Some(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn table(text: &str) -> Result<DataSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(LIST), text).unwrap();
        read(&folder)
    }

    #[test]
    fn every_column_is_understood() {
        let set = table(
            "file,Age,male,smiling,race,eyeglasses,pose,person,x,y,width,height,left_eye_x,left_eye_y,right_eye_x,\
             right_eye_y,nose_x,nose_y,left_mouth_x,left_mouth_y,right_mouth_x,right_mouth_y,yaw\n\
             images\\a.jpg, 31.5,1,0,4,1,3,Ada,10,20,30,40,1,2,3,4,5,6,7,8,9,10,0.5\n\
             b.jpg,,,,,,,,,,,,,,,,,,,,,,\n",
        )
        .unwrap();
        assert_eq!(set.name, "mine");
        assert_eq!(set.notes, ["ignored, unknown columns: yaw"]);
        let first = &set.samples[0];
        assert_eq!(first.file, "images/a.jpg");
        assert!(first.path.ends_with("mine/images/a.jpg"));
        assert_eq!(first.identity.as_deref(), Some("Ada"));
        assert_eq!(first.rect, Some(Rect::new(10.0, 20.0, 30.0, 40.0)));
        let points = [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0)].map(|(x, y)| Point::new(x, y));
        assert_eq!(first.landmarks, Some(points.into()));
        let labels = Labels {
            age: Some(31.5),
            age_deviation: None,
            gender: Some(Gender::Male),
            smile: Some(false),
            race: Some(4),
            glasses: Some(true),
            pose: Some(3),
            expression: None,
        };
        assert_eq!(first.labels, labels);
        let second = &set.samples[1];
        assert_eq!((&second.labels, second.rect, second.landmarks), (&Labels::default(), None, None));
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let text = include_str!("../../../../docs/training.md");
        for name in BOX.iter().chain(&KEYPOINTS) {
            assert!(text.contains(&format!("`{name}`")), "{name} is not described");
        }
        let example = text.split("```csv\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let set = table(example).unwrap();
        assert!(set.notes.is_empty(), "{:?}", set.notes);
        let places: Vec<_> = set.samples.iter().map(|face| (face.rect.is_some(), face.landmarks.is_some())).collect();
        assert_eq!(places, [(true, true), (true, false), (false, false)]);
        assert_eq!(set.samples[2].identity.as_deref(), Some("Eve"));
    }

    #[test]
    fn a_bad_cell_is_named_by_file_and_line() {
        let cases = [
            ("file,age\na.jpg,31\nb.jpg,-1\n", "labels.csv, line 3: age `-1` is not a number from 0 to 122"),
            ("file,age\na.jpg,NaN\n", "line 2: age `NaN`"),
            ("file,gender\na.jpg,x\n", "line 2: gender `x` is neither female nor male"),
            ("file,smile\n\"a\n.jpg\",1\nb.jpg,2\n", "line 4: smile `2` is neither 1 nor 0"),
            ("file,race\na.jpg,5\n", "line 2: race `5` is not a number from 0 to 4"),
            ("file,age\n,5\n", "line 2: no file is named"),
            ("file,x,y,width,height\na,1,2,0,4\n", "line 2: the box has no area"),
            ("file,x,y,width,height\na,1,2,,4\n", "line 2: width `` is not a number"),
            ("file,age\na.jpg\n", "line 2"),
        ];
        for (text, expected) in cases {
            let error = table(text).unwrap_err();
            assert!(matches!(error, DataError::Label { .. }), "{error}");
            assert!(error.to_string().contains(expected), "`{error}` for `{expected}`");
        }
    }

    #[test]
    fn a_bad_header_is_refused() {
        let cases = [
            ("age\n3\n", "names no column `file`"),
            ("file,gender,male\n", "`gender` and `male` say the same"),
            ("file,x,y,width\n", "the column height is missing"),
            ("file,x\n", "the columns y, width, height are missing"),
        ];
        for (text, expected) in cases {
            let error = table(text).unwrap_err();
            assert!(matches!(error, DataError::Layout { .. }), "{error}");
            assert!(error.to_string().contains(expected), "`{error}` for `{expected}`");
        }
    }
}
