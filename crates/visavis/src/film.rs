//! Scenes with everything drawn in, as an MP4.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use visavis_face::gallery::Gallery;
use visavis_live::{Scene, Subscription};
use visavis_video::Mp4Writer;
use visavis_web::Record;

use crate::annotate::Annotator;

/// A film being made. Its file begins with the first scene, which tells its size.
pub(crate) struct Film {
    path: PathBuf,
    annotator: Annotator,
    frame_rate: f64,
    writing: Option<(Mp4Writer, [u32; 2], Duration)>,
}

impl Film {
    /// A film in the file `path`, with the photos of `gallery`, if there is one.
    pub(crate) fn begin(path: &Path, gallery: Option<Arc<dyn Gallery>>, frame_rate: f64) -> Self {
        Self { path: path.to_owned(), annotator: Annotator::new(gallery), frame_rate, writing: None }
    }

    fn add(&mut self, scene: &Scene) -> Result<()> {
        let picture = self.annotator.draw(scene);
        let (size, at) = ([picture.width(), picture.height()], scene.frame.captured_at);
        if self.writing.is_none() {
            self.writing = Some((Mp4Writer::create(&self.path, size[0], size[1], self.frame_rate)?, size, at));
        }
        match &mut self.writing {
            // A source of another size was chosen: that is another film.
            Some((_, first, _)) if *first != size => {}
            Some((writer, _, start)) => writer.write(picture, at.saturating_sub(*start))?,
            None => {}
        }
        Ok(())
    }

    fn complete(self) -> Result<()> {
        match self.writing {
            Some((writer, ..)) => Ok(writer.finish()?),
            None => bail!("{}: no frame came, nothing was recorded", self.path.display()),
        }
    }

    /// Records all scenes to their end.
    pub(crate) fn record(mut self, scenes: &Subscription) -> Result<()> {
        while let Some(scene) = scenes.recv() {
            self.add(&scene)?;
        }
        self.complete()
    }
}

impl Record for Film {
    fn take(&mut self, scene: &Scene) -> Result<(), String> {
        self.add(scene).map_err(|error| format!("{error:#}"))
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.complete().map_err(|_| "nothing was recorded: no picture came".into())
    }
}
