//! Which networks there are: those of three sources, by name.

mod embedded;
mod folder;
mod known;
mod retired;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use embedded::{EMBEDDED, EmbeddedModel};

use crate::manifest::identity::hex;
use crate::{EngineOptions, InferError, Manifest, Model, Runtime, Task};

/// Where a network was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// Compiled into the program.
    Embedded,
    /// The user's model folder.
    User(PathBuf),
    /// A folder given with `--models`.
    Folder(PathBuf),
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("the program itself"),
            Self::User(folder) | Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// Where the weights of a network are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsLocation {
    /// Compiled into the program.
    Embedded(&'static [u8]),
    /// In a file.
    File(PathBuf),
}

impl fmt::Display for WeightsLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(_) => f.write_str("the file in the program"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A network that can be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its description.
    pub manifest: Manifest,
    /// Its weights.
    pub weights: WeightsLocation,
    /// The weights of its 8-bit version.
    pub quantised: Option<WeightsLocation>,
    /// Where it was found.
    pub found_in: ModelSource,
}

impl Entry {
    /// Reads the weights of all versions and compares their SHA-256 with those of the manifest.
    ///
    /// # Errors
    /// [`InferError::Hash`] if they differ; [`InferError::File`] if a file cannot be read.
    pub fn verify(&self) -> Result<(), InferError> {
        self.read()?;
        self.read_quantised()?;
        Ok(())
    }

    /// Reads and checks the weights once, and returns exactly the bytes that were hashed.
    ///
    /// # Errors
    /// As [`Entry::verify`].
    pub fn read(&self) -> Result<Cow<'static, [u8]>, InferError> {
        self.read_checked(&self.weights, &self.manifest.sha256)
    }

    /// The same for the 8-bit version; `None` if there is none.
    fn read_quantised(&self) -> Result<Option<Cow<'static, [u8]>>, InferError> {
        let (Some(weights), Some(quantised)) = (&self.quantised, &self.manifest.quantised) else { return Ok(None) };
        self.read_checked(weights, &quantised.sha256).map(Some)
    }

    fn read_checked(&self, weights: &WeightsLocation, sha256: &str) -> Result<Cow<'static, [u8]>, InferError> {
        let bytes: Cow<'static, [u8]> = match weights {
            WeightsLocation::Embedded(bytes) => Cow::Borrowed(bytes),
            WeightsLocation::File(path) => Cow::Owned(fs::read(path).map_err(|error| InferError::file(path, error))?),
        };
        let found = hex(&Sha256::digest(&bytes));
        if found.eq_ignore_ascii_case(sha256) {
            return Ok(bytes);
        }
        Err(InferError::Hash {
            model: self.manifest.name.clone(),
            location: weights.to_string(),
            expected: sha256.to_ascii_lowercase(),
            found,
        })
    }

    /// Checks the weights and loads the network: its 8-bit version if there is one and the options and the engine allow it.
    ///
    /// # Errors
    /// The errors of [`Entry::verify`] and [`Runtime::load`].
    pub fn load(&self, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Model>, InferError> {
        if self.quantised.is_some()
            && runtime.runs_quantised(options)?
            && let Some(weights) = self.read_quantised()?
        {
            return runtime.load_version(&self.manifest, &weights, options, true);
        }
        runtime.load(&self.manifest, &self.read()?, options)
    }
}

/// A network with a fault; the other networks are not affected.
#[derive(Debug, Clone)]
pub enum Problem {
    /// A network that cannot be used.
    Broken {
        /// The name of the network.
        name: String,
        /// What is wrong.
        error: InferError,
    },
    /// Two different networks with the same name.
    Conflict {
        /// The name.
        name: String,
        /// Where the network that is used was found.
        used: String,
        /// Where the network that is not used was found.
        hidden: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { error, .. } => error.fmt(f),
            Self::Conflict { name, used, hidden } => {
                write!(f, "{name}: two different networks have this name; {used} is used, {hidden} is not; rename one")
            }
        }
    }
}

/// What a source has under a name.
enum Slot {
    Good(Box<Entry>),
    Broken(InferError),
}

/// A network, or a broken one, that was found in a source.
struct Find {
    name: String,
    /// For messages: the manifest's path.
    origin: String,
    slot: Slot,
}

/// All networks by name. Of two with one name, the one from `--models` is used before the user's, and the user's before the
/// program's own.
pub struct Registry {
    slots: BTreeMap<String, (String, Slot)>,
    known: Vec<Manifest>,
    problems: Vec<Problem>,
}

impl Registry {
    /// Joins the program's own networks, those of the user's model folder and those in `folders`. A later folder takes
    /// precedence over an earlier one.
    ///
    /// # Errors
    /// [`InferError::File`] for a folder that cannot be read. A broken network is no error; it is listed in
    /// [`Registry::problems`].
    pub fn open(folders: &[PathBuf]) -> Result<Self, InferError> {
        Self::join(EMBEDDED, user_folder().as_deref(), folders)
    }

