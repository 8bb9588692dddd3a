//! Takes the largest face of each photo for a gallery.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};
use visavis_cli::index::photos_bar;
use visavis_cli::options::complain;
use visavis_cli::session::Session;
use visavis_cli::terminal::with_causes;
use visavis_face::{Enroller, QualityParams};
use visavis_gallery::{NewPhoto, PhotoSource};

use super::read_picture;

/// What happened to each photo.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Enrolment {
    pub(super) taken: Vec<TakenPhoto>,
    /// Photos that could not be used, with the reason.
    pub(crate) failures: Vec<String>,
}

/// A photo from which a face was taken.
#[derive(Debug, Serialize)]
pub(super) struct TakenPhoto {
    file: String,
    /// Number of faces in the photo.
    faces: usize,
    /// The box of the face that was taken: x, y, width, height in pixels.
    bounds: [f32; 4],
    /// Sharpness of the face, see [`visavis_face::Quality`].
    sharpness: f32,
    /// What a person should check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Enrolment {
    pub(super) fn complain(&self) {
        for photo in &self.taken {
            for warning in &photo.warnings {
                complain(&format!("{}: {warning}", photo.file));
            }
        }
        for failure in &self.failures {
            complain(&format!("skipped: {failure}"));
        }
    }
}

/// Passes the largest face of each photo to `take`. Photos without a face, and poor ones unless `accept_poor`, are left out.
/// Fails if no photo could be used.
pub(super) fn enrol(
    session: &Session,
    photos: &[PhotoSource],
    accept_poor: bool,
    mut take: impl FnMut(&str, NewPhoto) -> Result<()>,
) -> Result<Enrolment> {
    let mut enroller = session.enroller()?;
    let bar = photos_bar(photos.len());
    let mut enrolment = Enrolment::default();
    for photo in photos {
        bar.set_message(photo.person.clone());
        match look(&mut enroller, &photo.path, accept_poor) {
            Ok((new, taken)) => {
                take(&photo.person, new)?;
                enrolment.taken.push(taken);
            }
            Err(error) => enrolment.failures.push(named(&photo.path, &with_causes(&error))),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if enrolment.taken.is_empty() {
        enrolment.complain();
        bail!("none of the {} photos can be used: nothing was added", photos.len());
    }
    Ok(enrolment)
}

/// An error with the path of its photo, which the error may contain already.
fn named(path: &Path, error: &str) -> String {
    let path = path.display().to_string();
    if error.starts_with(&path) { error.to_owned() } else { format!("{path}: {error}") }
}

/// The largest face of a photo, as a gallery keeps it. Fails if there is none, or if it is poor, unless `accept_poor`.
fn look(enroller: &mut Enroller, path: &Path, accept_poor: bool) -> Result<(NewPhoto, TakenPhoto)> {
    let (picture, bytes) = read_picture(path)?;
    let found = enroller.enrol(&picture)?.context("no face found")?;
    let params = QualityParams::default();
    let (flaws, warnings) = (found.quality.flaws(&params), found.warnings(&params));
    if !accept_poor && !flaws.is_empty() {
        let reasons: Vec<String> = flaws.iter().map(ToString::to_string).collect();
        bail!("{} (--accept-poor adds the photo nevertheless)", reasons.join(", "));
    }
    let bounds = <[f32; 4]>::from(found.face.rect).map(f32::round);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sharpness = (found.quality.sharpness * 10.0).round() / 10.0;
    let taken = TakenPhoto { file: file.clone(), faces: found.faces, bounds, sharpness, warnings };
    let new = NewPhoto {
        source: file,
        sha256: Some(Sha256::digest(&bytes).into()),
        vector: found.vector,
        thumbnail: found.thumbnail,
        score: Some(found.score),
    };
    Ok((new, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_photo_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.jpg");
        let text = folder.path().join("text.jpg");
        std::fs::write(&text, "text").unwrap();
        for (path, why) in
            [(&missing, "no such file"), (&text, "neither a picture"), (&folder.path().into(), "a folder")]
        {
            let error = read_picture(path).unwrap_err();
            let failure = named(path, &with_causes(&error));
            let shown = path.display().to_string();
            assert!(failure.starts_with(&format!("{shown}: ")) && failure.contains(why), "{failure}");
            assert_eq!(failure.matches(&shown).count(), 1, "{failure}");
        }
        assert_eq!(named(Path::new("a.jpg"), "no face found"), "a.jpg: no face found");
    }
}
