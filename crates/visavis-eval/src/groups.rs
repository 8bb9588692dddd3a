//! Groups of faces: by pose, folder, age, gender, race code, glasses or smile.

use std::collections::BTreeMap;

use visavis_data::{Gender, Labels};

/// First year of each age band, and its name.
const AGE_BANDS: [(f32, &str); 7] =
    [(0.0, "0–12"), (13.0, "13–19"), (20.0, "20–29"), (30.0, "30–44"), (45.0, "45–59"), (60.0, "60–74"), (75.0, "75+")];

/// MTFL's pose codes, from 1.
const POSES: [&str; 5] = ["left profile", "left", "frontal", "right", "right profile"];

/// UTKFace's race codes, from 0.
const RACES: [&str; 5] = ["white", "black", "asian", "indian", "other"];

/// The criterion of a grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// MTFL's pose code.
    Pose,
    /// The folder in the set; in MTFL each folder is another collection.
    Folder,
    /// Band of the labelled age.
    Age,
    /// Labelled gender.
    Gender,
    /// UTKFace's race code.
    Race,
    /// With or without glasses.
    Glasses,
    /// Smiling or not.
    Smile,
}

impl Grouping {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pose => "pose",
            Self::Folder => "folder",
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Race => "race",
            Self::Glasses => "glasses",
            Self::Smile => "smile",
        }
    }

    /// The group of a face by its file in the set and its labels; `None` if the label is missing.
    #[must_use]
    pub fn of(self, file: &str, labels: &Labels) -> Option<Group> {
        let whether = |yes: bool, names: [&str; 2]| {
            let rank = usize::from(yes);
            Group { rank, name: names[rank].to_owned() }
        };
        let coded = |code: u8, first: u8, names: &[&str]| {
            let known = code.checked_sub(first).and_then(|place| names.get(usize::from(place)));
            let name = known.map_or_else(|| format!("code {code}"), |name| (*name).to_owned());
            Group { rank: usize::from(code), name }
        };
        match self {
            Self::Pose => labels.pose.map(|code| coded(code, 1, &POSES)),
            Self::Folder => {
                let folder = file.rsplit_once('/')?.0;
                Some(Group { rank: 0, name: folder.to_owned() })
            }
            Self::Age => labels.age.map(|years| {
                let band = age_band(years);
                Group { rank: band, name: AGE_BANDS[band].1.to_owned() }
            }),
            Self::Gender => labels.gender.map(|gender| match gender {
                Gender::Female => Group { rank: 0, name: "female".into() },
                Gender::Male => Group { rank: 1, name: "male".into() },
            }),
            Self::Race => labels.race.map(|code| coded(code, 0, &RACES)),
            Self::Glasses => labels.glasses.map(|glasses| whether(glasses, ["without", "with"])),
            Self::Smile => labels.smile.map(|smile| whether(smile, ["not smiling", "smiling"])),
        }
    }

    /// The indices of `faces` by group, in the order of the groups; empty if there is only one group.
    #[must_use]
    pub fn split<'a>(self, faces: impl IntoIterator<Item = (&'a str, &'a Labels)>) -> Vec<(String, Vec<usize>)> {
        let mut groups: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
        for (place, (file, labels)) in faces.into_iter().enumerate() {
            if let Some(group) = self.of(file, labels) {
                groups.entry(group).or_default().push(place);
            }
        }
        if groups.len() < 2 {
            return Vec::new();
        }
        groups.into_iter().map(|(group, places)| (group.name, places)).collect()
    }
}

/// One group. The order is that in which tables list them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    rank: usize,
    /// Its name in tables.
    pub name: String,
}

/// The index of an age's band in [`age_band_names`].
#[must_use]
pub fn age_band(years: f32) -> usize {
    AGE_BANDS.iter().rposition(|(from, _)| years >= *from).unwrap_or(0)
}

/// 0–12, 13–19, 20–29, 30–44, 45–59, 60–74, 75+.
#[must_use]
pub fn age_band_names() -> [&'static str; 7] {
    AGE_BANDS.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands() {
        for (years, name) in
            [(0.0, "0–12"), (12.9, "0–12"), (13.0, "13–19"), (44.0, "30–44"), (75.0, "75+"), (116.0, "75+")]
        {
            assert_eq!(age_band_names()[age_band(years)], name, "{years}");
        }
    }

    #[test]
    fn groups_come_in_the_order_of_their_codes() {
        let with = |pose, file: &'static str| (file, Labels { pose: Some(pose), ..Labels::default() });
        let faces = [with(3, "a/1.jpg"), with(1, "b/2.jpg"), with(3, "b/3.jpg"), with(9, "4.jpg")];
        let expected = [("left profile", vec![1]), ("frontal", vec![0, 2]), ("code 9", vec![3])];
        let split = |grouping: Grouping, faces: &[(&str, Labels)]| {
            grouping.split(faces.iter().map(|(file, labels)| (*file, labels)))
        };
        assert_eq!(split(Grouping::Pose, &faces), expected.map(|(name, places)| (name.to_owned(), places)));
        let expected = [("a", vec![0]), ("b", vec![1, 2])];
        assert_eq!(split(Grouping::Folder, &faces), expected.map(|(name, places)| (name.to_owned(), places)));
        assert!(split(Grouping::Age, &faces).is_empty(), "no ages");
        assert!(split(Grouping::Folder, &faces[1..3]).is_empty(), "one folder");
    }
}
