//! Names of output files: no output overwrites an input or another output, and no output is taken as an input later.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Part of the name of every annotated copy.
const MARK: &str = "annotated";

/// Whether a file is an annotated copy of an earlier run, by its name.
pub(crate) fn is_annotated(path: &Path) -> bool {
    let mark = path.file_stem().map(Path::new).and_then(Path::extension);
    mark.is_some_and(|mark| mark == MARK) && path.extension().is_some_and(|ending| ending == "jpg" || ending == "mp4")
}

/// Fails if `output` is one of the inputs.
pub(crate) fn refuse_input<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Ok(output_file) = output.canonicalize() else { return Ok(()) };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == output_file) {
            bail!("{} is an input: give the output another name", output.display());
        }
    }
    Ok(())
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
        let names = candidates.into_iter().chain(numbered).map(|mut name| {
            name.push(format!(".{MARK}.{ending}"));
            name
        });
        // There is always a next number, so a name is always found.
        let name = names.into_iter().find(|name| self.taken.insert(name.to_ascii_lowercase()));
        PathBuf::from(name.unwrap_or_default())
    }
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
    fn an_input_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (input, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&input, b"x").unwrap();
        let inputs = [input.as_path()];
        assert!(refuse_input(&folder.path().join("./a"), inputs).is_err());
        assert!(refuse_input(&other, inputs).is_ok());
    }
}
