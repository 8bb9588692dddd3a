//! Finds the person of each photo, from the names in a folder or from a table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{GalleryError, name};

/// Extensions of picture files, in lower case.
const PICTURES: [&str; 6] = ["jpg", "jpeg", "png", "gif", "webp", "bmp"];

/// Headings of the column with the person's name, first choice first.
const PERSON_COLUMNS: [&str; 3] = ["name", "person", "label"];

/// Headings of the column with the photo's file, first choice first.
const FILE_COLUMNS: [&str; 4] = ["file", "image", "path", "filename"];

/// A photo and the person on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhotoSource {
    /// The person's name.
    pub person: String,
    /// The picture file.
    pub path: PathBuf,
}

/// Finds the photos of people in `place`, which is one of:
///
/// - a CSV file with a header: the person in a column `name`, `person` or `label`, the file in a column `file`,
///   `image`, `path` or `filename`. Files are looked for beside the table and then in the folder `images` beside it. Other
///   columns are ignored;
/// - a folder that contains one such CSV file;
/// - a folder with one subfolder for each person, named after the person;
/// - a folder of photos, each named after the person on it: `Ada_Lovelace.jpg`, `Ada_Lovelace_2.jpg`,
///   `Ada Lovelace (3).jpg`. Digits at the end are not part of the name.
///
/// The last two may be mixed. Underscores stand for spaces. Names that begin with a dot, and files without the extension of a
/// picture, are skipped. Photos of a table come in the order of the table, others by path.
///
/// # Errors
/// [`GalleryError::Table`] with the line where a table is wrong or a file of it missing,
/// [`GalleryError::NoPhotos`] where nothing is found, [`GalleryError::Name`], and the failures of the file system.
pub fn photos_in(place: impl AsRef<Path>) -> Result<Vec<PhotoSource>, GalleryError> {
    let place = place.as_ref();
    let meta = fs::metadata(place).map_err(GalleryError::io(place, "looking for photos of people"))?;
    let photos = if !meta.is_dir() {
        if !ends_in(place, &["csv"]) {
            let reason = "it is neither a folder nor a CSV file".into();
            return Err(GalleryError::NoPhotos { path: place.to_path_buf(), reason });
        }
        in_table(place)?
    } else {
        let files = entries(place)?;
        let tables: Vec<&PathBuf> = files.iter().filter(|path| ends_in(path, &["csv"]) && path.is_file()).collect();
        match tables[..] {
            [] => in_folder(&files)?,
            [table] => in_table(table)?,
            [first, second, ..] => {
                let reason = format!(
                    "it has several CSV files ({} and {}): give the path of one of them",
                    first.display(),
                    second.display()
                );
                return Err(GalleryError::NoPhotos { path: place.to_path_buf(), reason });
            }
        }
    };
    if photos.is_empty() {
        let reason =
            "it needs a subfolder for each person, or pictures (jpg, png, gif, webp, bmp) named after the people"
                .into();
        return Err(GalleryError::NoPhotos { path: place.to_path_buf(), reason });
    }
    Ok(photos)
}

fn in_folder(files: &[PathBuf]) -> Result<Vec<PhotoSource>, GalleryError> {
    let mut photos = Vec::new();
    for path in files {
        if path.is_dir() {
            let person = name::of_folder(utf8(path, path.file_name())?);
            for path in entries(path)? {
                if path.is_dir() {
                    log::warn!("{}: skipped: a folder inside the folder of a person", path.display());
                } else if ends_in(&path, &PICTURES) {
                    photos.push(PhotoSource { person: name::checked(&person)?.to_owned(), path });
                }
            }
        } else if ends_in(path, &PICTURES) {
            let person = name::of_stem(utf8(path, path.file_stem())?);
            photos.push(PhotoSource { person: name::checked(&person)?.to_owned(), path: path.clone() });
        }
    }
    Ok(photos)
}

/// The entries of a folder that are not hidden, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, GalleryError> {
    let failed = GalleryError::io(folder, "looking for photos of people");
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|found| endings.iter().any(|e| found.eq_ignore_ascii_case(e)))
}

fn utf8<'a>(path: &Path, name: Option<&'a OsStr>) -> Result<&'a str, GalleryError> {
    name.and_then(OsStr::to_str).ok_or_else(|| GalleryError::Name {
        name: path.display().to_string(),
        reason: "the name of the file is not valid UTF-8",
    })
}

fn in_table(table: &Path) -> Result<Vec<PhotoSource>, GalleryError> {
    let bytes = fs::read(table).map_err(GalleryError::io(table, "reading the table of photos"))?;
    let wrong =
        |at: u64, reason: String| GalleryError::Table { path: table.to_path_buf(), line: line_of(&bytes, at), reason };
    let unreadable = |error: csv::Error| {
        let at = error.position().map_or(0, csv::Position::byte);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => wrong(
                at,
                format!(
                    "it has {len} columns, but the header has {expected_len}: put names that contain a comma in quotes"
                ),
            ),
            csv::ErrorKind::Utf8 { .. } => wrong(at, "it is not valid UTF-8: save the table as UTF-8".into()),
            _ => wrong(at, error.to_string()),
        }
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&bytes[..]);
    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |what: &str, choices: &[&str]| {
        let found = |choice: &&str| header.iter().position(|cell| cell.eq_ignore_ascii_case(choice));
        choices.iter().find_map(found).ok_or_else(|| {
            let found = header.iter().collect::<Vec<_>>().join(", ");
            let reason =
                format!("no column for the {what}: the header needs one of {}, but has {found}", choices.join(", "));
            wrong(0, reason)
        })
    };
    let (person_column, file_column) = (column("person", &PERSON_COLUMNS)?, column("photo's file", &FILE_COLUMNS)?);

    let folder = table.parent().unwrap_or(Path::new(""));
    let mut photos: Vec<PhotoSource> = Vec::new();
    let mut seen: HashMap<PathBuf, (usize, u64)> = HashMap::new();
    for record in reader.into_records() {
        let record = record.map_err(unreadable)?;
        let at = record.position().map_or(0, csv::Position::byte);
        let file = &record[file_column];
        if file.is_empty() {
            return Err(wrong(at, format!("column {} is empty: it must name the file", &header[file_column])));
        }
        let person = name::checked(&record[person_column]).map_err(|error| wrong(at, error.to_string()))?;
        let places = [folder.join(file), folder.join("images").join(file)];
        let Some(path) = places.iter().find(|path| path.is_file()) else {
            return Err(wrong(
                at,
                format!("no such file: neither {} nor {}", places[0].display(), places[1].display()),
            ));
        };
        match seen.entry(path.clone()) {
            Entry::Vacant(new) => {
                new.insert((photos.len(), at));
                photos.push(PhotoSource { person: person.to_owned(), path: path.clone() });
            }
            Entry::Occupied(before) => {
                let (photo, first) = *before.get();
                if photos[photo].person != person {
                    let other = &photos[photo].person;
                    let first = line_of(&bytes, first);
                    return Err(wrong(
                        at,
                        format!("{file} is listed for {person:?} here, but for {other:?} in line {first}"),
                    ));
                }
            }
        }
    }
    Ok(photos)
}

/// The line, from 1, of the record that the reader found at byte `at`. Empty lines before the record are skipped.
fn line_of(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let empty = bytes[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + bytes[..at + empty].iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
