//! Writes annotated scenes to an MP4 file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use visavis_cli::terminal::with_causes;
use visavis_gallery::Gallery;
use visavis_live::{Scene, Subscription};
use visavis_video::Mp4Writer;
use visavis_web::Record;

use crate::annotate::Annotator;

/// A film that is being written. The file is created at the first scene, whose size is the size of the film.
pub(crate) struct Film {
    path: PathBuf,
    annotator: Annotator,
    frame_rate: f64,
    writing: Option<(Mp4Writer, Duration)>,
}

impl Film {
    /// A film in the file `path`; with the photos of `gallery`, if there is one.
    pub(crate) fn begin(path: &Path, gallery: Option<Arc<Gallery>>, frame_rate: f64) -> Self {
        Self { path: path.to_owned(), annotator: Annotator::new(gallery), frame_rate, writing: None }
    }

    fn add(&mut self, scene: &Scene) -> Result<()> {
        // The source has stalled: the scene repeats the last picture.
        if scene.stalled_since.is_some() {
            return Ok(());
        }
        let picture = self.annotator.draw(scene);
        let at = scene.frame.captured_at;
        let (writer, start) = match &mut self.writing {
            Some(writing) => writing,
            empty => {
                let writer = Mp4Writer::create(&self.path, picture.width(), picture.height(), self.frame_rate)?;
                empty.insert((writer, at))
            }
        };
        writer.write(picture, at.saturating_sub(*start))?;
        Ok(())
    }

    fn complete(self) -> Result<()> {
        match self.writing {
            Some((writer, ..)) => Ok(writer.finish()?),
            None => bail!("{} was not written: the source delivered no frame", self.path.display()),
        }
    }

    /// Records all scenes until the pipeline ends. If one cannot be written, the film ends with the one before.
    pub(crate) fn record(mut self, scenes: &Subscription) -> Result<()> {
        while let Some(scene) = scenes.recv() {
            if let Err(error) = self.add(&scene) {
                return Err(match self.writing.is_some() && self.complete().is_ok() {
                    true => error.context("the recording has ended early; the film contains what was recorded before"),
                    false => error.context("nothing is recorded any more"),
                });
            }
        }
        self.complete()
    }
}

impl Record for Film {
    fn take(&mut self, scene: &Scene) -> Result<(), String> {
        self.add(scene).map_err(|error| with_causes(&error))
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.complete().map_err(|_| "nothing was recorded: the source delivered no frame".into())
    }
}
