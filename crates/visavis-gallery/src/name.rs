//! Names of people: validation, names from file names, similar names.

use super::GalleryError;

/// Longest name, in bytes.
const MAX_NAME: usize = 200;

/// Trims a name and checks it.
///
/// # Errors
/// [`GalleryError::Name`] if nothing is left, the name is longer than 200 bytes, or it contains control characters.
pub(super) fn checked(name: &str) -> Result<&str, GalleryError> {
    let trimmed = name.trim();
    let reason = if trimmed.is_empty() {
        "it is empty"
    } else if trimmed.len() > MAX_NAME {
        "it is longer than 200 bytes"
    } else if trimmed.chars().any(char::is_control) {
        "it contains control characters, such as line breaks"
    } else {
        return Ok(trimmed);
    };
    Err(GalleryError::Name { name: name.to_owned(), reason })
}

/// The name of a person from the name of a folder: underscores become spaces.
pub(super) fn of_folder(folder: &str) -> String {
    folder.split(['_', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The name of a person from the name of a photo without its extension: `Ada_Lovelace_01`, `Ada Lovelace-2` and
/// `Ada_Lovelace (3)` are all `Ada Lovelace`. A stem that is only a number stays as it is.
pub(super) fn of_stem(stem: &str) -> String {
    let copy = stem.trim_end().strip_suffix(')').and_then(|rest| {
        let (before, number) = rest.rsplit_once('(')?;
        (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(before)
    });
    let bare = copy.unwrap_or(stem).trim_end();
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = of_folder(bare.trim_end_matches(['_', '-', ' ']));
    if name.is_empty() { of_folder(stem) } else { name }
}

/// At most three of `names` that contain `name` or differ from it by a few letters, nearest first.
pub(super) fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.trim().to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let part = !wanted.is_empty() && other.contains(&wanted);
            let apart = letters_apart(&wanted, &other);
            // People often type a part of a name, so it counts as a difference of one letter.
            (part || apart <= allowed).then_some((if part { apart.min(1) } else { apart }, candidate))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein distance: number of letters to insert, delete or replace.
fn letters_apart(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_tell_names() {
        for (stem, name) in [
            ("Ada_Lovelace", "Ada Lovelace"),
            ("Ada_Lovelace_01", "Ada Lovelace"),
            ("Ada Lovelace-2", "Ada Lovelace"),
            ("Ada_Lovelace (3)", "Ada Lovelace"),
            ("Ada_Lovelace_1 (3)", "Ada Lovelace"),
            ("Ada Lovelace(12)", "Ada Lovelace"),
            ("Ada12", "Ada"),
            ("Robert_Downey_Jr_003", "Robert Downey Jr"),
            ("Jean-Luc-4", "Jean-Luc"),
            ("Ada (sister)", "Ada (sister)"),
            ("Ada ()", "Ada ()"),
            ("029701", "029701"),
            ("_7", "7"),
            ("(3)", "(3)"),
            ("Zoë_2", "Zoë"),
        ] {
            assert_eq!(of_stem(stem), name, "{stem:?}");
        }
    }

    #[test]
    fn letters_apart_by_hand() {
        for (a, b, apart) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ada", "ada", 0),
            ("ada", "adam", 1),
            ("zoë", "zoe", 1),
        ] {
            assert_eq!(letters_apart(a, b), apart, "{a:?} {b:?}");
            assert_eq!(letters_apart(b, a), apart, "{b:?} {a:?}");
        }
    }

    #[test]
    fn near_names_come_nearest_first() {
        let all = ["Ada Lovelace", "Adam Lovelace", "Grace Hopper", "Alan Turing"];
        assert_eq!(near("ada lovelace", all.into_iter()), ["Ada Lovelace", "Adam Lovelace"]);
        assert_eq!(near("Hoper", all.into_iter()), Vec::<String>::new());
        assert_eq!(near("hopper", all.into_iter()), ["Grace Hopper"]);
        assert_eq!(near("Alan Turng", all.into_iter()), ["Alan Turing"]);
        assert_eq!(near("", all.into_iter()), Vec::<String>::new());
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(checked("  Ada ").unwrap(), "Ada");
        for bad in ["", "  \t", "a\nb", "a\0b", &"x".repeat(201)] {
            assert!(matches!(checked(bad), Err(GalleryError::Name { .. })), "{bad:?}");
        }
    }
}
