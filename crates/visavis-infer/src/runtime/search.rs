//! Where ONNX Runtime may be.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{COMMON_VARIABLE, Library, VARIABLE};
use crate::InferError;

/// Why a path was searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Named on the command line or in the configuration.
    Flag,
    /// Named by an environment variable.
    Environment(String),
    /// Beside the running program.
    Executable,
    /// Where `visavis runtime install` puts it.
    Cache,
    /// Where the system keeps libraries.
    System,
}

/// What was found at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "lowercase")]
pub enum Finding {
    /// Nothing.
    Absent,
    /// Something, but not an ONNX Runtime that this program can use.
    Unusable {
        /// Why not.
        reason: String,
    },
    /// An ONNX Runtime, taken.
    Used {
        /// Its version.
        version: String,
    },
    /// Something, not examined because the search had already ended.
    Skipped,
}

/// One path of the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Why it was looked at.
    pub place: Place,
    /// The file. A bare name is resolved by the system's loader; of a folder, all libraries were examined.
    pub path: PathBuf,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// The places to search, in this order. An empty field is skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// From the command line: a library, or a folder that contains it.
    pub library: Option<PathBuf>,
    /// Environment variables that are set: name and value, a path as in `library`.
    pub variables: Vec<(String, PathBuf)>,
    /// The program's own folder.
    pub executable_folder: Option<PathBuf>,
    /// A folder of folders, each named by its version.
    pub cache: Option<PathBuf>,
    /// Folders of the system.
    pub system_folders: Vec<PathBuf>,
    /// Bare names for the system's loader.
    pub system_names: Vec<PathBuf>,
}

/// The result of a search.
pub(super) struct Outcome {
    pub(super) library: Option<Library>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) refusal: Option<InferError>,
}

impl Search {
    /// The places of this computer, with `library` before all others.
    #[must_use]
    pub fn of_this_machine(library: Option<&Path>) -> Self {
        let variables = [VARIABLE, COMMON_VARIABLE]
            .into_iter()
            .filter_map(|name| {
                let value = env::var_os(name).filter(|value| !value.is_empty())?;
                Some((name.to_owned(), PathBuf::from(value)))
            })
            .collect();
        let executable = env::current_exe().and_then(fs::canonicalize).ok();
        // For a bare name, Windows also searches the current folder, from which no code should run, and it ships an ONNX
        // Runtime that is too old. So the loader is not used there.
        let (folders, names): (&[&str], &[&str]) = if cfg!(windows) {
            (&[], &[])
        } else if cfg!(target_os = "macos") {
            (&["/opt/homebrew/lib", "/usr/local/lib"], &["libonnxruntime.dylib"])
        } else {
            (
                &["/usr/local/lib", "/usr/lib", "/usr/lib64", "/opt/onnxruntime/lib"],
                &["libonnxruntime.so", "libonnxruntime.so.1"],
            )
        };
        Self {
            library: library.map(Path::to_owned),
            variables,
            executable_folder: executable.and_then(|path| Some(path.parent()?.to_owned())),
            cache: super::cache(),
            system_folders: folders.iter().map(PathBuf::from).collect(),
            system_names: names.iter().map(PathBuf::from).collect(),
        }
    }

    pub(super) fn run(&self) -> Outcome {
        let mut outcome = Outcome { library: None, candidates: Vec::new(), refusal: None };
        if let Some(path) = &self.library {
            outcome.demand(Place::Flag, path, "the flag");
        }
        for (name, path) in &self.variables {
            outcome.demand(Place::Environment(name.clone()), path, name);
        }
        if let Some(folder) = &self.executable_folder {
            outcome.offer_folder(&Place::Executable, folder);
        }
        if let Some(cache) = &self.cache {
            let versions = versions(cache);
            if versions.is_empty() {
                outcome.record(Place::Cache, cache, Finding::Absent);
            }
            for folder in versions {
                outcome.offer_folder(&Place::Cache, &folder);
            }
        }
        for name in &self.system_names {
            outcome.offer(Place::System, name);
        }
        for folder in &self.system_folders {
            outcome.offer_folder(&Place::System, folder);
        }
        outcome
    }
}

