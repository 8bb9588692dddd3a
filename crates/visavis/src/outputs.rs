//! Names of output files: no output overwrites an input or another output, and no output is taken as an input later.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use visavis_cli::output::{check_place, folder_of};
use visavis_video::FolderContents;

/// Part of the name of every annotated copy.
const MARK: &str = "annotated";
/// Bytes of the name of an input that are kept in that of its copy. File systems allow 255.
const LONGEST: usize = 200;

/// Whether a file is an annotated copy of an earlier run, by its name.
pub(crate) fn is_annotated(path: &Path) -> bool {
    let mark = path.file_stem().map(Path::new).and_then(Path::extension);
    mark.is_some_and(|mark| mark == MARK) && path.extension().is_some_and(|ending| ending == "jpg" || ending == "mp4")
}

/// The files of a run: those that it reads and those that it writes.
#[derive(Default)]
pub(crate) struct Files {
    read: HashSet<PathBuf>,
    written: HashSet<PathBuf>,
}

impl Files {
    /// A file is read, or each picture and film of a folder. What is no file or folder, such as the address of a camera, is left out.
    pub(crate) fn read(&mut self, path: &Path) {
        if path.is_dir() {
            let files = FolderContents::of(path).map(|contents| contents.files).unwrap_or_default();
            self.read.extend(files.iter().filter_map(|(file, _)| identity(file)));
        } else if path.is_file() {
            self.read.extend(identity(path));
        }
    }

    /// A file is written. Devices and named pipes may have several writers.
    ///
    /// # Errors
    /// If it is read or is another output, or if no file can have this path.
    pub(crate) fn write(&mut self, path: &Path) -> Result<()> {
        check_place(path)?;
        self.append(path)?;
        self.written.extend(identity(path));
        Ok(())
    }

    /// Lines are appended to a file, also by several outputs.
    ///
    /// # Errors
    /// If the file is read, or written by another output.
    pub(crate) fn append(&self, path: &Path) -> Result<()> {
        let Some(file) = identity(path) else { return Ok(()) };
        if self.read.contains(&file) {
            bail!("{} is an input: give the output another name", path.display());
        }
        if self.written.contains(&file) {
            bail!("{} is the file of two outputs: give one of them another name", path.display());
        }
        Ok(())
    }
}

/// The same path for all names of a file that exists or not; `None` for what is not a file.
fn identity(path: &Path) -> Option<PathBuf> {
    match path.metadata() {
        Ok(found) if !found.is_file() => None,
        Ok(_) => path.canonicalize().ok(),
        Err(_) => Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?)),
    }
}

/// The names of the annotated copies of one run.
#[derive(Default)]
pub(crate) struct AnnotatedNames {
    /// In lower case, for file systems that ignore case.
    taken: HashSet<OsString>,
}

impl AnnotatedNames {
    /// A name for the copy of `input` with the extension `jpg` or `mp4`. Inputs with equal names get different names.
    pub(crate) fn of(&mut self, input: &Path, ending: &str) -> PathBuf {
        let plain = input.file_stem().unwrap_or(OsStr::new("picture"));
        let whole = input.file_name().unwrap_or(plain);
        let folder = input.parent().and_then(Path::file_name);
        let mut candidates = vec![plain.to_owned(), whole.to_owned()];
        candidates.extend(folder.map(|folder| joined(folder, whole)));
        let numbered = (2..).map(|number| joined(OsStr::new(&number.to_string()), whole));
        let names = candidates.into_iter().chain(numbered).map(|name| {
            let mut name = shortened(name);
            name.push(format!(".{MARK}.{ending}"));
            name
        });
        // There is always a next number, so a name is always found.
        let name = names.into_iter().find(|name| self.taken.insert(name.to_ascii_lowercase()));
        PathBuf::from(name.unwrap_or_default())
    }
}

/// The beginning of a name that would be too long for a file system with what is appended to it.
fn shortened(name: OsString) -> OsString {
    if name.len() <= LONGEST {
        return name;
    }
    let text = name.to_string_lossy();
    text[..text.floor_char_boundary(LONGEST)].into()
}

fn joined(before: &OsStr, behind: &OsStr) -> OsString {
    let mut name = before.to_owned();
    name.push("-");
    name.push(behind);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_copies_have_one_name() {
        let mut names = AnnotatedNames::default();
        let mut name = |input: &str| names.of(Path::new(input), "jpg").display().to_string();
        assert_eq!(name("a/1.jpg"), "1.annotated.jpg");
        assert_eq!(name("a/1.png"), "1.png.annotated.jpg");
        assert_eq!(name("b/1.png"), "b-1.png.annotated.jpg");
        assert_eq!(name("c/b/1.png"), "2-1.png.annotated.jpg");
        assert_eq!(name("d/b/1.png"), "3-1.png.annotated.jpg");
        assert_eq!(
            name("A/1.JPG"),
            "1.JPG.annotated.jpg",
            "a file system that ignores case would take it for the first"
        );
        let long = name(&format!("{}.jpg", "é".repeat(125)));
        assert_eq!(long, format!("{}.annotated.jpg", "é".repeat(100)));
        assert!(name(&format!("x/{}.jpg", "é".repeat(125))).starts_with("x-é"), "another name for the second one");
    }

    #[test]
    fn copies_are_known_by_their_names() {
        for ours in ["x/1.annotated.jpg", "film.annotated.mp4", "1.png.annotated.jpg"] {
            assert!(is_annotated(Path::new(ours)), "{ours}");
        }
        for other in ["1.jpg", "annotated.jpg", "1.annotated.png", "an annotated.jpg"] {
            assert!(!is_annotated(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn no_file_of_a_run_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("photos")).unwrap();
        let photo = visavis_image::codec::encode_jpeg(&visavis_image::Picture::new(16, 16), 90).unwrap();
        std::fs::write(at("photos/1.jpg"), photo).unwrap();
        std::fs::write(at("photos/faces.jsonl"), b"{}").unwrap();
        std::fs::write(at("a"), b"x").unwrap();
        let mut files = Files::default();
        ["a", "photos", "no"].into_iter().for_each(|name| files.read(&at(name)));
        for input in ["./a", "photos/../a", "photos/1.jpg"] {
            assert!(files.write(&at(input)).is_err(), "{input}");
            assert!(files.append(&at(input)).is_err(), "{input}");
        }
        // The output of an earlier run, in the folder of the photos.
        files.write(&at("photos/faces.jsonl")).unwrap();
        files.write(&at("b")).unwrap();
        assert!(files.write(&at("photos/../b")).is_err(), "two outputs");
        assert!(files.append(&at("b")).is_err(), "two outputs");
        files.append(&at("log")).unwrap();
        files.append(&at("log")).unwrap();
    }
}
