//! Reading a pack.

use std::fs;
use std::path::{Path, PathBuf};

use visavis_image::{Picture, codec};

use super::{CROPS, FACES, FORMAT, INFO, Line, PackInfo, PackedFace, fingerprint};
use crate::DataError;

/// What to do about a damaged pack.
const AGAIN: &str = "the pack is damaged or incomplete: make it again";

/// A pack, entirely in memory: ten thousand faces take about 100 MB.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    info: PackInfo,
    faces: Vec<PackedFace>,
    /// Start and end of each face's JPEG in `crops`.
    places: Vec<[usize; 2]>,
    crops: Vec<u8>,
}

impl Pack {
    /// Reads the pack in `folder`. Checks the lengths, but not the hashes: [`Pack::verify`] does that.
    ///
    /// # Errors
    /// [`DataError::NoPack`] for a folder without a pack, [`DataError::File`] if a file cannot be read, [`DataError::Layout`]
    /// for an unknown format or another length than when it was written, [`DataError::Label`] for an invalid line.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|reason| DataError::File { path, reason })
        };
        let wrong = |name: &str, reason: String| DataError::Layout { path: folder.join(name), reason };
        if !folder.join(INFO).is_file() {
            return Err(DataError::NoPack { path: folder.to_owned() });
        }
        let info: PackInfo = serde_json::from_slice(&read(INFO)?)
            .map_err(|error| wrong(INFO, format!("this describes no pack ({error})")))?;
        if info.format != FORMAT {
            let reason = format!("format {} is not known to this program, which reads format {FORMAT}", info.format);
            return Err(wrong(INFO, reason));
        }
        let (lines, crops) = (read(FACES)?, read(CROPS)?);
        for (name, found, expected) in [(FACES, lines.len(), info.faces_bytes), (CROPS, crops.len(), info.crops_bytes)]
        {
            if found as u64 != expected {
                return Err(wrong(name, format!("{found} bytes instead of {expected}: {AGAIN}")));
            }
        }
        let (mut faces, mut places) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(lines.split_inclusive(|&byte| byte == b'\n')) {
            let bad = |reason: String| DataError::Label { path: folder.join(FACES), line: number, reason };
            let line: Line = serde_json::from_slice(line).map_err(|error| bad(format!("{error}; {AGAIN}")))?;
            let [offset, length] = line.jpeg;
            let place = offset.checked_add(length).filter(|&end| end <= info.crops_bytes);
            let end = place.ok_or_else(|| bad(format!("the crop lies beyond the end of {CROPS}: {AGAIN}")))?;
            // Both are within `crops`, so both fit.
            places.push([offset as usize, end as usize]);
            faces.push(line.face);
        }
        if faces.len() != info.faces {
            return Err(wrong(FACES, format!("{} faces instead of {}: {AGAIN}", faces.len(), info.faces)));
        }
        Ok(Self { folder: folder.to_owned(), info, faces, places, crops })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The contents of `pack.json`.
    #[must_use]
    pub fn info(&self) -> &PackInfo {
        &self.info
    }

    /// SHA-256 of its contents in hexadecimal, computed when it was made: the same faces, labels and pixels give the same value.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.info.fingerprint
    }

    /// The faces, in the order of the set.
    #[must_use]
    pub fn faces(&self) -> &[PackedFace] {
        &self.faces
    }

    /// The crop of face `index` as JPEG.
    ///
    /// # Panics
    /// If there is no such face.
    #[must_use]
    pub fn jpeg(&self, index: usize) -> &[u8] {
        let [from, to] = self.places[index];
        &self.crops[from..to]
    }

    /// The crop of face `index`, `side` × `side` pixels.
    ///
    /// # Errors
    /// [`DataError::Layout`] if the JPEG is damaged or of another size.
    ///
    /// # Panics
    /// If there is no such face.
    pub fn picture(&self, index: usize) -> Result<Picture, DataError> {
        let side = self.info.params.side;
        let wrong = |reason: String| {
            let file = &self.faces[index].file;
            DataError::Layout {
                path: self.folder.join(CROPS),
                reason: format!("face {index} ({file}): {reason}; {AGAIN}"),
            }
        };
        let most = u64::from(side) * u64::from(side);
        let picture = codec::decode(self.jpeg(index), most).map_err(|error| wrong(error.to_string()))?;
        if (picture.width(), picture.height()) != (side, side) {
            return Err(wrong(format!("{}x{} pixels instead of {side}x{side}", picture.width(), picture.height())));
        }
        Ok(picture)
    }

    /// Reads all files again and compares their hash with the fingerprint.
    ///
    /// # Errors
    /// [`DataError::Layout`] if they differ, [`DataError::File`] if they cannot be read.
    pub fn verify(&self) -> Result<(), DataError> {
        if fingerprint(&self.folder)? != self.info.fingerprint {
            let reason = format!("the faces do not have the fingerprint that {INFO} says: {AGAIN}");
            return Err(DataError::Layout { path: self.folder.clone(), reason });
        }
        Ok(())
    }
}
