//! A folder of manifests and weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, Find, ModelSource, Slot, WeightsLocation};
use crate::manifest::{FileKind, HeadDecode, fingerprint};
use crate::{InferError, Manifest, Task};

/// Longer files are not read as manifests.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// The networks in a folder: each `*.toml` with its weights, and each file of weights that no manifest there names but
/// that has the file name of a known network.
pub(super) fn scan(folder: &Path, source: &ModelSource, known: &[Manifest]) -> Result<Vec<Find>, InferError> {
    let refuse = |error| InferError::file(folder, format!("cannot be read as a folder of models: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(refuse)? {
        paths.push(entry.map_err(refuse)?.path());
    }
    // The system lists files in any order; sorted, the same folder always gives the same networks.
    paths.sort();
    let mut spoken_of: Vec<PathBuf> = Vec::new();
    let mut finds = Vec::new();
    for path in paths.iter().filter(|path| has_extension(path, "toml")) {
        // A broken manifest still claims the weights that have its own name.
        spoken_of.extend([FileKind::Onnx, FileKind::Forest].map(|kind| path.with_extension(kind.extension())));
        let find = from_manifest(path, source, known);
        if let Slot::Good(entry) = &find.slot {
            for weights in [Some(&entry.weights), entry.quantised.as_ref()].into_iter().flatten() {
                if let WeightsLocation::File(weights) = weights {
                    spoken_of.push(weights.clone());
                }
            }
        }
        finds.push(find);
    }
    for path in paths.iter().filter(|path| is_weights(path) && !spoken_of.contains(path)) {
        finds.push(from_weights(path, source, known));
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

/// If a manifest has no `likeness` and the program knows a network that makes identical vectors, copies the figures measured
/// for that one.
fn adopt_likeness(manifest: &mut Manifest, known: &[Manifest]) {
    let measured = |manifest: &Manifest| match manifest.head(Task::Similarity)?.decode {
        HeadDecode::Embedding { likeness, .. } => likeness,
        _ => None,
    };
    if measured(manifest).is_some() {
        return;
    }
    let print = fingerprint(manifest);
    let same = known.iter().find(|known| known.sha256 == manifest.sha256 && fingerprint(known) == print);
    let found = same.and_then(measured);
    for head in &mut manifest.heads {
        if let HeadDecode::Embedding { likeness, .. } = &mut head.decode {
            *likeness = found;
        }
    }
}

fn from_manifest(path: &Path, source: &ModelSource, known: &[Manifest]) -> Find {
    let origin = path.display().to_string();
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return Find { name: stem(path), origin, slot: Slot::Broken(error) },
    };
    let checked = Manifest::parse(&text, &origin).and_then(|mut manifest| {
        adopt_likeness(&mut manifest, known);
        let find = |file: &str, field: &str| {
            let weights = path.with_file_name(file);
            if weights.is_file() {
                return Ok(WeightsLocation::File(weights));
            }
            Err(InferError::ManifestField {
                origin: origin.clone(),
                field: field.into(),
                reason: format!("there is no {}", weights.display()),
            })
        };
        let weights = find(&manifest.file, "file")?;
        let quantised = manifest.quantised.as_ref().map(|version| find(&version.file, "quantised.file")).transpose()?;
        Ok(Entry { manifest, weights, quantised, found_in: source.clone() })
    });
    match checked {
        Ok(entry) => Find { name: entry.manifest.name.clone(), origin, slot: Slot::Good(Box::new(entry)) },
        Err(error) => Find { name: name_in(&text).unwrap_or_else(|| stem(path)), origin, slot: Slot::Broken(error) },
    }
}

fn from_weights(path: &Path, source: &ModelSource, known: &[Manifest]) -> Find {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let origin = path.display().to_string();
    match known.iter().find(|manifest| manifest.file == file) {
        Some(manifest) => Find {
            name: manifest.name.clone(),
            origin,
            slot: Slot::Good(Box::new(Entry {
                manifest: manifest.clone(),
                weights: WeightsLocation::File(path.to_owned()),
                quantised: None,
                found_in: source.clone(),
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

/// The name in a manifest that is broken elsewhere, so that a request for this name reports the fault.
pub(super) fn name_in(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    Some(table.get("name")?.as_str()?.to_owned())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = include_str!("../../../../models/known/face_reidentification_0095.toml");

    #[test]
    fn a_manifest_without_distances_takes_those_of_the_same_network() {
        let known = [Manifest::parse(KNOWN, "known").unwrap()];
        let likeness = |manifest: &Manifest| match &manifest.head(Task::Similarity).unwrap().decode {
            HeadDecode::Embedding { likeness, .. } => *likeness,
            other => panic!("{other:?}"),
        };
        let without = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = known[0].clone();
            if let HeadDecode::Embedding { likeness, .. } = &mut manifest.heads[0].decode {
                *likeness = None;
            }
            change(&mut manifest);
            adopt_likeness(&mut manifest, &known);
            likeness(&manifest)
        };
        assert!(likeness(&known[0]).is_some());
        assert_eq!(without(&|manifest| manifest.title = "mine".into()), likeness(&known[0]));
        assert_eq!(without(&|manifest| manifest.input.std = [2.0; 3]), None, "other vectors");
        assert_eq!(without(&|manifest| manifest.sha256 = "0".repeat(64)), None, "other weights");
    }
}
