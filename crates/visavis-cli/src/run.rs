//! What surrounds a command: log, errors, exit code.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Map;
use visavis_face::FaceError;
use visavis_gallery::GalleryError;
use visavis_infer::InferError;
use visavis_live::LiveError;

use crate::terminal::{self, LogFormat, complain, json_line, with_causes};

/// Log level by the number of `-v` flags: warnings, information, everything.
const LEVELS: [&str; 3] = ["warn", "info", "debug"];

/// Starts the log, runs `command` and turns what it returns into an exit code. `verbose` counts the `-v` flags.
pub fn run(verbose: u8, format: LogFormat, command: impl FnOnce() -> Result<()>) -> ExitCode {
    let level = LEVELS[usize::from(verbose).min(LEVELS.len() - 1)];
    // The engines' own log lines help only their developers.
    // retina's debug lines may carry the names and passwords of cameras.
    let filter = format!(
        "{level},tract_onnx=error,tract_core=error,tract_hir=error,tract_linalg=error,ort=error,retina=error,rumqttc=error"
    );
    let mut log = env_logger::Builder::new();
    log.parse_filters(&filter).parse_env("VISAVIS_LOG");
    terminal::set_format(format);
    if format == LogFormat::Json {
        // Events are reported with their fields by the command.
        log.filter_module("visavis_live::shared", log::LevelFilter::Off);
        log.format(|to, record| {
            let line = json_line(record.level(), record.target(), &record.args().to_string(), Map::new());
            to.write_all(line.as_bytes())
        });
        std::panic::set_hook(Box::new(|panic| {
            terminal::report(log::Level::Error, &panic.to_string(), Map::new());
        }));
    }
    log.init();
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has ended (`visavis … | head`): this is no error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if terminal::is_json() {
                terminal::report(log::Level::Error, &with_causes(&error), Map::new());
            } else {
                complain(&format!("error: {}", with_causes(&error)));
            }
            if let Some(advice) = error.chain().find_map(gallery_advice) {
                complain(&advice);
            }
            if error.chain().any(is_about_choice) {
                complain(
                    "'visavis models list' shows the networks that can be chosen; --models DIR adds a folder of networks",
                );
            }
            ExitCode::FAILURE
        }
    }
}

/// The command that helps with an error of the gallery.
fn gallery_advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let error = match cause.downcast_ref() {
        Some(LiveError::Gallery(error)) => error,
        _ => cause.downcast_ref::<GalleryError>()?,
    };
    match error {
        GalleryError::Missing { path } => {
            Some(format!("'visavis gallery build PHOTOS --out {}' builds it", path.display()))
        }
        GalleryError::Damaged { path, .. } => {
            Some(format!("'visavis gallery build PHOTOS --out {}' builds it anew", path.display()))
        }
        GalleryError::OtherNetwork { path, network, .. } => {
            let path = path.display();
            Some(format!("'visavis gallery convert {path} --similarity {network}' makes new vectors of its photos"))
        }
        GalleryError::Encrypted { .. } | GalleryError::WrongKey { .. } => {
            Some("the environment variable VISAVIS_GALLERY_KEY_FILE names the file that contains the key".into())
        }
        GalleryError::NotEncrypted { path } => {
            Some(format!("'visavis gallery encrypt {} --key FILE' encrypts it", path.display()))
        }
        GalleryError::Unreachable { .. } => {
            Some("check host, port and database in the address of the gallery, and whether the server runs".into())
        }
        GalleryError::UnknownPerson { path, near, .. } if near.is_empty() => {
            Some(format!("'visavis gallery list {}' lists all people", path.display()))
        }
        _ => None,
    }
}

/// Whether the user can mend the error by choosing another network or adding a folder of networks.
fn is_about_choice(cause: &(dyn std::error::Error + 'static)) -> bool {
    let infer = |error: &InferError| {
        matches!(
            error,
            InferError::UnknownModel { .. }
                | InferError::Retired { .. }
                | InferError::NoWeights { .. }
                | InferError::NotANetwork { .. }
        )
    };
    let face = |error: &FaceError| match error {
        FaceError::WrongTask { .. } | FaceError::Needed { .. } | FaceError::NoNetwork { .. } => true,
        FaceError::Infer(error) => infer(error),
        _ => false,
    };
    match cause.downcast_ref() {
        Some(LiveError::WrongTask { .. } | LiveError::NoDetector) => true,
        Some(LiveError::Face(error)) => face(error),
        Some(LiveError::Infer(error)) => infer(error),
        _ => cause.downcast_ref().is_some_and(face) || cause.downcast_ref().is_some_and(infer),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(|e| e.kind());
    error.chain().any(|cause| io(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
