//! Readers for the layouts of data sets.

pub mod aflw;
pub mod boxes;
pub mod celeba;
pub mod classes;
pub mod fer;
mod field;
pub mod genki4k;
pub mod imdb_wiki;
pub mod lap;
pub mod lfw;
mod list;
mod matlab;
pub mod mtfl;
mod pictures;
pub mod table;
pub mod utkface;

use std::path::Path;
use std::str::FromStr;

pub use pictures::picture_names;

use crate::{DataError, DataSet};

/// How a data set is stored on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A CSV with a header beside the pictures: [`table`].
    Table,
    /// A folder for each class: [`classes`].
    Classes,
    /// MTFL: [`mtfl`].
    Mtfl,
    /// AFLW: [`aflw`].
    Aflw,
    /// IMDB-WIKI: [`imdb_wiki`].
    ImdbWiki,
    /// ChaLearn LAP 2016: [`lap`].
    Lap,
    /// UTKFace: [`utkface`].
    UtkFace,
    /// GENKI-4K: [`genki4k`].
    Genki4k,
    /// CelebA: [`celeba`].
    CelebA,
    /// LFW: [`lfw`].
    Lfw,
    /// FER2013 with the votes of FER+: [`fer`].
    Fer,
}

impl Layout {
    /// All of them, in the order in which a help text lists them.
    pub const ALL: [Self; 11] = [
        Self::Table,
        Self::Classes,
        Self::Mtfl,
        Self::Aflw,
        Self::ImdbWiki,
        Self::Lap,
        Self::UtkFace,
        Self::Genki4k,
        Self::CelebA,
        Self::Lfw,
        Self::Fer,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Classes => "classes",
            Self::Mtfl => "mtfl",
            Self::Aflw => "aflw",
            Self::ImdbWiki => "imdb-wiki",
            Self::Lap => "lap",
            Self::UtkFace => "utkface",
            Self::Genki4k => "genki4k",
            Self::CelebA => "celeba",
            Self::Lfw => "lfw",
            Self::Fer => "fer",
        }
    }

    /// A description of the folder in one line.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Table => "labels.csv with a header: file, age, gender, smile, identity, box, keypoints …",
            Self::Classes => "a folder for each class, such as smile/ and neutral/",
            Self::Mtfl => "MTFL: training.txt (keypoints, gender, smile, glasses, pose)",
            Self::Aflw => "AFLW: aflw.sqlite (boxes, keypoints, gender, glasses)",
            Self::ImdbWiki => "IMDB-WIKI: imdb.mat or wiki.mat (age, gender, identity)",
            Self::Lap => "ChaLearn LAP 2016: train_gt.csv … (apparent age and its deviation)",
            Self::UtkFace => "UTKFace: age_gender_race_time.jpg (age, gender, race)",
            Self::Genki4k => "GENKI-4K: labels.txt and files/ (smile)",
            Self::CelebA => "CelebA: list_attr_celeba.txt … (gender, smile, glasses, identity, keypoints)",
            Self::Lfw => "LFW: Name_Surname_0001.jpg (identity)",
            Self::Fer => "FER+: labels.csv with the votes, or one of the folders beside it (expression)",
        }
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|layout| layout.name()).collect();
            format!("`{text}` is no layout: choose one of {}", names.join(", "))
        })
    }
}

/// Reads the set at `path`. It is named after the folder; the caller may rename it.
///
/// # Errors
/// [`DataError::File`] for a list that cannot be read, [`DataError::Layout`] or [`DataError::UnknownClass`] for a folder or list
/// that is not in this layout, [`DataError::Label`] for an invalid label.
pub fn read(layout: Layout, path: &Path) -> Result<DataSet, DataError> {
    match layout {
        Layout::Table => table::read(path),
        Layout::Classes => classes::read(path, &[]),
        Layout::Mtfl => mtfl::read(path),
        Layout::Aflw => aflw::read(path),
        Layout::ImdbWiki => imdb_wiki::read(path, imdb_wiki::ImdbWikiParams::default()),
        Layout::Lap => lap::read(path),
        Layout::UtkFace => utkface::read(path),
        Layout::Genki4k => genki4k::read(path),
        Layout::CelebA => celeba::read(path),
        Layout::Lfw => lfw::read(path),
        Layout::Fer => fer::read(path),
    }
}

/// A folder with these files; removed when dropped.
#[cfg(test)]
fn folder_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_layouts() {
        for layout in Layout::ALL {
            assert_eq!(layout.name().parse(), Ok(layout));
        }
        assert!("mfl".parse::<Layout>().unwrap_err().contains("table, classes, mtfl, aflw, imdb-wiki"));
    }
}
