//! Pascal VOC's annotations: an XML file for each picture.
//!
//! `annotation/filename` names the picture, `annotation/object` an object with `name`, `difficult` and `bndbox`
//! (`xmin ymin xmax ymax`, pixels counted from 1, the last one included). Objects with other names are skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use visavis_image::Rect;

use super::super::field::Place;
use super::super::pictures::entries;
use super::{GREATEST_SIDE, Listed, Listing, Origin, face};
use crate::DataError;
use crate::boxes::LabelledFace;

/// The name of the objects that are used.
const FACE: &str = "face";

pub(super) fn read(path: &Path) -> Result<Listing, DataError> {
    let wrong = |reason| DataError::Layout { path: path.to_owned(), reason };
    let (folder, files) = if path.is_dir() {
        let within = path.join("Annotations");
        let folder = if within.is_dir() { within } else { path.to_owned() };
        let mut files = entries(&folder)?;
        files.retain(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xml")));
        (folder, files)
    } else {
        (path.parent().unwrap_or(Path::new("")).to_owned(), vec![path.to_owned()])
    };
    if files.is_empty() {
        return Err(wrong("no XML file is in there: name the folder that holds the annotations".into()));
    }
    let mut others = BTreeSet::new();
    let pictures = files.iter().map(|file| annotation(file, &mut others)).collect::<Result<Vec<_>, _>>()?;
    if !others.is_empty() && pictures.iter().all(|picture| picture.faces.is_empty()) {
        let names: Vec<String> = others.into_iter().collect();
        return Err(wrong(format!(
            "no object is named `{FACE}`, only {}: rename those that are faces",
            names.join(", ")
        )));
    }
    let above = folder.parent().unwrap_or(Path::new("")).to_owned();
    let folders = vec![above.join("JPEGImages"), above.join("images"), folder.join("images"), folder];
    Ok(Listing { pictures, folders })
}

/// The faces of one file; adds the names of all other objects to `others`.
fn annotation(path: &Path, others: &mut BTreeSet<String>) -> Result<Listed, DataError> {
    let text = fs::read_to_string(path).map_err(|reason| DataError::File { path: path.to_owned(), reason })?;
    let document = Document::parse(&text).map_err(|error| {
        let place = Place { path, line: u64::from(error.pos().row) };
        place.bad(format!("not XML: {error}"))
    })?;
    let xml = Xml { path, document: &document };
    let root = document.root_element();
    let (place, name) = xml.text(root, "filename")?;
    let file = place.file(name)?;
    let mut faces: Vec<(Origin, LabelledFace)> = Vec::new();
    for object in root.children().filter(|node| node.has_tag_name("object")) {
        let (_, name) = xml.text(object, "name")?;
        if name == FACE {
            faces.push((xml.place(object).into(), xml.labelled(object)?));
        } else {
            others.insert(name.to_owned());
        }
    }
    Ok(Listed { file, origin: Origin { list: PathBuf::from(path), line: 1 }, faces })
}

/// A document and its file.
struct Xml<'a> {
    path: &'a Path,
    document: &'a Document<'a>,
}

impl<'a> Xml<'a> {
    fn place(&self, node: Node<'_, '_>) -> Place<'a> {
        Place { path: self.path, line: u64::from(self.document.text_pos_at(node.range().start).row) }
    }

    fn child(&self, node: Node<'a, 'a>, tag: &str) -> Result<Node<'a, 'a>, DataError> {
        let missing = || self.place(node).bad(format!("<{}> has no <{tag}>", node.tag_name().name()));
        node.children().find(|child| child.has_tag_name(tag)).ok_or_else(missing)
    }

    /// The trimmed text of a child, and its line.
    fn text(&self, node: Node<'a, 'a>, tag: &str) -> Result<(Place<'a>, &'a str), DataError> {
        let child = self.child(node, tag)?;
        Ok((self.place(child), child.text().unwrap_or_default().trim()))
    }

    fn labelled(&self, object: Node<'a, 'a>) -> Result<LabelledFace, DataError> {
        let corners = self.child(object, "bndbox")?;
        let side = |tag| {
            let (place, text) = self.text(corners, tag)?;
            place.number(tag, text, -GREATEST_SIDE..=GREATEST_SIDE)
        };
        // The first pixel is 1 and begins at 0.0; the last one ends where the next would begin. For files that count from 0
        // the boxes are shifted by half a pixel on average.
        let (left, top) = ((side("xmin")? - 1.0).max(0.0), (side("ymin")? - 1.0).max(0.0));
        let (right, bottom) = (side("xmax")?, side("ymax")?);
        if right < left || bottom < top {
            let reason = format!("the box ends at ({right}, {bottom}), before it begins at ({left}, {top})");
            return Err(self.place(corners).bad(reason));
        }
        let difficult = match self.text(object, "difficult") {
            Ok((place, text)) => place.flag("difficult", text)?,
            // Many tools leave it out.
            Err(_) => false,
        };
        Ok(face(Rect::from_corners(left, top, right, bottom), difficult))
    }
}
