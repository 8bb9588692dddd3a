//! AFLW (Koestinger et al., 2011): `aflw.sqlite`, and beside it a folder for each source of pictures, such as `flickr`.
//!
//! It labels the visible ones of 21 landmarks. The five keypoints are taken from the eye centres (or the middle between the
//! corners of an eye), the nose tip and the corners of the mouth; left and right are as seen in the picture. The head pose
//! is not read: it is given as angles and not as MTFL's five codes.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Row};
use visavis_image::{Landmarks, Point, Rect};

use super::field::Place;
use crate::{DataError, DataSet, Labels, Sample, sample};

const LISTS: [&str; 2] = ["aflw.sqlite", "data/aflw.sqlite"];

const FACES: &str = "SELECT f.face_id, i.db_id, i.filepath, r.x, r.y, r.w, r.h, m.sex, m.glasses \
                     FROM Faces f JOIN FaceImages i ON i.file_id = f.file_id AND i.db_id = f.db_id \
                     LEFT JOIN FaceRect r ON r.face_id = f.face_id \
                     LEFT JOIN FaceMetaData m ON m.face_id = f.face_id ORDER BY f.face_id";

const FEATURES: &str = "SELECT c.face_id, t.descr, c.x, c.y \
                        FROM FeatureCoords c JOIN FeatureCoordTypes t ON t.feature_id = c.feature_id";

/// Largest value in bytes.
const MOST_VALUE: i32 = 1 << 20;

/// Most rows of a result. AFLW has 25,000 faces with 390,000 landmarks; a damaged database may combine every row with every other.
const MOST_ROWS: usize = 2_000_000;

/// The landmarks that are used, by their names in `FeatureCoordTypes`.
const USED: [&str; 9] = [
    "LeftEyeCenter",
    "LeftEyeLeftCorner",
    "LeftEyeRightCorner",
    "RightEyeCenter",
    "RightEyeLeftCorner",
    "RightEyeRightCorner",
    "NoseCenter",
    "MouthLeftCorner",
    "MouthRightCorner",
];

/// Those of [`USED`] that are labelled.
type Features = [Option<Point>; USED.len()];

/// Reads `aflw.sqlite` or the folder that contains it. Faces without all five keypoints get none.
///
/// # Errors
/// [`DataError::Layout`] if there is no such database or it lacks a table, [`DataError::Label`] (with the face's number as
/// the line) for an invalid row.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let list = if path.is_dir() {
        let found = LISTS.iter().map(|name| path.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            reason: "aflw.sqlite is not in there: name the folder that holds it".into(),
        })?
    } else {
        path.to_owned()
    };
    let folder = list.parent().unwrap_or(Path::new(""));
    let wrong = |error: rusqlite::Error| DataError::Layout {
        path: list.clone(),
        reason: format!("this is not AFLW's database, or it is damaged ({error})"),
    };
    let database = Connection::open_with_flags(&list, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    // The database may come from an untrusted source, and a view may compute without end: AFLW has none that is needed.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false).map_err(wrong)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST_VALUE).map_err(wrong)?;
    let mut features = features(&database, &list, wrong)?;
    let named = if path.is_dir() { path } else { folder };
    let mut set = DataSet { name: sample::name_of(named), ..DataSet::default() };
    let (mut last, mut boxless) = (None, 0);
    let mut statement = database.prepare(FACES).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    let mut counted = Counted::new(&list);
    while let Some(row) = rows.next().map_err(wrong)? {
        counted.next()?;
        let id: i64 = row.get(0).map_err(wrong)?;
        // A few faces have two rows in the tables that are joined.
        if last.replace(id) == Some(id) {
            continue;
        }
        let place = Place { path: &list, line: u64::try_from(id).unwrap_or(0) };
        let sample = face(row, &place, folder, features.remove(&id))?;
        boxless += usize::from(sample.rect.is_none());
        set.samples.push(sample);
    }
    if boxless > 0 {
        set.notes.push(format!("{boxless} faces have no box, or one without area"));
    }
    Ok(set)
}

/// Counts the rows of a result.
struct Counted<'a> {
    list: &'a Path,
    rows: usize,
}

impl<'a> Counted<'a> {
    fn new(list: &'a Path) -> Self {
        Self { list, rows: 0 }
    }

