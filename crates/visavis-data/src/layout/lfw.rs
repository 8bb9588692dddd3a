//! LFW (Huang et al. 2007): pictures named `Name_Surname_0001.jpg`, a folder for each person or all in one, and the pairs of
//! its verification protocol.
//!
//! `pairs.txt` begins with the number of folds and of pairs of each kind in a fold (or the latter alone). Each further line is
//! `Name 1 4` for a pair of one person, `Name 1 Other 2` for a pair of two. A CSV with the columns `fold`, `a`, `b`, `same` is
//! accepted too.

use std::fs::File;
use std::path::Path;

use csv::ReaderBuilder;

use super::field::Place;
use super::list::List;
use super::pictures::pictures_in;
use crate::{DataError, DataSet, Labels, Sample, sample};

/// A pair of pictures, by their file names without folder and extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacePair {
    /// Number of the fold, from 1.
    pub fold: u32,
    /// Such as `Name_Surname_0001`.
    pub faces: [String; 2],
    /// Whether both show the same person.
    pub same: bool,
}

/// Reads a folder of pictures. The identity is the file name up to the number at its end.
///
/// # Errors
/// [`DataError::Layout`] for a folder without such pictures, [`DataError::File`] if it cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let mut notes = Vec::new();
    let mut samples = Vec::new();
    for picture in pictures_in(path, path)? {
        let Some(person) = stem(&picture.file).rsplit_once('_').filter(|(_, number)| is_number(number)) else {
            notes.push(format!("{}: the name ends with no number: left out", picture.file));
            continue;
        };
        samples.push(Sample {
            identity: Some(person.0.to_owned()),
            path: picture.path,
            file: picture.file,
            rect: None,
            landmarks: None,
            labels: Labels::default(),
        });
    }
    if samples.is_empty() {
        let reason = "no picture named like Name_Surname_0001.jpg is in there: name the folder that holds them".into();
        return Err(DataError::Layout { path: path.to_owned(), reason });
    }
    Ok(DataSet { name: sample::name_of(path), samples, notes })
}

/// Reads `pairs.txt`, or a CSV.
///
/// # Errors
/// [`DataError::Label`] with the invalid line, [`DataError::File`] if the list cannot be read.
pub fn pairs(path: &Path) -> Result<Vec<FacePair>, DataError> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) { table(path) } else { list(path) }
}

/// The name of a file without folder and extension.
#[must_use]
pub fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn list(path: &Path) -> Result<Vec<FacePair>, DataError> {
    let list = List::read(path)?;
    let mut rows = list.rows();
    let Some((place, header)) = rows.next() else {
        return Err(DataError::Layout { path: path.to_owned(), reason: "it is empty".into() });
    };
    let each: usize = match header[..] {
        [each] | [_, each] => place.number("the number of pairs in a fold", each, 1..=1_000_000)?,
        _ => return Err(place.bad("the first line has the number of folds and of the pairs of each kind in a fold")),
    };
    let mut pairs = Vec::new();
    for (place, row) in rows {
        let face = |name: &str, number: &str| -> Result<String, DataError> {
            let number: u32 = place.number("a picture's number", number, 0..=9999)?;
            Ok(format!("{name}_{number:04}"))
        };
        let (faces, same) = match row[..] {
            [name, a, b] => ([face(name, a)?, face(name, b)?], true),
            [name, a, other, b] => ([face(name, a)?, face(other, b)?], false),
            _ => return Err(place.bad(format!("{} columns: a pair has 3 of one person or 4 of two", row.len()))),
        };
        pairs.push(FacePair { fold: (pairs.len() / (2 * each)) as u32 + 1, faces, same });
    }
    Ok(pairs)
}

fn table(path: &Path) -> Result<Vec<FacePair>, DataError> {
    let file = File::open(path).map_err(|reason| DataError::File { path: path.to_owned(), reason })?;
    let layout = |reason: String| DataError::Layout { path: path.to_owned(), reason };
    let mut reader = ReaderBuilder::new().from_reader(file);
    let header = reader.headers().map_err(|error| layout(error.to_string()))?.clone();
    let columns = ["fold", "a", "b", "same"].map(|name| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| layout(format!("there is no column `{name}`")))
    });
    let [fold, a, b, same] = columns;
    let (fold, a, b, same) = (fold?, a?, b?, same?);
    let mut pairs = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| layout(error.to_string()))?;
        let place = Place { path, line: row.position().map_or(0, csv::Position::line) };
        pairs.push(FacePair {
            fold: place.number("fold", &row[fold], 0..=10_000)?,
            faces: [&row[a], &row[b]].map(|file| stem(file).to_owned()),
            same: place.flag("same", &row[same])?,
        });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::folder_of;
    use super::*;

    #[test]
    fn people_are_told_by_their_files() {
        let folder = folder_of([
            ("Ada_Lovelace/Ada_Lovelace_0001.jpg", ""),
            ("Ada_Lovelace/Ada_Lovelace_0002.jpg", ""),
            ("Bob_0001.jpg", ""),
            ("group.jpg", ""),
        ]);
        let set = read(folder.path()).unwrap();
        let people: Vec<_> = set.samples.iter().filter_map(|sample| sample.identity.as_deref()).collect();
        assert_eq!(people, ["Ada_Lovelace", "Ada_Lovelace", "Bob"]);
        assert_eq!(set.notes.len(), 1);
        assert!(read(folder_of([("group.jpg", "")]).path()).unwrap_err().to_string().contains("Name_Surname_0001.jpg"));
    }

    #[test]
    fn both_lists_say_the_same() {
        let folder = folder_of([
            ("pairs.txt", "2\t1\nAda\t1\t4\nAda\t2\tBob_Ray\t10\nBob_Ray 1 2\nAda 1 Bob_Ray 1\n"),
            (
                "pairs.csv",
                "fold,a,b,same\n1,images/Ada_0001.jpg,images/Ada_0004.jpg,1\n1,Ada_0002.jpg,Bob_Ray_0010.png,0\n\
                 2,Bob_Ray_0001.jpg,Bob_Ray_0002.jpg,1\n2,Ada_0001.jpg,Bob_Ray_0001.jpg,0\n",
            ),
        ]);
        let listed = pairs(&folder.path().join("pairs.txt")).unwrap();
        assert_eq!(listed, pairs(&folder.path().join("pairs.csv")).unwrap());
        assert_eq!((listed[1].fold, listed[2].fold), (1, 2));
        assert_eq!(listed[1].faces, ["Ada_0002", "Bob_Ray_0010"]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (name, text, expected) in [
            ("pairs.txt", "10 300\nAda 1\n", "line 2: 2 columns"),
            ("pairs.txt", "10 300\nAda one 2\n", "line 2: a picture's number `one`"),
            ("pairs.txt", "", "it is empty"),
            ("pairs.csv", "fold,a,b\n", "no column `same`"),
            ("pairs.csv", "fold,a,b,same\n1,x,y,maybe\n", "line 2: same `maybe`"),
        ] {
            let folder = folder_of([(name, text)]);
            let error = pairs(&folder.path().join(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` for `{expected}`");
        }
    }
}
