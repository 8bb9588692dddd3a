//! Finds the person of each photo, from the names in a folder or from a table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{GalleryError, name};

/// Endings of files that people and programs keep beside photos and that are no photos, in lower case.
const NO_PHOTOS: [&str; 13] = [
    "txt",
    "csv",
    "json",
    "xml",
    "db",
    "ini",
    "md",
    "html",
    "gallery",
    "gallery-wal",
    "gallery-shm",
    "gallery-journal",
    "index",
];

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

/// The photos of a folder or table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPhotos {
    /// The photos with their people. Whether a file is a picture is known only after it was decoded.
    pub photos: Vec<PhotoSource>,
    /// Files and folders that were left out, each with the reason.
    pub skipped: Vec<String>,
}

impl FoundPhotos {
    fn skip(&mut self, path: &Path, reason: &str) {
        let shown = path.display().to_string();
        // A line break in a name must not make two messages out of one.
        let shown = if shown.chars().any(char::is_control) { format!("{shown:?}") } else { shown };
        self.skipped.push(format!("{shown}: {reason}"));
    }

    /// Adds a file, unless it cannot be a photo.
    fn take(&mut self, path: &Path, person: impl FnOnce() -> Result<String, String>) {
        if ends_in(path, &NO_PHOTOS) {
            return;
        }
        // A named pipe would be waited for without end.
        if !path.is_file() {
            return self.skip(path, "it is no regular file, or a link to a file that is missing");
        }
        match person() {
            Ok(person) => self.photos.push(PhotoSource { person, path: path.to_path_buf() }),
            Err(reason) => self.skip(path, &reason),
        }
    }

    /// Adds the photos in the folder of one person.
    fn take_folder(&mut self, folder: &Path) {
        let person = match person_of(folder.file_name(), name::of_folder) {
            Ok(person) => person,
            Err(reason) => return self.skip(folder, &reason),
        };
        let files = match entries(folder) {
            Ok(files) => files,
            Err(error) => return self.skip(folder, &format!("the folder cannot be read: {error}")),
        };
        for path in files {
            if path.is_dir() {
                self.skip(&path, "a folder inside the folder of a person: move its photos to the folder of the person");
            } else {
                self.take(&path, || Ok(person.clone()));
            }
        }
    }
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
/// The last two may be mixed. Underscores stand for spaces. Photos of a table come in the order of the table, others by path.
///
/// In a folder, every file may be a photo, whatever its ending. Ignored are names that begin with a dot, and the endings of texts,
/// tables and galleries: `.txt`, `.csv`, `.json`, `.xml`, `.db`, `.ini`, `.md`, `.html`, `.gallery` and what belongs to a gallery.
/// Files and folders whose name cannot be that of a person, named pipes, and folders in the folder of a person are skipped and
/// reported.
///
/// # Errors
/// [`GalleryError::Table`] with the line where a table is wrong or a file of it missing,
/// [`GalleryError::NoPhotos`] where nothing is found, and the failures of the file system.
pub fn photos_in(place: impl AsRef<Path>) -> Result<FoundPhotos, GalleryError> {
    let place = place.as_ref();
    let no_photos = |reason: String| GalleryError::NoPhotos { path: place.to_path_buf(), reason };
    let failed = GalleryError::io(place, "looking for photos of people");
    let meta = fs::metadata(place).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => no_photos("there is no such file or folder: correct the path".into()),
        _ => failed(error),
    })?;
    let table = if meta.is_dir() {
        let files = entries(place).map_err(&failed)?;
        let tables: Vec<&PathBuf> = files.iter().filter(|path| ends_in(path, &["csv"]) && path.is_file()).collect();
        match tables[..] {
            [] => return in_folder(&files).map_err(no_photos),
            [table] => table.clone(),
            [first, second, ..] => {
                return Err(no_photos(format!(
                    "it has several CSV files ({} and {}): give the path of one of them",
                    first.display(),
                    second.display()
                )));
            }
        }
    } else if ends_in(place, &["csv"]) && meta.is_file() {
        place.to_path_buf()
    } else {
        return Err(no_photos("it is neither a folder nor a CSV file".into()));
    };
    let photos = in_table(&table)?;
    if photos.is_empty() {
        let reason = "it has no line after the header: add one with a person and a file for each photo".into();
        return Err(GalleryError::NoPhotos { path: table, reason });
    }
    Ok(FoundPhotos { photos, skipped: Vec::new() })
}

/// The photos of a folder with these entries; the reason if there are none.
fn in_folder(files: &[PathBuf]) -> Result<FoundPhotos, String> {
    let mut found = FoundPhotos::default();
    for path in files {
        if path.is_dir() {
            found.take_folder(path);
        } else {
            found.take(path, || person_of(path.file_stem(), name::of_stem));
        }
    }
    if !found.photos.is_empty() {
        return Ok(found);
    }
    match &found.skipped[..] {
        [] => Err("it needs a subfolder for each person, or pictures named after the people".into()),
        [only] => Err(only.clone()),
        [first, others @ ..] => Err(format!("{first}; {} more files or folders cannot be used", others.len())),
    }
}

/// The person that the name of a file or folder tells; the reason if it cannot be the name of a person.
fn person_of(named: Option<&OsStr>, tell: impl FnOnce(&str) -> String) -> Result<String, String> {
    let named = named.and_then(OsStr::to_str).ok_or("its name is not valid UTF-8: rename it")?;
    name::checked(&tell(named)).map_err(|error| match error {
        GalleryError::Name { reason, .. } => format!("its name cannot be the name of a person: {reason}"),
        other => other.to_string(),
    })
}

/// The entries of a folder that are not hidden, sorted by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
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
            let [beside, in_images] = places.each_ref().map(|place| place.display());
            // An absolute path is the same in every folder.
            let missing = match Path::new(file).is_absolute() {
                true => format!("no such file: {beside}"),
                false => format!("no such file: neither {beside} nor {in_images}"),
            };
            return Err(wrong(at, missing));
        };
        match seen.entry(path.clone()) {
            Entry::Vacant(new) => {
                new.insert((photos.len(), at));
                photos.push(PhotoSource { person, path: path.clone() });
            }
            Entry::Occupied(before) => {
                let (photo, first) = *before.get();
                if photos[photo].person != person {
                    let other = &photos[photo].person;
                    let first = line_of(&bytes, first);
                    return Err(wrong(
                        at,
                        format!("{file} is listed for \"{person}\" here, but for \"{other}\" in line {first}"),
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
