//! A folder of folders, each named after what its pictures show: the simplest layout for a set of your own.
//!
//! For instance `faces/smile/*.jpg` and `faces/neutral/*.jpg`. These names need no rule:
//!
//! | folder | label |
//! |---|---|
//! | `smile`, `smiling`, `happy` | smiles |
//! | `neutral`, `no_smile`, `not_smiling`, `serious` | does not smile |
//! | `female`, `woman`, `women` · `male`, `man`, `men` | gender |
//! | `glasses` · `no_glasses` | glasses |
//! | `age_31` | 31 years |
//!
//! Any other name needs a [`ClassRule`].

use std::path::Path;
use std::str::FromStr;

use super::field::Place;
use super::pictures::{entries, pictures_in};
use crate::{DataError, DataSet, Labels, Sample, sample};

/// The label of the pictures in a folder, as in `grin=smile:1`, `boys=gender:male` or `seniors=age:75`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRule {
    /// The folder's name.
    pub folder: String,
    /// The labels of each of its pictures.
    pub labels: Labels,
}

impl FromStr for ClassRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "`{text}` names no folder and label: write it as grin=smile:1, grim=smile:0, boys=gender:male, \
                 specs=glasses:1 or seniors=age:75"
            )
        };
        let (folder, said) = text.rsplit_once('=').ok_or_else(form)?;
        let (label, value) = said.split_once(':').ok_or_else(form)?;
        let labels = labels(label, value).ok_or_else(form)?;
        Ok(Self { folder: folder.to_owned(), labels })
    }
}

/// Reads the pictures in the folders of `path`, and in folders within those. `rules` take precedence over the names that
/// need no rule.
///
/// # Errors
/// [`DataError::UnknownClass`] for a folder with an unknown name; [`DataError::Layout`] for a rule without a folder, for two
/// rules for one folder, or if there are no pictures; [`DataError::File`] for a folder that cannot be read.
pub fn read(path: &Path, rules: &[ClassRule]) -> Result<DataSet, DataError> {
    let wrong = |path: &Path, reason: String| DataError::Layout { path: path.to_owned(), reason };
    if let Some(rule) = rules.iter().find(|rule| !path.join(&rule.folder).is_dir()) {
        return Err(wrong(path, format!("there is no folder `{}` in there: correct its name", rule.folder)));
    }
    let is_second = |(at, rule): &(usize, &ClassRule)| rules[..*at].iter().any(|other| other.folder == rule.folder);
    if let Some((_, rule)) = rules.iter().enumerate().find(is_second) {
        return Err(wrong(path, format!("there are two rules for the folder `{}`: leave one out", rule.folder)));
    }
    let mut set = DataSet { name: sample::name_of(path), ..DataSet::default() };
    for folder in entries(path)?.into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let rule = rules.iter().find(|rule| rule.folder == name).map(|rule| rule.labels.clone());
        let unknown = || DataError::UnknownClass { path: folder.clone(), name: name.to_string() };
        let labels = rule.or_else(|| by_convention(&name)).ok_or_else(unknown)?;
        set.samples.extend(pictures_in(path, &folder)?.into_iter().map(|picture| Sample {
            path: picture.path,
            file: picture.file,
            rect: None,
            landmarks: None,
            labels: labels.clone(),
            identity: None,
        }));
    }
    if set.samples.is_empty() {
        let reason = "there are no folders with pictures in there: make one for each class, such as smile and neutral";
        return Err(wrong(path, reason.into()));
    }
    Ok(set)
}

fn labels(label: &str, value: &str) -> Option<Labels> {
    // The place is not shown: a rule has no file and line.
    let place = Place { path: Path::new(""), line: 0 };
    let mut labels = Labels::default();
    match label {
        "smile" => labels.smile = Some(place.flag(label, value).ok()?),
        "glasses" => labels.glasses = Some(place.flag(label, value).ok()?),
        "gender" => labels.gender = Some(place.gender(label, value).ok()?),
        "age" => labels.age = Some(place.age(label, value).ok()?),
        _ => return None,
    }
    Some(labels)
}

fn by_convention(folder: &str) -> Option<Labels> {
    let name = folder.to_ascii_lowercase().replace([' ', '-'], "_");
    match name.as_str() {
        "smile" | "smiling" | "happy" => labels("smile", "1"),
        "neutral" | "no_smile" | "not_smiling" | "serious" => labels("smile", "0"),
        "female" | "woman" | "women" => labels("gender", "female"),
        "male" | "man" | "men" => labels("gender", "male"),
        "glasses" => labels("glasses", "1"),
        "no_glasses" => labels("glasses", "0"),
        _ => labels("age", name.strip_prefix("age_")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gender;
    use crate::layout::folder_of;

    fn folder(files: &[&str], rules: &[&str]) -> Result<DataSet, DataError> {
        let folder = folder_of(files.iter().map(|file| (*file, "")));
        let rules: Vec<ClassRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        read(folder.path(), &rules)
    }

    #[test]
    fn folders_say_what_their_pictures_show() {
        let set = folder(
            &[
                "smile/b.JPG",
                "smile/more/a.png",
                "Not Smiling/c.jpg",
                "grin/d.jpg",
                "age_31/e.jpg",
                ".x/f.jpg",
                "g.jpg",
                "smile/notes.txt",
            ],
            &["grin=gender:female"],
        )
        .unwrap();
        let found: Vec<_> =
            set.samples.iter().map(|s| (s.file.as_str(), s.labels.smile, s.labels.gender, s.labels.age)).collect();
        assert_eq!(
            found,
            [
                ("Not Smiling/c.jpg", Some(false), None, None),
                ("age_31/e.jpg", None, None, Some(31.0)),
                ("grin/d.jpg", None, Some(Gender::Female), None),
                ("smile/b.JPG", Some(true), None, None),
                ("smile/more/a.png", Some(true), None, None),
            ]
        );
    }

    #[test]
    fn rules_go_before_names() {
        let set = folder(&["smile/a.jpg"], &["smile=smile:0"]).unwrap();
        assert_eq!(set.samples[0].labels.smile, Some(false));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let error = folder(&["grin/a.jpg"], &[]).unwrap_err().to_string();
        assert!(error.contains("grin: the name does not say") && error.contains("grin=smile:1"), "{error}");
        let error = folder(&["smile/a.jpg"], &["grin=smile:1"]).unwrap_err().to_string();
        assert!(error.contains("no folder `grin` in there"), "{error}");
        let error = folder(&["grin/a.jpg"], &["grin=smile:1", "grin=smile:0"]).unwrap_err().to_string();
        assert!(error.contains("two rules for the folder `grin`"), "{error}");
        let error = folder(&["smile/a.txt"], &[]).unwrap_err().to_string();
        assert!(error.contains("no folders with pictures"), "{error}");
        for bad in ["grin", "grin=smile", "grin=smile:2", "grin=mood:1", "grin=age:500"] {
            assert!(bad.parse::<ClassRule>().unwrap_err().contains(bad));
        }
    }
}
