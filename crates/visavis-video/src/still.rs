//! One picture, and a folder of pictures.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use visavis_image::codec::{self, Decoded};

use crate::file_kind::FileKind;
use crate::{OpenOptions, Pace, Shot, Source, SourceInfo, VideoError, ffmpeg};

/// Maximum size of a photo file in bytes. Photos of 200 megapixels have about 100 MB.
const MOST_BYTES: u64 = 512 << 20;

/// Reads and decodes a photo, whatever its name. A photo of more than `max_pixels` is shrunk while it is decoded, if
/// possible ([`codec::decode_photo`]).
///
/// # Errors
/// [`VideoError`], with the file and what to do.
pub fn load(path: &Path, max_pixels: u64) -> Result<Decoded, VideoError> {
    let name = path.display().to_string();
    match FileKind::of_file(path)? {
        FileKind::Still | FileKind::Gif => {
            codec::decode_photo(&read(path)?, max_pixels).map_err(VideoError::picture(&name))
        }
        FileKind::OtherStill(format) => Ok(Decoded { picture: ffmpeg::load(path, format, max_pixels)?, shrunk: 1.0 }),
        FileKind::AppleDouble => Err(VideoError::AppleDouble { path: name }),
        FileKind::Mp4 | FileKind::OtherFilm(_) => Err(VideoError::NoPicture { path: name }),
        FileKind::Unknown => Err(VideoError::UnknownFormat { path: name }),
    }
}

/// The bytes of a photo file; an error if it is too large.
fn read(path: &Path) -> Result<Vec<u8>, VideoError> {
    let name = path.display().to_string();
    let file = fs::File::open(path).map_err(VideoError::reading(&name))?;
    let length = file.metadata().map_err(VideoError::reading(&name))?.len();
    let mut bytes = Vec::new();
    if length <= MOST_BYTES {
        // The file may grow while it is read.
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(VideoError::reading(&name))?;
    }
    if length.max(bytes.len() as u64) > MOST_BYTES {
        let reason = format!("a photo file must not be larger than {} MB", MOST_BYTES >> 20);
        return Err(VideoError::Damaged { name, reason });
    }
    Ok(bytes)
}

/// The files of a folder in the order of their names, classified by their contents.
#[derive(Debug, Clone, Default)]
pub struct FolderContents {
    /// Pictures and films.
    pub files: Vec<(PathBuf, FileKind)>,
    /// Files that are neither, or that cannot be read, with the reason.
    pub passed_over: Vec<(PathBuf, String)>,
}

impl FolderContents {
    /// Examines every file of a folder. Subfolders are ignored.
    ///
    /// # Errors
    /// [`VideoError`] if the folder cannot be read.
    pub fn of(path: &Path) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let mut found = Self::default();
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(VideoError::reading(&name))? {
            paths.push(entry.map_err(VideoError::reading(&name))?.path());
        }
        paths.sort();
        for file in paths.into_iter().filter(|file| !file.is_dir()) {
            if !file.is_file() {
                found.passed_over.push((file, "neither a file nor a folder".into()));
                continue;
            }
            match FileKind::of_file(&file) {
                Ok(FileKind::AppleDouble) => {
                    found.passed_over.push((file, "metadata of macOS (AppleDouble)".into()));
                }
                Ok(FileKind::Unknown) => found.passed_over.push((file, "neither a picture nor a film".into())),
                Ok(kind) => found.files.push((file, kind)),
                Err(VideoError::Empty { .. }) => found.passed_over.push((file, "empty".into())),
                Err(error) => found.passed_over.push((file, error.to_string())),
            }
        }
        Ok(found)
    }
}

/// The pictures of a folder in the order of their names, or the single picture `path`.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, VideoError> {
    let name = path.display().to_string();
    if !path.metadata().map_err(VideoError::reading(&name))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let contents = FolderContents::of(path)?;
    for (file, reason) in &contents.passed_over {
        log::warn!("{}: skipped: {reason}", file.display());
    }
    let mut pictures = Vec::new();
    for (file, kind) in contents.files {
        if kind.is_picture() {
            pictures.push(file);
        } else {
            log::warn!("{}: skipped: a film in a folder of photos", file.display());
        }
    }
    if pictures.is_empty() { Err(VideoError::NoPictures { path: name }) } else { Ok(pictures) }
}

/// One picture.
pub(crate) struct StillSource {
    info: SourceInfo,
    photo: Decoded,
    shown: bool,
}

impl StillSource {
    pub(crate) fn open(path: &Path, max_pixels: u64) -> Result<Self, VideoError> {
        let photo = load(path, max_pixels)?;
        let info = SourceInfo {
            name: path.display().to_string(),
            width: photo.picture.width(),
            height: photo.picture.height(),
            frame_rate: None,
            frames: Some(1),
            pace: Pace::Timeline,
        };
        Ok(Self { info, photo, shown: false })
    }
}

impl Source for StillSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if std::mem::replace(&mut self.shown, true) {
            return Ok(None);
        }
        // Repeated, it is the same picture: no cut.
        Ok(Some(Shot { cut: false, ..Shot::photo(self.photo.clone(), Duration::ZERO) }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.shown = false;
        Ok(())
    }
}

/// The pictures of a folder, which may have different sizes.
pub(crate) struct FolderSource {
    info: SourceInfo,
    pictures: Vec<PathBuf>,
    interval: Duration,
    max_pixels: u64,
    next: usize,
}

impl FolderSource {
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let pictures = list(path)?;
        let mut first = Err(VideoError::NoPictures { path: path.display().to_string() });
        for (index, picture) in pictures.iter().enumerate() {
            match load(picture, options.max_pixels) {
                Ok(photo) => {
                    first = Ok((photo.picture.width(), photo.picture.height()));
                    break;
                }
                // If none can be decoded, the error of the first one is returned.
                Err(error) if index == 0 => first = Err(error),
                Err(_) => {}
            }
        }
        let (width, height) = first?;
        let seconds = options.still_interval.as_secs_f64();
        let info = SourceInfo {
            name: path.display().to_string(),
            width,
            height,
            frame_rate: (seconds > 0.0).then(|| 1.0 / seconds),
            frames: Some(pictures.len() as u64),
            pace: Pace::Timeline,
        };
        Ok(Self { info, pictures, interval: options.still_interval, max_pixels: options.max_pixels, next: 0 })
    }
}

impl Source for FolderSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let Some(path) = self.pictures.get(self.next) else { return Ok(None) };
        let at = self.interval.saturating_mul(u32::try_from(self.next).unwrap_or(u32::MAX));
        self.next += 1;
        Ok(Some(Shot::photo(load(path, self.max_pixels)?, at)))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.next = 0;
        Ok(())
    }
}