    fn next(&mut self) -> Result<(), DataError> {
        self.rows += 1;
        if self.rows > MOST_ROWS {
            let reason = "its tables combine to more rows than AFLW has: it is damaged, or another database".into();
            return Err(DataError::Layout { path: self.list.to_owned(), reason });
        }
        Ok(())
    }
}

fn features(
    database: &Connection,
    list: &Path,
    wrong: impl Fn(rusqlite::Error) -> DataError + Copy,
) -> Result<HashMap<i64, Features>, DataError> {
    let mut statement = database.prepare(FEATURES).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    let mut found: HashMap<i64, Features> = HashMap::new();
    let mut counted = Counted::new(list);
    while let Some(row) = rows.next().map_err(wrong)? {
        counted.next()?;
        let (face, name): (i64, String) = (row.get(0).map_err(wrong)?, row.get(1).map_err(wrong)?);
        let Some(at) = USED.iter().position(|used| *used == name) else { continue };
        let place = Place { path: list, line: u64::try_from(face).unwrap_or(0) };
        let [x, y] = [2, 3].map(|column| number(row, column));
        let (Some(x), Some(y)) = (x, y) else {
            return Err(place.bad(format!("{name} of this face is not at two numbers")));
        };
        found.entry(face).or_default()[at] = Some(Point::new(x, y));
    }
    Ok(found)
}

fn face(row: &Row<'_>, place: &Place<'_>, folder: &Path, features: Option<Features>) -> Result<Sample, DataError> {
    let text = |column: usize| row.get::<_, Option<String>>(column).ok().flatten();
    let (Some(source), Some(picture)) = (text(1), text(2)) else {
        return Err(place.bad("this face has no picture"));
    };
    let rect = match [3, 4, 5, 6].map(|column| number(row, column)) {
        [Some(x), Some(y), Some(width), Some(height)] => Some(Rect::new(x, y, width, height)).filter(Rect::is_proper),
        _ => None,
    };
    let gender = text(7).filter(|sex| !sex.is_empty()).map(|sex| place.gender("sex", &sex)).transpose()?;
    let glasses = match row.get::<_, Option<i64>>(8) {
        Ok(None) => None,
        Ok(Some(flag @ 0..=1)) => Some(flag == 1),
        _ => return Err(place.bad("glasses of this face is neither 1 nor 0")),
    };
    let file = place.file(&format!("{source}/{picture}"))?;
    Ok(Sample {
        path: folder.join(&file),
        file,
        rect,
        landmarks: features.as_ref().and_then(five),
        labels: Labels { gender, glasses, ..Labels::default() },
        identity: None,
    })
}

fn number(row: &Row<'_>, column: usize) -> Option<f32> {
    row.get::<_, f64>(column).ok().map(|value| value as f32).filter(|value| value.is_finite())
}

