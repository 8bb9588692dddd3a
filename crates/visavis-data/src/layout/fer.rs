//! FER2013 with the votes of FER+: `labels.csv` with the columns `file`, eight expressions in the order of
//! [`EXPRESSIONS`], `unknown` and `no_face`. Each has the number of people who voted for it.
//!
//! Votes are cleaned as the authors of FER+ do it (Barsoum et al., ICMI 2016): a choice with a single vote is dropped. A picture
//! is left out if `unknown` or `no_face` has the most votes.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use visavis_image::{Rect, codec};

use super::field::Place;
use crate::{DataError, DataSet, EXPRESSIONS, Labels, Sample, sample};

const LIST: &str = "labels.csv";

/// A choice with at most this many votes is taken for a mistake.
const MOST_OUTLIER_VOTES: f32 = 1.0;

/// Place of a face that the detector does not find, as shares of the picture's side: centre and side of the square whose crop
/// has eyes and mouth where the aligned crop of an average picture of the set has them.
const USUAL_FACE: [f32; 3] = [0.5, 0.43, 0.68];

/// Reads the folder with `labels.csv`, or one of the folders in it (`FER2013Train`, `FER2013Valid`, `FER2013Test`); then
/// only the pictures in that folder.
///
/// # Errors
/// [`DataError::Layout`] for a header that lacks a column, [`DataError::Label`] for a cell that is not a number of votes,
/// [`DataError::File`] for a list that cannot be read.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let (folder, part) = if path.join(LIST).is_file() {
        (path.to_owned(), None)
    } else {
        (path.parent().map(Path::to_owned).unwrap_or_default(), Some(sample::name_of(path) + "/"))
    };
    let list = folder.join(LIST);
    let file = File::open(&list).map_err(|reason| DataError::File { path: list.clone(), reason })?;
    let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let wrong = |reason: String| DataError::Layout { path: list.clone(), reason };
    let header = rows.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let find = |name: &str| {
        let at = header.iter().position(|column| column == name);
        at.ok_or_else(|| wrong(format!("the first line names no column `{name}`")))
    };
    let file_column = find("file")?;
    let names = EXPRESSIONS.into_iter().chain(["unknown", "no_face"]);
    let columns: Vec<usize> = names.map(find).collect::<Result<_, _>>()?;
    let mut set = DataSet { name: sample::name_of(&folder), ..DataSet::default() };
    let (mut row, mut unclear) = (StringRecord::new(), 0);
    while rows.read_record(&mut row).map_err(|error| wrong(error.to_string()))? {
        let place = Place { path: &list, line: row.position().map_or(0, csv::Position::line) };
        let file = place.file(row.get(file_column).unwrap_or_default())?;
        if part.as_ref().is_some_and(|part| !file.starts_with(part.as_str())) {
            continue;
        }
        let mut votes = [0.0f32; 10];
        for (votes, column) in votes.iter_mut().zip(&columns) {
            *votes = place.number("votes", row.get(*column).unwrap_or_default(), 0.0..=1000.0)?;
        }
        let path = folder.join(PathBuf::from(&file));
        let Some(expression) = expression(votes) else {
            unclear += 1;
            continue;
        };
        let picture = File::open(&path).map_err(|reason| DataError::File { path: path.clone(), reason })?;
        let (width, height) = codec::size(BufReader::new(picture))
            .map_err(|error| DataError::Layout { path: path.clone(), reason: error.to_string() })?;
        let [x, y, side] = USUAL_FACE;
        let (width, height) = (width as f32, height as f32);
        let side = side * width.min(height);
        set.samples.push(Sample {
            path,
            file,
            rect: Some(Rect::new(x * width - side / 2.0, y * height - side / 2.0, side, side)),
            landmarks: None,
            labels: Labels { expression: Some(expression), ..Labels::default() },
            identity: None,
        });
    }
    if unclear > 0 {
        set.notes.push(format!("left out, no face or no expression to most who voted: {unclear} pictures"));
    }
    Ok(set)
}

/// Shares of the votes for the eight expressions; `None` if no expression has more votes than `unknown` and `no_face`.
fn expression(votes: [f32; 10]) -> Option<[f32; 8]> {
    let votes = votes.map(|count| if count <= MOST_OUTLIER_VOTES { 0.0 } else { count });
    let most = |votes: &[f32]| votes.iter().copied().fold(0.0, f32::max);
    let total: f32 = votes.iter().sum();
    (most(&votes[..8]) > most(&votes[8..])).then(|| std::array::from_fn(|at| votes[at] / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "file,split,fer2013,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,no_face\n";

    fn folder(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LIST), format!("{HEADER}{rows}")).unwrap();
        for part in ["FER2013Train", "FER2013Test"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
            for name in ["a.png", "b.png", "c.png"] {
                let picture = visavis_image::Picture::new(48, 48);
                let png = visavis_image::codec::encode_png(&picture).unwrap();
                std::fs::write(folder.path().join(part).join(name), png).unwrap();
            }
        }
        folder
    }

    #[test]
    fn votes_become_shares_without_single_votes() {
        let folder = folder(
            "FER2013Train/a.png,train,angry,4,0,0,1,3,2,0,0,0,0\n\
             FER2013Train/b.png,train,,0,2,0,0,0,0,0,0,8,0\n\
             FER2013Test/c.png,test,,0,10,0,0,0,0,0,0,0,0\n",
        );
        let set = read(folder.path()).unwrap();
        let found: Vec<_> = set.samples.iter().map(|s| (s.file.as_str(), s.labels.expression.unwrap())).collect();
        let share = |neutral: f32, anger: f32, disgust: f32| [neutral, 0.0, 0.0, 0.0, anger, disgust, 0.0, 0.0];
        assert_eq!(found[0], ("FER2013Train/a.png", share(4.0 / 9.0, 3.0 / 9.0, 2.0 / 9.0)));
        assert_eq!(found[1].1[1], 1.0);
        assert_eq!(found.len(), 2);
        assert_eq!(set.notes, ["left out, no face or no expression to most who voted: 1 pictures"]);
        let rect = set.samples[0].rect.unwrap();
        assert!(rect.x > 0.0 && rect.right() < 48.0 && rect.y > 0.0 && rect.bottom() < 48.0, "{rect:?}");
    }

    #[test]
    fn a_part_is_read_by_its_folder() {
        let folder =
            folder("FER2013Train/a.png,train,,9,0,0,0,0,0,0,0,0,0\nFER2013Test/c.png,test,,0,10,0,0,0,0,0,0,0,0\n");
        let set = read(&folder.path().join("FER2013Test")).unwrap();
        let files: Vec<_> = set.samples.iter().map(|s| s.file.as_str()).collect();
        assert_eq!(files, ["FER2013Test/c.png"]);
    }

    #[test]
    fn bad_votes_are_named() {
        let error = read(folder("FER2013Train/a.png,train,,9,x,0,0,0,0,0,0,0,0\n").path()).unwrap_err().to_string();
        assert!(error.contains("labels.csv, line 2: votes `x` is not a number"), "{error}");
    }
}
