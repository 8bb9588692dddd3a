//! One picture, and a folder of pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use visavis_image::{Picture, codec};

use crate::file_kind::FileKind;
use crate::{OpenOptions, Pace, Shot, Source, SourceInfo, VideoError};

/// Reads and decodes a picture file.
pub(crate) fn load(path: &Path, max_pixels: u64) -> Result<Picture, VideoError> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(VideoError::reading(&name))?;
    codec::decode(&bytes, max_pixels).map_err(VideoError::picture(&name))
}

/// The pictures of a folder in the order of their names, or the one picture that `path` is.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, VideoError> {
    let name = path.display().to_string();
    if !path.metadata().map_err(VideoError::reading(&name))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut pictures = Vec::new();
    for entry in fs::read_dir(path).map_err(VideoError::reading(&name))? {
        let file = entry.map_err(VideoError::reading(&name))?.path();
        if !file.is_file() {
            continue;
        }
        match FileKind::of_file(&file) {
            Ok(kind) if kind.is_picture() => pictures.push(file),
            Ok(_) => log::debug!("{}: passed over, not a picture", file.display()),
            Err(error) => log::warn!("passed over: {error}"),
        }
    }
    pictures.sort();
    if pictures.is_empty() { Err(VideoError::NoPictures { path: name }) } else { Ok(pictures) }
}

/// One picture.
pub(crate) struct StillSource {
    info: SourceInfo,
    picture: Picture,
    shown: bool,
}

impl StillSource {
    pub(crate) fn open(path: &Path, max_pixels: u64) -> Result<Self, VideoError> {
        let picture = load(path, max_pixels)?;
        let info = SourceInfo {
            name: path.display().to_string(),
            width: picture.width(),
            height: picture.height(),
            frame_rate: None,
            frames: Some(1),
            pace: Pace::Timeline,
        };
        Ok(Self { info, picture, shown: false })
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
        Ok(Some(Shot { picture: self.picture.clone(), at: Duration::ZERO }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.shown = false;
        Ok(())
    }
}

/// The pictures of a folder, of whatever sizes.
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
                Ok(picture) => {
                    first = Ok((picture.width(), picture.height()));
                    break;
                }
                // If none can be decoded, the first one's error says why.
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
        Ok(Some(Shot { picture: load(path, self.max_pixels)?, at }))
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.next = 0;
        Ok(())
    }
}
