//! Readers for the layouts of pictures with face boxes.
//!
//! All of them give a [`BoxSet`]: every picture with the size in its own header, and its boxes in pixels of the upright
//! picture.

mod fddb;
mod voc;
mod wider;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use visavis_image::{Rect, codec};

use super::field::Place;
use super::pictures::{PictureFile, pictures_in};
use crate::DataError;
use crate::boxes::{FaceBoxes, Label, LabelledFace, LabelledImage};

/// How a set of face boxes is stored on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoxLayout {
    /// WIDER FACE (Yang et al., CVPR 2016): one list, with the boxes of a picture below its name. Boxes marked `invalid` are
    /// ignored.
    Wider,
    /// Pascal VOC: an XML file for each picture. Objects named `face` count; `difficult` ones are ignored.
    Voc,
    /// FDDB (Jain and Learned-Miller, 2010): ellipses, which are converted to their bounding boxes.
    Fddb,
    /// COCO JSON, as written by [`FaceBoxes::write`].
    Coco,
    /// A folder of pictures without faces.
    Negatives,
}

impl BoxLayout {
    /// All of them, in the order in which a help text lists them.
    pub const ALL: [Self; 5] = [Self::Wider, Self::Voc, Self::Fddb, Self::Coco, Self::Negatives];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Voc => "voc",
            Self::Fddb => "fddb",
            Self::Coco => "coco",
            Self::Negatives => "negatives",
        }
    }

    /// A description of such a set in one line.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Wider => {
                "WIDER FACE: wider_face_train_bbx_gt.txt, pictures in WIDER_train/images; easy, medium and hard from \
                 wider_easy_val.mat and its like in ground_truth or eval_tools/ground_truth near it"
            }
            Self::Voc => "Pascal VOC: Annotations/*.xml with objects named face, pictures in JPEGImages",
            Self::Fddb => "FDDB: FDDB-folds/*ellipseList.txt, pictures in originalPics",
            Self::Coco => "COCO JSON, pictures in images beside it",
            Self::Negatives => "a folder of pictures that show no face",
        }
    }
}

impl FromStr for BoxLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|layout| layout.name()).collect();
            format!("`{text}` is no layout of boxes: choose one of {}", names.join(", "))
        })
    }
}

/// The result of reading a set.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxSet {
    /// The pictures, numbered from 1 in the order of the set's lists (COCO: by their own ids), and their boxes.
    pub boxes: FaceBoxes,
    /// The folder that the file names are relative to.
    pub images: PathBuf,
    /// What the reader left out and why, as text.
    pub notes: Vec<String>,
}

/// Reads the set at `path`: its list or the folder that contains it. The pictures are searched in `images`, or, if that is
/// not given, in the usual folders of the layout.
///
/// # Errors
/// [`DataError::Layout`] for a folder or file that is not in this layout, [`DataError::NoPictures`] if the pictures are in none
/// of the usual folders, [`DataError::Label`] for an invalid label or a picture that cannot be read, [`DataError::File`] for a
/// list that cannot be read, [`DataError::Boxes`] for invalid COCO JSON.
pub fn read(layout: BoxLayout, path: &Path, images: Option<&Path>) -> Result<BoxSet, DataError> {
    match layout {
        BoxLayout::Wider => wider::read(path)?.measured(path, images),
        BoxLayout::Voc => voc::read(path)?.measured(path, images),
        BoxLayout::Fddb => fddb::read(path)?.measured(path, images),
        BoxLayout::Coco => coco(path, images),
        BoxLayout::Negatives => negatives(path)?.measured(path, images),
    }
}

/// The contents of the lists, before the pictures are read.
#[derive(Debug, Default)]
struct Listing {
    pictures: Vec<Listed>,
    /// Folders in which the pictures may be, likeliest first.
    folders: Vec<PathBuf>,
}

/// A picture that is listed.
#[derive(Debug)]
struct Listed {
    /// Relative to the folder of pictures, with `/` as separator.
    file: String,
    origin: Origin,
    faces: Vec<(Origin, LabelledFace)>,
}

/// A place in a list: the file and the line, from 1.
#[derive(Debug, Clone)]
struct Origin {
    list: PathBuf,
    line: u64,
}

impl From<Place<'_>> for Origin {
    fn from(place: Place<'_>) -> Self {
        Self { list: place.path.to_owned(), line: place.line }
    }
}

impl Origin {
    fn bad(&self, reason: impl Into<String>) -> DataError {
        Place { path: &self.list, line: self.line }.bad(reason)
    }
}

