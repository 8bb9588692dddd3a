//! The cameras of a live run: their names and their sources.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use visavis_video::{OpenOptions, Pace, Source};

/// The name of the only camera of a run if it was given none.
const ONLY: &str = "camera";

/// A camera of a live run.
pub(super) struct Camera {
    /// The name. Used in outputs only if `labelled`.
    name: String,
    /// Whether outputs contain the name: if the user gave it, or if there are several cameras.
    labelled: bool,
    /// Whether this camera is one of several.
    several: bool,
    /// `None` until a source is chosen on the page.
    pub(super) source: Option<Box<dyn Source>>,
}

impl Camera {
    /// The only camera of a run.
    pub(super) fn only(source: Option<Box<dyn Source>>) -> Self {
        Self { name: ONLY.into(), labelled: false, several: false, source }
    }

    /// Opens sources that are given as `SOURCE` or `NAME=SOURCE`.
    pub(super) fn open_all(specs: &[impl AsRef<OsStr>], options: &OpenOptions) -> Result<Vec<Self>> {
        let mut names = HashSet::new();
        let mut cameras = Vec::with_capacity(specs.len());
        let several = specs.len() > 1;
        for (spec, number) in specs.iter().map(AsRef::as_ref).zip(1..) {
            let (name, spec) = named(spec);
            if several && spec == "-" && specs.iter().filter(|other| named(other.as_ref()).1 == "-").count() > 1 {
                bail!("standard input can be the source of one camera only");
            }
            let labelled = several || name.is_some();
            let unnamed = || if several { format!("camera{number}") } else { ONLY.to_owned() };
            let name = name.map_or_else(unnamed, str::to_owned);
            if !names.insert(name.clone()) {
                bail!("two cameras have the name {name}: give each its own");
            }
            let source = match spec.to_str() {
                Some(spec) => visavis_video::open(spec, options),
                // A name that is not valid Unicode can only be a path.
                None => visavis_video::open_path(Path::new(spec), options),
            };
            let source = if labelled { source.with_context(|| name.clone())? } else { source? };
            cameras.push(Self { name, labelled, several, source: Some(source) });
        }
        Ok(cameras)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name in outputs; `None` if outputs need none.
    pub(super) fn label(&self) -> Option<String> {
        self.labelled.then(|| self.name.clone())
    }

    pub(super) fn pace(&self) -> Pace {
        self.source.as_ref().map_or(Pace::Own, |source| source.info().pace)
    }

    /// The file for this camera's part of an output. With several cameras, the name is put before the extension.
    pub(super) fn output(&self, file: &Path) -> PathBuf {
        if !self.several {
            return file.to_owned();
        }
        let mut name = file.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{}", self.name));
        if let Some(extension) = file.extension() {
            name.push(".");
            name.push(extension);
        }
        file.with_file_name(name)
    }
}

/// The file or the folder of a source, without the name of the source; `None` if it is neither.
pub(super) fn path_of(spec: &OsStr) -> Option<&Path> {
    let source = named(spec).1;
    // A name that is not valid Unicode can only be a path.
    source.to_str().map_or(Some(Path::new(source)), visavis_video::path_of)
}

/// The name and the source of `NAME=SOURCE`. A name has letters, digits, `-` and `_`. A file with such a path is no name.
fn named(spec: &OsStr) -> (Option<&str>, &OsStr) {
    let split = spec.to_str().filter(|_| !Path::new(spec).exists()).and_then(|text| text.split_once('='));
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    match split {
        Some((name, source)) if !name.is_empty() && name.chars().all(plain) => (Some(name), OsStr::new(source)),
        _ => (None, spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_addresses_and_paths() {
        for (spec, name, source) in [
            ("door=rtsp://h/s", Some("door"), "rtsp://h/s"),
            ("rtsp://h/s?a=b", None, "rtsp://h/s?a=b"),
            ("my/film=1.mp4", None, "my/film=1.mp4"),
            ("=x", None, "=x"),
            ("Tür-1=camera:0", Some("Tür-1"), "camera:0"),
        ] {
            assert_eq!(named(OsStr::new(spec)), (name, OsStr::new(source)), "{spec}");
        }
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("a=b.mp4");
        std::fs::write(&film, b"").unwrap();
        assert_eq!(named(film.as_os_str()).0, None);
    }

    #[test]
    fn each_camera_has_its_own_output_and_its_own_name() {
        let camera = |labelled| Camera { name: "door".into(), labelled, several: labelled, source: None };
        assert_eq!(camera(true).output(Path::new("a/seen.mp4")), Path::new("a/seen-door.mp4"));
        assert_eq!(camera(true).output(Path::new("seen")), Path::new("seen-door"));
        assert_eq!(camera(false).output(Path::new("a/seen.mp4")), Path::new("a/seen.mp4"));
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("1.png");
        std::fs::write(&photo, visavis_image::codec::encode_png(&visavis_image::Picture::new(8, 8)).unwrap()).unwrap();
        let (photo, options) = (photo.display().to_string(), OpenOptions::default());
        let open = |specs: &[String]| Camera::open_all(specs, &options);
        let names = |specs: &[String]| open(specs).unwrap().iter().map(Camera::label).collect::<Vec<_>>();
        assert_eq!(names(std::slice::from_ref(&photo)), [None]);
        assert_eq!(names(&[photo.clone(), format!("b={photo}")]), [Some("camera1".into()), Some("b".into())]);
        assert!(open(&[format!("b={photo}"), format!("b={photo}")]).is_err());
        assert!(open(&["-".into(), "b=-".into()]).is_err());
        let error = open(&[photo, "yard=/nowhere.mp4".into()]).err().unwrap();
        assert!(format!("{error:#}").starts_with("yard: "), "{error:#}");
    }
}