    /// As [`Registry::open`], with the first two sources given too. A user's folder that does not exist counts as empty.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn join(embedded: &[EmbeddedModel], user: Option<&Path>, folders: &[PathBuf]) -> Result<Self, InferError> {
        let known = known::manifests()?;
        let mut registry = Self { slots: BTreeMap::new(), known, problems: Vec::new() };
        for folder in folders.iter().rev() {
            let finds = folder::scan(folder, &ModelSource::Folder(folder.clone()), &registry.known)?;
            registry.add(finds);
        }
        if let Some(folder) = user.filter(|folder| folder.exists()) {
            let finds = folder::scan(folder, &ModelSource::User(folder.to_owned()), &registry.known)?;
            registry.add(finds);
        }
        registry.add(embedded.iter().map(EmbeddedModel::find).collect());
        Ok(registry)
    }

    /// Adds networks; those already present take precedence.
    fn add(&mut self, finds: Vec<Find>) {
        for Find { name, origin, slot } in finds {
            if let Slot::Broken(error) = &slot {
                self.problems.push(Problem::Broken { name: name.clone(), error: error.clone() });
            }
            let Some((used, first)) = self.slots.get(&name) else {
                self.slots.insert(name, (origin, slot));
                continue;
            };
            if let (Slot::Good(first), Slot::Good(second)) = (first, &slot)
                && !first.manifest.sha256.eq_ignore_ascii_case(&second.manifest.sha256)
            {
                self.problems.push(Problem::Conflict { name, used: used.clone(), hidden: origin });
            }
        }
    }

    /// All usable networks, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().filter_map(|(_, slot)| match slot {
            Slot::Good(entry) => Some(&**entry),
            Slot::Broken(_) => None,
        })
    }

    /// The networks for `task`, by name. For keypoints this includes detectors that give keypoints; check
    /// [`Manifest::detector`] if only face networks are wanted.
    pub fn for_task(&self, task: Task) -> impl Iterator<Item = &Entry> {
        self.entries().filter(move |entry| entry.manifest.tasks.contains(&task))
    }

    /// The faults, in the order of the sources.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The networks whose manifests the program contains, but whose weights were not found.
    pub fn known_without_weights(&self) -> impl Iterator<Item = &Manifest> {
        self.known.iter().filter(|manifest| !self.slots.contains_key(&manifest.name))
    }

    /// The network of this name.
    ///
    /// # Errors
    /// The fault of a broken network; [`InferError::NoWeights`] for one that is known without its weights;
    /// [`InferError::Retired`] for one of an earlier version of the program; [`InferError::UnknownModel`] with similar
    /// names.
    pub fn get(&self, name: &str) -> Result<&Entry, InferError> {
        match self.slots.get(name) {
            Some((_, Slot::Good(entry))) => Ok(entry),
            Some((_, Slot::Broken(error))) => Err(error.clone()),
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> InferError {
        if let Some(manifest) = self.known.iter().find(|manifest| manifest.name == name) {
            return InferError::NoWeights {
                name: name.into(),
                file: manifest.file.clone(),
                source_text: manifest.source.clone(),
            };
        }
        if let Some(successor) = retired::successor(name) {
            return InferError::Retired { name: name.into(), successor };
        }
        let names: Vec<&str> = self.entries().map(|entry| entry.manifest.name.as_str()).collect();
        let mut near: Vec<(usize, &str)> = names
            .iter()
            .map(|other| (distance(name, other), *other))
            .filter(|(distance, other)| *distance <= 2.max(other.len() / 3) || other.contains(name))
            .collect();
        near.sort_unstable();
        let near: Vec<&str> = near.into_iter().take(3).map(|(_, other)| other).collect();
        let hint = match (near.as_slice(), names.as_slice()) {
            ([], []) => "there are no networks; give a folder that contains some".into(),
            ([], all) => format!("there are {}", all.join(", ")),
            (near, _) => format!("did you mean {}?", near.join(" or ")),
        };
        InferError::UnknownModel { name: name.into(), hint }
    }

    /// Checks the weights of the network of this name and loads it.
    ///
    /// # Errors
    /// The errors of [`Registry::get`] and [`Entry::load`].
    pub fn load(&self, name: &str, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Model>, InferError> {
        self.get(name)?.load(runtime, options)
    }
}

/// The folder for the user's own models; `None` if the system has no folder for user data.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("visavis").join("models"))
}

/// Edit distance: how many letters must be added, dropped or changed to turn one name into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [("", "", 0), ("abc", "", 3), ("yunet", "yunet_n", 2), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }
}