impl Listing {
    /// Reads the header of every picture and checks the boxes against its size.
    fn measured(self, path: &Path, images: Option<&Path>) -> Result<BoxSet, DataError> {
        let Some(first) = self.pictures.first() else {
            return Err(DataError::Layout { path: path.to_owned(), reason: "no picture is listed in there".into() });
        };
        let folder = folder_of(path, images, &self.folders, &first.file)?;
        let mut boxes = FaceBoxes::default();
        let mut flat = 0;
        for (id, listed) in (1..).zip(self.pictures) {
            let (width, height) = size(&folder.join(&listed.file)).map_err(|reason| {
                listed.origin.bad(format!(
                    "{}: {reason} (pictures are looked for in {})",
                    listed.file,
                    folder.display()
                ))
            })?;
            let whole = Rect::new(0.0, 0.0, width as f32, height as f32);
            let mut faces = Vec::new();
            for (origin, face) in listed.faces {
                if face.rect.width == 0.0 || face.rect.height == 0.0 {
                    // WIDER FACE has some. They are useless, but no reason to reject a whole set.
                    flat += 1;
                } else if face.rect.intersection(&whole).is_none() {
                    let [x, y, w, h] = face.rect.into();
                    return Err(origin.bad(format!(
                        "the box at ({x}, {y}) of {w}x{h} lies outside of {}, which is {width}x{height}",
                        listed.file
                    )));
                } else {
                    faces.push(face);
                }
            }
            let negative = faces.is_empty();
            let file_name = listed.file;
            boxes.images.push(LabelledImage { id, file_name, width, height, source: None, negative, faces });
        }
        let notes = (flat > 0).then(|| format!("{flat} boxes without width or height were left out"));
        Ok(BoxSet { boxes, images: folder, notes: notes.into_iter().collect() })
    }
}

/// All pictures of a folder and the folders within.
fn negatives(folder: &Path) -> Result<Listing, DataError> {
    let listed = |(line, picture): (u64, PictureFile)| Listed {
        file: picture.file,
        origin: Origin { list: folder.to_owned(), line },
        faces: Vec::new(),
    };
    let pictures = (1..).zip(pictures_in(folder, folder)?).map(listed).collect();
    Ok(Listing { pictures, folders: vec![folder.to_owned()] })
}

/// COCO JSON contains the sizes: they are compared with those of the pictures.
fn coco(path: &Path, images: Option<&Path>) -> Result<BoxSet, DataError> {
    let wrong = |reason: String| DataError::Layout { path: path.to_owned(), reason };
    let boxes = FaceBoxes::read(path)?;
    let first = boxes.images.first().ok_or_else(|| wrong("no picture is listed in there".into()))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let folder = folder_of(path, images, &[beside.join("images"), beside.to_owned()], &first.file_name)?;
    for image in &boxes.images {
        let (width, height) =
            size(&folder.join(&image.file_name)).map_err(|reason| wrong(format!("{}: {reason}", image.file_name)))?;
        if (width, height) != (image.width, image.height) {
            return Err(wrong(format!(
                "image id {} ({}) is said to be {}x{}, but the picture is {width}x{height}: its boxes belong to another \
                 picture",
                image.id, image.file_name, image.width, image.height
            )));
        }
    }
    Ok(BoxSet { boxes, images: folder, notes: Vec::new() })
}

/// The folder that was given, or the first one that contains the first picture.
fn folder_of(path: &Path, named: Option<&Path>, likely: &[PathBuf], first: &str) -> Result<PathBuf, DataError> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    likely.iter().find(|folder| folder.join(first).is_file()).cloned().ok_or_else(|| {
        let folders: Vec<String> = likely.iter().map(|folder| folder.display().to_string()).collect();
        DataError::NoPictures { path: path.to_owned(), first: first.to_owned(), folders: folders.join(", ") }
    })
}

/// Width and height of a picture file, or the reason for failure.
fn size(path: &Path) -> Result<(u32, u32), String> {
    // Opening a pipe or a device that a list names may wait for ever.
    if !path.is_file() {
        return Err("there is no such file".into());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    codec::size(BufReader::new(file)).map_err(|error| error.to_string())
}

/// A face, or one that is to be ignored.
fn face(rect: Rect, ignored: bool) -> LabelledFace {
    LabelledFace { rect, label: if ignored { Label::Ignore } else { Label::Face }, wider: None, landmarks: None }
}

/// Largest accepted side of a box, in pixels; no supported picture format allows more.
const GREATEST_SIDE: f32 = 65_535.0;

#[cfg(test)]
mod tests;
