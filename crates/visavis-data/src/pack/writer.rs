//! Writing a pack: aside, renamed when it is complete.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{CROPS, FACES, FORMAT, INFO, Line, PackInfo, PackParams, PackedFace, fingerprint};
use crate::DataError;

/// Writes a pack face by face. Before [`PackWriter::finish`] nothing is at its place; dropped earlier, it leaves nothing.
#[derive(Debug)]
pub struct PackWriter {
    out: PathBuf,
    aside: Aside,
    info: PackInfo,
    lines: BufWriter<File>,
    crops: BufWriter<File>,
}

impl PackWriter {
    /// Begins the pack `out`, which holds the set `name` as `detector` sees it. A pack that is there is replaced at the end.
    ///
    /// # Errors
    /// [`DataError::Layout`] if something that is no pack is at `out`, [`DataError::File`] if nothing can be written beside it.
    pub fn new(out: &Path, name: &str, detector: &str, params: PackParams) -> Result<Self, DataError> {
        if out.exists() && !out.join(INFO).is_file() {
            let reason = "something that is no pack is there: name another folder for the pack, or remove it".into();
            return Err(DataError::Layout { path: out.to_owned(), reason });
        }
        let aside = Aside::beside(out)?;
        let create = |name: &str| {
            let path = aside.0.join(name);
            File::create(&path).map(BufWriter::new).map_err(|source| DataError::File { path, source })
        };
        let (lines, crops) = (create(FACES)?, create(CROPS)?);
        let info = PackInfo {
            format: FORMAT,
            name: name.to_owned(),
            params,
            detector: detector.to_owned(),
            faces: 0,
            faces_bytes: 0,
            crops_bytes: 0,
            fingerprint: String::new(),
        };
        Ok(Self { out: out.to_owned(), aside, info, lines, crops })
    }

    /// Adds a face and its crop.
    ///
    /// # Errors
    /// [`DataError::Layout`] for a face whose numbers are not finite, [`DataError::File`] if the disk refuses.
    pub fn push(&mut self, face: &PackedFace, jpeg: &[u8]) -> Result<(), DataError> {
        if !is_finite(face) {
            let reason = format!("{}: a box or keypoint of this face is no finite number", face.file);
            return Err(DataError::Layout { path: self.out.clone(), reason });
        }
        let line = Line { face: face.clone(), jpeg: [self.info.crops_bytes, jpeg.len() as u64] };
        let mut text = serde_json::to_vec(&line)
            .map_err(|error| DataError::Layout { path: self.out.clone(), reason: error.to_string() })?;
        text.push(b'\n');
        self.lines.write_all(&text).map_err(self.aside.fail(FACES))?;
        self.crops.write_all(jpeg).map_err(self.aside.fail(CROPS))?;
        self.info.faces += 1;
        self.info.faces_bytes += text.len() as u64;
        self.info.crops_bytes += jpeg.len() as u64;
        Ok(())
    }

    /// Puts the pack in its place.
    ///
    /// # Errors
    /// [`DataError::File`] if the disk refuses.
    pub fn finish(mut self) -> Result<PackInfo, DataError> {
        self.lines.flush().map_err(self.aside.fail(FACES))?;
        self.crops.flush().map_err(self.aside.fail(CROPS))?;
        for (name, file) in [(FACES, self.lines.get_ref()), (CROPS, self.crops.get_ref())] {
            file.sync_all().map_err(self.aside.fail(name))?;
        }
        self.info.fingerprint = fingerprint(&self.aside.0)?;
        let text = serde_json::to_string_pretty(&self.info)
            .map_err(|error| DataError::Layout { path: self.out.clone(), reason: error.to_string() })?;
        fs::write(self.aside.0.join(INFO), text + "\n").map_err(self.aside.fail(INFO))?;
        let fail = |source| DataError::File { path: self.out.clone(), source };
        if self.out.exists() {
            // A folder cannot be renamed over one with files in it.
            let old = Aside::name(&self.out, "old");
            fs::rename(&self.out, &old.0).map_err(fail)?;
            if let Err(source) = fs::rename(&self.aside.0, &self.out) {
                let _ = fs::rename(&old.0, &self.out);
                return Err(fail(source));
            }
        } else {
            fs::rename(&self.aside.0, &self.out).map_err(fail)?;
        }
        Ok(self.info)
    }
}

/// A folder beside a pack that goes when it is dropped.
#[derive(Debug)]
struct Aside(PathBuf);

impl Aside {
    fn name(out: &Path, what: &str) -> Self {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        Self(out.with_file_name(format!(".{name}.{}.{what}", std::process::id())))
    }

    fn beside(out: &Path) -> Result<Self, DataError> {
        let aside = Self::name(out, "part");
        let made = fs::create_dir_all(&aside.0);
        made.map_err(|source| DataError::File { path: aside.0.clone(), source }).map(|()| aside)
    }

    fn fail(&self, name: &str) -> impl Fn(std::io::Error) -> DataError + use<> {
        let path = self.0.join(name);
        move |source| DataError::File { path: path.clone(), source }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// JSON has no words for other numbers.
fn is_finite(face: &PackedFace) -> bool {
    let boxes = [Some(face.rect), face.detected.map(|found| found.rect)];
    let points = [face.landmarks, face.detected.and_then(|found| found.landmarks)];
    let numbers =
        [Some(face.scale), face.labels.age, face.labels.age_deviation, face.detected.map(|found| found.score)];
    boxes.into_iter().flatten().all(|rect| <[f32; 4]>::from(rect).iter().all(|value| value.is_finite()))
        && points.into_iter().flatten().all(|five| five.to_array().iter().all(|p| p.x.is_finite() && p.y.is_finite()))
        && numbers.into_iter().flatten().all(f32::is_finite)
}