impl Outcome {
    fn record(&mut self, place: Place, path: &Path, finding: Finding) {
        self.candidates.push(Candidate { place, path: path.to_owned(), finding });
    }

    fn ended(&self) -> bool {
        self.library.is_some() || self.refusal.is_some()
    }

    /// A library that was named explicitly: the search ends here, usable or not.
    fn demand(&mut self, place: Place, path: &Path, asked_by: &str) {
        // The loader resolves relative paths against its own folders.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if self.ended() {
            return self.record(place, path, if path.exists() { Finding::Skipped } else { Finding::Absent });
        }
        let files = if path.is_dir() { libraries(path) } else { vec![path.clone()] };
        let mut reason = "the folder has no library of this name".to_owned();
        if !path.exists() {
            self.record(place, path, Finding::Absent);
            reason = "there is no such file".into();
        } else if files.is_empty() {
            self.record(place, path, Finding::Unusable { reason: reason.clone() });
        } else {
            for file in files {
                if let Err(why) = self.take(place.clone(), &file) {
                    reason = why;
                } else {
                    return;
                }
            }
        }
        self.refusal = Some(InferError::Library { path: path.clone(), asked_by: asked_by.into(), reason });
    }

    /// Examines a folder, which may contain a usable library.
    fn offer_folder(&mut self, place: &Place, folder: &Path) {
        let files = libraries(folder);
        if files.is_empty() {
            self.record(place.clone(), &folder.join(file_name()), Finding::Absent);
        }
        for file in files {
            self.offer(place.clone(), &file);
        }
    }

    /// Examines a library, which may be usable.
    fn offer(&mut self, place: Place, path: &Path) {
        if self.ended() {
            return self.record(place, path, Finding::Skipped);
        }
        // The reason for a failure is in the report.
        let _ = self.take(place, path);
    }

    fn take(&mut self, place: Place, path: &Path) -> Result<(), String> {
        match Library::probe(path) {
            Ok(library) => {
                self.record(place, path, Finding::Used { version: library.version.clone() });
                self.library = Some(library);
                Ok(())
            }
            // For an unknown bare name the loader reports a failure, which here means that there is no such library.
            Err(reason) if path.is_relative() && !reason.contains("version") => {
                self.record(place, path, Finding::Absent);
                Err(reason)
            }
            Err(reason) => {
                self.record(place, path, Finding::Unusable { reason: reason.clone() });
                Err(reason)
            }
        }
    }
}

/// The file name of the library on this system, without a version.
pub(super) fn file_name() -> String {
    format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// The libraries in a folder, the one without a version first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let is_library = |name: &str| {
        if cfg!(windows) {
            name.eq_ignore_ascii_case("onnxruntime.dll")
        } else if cfg!(target_os = "macos") {
            name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
        } else {
            name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.")
        }
    };
    let mut found: Vec<PathBuf> = children(folder)
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_library) && path.is_file())
        .collect();
    found.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    found
}

