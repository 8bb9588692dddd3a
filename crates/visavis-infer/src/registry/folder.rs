//! A folder of manifests and weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, Find, Shelf, Slot, WeightsLocation};
use crate::manifest::FileKind;
use crate::{InferError, Manifest};

/// No manifest is anywhere near as long.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// What lies in a folder: each `*.toml` with its weights, and each file of weights that no manifest there speaks of but
/// that has the file name of a known network.
pub(super) fn scan(folder: &Path, shelf: &Shelf, known: &[Manifest]) -> Result<Vec<Find>, InferError> {
    let refuse = |error| InferError::file(folder, format!("cannot be read as a folder of models: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(refuse)? {
        paths.push(entry.map_err(refuse)?.path());
    }
    // The system gives them in any order; the same folder must always mean the same networks.
    paths.sort();
    let mut spoken_of: Vec<PathBuf> = Vec::new();
    let mut finds = Vec::new();
    for path in paths.iter().filter(|path| has_extension(path, "toml")) {
        // A manifest that is broken still speaks for the weights of its own name.
        spoken_of.extend([FileKind::Onnx, FileKind::Forest].map(|kind| path.with_extension(kind.extension())));
        let find = from_manifest(path, shelf);
        if let Slot::Good(entry) = &find.slot
            && let WeightsLocation::File(weights) = &entry.weights
        {
            spoken_of.push(weights.clone());
        }
        finds.push(find);
    }
    for path in paths.iter().filter(|path| is_weights(path) && !spoken_of.contains(path)) {
        finds.push(from_weights(path, shelf, known));
    }
    Ok(finds)
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted)) && path.is_file()
}

fn is_weights(path: &Path) -> bool {
    [FileKind::Onnx, FileKind::Forest].iter().any(|kind| has_extension(path, kind.extension()))
}

fn from_manifest(path: &Path, shelf: &Shelf) -> Find {
    let origin = path.display().to_string();
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return Find { name: stem(path), origin, slot: Slot::Broken(error) },
    };
    let checked = Manifest::parse(&text, &origin).and_then(|manifest| {
        let weights = path.with_file_name(&manifest.file);
        if !weights.is_file() {
            return Err(InferError::ManifestField {
                origin: origin.clone(),
                field: "file".into(),
                reason: format!("there is no {}", weights.display()),
            });
        }
        Ok(Entry { manifest, weights: WeightsLocation::File(weights), shelf: shelf.clone() })
    });
    match checked {
        Ok(entry) => Find { name: entry.manifest.name.clone(), origin, slot: Slot::Good(Box::new(entry)) },
        Err(error) => Find { name: name_in(&text).unwrap_or_else(|| stem(path)), origin, slot: Slot::Broken(error) },
    }
}

fn from_weights(path: &Path, shelf: &Shelf, known: &[Manifest]) -> Find {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let origin = path.display().to_string();
    match known.iter().find(|manifest| manifest.file == file) {
        Some(manifest) => Find {
            name: manifest.name.clone(),
            origin,
            slot: Slot::Good(Box::new(Entry {
                manifest: manifest.clone(),
                weights: WeightsLocation::File(path.to_owned()),
                shelf: shelf.clone(),
            })),
        },
        None => Find { name: stem(path), origin, slot: Slot::Broken(InferError::NoManifest { path: path.to_owned() }) },
    }
}

fn read(path: &Path) -> Result<String, InferError> {
    let length = fs::metadata(path).map_err(|error| InferError::file(path, error))?.len();
    if length > LONGEST_MANIFEST {
        return Err(InferError::file(path, format!("{length} bytes are too many for a manifest")));
    }
    fs::read_to_string(path).map_err(|error| InferError::file(path, error))
}

/// The name in a manifest that is otherwise broken, so that asking for it tells what is wrong.
pub(super) fn name_in(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    Some(table.get("name")?.as_str()?.to_owned())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
