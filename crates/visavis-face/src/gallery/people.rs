//! Who is on which photo, as a folder or a table tells it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{GalleryError, name};

/// Endings of picture files, in small letters.
const PICTURES: [&str; 6] = ["jpg", "jpeg", "png", "gif", "webp", "bmp"];

/// Headings of the column with the person's name, first choice first.
const PERSON_COLUMNS: [&str; 3] = ["name", "person", "label"];

/// Headings of the column with the photo's file, first choice first.
const FILE_COLUMNS: [&str; 4] = ["file", "image", "path", "filename"];

/// A photo, and who is on it.
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
///   `image`, `path` or `filename`, sought beside the table and then in the folder `images` beside it. Other columns
///   do not matter;
/// - a folder with one CSV file in it, which then tells;
/// - a folder of folders, each named for the person whose photos it holds;
/// - a folder of photos, each named for the person on it: `Ada_Lovelace.jpg`, `Ada_Lovelace_2.jpg`,
///   `Ada Lovelace (3).jpg`. Digits at the end do not belong to the name.
///
/// The last two may be mixed; underscores stand for spaces; names that begin with a dot, and files that are not
/// pictures by their ending, are passed over. Photos of a table come in its order, others by path.
///
/// # Errors
/// [`GalleryError::Table`] with the line where a table is wrong or a file of it missing,
/// [`GalleryError::NoPhotos`] where nothing is found, [`GalleryError::Name`], and the failures of the file system.
pub fn photos_in(place: impl AsRef<Path>) -> Result<Vec<PhotoSource>, GalleryError> {
    let place = place.as_ref();
    let meta = fs::metadata(place).map_err(GalleryError::io(place, "looking for photos of people"))?;
    let photos = if !meta.is_dir() {
        if !ends_in(place, &["csv"]) {
            let reason = "give a folder or a CSV file".into();
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
                let reason =
                    format!("there are several tables ({} and {}): name one", first.display(), second.display());
                return Err(GalleryError::NoPhotos { path: place.to_path_buf(), reason });
            }
        }
    };
    if photos.is_empty() {
        let reason = "looked for a folder per person, or pictures named for people (jpg, png, gif, webp, bmp)".into();
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
                    log::warn!("{}: a folder inside a person's folder is passed over", path.display());
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

/// Everything in a folder that is not hidden, by name.
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
        reason: "the file's name is not valid UTF-8",
    })
}

fn in_table(table: &Path) -> Result<Vec<PhotoSource>, GalleryError> {
    let bytes = fs::read(table).map_err(GalleryError::io(table, "reading who is on which photo"))?;
    let wrong =
        |at: u64, reason: String| GalleryError::Table { path: table.to_path_buf(), line: line_of(&bytes, at), reason };
    let unreadable = |error: csv::Error| {
        let at = error.position().map_or(0, csv::Position::byte);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => wrong(
                at,
                format!("{len} columns, and the header has {expected_len}: put names with a comma in them in quotes"),
            ),
            csv::ErrorKind::Utf8 { .. } => wrong(at, "not valid UTF-8: save the table as UTF-8".into()),
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
                format!("no column for the {what}: the header needs one of {}, and has {found}", choices.join(", "));
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
            return Err(wrong(at, format!("no file in column {}", &header[file_column])));
        }
        let person = name::checked(&record[person_column]).map_err(|error| wrong(at, error.to_string()))?;
        let places = [folder.join(file), folder.join("images").join(file)];
        let Some(path) = places.iter().find(|path| path.is_file()) else {
            return Err(wrong(at, format!("no such file: {} (nor {})", places[0].display(), places[1].display())));
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
                    return Err(wrong(at, format!("{file} shows {person:?} here and {other:?} in line {first}")));
                }
            }
        }
    }
    Ok(photos)
}

/// The line, from 1, of the record that the reader found from byte `at` on: empty lines before it are not its own.
fn line_of(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let empty = bytes[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + bytes[..at + empty].iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