/// The version folders of a cache, the newest first.
fn versions(cache: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = children(cache)
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let numbers: Option<Vec<u32>> = name.split('.').map(|part| part.parse().ok()).collect();
            Some((numbers?, path))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The contents of a folder; nothing if it cannot be read.
fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, EngineChoice, EngineKind, EngineOptions, Runtime};

    fn auto() -> EngineOptions {
        EngineOptions::default()
    }

    #[test]
    fn nothing_anywhere_means_tract() {
        let folder = tempfile::tempdir().unwrap();
        let search = Search {
            executable_folder: Some(folder.path().join("bin")),
            cache: Some(folder.path().join("cache")),
            system_folders: vec![folder.path().join("lib")],
            system_names: vec!["libno-such-library-visavis.so".into()],
            ..Search::default()
        };
        let runtime = Runtime::from_search(&search);
        assert_eq!(runtime.choose(&auto()).unwrap(), EngineKind::Tract);
        assert_eq!(runtime.report().engine, Some(EngineKind::Tract));
        assert_eq!(runtime.report().candidates.len(), 4);
        assert!(runtime.report().candidates.iter().all(|candidate| candidate.finding == Finding::Absent));
        let wanted = EngineOptions { engine: EngineChoice::OnnxRuntime, ..auto() };
        assert!(matches!(runtime.choose(&wanted), Err(InferError::NoOnnxRuntime { .. })));
        let wanted = EngineOptions { device: Device::Cuda(0), ..auto() };
        assert!(runtime.choose(&wanted).unwrap_err().to_string().contains("cuda:0"));
    }

    #[test]
    fn what_is_asked_for_and_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        let runtime = Runtime::from_search(&Search { library: Some(path.clone()), ..Search::default() });
        let error = runtime.choose(&auto()).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("no such file"), "{error}");
        assert_eq!(runtime.report().engine, None);
        // tract needs no library: it can still be chosen.
        let tract = EngineOptions { engine: EngineChoice::Tract, ..auto() };
        assert_eq!(runtime.choose(&tract).unwrap(), EngineKind::Tract);
    }

    #[test]
    fn junk_that_is_asked_for_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name());
        fs::write(&path, b"this is no library").unwrap();
        let variables = vec![(VARIABLE.to_owned(), path.clone())];
        let runtime = Runtime::from_search(&Search { variables, ..Search::default() });
        let error = runtime.choose(&auto()).unwrap_err();
        assert!(matches!(&error, InferError::Library { asked_by, .. } if asked_by == VARIABLE), "{error}");
        // A folder means the library in it.
        let runtime = Runtime::from_search(&Search { library: Some(folder.path().to_owned()), ..Search::default() });
        assert!(runtime.choose(&auto()).is_err());
        let candidate = &runtime.report().candidates[0];
        assert_eq!(candidate.path, path);
        assert!(matches!(&candidate.finding, Finding::Unusable { .. }), "{candidate:?}");
    }

    #[test]
    fn an_empty_folder_that_is_asked_for_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::from_search(&Search { library: Some(folder.path().to_owned()), ..Search::default() });
        assert!(runtime.choose(&auto()).unwrap_err().to_string().contains("no library"));
    }

    #[test]
    fn junk_that_lies_about_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file_name()), b"junk").unwrap();
        let search = Search { executable_folder: Some(folder.path().to_owned()), ..Search::default() };
        let runtime = Runtime::from_search(&search);
        assert_eq!(runtime.choose(&auto()).unwrap(), EngineKind::Tract);
        assert!(matches!(runtime.report().candidates[0].finding, Finding::Unusable { .. }));
    }

    #[test]
    fn newest_cached_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["1.9.0", "1.32.0", "1.4.10", "notes"] {
            fs::create_dir(folder.path().join(version)).unwrap();
        }
        let names: Vec<_> =
            versions(folder.path()).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["1.32.0", "1.9.0", "1.4.10"]);
    }

    #[test]
    fn a_library_that_the_search_never_saw_is_refused() {
        let runtime = Runtime::from_search(&Search::default());
        let options = EngineOptions { library: Some("elsewhere.so".into()), ..auto() };
        assert!(runtime.choose(&options).unwrap_err().to_string().contains("elsewhere.so"));
    }

    #[test]
    fn the_report_can_be_written_out() {
        let folder = tempfile::tempdir().unwrap();
        let search =
            Search { variables: vec![(VARIABLE.into(), folder.path().join("absent.so"))], ..Search::default() };
        let report = Runtime::from_search(&search).report().clone();
        let table = toml::Table::try_from(&report).unwrap();
        let candidate = &table["candidates"][0];
        assert_eq!(candidate["finding"].as_str(), Some("absent"));
        assert_eq!(candidate["place"]["environment"].as_str(), Some(VARIABLE));
        assert!(table["reason"].as_str().unwrap().contains("absent.so"));
    }
}
