//! The files and folders that the settings of a run name.

use std::path::{Path, PathBuf};

use visavis_cli::output::check_place;
use visavis_cli::place::GalleryPlace;

use super::{Args, cameras};

impl Args {
    /// What the run would miss: files and folders that are read but do not exist, and folders in which files are to be made. Each has
    /// the key of the setting that names it. Opens nothing.
    pub(crate) fn missing_paths(&self) -> Vec<(&'static str, String)> {
        let Self { engines, page, alarms, mqtt, outputs, .. } = self;
        let mut read: Vec<(&'static str, &Path)> = Vec::new();
        read.extend(self.source.iter().filter_map(|source| Some(("sources", cameras::path_of(source)?))));
        read.extend(page.offer.iter().filter_map(|offer| Some(("offer", visavis_video::path_of(offer)?))));
        read.extend(engines.models.iter().map(|folder| ("models", folder.as_path())));
        let files = [
            ("onnxruntime", &engines.onnxruntime),
            ("tls-cert", &page.tls_cert),
            ("tls-key", &page.tls_key),
            ("alarm-webhook-ca", &alarms.alarm_webhook_ca),
            ("mqtt-password-file", &mqtt.mqtt_password_file),
            ("mqtt-ca", &mqtt.mqtt_ca),
        ];
        read.extend(files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?))));
        let files = [
            ("record", outputs.record.as_deref()),
            ("jsonl", outputs.lines()),
            ("alarm-log", alarms.alarm_log.as_deref()),
            ("sighting-log", self.sightings.sighting_log.as_deref()),
            ("audit-log", self.audit.audit_log.as_deref()),
        ];
        let mut made: Vec<(&'static str, &Path)> = Vec::new();
        made.extend(files.into_iter().filter_map(|(key, file)| Some((key, file?))));
        if let Some(GalleryPlace::File(gallery)) = &self.networks.gallery {
            let list = if self.makes_gallery() && !gallery.exists() { &mut made } else { &mut read };
            list.push(("gallery", gallery.as_path()));
        }
        let missing = read.into_iter().filter_map(|(key, path)| {
            let error = path.metadata().err()?;
            Some((key, format!("{}: {error}", absolute(path).display())))
        });
        let nowhere =
            made.into_iter().filter_map(|(key, path)| Some((key, check_place(&absolute(path)).err()?.to_string())));
        missing.chain(nowhere).collect()
    }
}

/// The path from the root, since relative paths are relative to the folder in which the program is started.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
