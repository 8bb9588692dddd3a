//! Which networks there are: three shelves, joined by name.

mod embedded;
mod folder;
mod known;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use embedded::{EMBEDDED, EmbeddedModel};

use crate::manifest::identity::hex;
use crate::{EngineOptions, InferError, Manifest, Model, Runtime, Task};

/// Where a network comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shelf {
    /// Compiled into the program.
    Embedded,
    /// The user's model folder.
    User(PathBuf),
    /// A folder given with `--models`.
    Folder(PathBuf),
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("the program itself"),
            Self::User(folder) | Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// Where the weights of a network lie.
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
    /// Where it was found.
    pub shelf: Shelf,
}

impl Entry {
    /// Reads the weights and compares their SHA-256 with the manifest's.
    ///
    /// # Errors
    /// [`InferError::Hash`] if they differ; [`InferError::File`] if the file cannot be read.
    pub fn verify(&self) -> Result<(), InferError> {
        self.read().map(|_| ())
    }

    /// The weights, read once and checked: what is given back is what was hashed.
    ///
    /// # Errors
    /// As [`Entry::verify`].
    pub fn read(&self) -> Result<Cow<'static, [u8]>, InferError> {
        let bytes: Cow<'static, [u8]> = match &self.weights {
            WeightsLocation::Embedded(bytes) => Cow::Borrowed(bytes),
            WeightsLocation::File(path) => Cow::Owned(fs::read(path).map_err(|error| InferError::file(path, error))?),
        };
        let found = hex(&Sha256::digest(&bytes));
        if found.eq_ignore_ascii_case(&self.manifest.sha256) {
            return Ok(bytes);
        }
        Err(InferError::Hash {
            model: self.manifest.name.clone(),
            location: self.weights.to_string(),
            expected: self.manifest.sha256.to_ascii_lowercase(),
            found,
        })
    }

    /// Checks the weights and loads the network.
    ///
    /// # Errors
    /// What [`Entry::verify`] and [`Runtime::load`] give.
    pub fn load(&self, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Model>, InferError> {
        runtime.load(&self.manifest, &self.read()?, options)
    }
}

/// Something on a shelf that is not as it should be; the other networks are not touched by it.
#[derive(Debug, Clone)]
pub enum Problem {
    /// A network that cannot be used.
    Broken {
        /// The name under which it would be asked for.
        name: String,
        /// What is wrong.
        error: InferError,
    },
    /// Two different networks of one name.
    Conflict {
        /// The name.
        name: String,
        /// Where the one lies that counts.
        used: String,
        /// Where the one lies that does not.
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

/// What a shelf holds under a name.
enum Slot {
    Good(Box<Entry>),
    Broken(InferError),
}

/// A network, or what is left of one, on its shelf.
struct Find {
    name: String,
    /// For people: the manifest's path.
    origin: String,
    slot: Slot,
}

/// All networks: those given with `--models` before the user's before the program's own, by name.
pub struct Registry {
    slots: BTreeMap<String, (String, Slot)>,
    known: Vec<Manifest>,
    problems: Vec<Problem>,
}

impl Registry {
    /// Joins the program's own networks, those of the user's model folder and those in `folders`, of which a later one
    /// goes before an earlier one.
    ///
    /// # Errors
    /// [`InferError::File`] for a folder that cannot be read. A broken network is no error; it is among
    /// [`Registry::problems`].
    pub fn open(folders: &[PathBuf]) -> Result<Self, InferError> {
        Self::join(EMBEDDED, user_folder().as_deref(), folders)
    }

    /// As [`Registry::open`], with the first two shelves named too. A user's folder that does not exist is empty.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn join(embedded: &[EmbeddedModel], user: Option<&Path>, folders: &[PathBuf]) -> Result<Self, InferError> {
        let known = known::manifests()?;
        let mut registry = Self { slots: BTreeMap::new(), known, problems: Vec::new() };
        for folder in folders.iter().rev() {
            let finds = folder::scan(folder, &Shelf::Folder(folder.clone()), &registry.known)?;
            registry.add(finds);
        }
        if let Some(folder) = user.filter(|folder| folder.exists()) {
            let finds = folder::scan(folder, &Shelf::User(folder.to_owned()), &registry.known)?;
            registry.add(finds);
        }
        registry.add(embedded.iter().map(EmbeddedModel::find).collect());
        Ok(registry)
    }

    /// Adds finds that yield to those already there.
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

    /// All networks that can be asked for, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().filter_map(|(_, slot)| match slot {
            Slot::Good(entry) => Some(&**entry),
            Slot::Broken(_) => None,
        })
    }

    /// The networks that tell `task`, by name. A detector that gives keypoints too is among those for keypoints: look
    /// at [`Manifest::detector`] where only face networks will do.
    pub fn for_task(&self, task: Task) -> impl Iterator<Item = &Entry> {
        self.entries().filter(move |entry| entry.manifest.tasks.contains(&task))
    }

    /// What is not as it should be, in the order of the shelves.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The networks that the program knows, but whose weights are on no shelf.
    pub fn known_without_weights(&self) -> impl Iterator<Item = &Manifest> {
        self.known.iter().filter(|manifest| !self.slots.contains_key(&manifest.name))
    }

    /// The network of this name.
    ///
    /// # Errors
    /// What is wrong with it, if it is broken; [`InferError::NoWeights`] for one that is known without its weights;
    /// [`InferError::UnknownModel`] with the names that are near.
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
        let names: Vec<&str> = self.entries().map(|entry| entry.manifest.name.as_str()).collect();
        let mut near: Vec<(usize, &str)> = names
            .iter()
            .map(|other| (distance(name, other), *other))
            .filter(|(distance, other)| *distance <= 2.max(other.len() / 3) || other.contains(name))
            .collect();
        near.sort_unstable();
        let near: Vec<&str> = near.into_iter().take(3).map(|(_, other)| other).collect();
        let hint = match (near.as_slice(), names.as_slice()) {
            ([], []) => "there are no models; give a folder that has some with --models".into(),
            ([], all) => format!("there are {}", all.join(", ")),
            (near, _) => format!("did you mean {}?", near.join(" or ")),
        };
        InferError::UnknownModel { name: name.into(), hint }
    }

    /// Checks the weights of the network of this name and loads it.
    ///
    /// # Errors
    /// What [`Registry::get`] and [`Entry::load`] give.
    pub fn load(&self, name: &str, runtime: &Runtime, options: &EngineOptions) -> Result<Box<dyn Model>, InferError> {
        self.get(name)?.load(runtime, options)
    }
}

/// The folder in which a user keeps models of their own; none where the system has no place for data.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("visavis").join("models"))
}

/// How many letters must be added, dropped or changed to make one name of the other.
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