fn five(features: &Features) -> Option<Landmarks> {
    let [left_eye @ .., right_centre, right_left, right_right, nose, left_mouth, right_mouth] = *features;
    let eye = |[centre, left, right]: [Option<Point>; 3]| centre.or_else(|| Some(left?.lerp(right?, 0.5)));
    Some(Landmarks {
        left_eye: eye(left_eye)?,
        right_eye: eye([right_centre, right_left, right_right])?,
        nose: nose?,
        left_mouth: left_mouth?,
        right_mouth: right_mouth?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gender;

    const TABLES: &str = "
        CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
        CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT, filepath TEXT, bw INTEGER,
                                 width INTEGER, height INTEGER);
        CREATE TABLE FacePose (face_id INTEGER PRIMARY KEY, roll REAL, pitch REAL, yaw REAL, annot_type_id INTEGER);
        CREATE TABLE FaceRect (face_id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, w INTEGER, h INTEGER,
                               annot_type_id INTEGER);
        CREATE TABLE FaceMetaData (face_id INTEGER PRIMARY KEY, sex TEXT, occluded INTEGER, glasses INTEGER,
                                   bw INTEGER, annot_type_id INTEGER);
        CREATE TABLE FeatureCoordTypes (feature_id INTEGER PRIMARY KEY, descr TEXT, code TEXT, x REAL, y REAL, z REAL);
        CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL, annot_type_id INTEGER);
        INSERT INTO FeatureCoordTypes (feature_id, descr) VALUES
            (7, 'LeftEyeLeftCorner'), (8, 'LeftEyeCenter'), (9, 'LeftEyeRightCorner'), (10, 'RightEyeLeftCorner'),
            (11, 'RightEyeCenter'), (12, 'RightEyeRightCorner'), (15, 'NoseCenter'), (18, 'MouthLeftCorner'),
            (20, 'MouthRightCorner'), (21, 'ChinCenter');
        INSERT INTO FaceImages (db_id, file_id, filepath) VALUES
            ('flickr', 'image1.jpg', '0/image1.jpg'), ('flickr', 'image2.jpg', '2/image2.jpg');";

    fn database(rows: &str) -> Result<DataSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let database = Connection::open(data.join("aflw.sqlite")).unwrap();
        database.execute_batch(&format!("{TABLES}{rows}")).unwrap();
        drop(database);
        read(folder.path())
    }

    #[test]
    fn tables_that_combine_to_millions_of_rows_and_views_are_refused() {
        let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)";
        let error = database(&format!(
            "INSERT INTO Faces {rows} SELECT i, 'image1.jpg', 'flickr' FROM n;
             INSERT INTO FaceImages (db_id, file_id, filepath) {rows} SELECT 'flickr', 'image1.jpg', 'x' FROM n;"
        ));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("more rows than AFLW has"), "{error}");
        let error = database(
            "DROP TABLE FaceRect; CREATE VIEW FaceRect AS SELECT 1 AS face_id, 1 AS x, 1 AS y, 1 AS w, 1 AS h;",
        );
        assert!(error.unwrap_err().to_string().contains("not AFLW's database"));
    }

    #[test]
    fn faces_are_joined_from_their_tables() {
        let set = database(
            "INSERT INTO Faces VALUES (39341, 'image1.jpg', 'flickr'), (39342, 'image2.jpg', 'flickr'),
                 (39343, 'image2.jpg', 'flickr');
             INSERT INTO FaceRect (face_id, x, y, w, h) VALUES (39341, 62, -7, 348, 349), (39343, 1, 1, 0, 5);
             INSERT INTO FaceMetaData (face_id, sex, glasses) VALUES (39341, 'f', 0), (39342, 'm', 1);
             INSERT INTO FeatureCoords (face_id, feature_id, x, y) VALUES
                 (39341, 7, 10, 20), (39341, 9, 20, 22), (39341, 11, 40.5, 21), (39341, 10, 0, 0),
                 (39341, 15, 25, 35), (39341, 18, 15, 50), (39341, 20, 35, 51), (39341, 21, 25, 60),
                 (39342, 8, 1, 1), (39342, 11, 2, 2), (39342, 18, 15, 50), (39342, 20, 35, 51);",
        )
        .unwrap();
        let [first, second, third] = &set.samples[..] else { panic!("{} samples", set.samples.len()) };
        assert_eq!(first.file, "flickr/0/image1.jpg");
        assert!(first.path.ends_with("data/flickr/0/image1.jpg"));
        assert_eq!(first.rect, Some(Rect::new(62.0, -7.0, 348.0, 349.0)));
        let points = [(15.0, 21.0), (40.5, 21.0), (25.0, 35.0), (15.0, 50.0), (35.0, 51.0)];
        assert_eq!(first.landmarks, Some(points.map(|(x, y)| Point::new(x, y)).into()));
        assert_eq!((first.labels.gender, first.labels.glasses), (Some(Gender::Female), Some(false)));
        assert_eq!((second.rect, second.landmarks), (None, None), "a profile: no nose is marked");
        assert_eq!((second.labels.gender, second.labels.glasses), (Some(Gender::Male), Some(true)));
        assert_eq!((&third.labels, third.rect), (&Labels::default(), None));
        assert_eq!(set.notes, ["2 faces have no box, or one without area"]);
    }

    #[test]
    fn a_bad_row_is_named_by_its_face() {
        let face = "INSERT INTO Faces VALUES (7, 'image1.jpg', 'flickr');";
        for (rows, expected) in [
            ("INSERT INTO FaceMetaData (face_id, sex) VALUES (7, 'x');", "aflw.sqlite, line 7: sex `x` is neither"),
            ("INSERT INTO FaceMetaData (face_id, glasses) VALUES (7, 3);", "line 7: glasses of this face"),
            ("INSERT INTO FeatureCoords (face_id, feature_id, x, y) VALUES (7, 15, 1, 'y');", "line 7: NoseCenter"),
            ("DROP TABLE FaceRect;", "this is not AFLW's database, or it is damaged"),
        ] {
            let error = database(&format!("{face}{rows}")).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
        let error = read(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(error.contains("aflw.sqlite is not in there"), "{error}");
    }
}
