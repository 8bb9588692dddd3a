//! Writes a pack in a temporary folder and renames it at the end.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{CROPS, FACES, FORMAT, INFO, Line, PackInfo, PackParams, PackedFace, fingerprint};
use crate::DataError;

/// Writes a pack face by face. The pack appears at its place with [`PackWriter::finish`]; if dropped earlier, everything is
/// removed. The next run removes what a killed run left in the hidden temporary folder.
#[derive(Debug)]
pub struct PackWriter {
    out: PathBuf,
    aside: Aside,
    info: PackInfo,
    lines: BufWriter<File>,
    crops: BufWriter<File>,
}

impl PackWriter {
    /// Starts the pack `out` of the set `name`, detected by `detector`. An existing pack is replaced at the end.
    ///
    /// # Errors
    /// [`DataError::Layout`] if `out` exists and is not a pack, or another run is making it, [`DataError::File`] if the
    /// temporary folder cannot be written.
    pub fn new(out: &Path, name: &str, detector: &str, params: PackParams) -> Result<Self, DataError> {
        if out.exists() && !out.join(INFO).is_file() {
            let reason = "something that is no pack is there: name another folder for the pack, or remove it".into();
            return Err(DataError::Layout { path: out.to_owned(), reason });
        }
        let (aside, crops) = Aside::lock(out)?;
        let lines = File::create(aside.0.join(FACES)).map_err(aside.fail(FACES))?;
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
        Ok(Self { out: out.to_owned(), aside, info, lines: BufWriter::new(lines), crops: BufWriter::new(crops) })
    }

    /// Adds a face and its crop.
    ///
    /// # Errors
    /// [`DataError::Layout`] for a face with numbers that are not finite, [`DataError::File`] if it cannot be written.
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

    /// Moves the pack to its place.
    ///
    /// # Errors
    /// [`DataError::File`] if it cannot be written.
    pub fn finish(self) -> Result<PackInfo, DataError> {
        let Self { out, aside, mut info, lines, crops } = self;
        for (name, file) in [(FACES, lines), (CROPS, crops)] {
            // Closed here: Windows cannot rename a folder with an open file in it.
            let file = file.into_inner().map_err(|error| aside.fail(name)(error.into_error()))?;
            file.sync_all().map_err(aside.fail(name))?;
        }
        info.fingerprint = fingerprint(&aside.0)?;
        let text = serde_json::to_string_pretty(&info)
            .map_err(|error| DataError::Layout { path: out.clone(), reason: error.to_string() })?;
        fs::write(aside.0.join(INFO), text + "\n").map_err(aside.fail(INFO))?;
        let fail = |reason| DataError::File { path: out.clone(), reason };
        if !out.exists() {
            return fs::rename(&aside.0, &out).map_err(fail).map(|()| info);
        }
        // A folder cannot be renamed over one that contains files.
        let old = beside(&out, "old");
        let _ = fs::remove_dir_all(&old);
        fs::rename(&out, &old).map_err(fail)?;
        if let Err(reason) = fs::rename(&aside.0, &out) {
            let _ = fs::rename(&old, &out);
            return Err(fail(reason));
        }
        let _ = fs::remove_dir_all(&old);
        Ok(info)
    }
}

/// The temporary folder beside a pack; removed when dropped.
#[derive(Debug)]
struct Aside(PathBuf);

impl Aside {
    /// Makes the folder, or reuses that of a killed run, and opens and locks the file of crops in it.
    fn lock(out: &Path) -> Result<(Self, File), DataError> {
        let folder = beside(out, "part");
        fs::create_dir_all(&folder).map_err(|reason| DataError::File { path: folder.clone(), reason })?;
        let path = folder.join(CROPS);
        let fail = |reason| DataError::File { path: path.clone(), reason };
        let crops = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(fail)?;
        match crops.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another run is making this pack: wait for its end, or name another folder".into();
                return Err(DataError::Layout { path: out.to_owned(), reason });
            }
            // Some network file systems do not support locks; then other runs are not noticed.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(reason)) => return Err(fail(reason)),
        }
        crops.set_len(0).map_err(fail)?;
        Ok((Self(folder), crops))
    }

    fn fail(&self, name: &str) -> impl Fn(io::Error) -> DataError + use<> {
        let path = self.0.join(name);
        move |reason| DataError::File { path: path.clone(), reason }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The hidden folder `.NAME.what` beside a pack.
fn beside(out: &Path, what: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.{what}"))
}

/// JSON cannot represent other numbers.
fn is_finite(face: &PackedFace) -> bool {
    let boxes = [Some(face.rect), face.detected.map(|found| found.rect)];
    let points = [face.landmarks, face.detected.and_then(|found| found.landmarks)];
    let numbers =
        [Some(face.scale), face.labels.age, face.labels.age_deviation, face.detected.map(|found| found.score)];
    boxes.into_iter().flatten().all(|rect| <[f32; 4]>::from(rect).iter().all(|value| value.is_finite()))
        && points.into_iter().flatten().all(|five| five.to_array().iter().all(|p| p.x.is_finite() && p.y.is_finite()))
        && numbers.into_iter().flatten().all(f32::is_finite)
}
