//! Names of people: validation, names from file names, similar names.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::GalleryError;

/// Longest name, in bytes.
const MAX_NAME: usize = 200;

/// Trims a name, brings it into Unicode's form NFC, and checks it.
///
/// # Errors
/// [`GalleryError::Name`] if nothing is left, the name is longer than 200 bytes, or it contains control characters or
/// invisible ones.
pub(super) fn checked(name: &str) -> Result<String, GalleryError> {
    let tidy = normalised(name.trim());
    match fault(&tidy) {
        None => Ok(tidy.into_owned()),
        Some(reason) => Err(GalleryError::Name { name: name.to_owned(), reason }),
    }
}

/// The reason why a person cannot have this name, and what to do; `None` if they can.
fn fault(name: &str) -> Option<&'static str> {
    if name.chars().all(|c| c.is_whitespace() || is_joiner(c)) {
        Some("it is empty")
    } else if name.len() > MAX_NAME {
        Some("it is longer than 200 bytes: shorten it")
    } else if name.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        Some("it contains control characters, such as line breaks: leave them out")
    } else if name.chars().any(is_invisible) {
        Some("it contains characters that are invisible or change the direction of writing: leave them out")
    } else {
        None
    }
}

/// Whether the character joins or separates its neighbours. Emoji, and Persian and Indic names, need these.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// Whether the character does not show, or changes the direction of writing: two names that differ by it look identical.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180E}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

/// The text in Unicode's form NFC: texts that look the same are the same, whether an accent is part of a letter or follows it.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// The name as it was given, then in the forms NFC and NFD if these differ: galleries of older versions contain names in any
/// form.
pub(super) fn spellings(name: &str) -> Vec<String> {
    let name = name.trim();
    let mut spellings = vec![name.to_owned()];
    if !name.is_ascii() {
        for other in [name.nfc().collect::<String>(), name.nfd().collect()] {
            if !spellings.contains(&other) {
                spellings.push(other);
            }
        }
    }
    spellings
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
    let wanted = normalised(name.trim()).to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|candidate| {
            let other = normalised(candidate).to_lowercase();
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
        for bad in ["", "  \t", "a\nb", "a\0b", "a\u{2028}b", &"x".repeat(201), "\u{200D}"] {
            assert!(matches!(checked(bad), Err(GalleryError::Name { .. })), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_the_same_are_the_same() {
        // The accent is part of the letter, or follows it.
        let (composed, decomposed) = ("Jos\u{E9} N\u{FA}\u{F1}ez", "Jose\u{301} Nu\u{301}n\u{303}ez");
        assert_eq!(checked(decomposed).unwrap(), composed);
        assert_eq!(checked(composed).unwrap(), composed);
        assert_eq!(spellings(" Ada "), ["Ada"]);
        assert_eq!(spellings(composed), [composed, decomposed]);
        assert_eq!(spellings(decomposed), [decomposed, composed]);
        assert_eq!(near(&composed[..composed.len() - 1], [decomposed].into_iter()), [decomposed]);
        for bad in
            ["\u{202E}adA", "A\u{200B}da", "Ada\u{200F}", "A\u{AD}da", "A\u{2066}da", "\u{FEFF}Ada", "A\u{E0061}"]
        {
            let text = checked(bad).unwrap_err().to_string();
            assert!(text.contains("invisible"), "{bad:?}: {text}");
        }
        // Joined emoji, a Persian name, a Malayalam one that ends with a joiner, and a Japanese one with a variant of a letter.
        for good in [
            "\u{1F468}\u{200D}\u{1F680} Ada",
            "\u{639}\u{644}\u{6CC}\u{200C}\u{631}\u{636}\u{627}",
            "\u{D2E}\u{D4B}\u{D39}\u{D28}\u{D4D}\u{200D}",
            "\u{8FBB}\u{E0100}",
        ] {
            assert_eq!(checked(good).unwrap(), good);
        }
    }
}
