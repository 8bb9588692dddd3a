//! The languages of the notice, and which one a reader gets.

use std::str::FromStr;

/// A language of the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Italian.
    Italian,
}

impl Language {
    /// All of them, in the order of the links on the notice.
    pub const ALL: [Self; 5] = [Self::English, Self::German, Self::French, Self::Spanish, Self::Italian];

    /// The code of the language (ISO 639-1).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
        }
    }

    /// The name of the language in itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::French => "Français",
            Self::Spanish => "Español",
            Self::Italian => "Italiano",
        }
    }
}

impl FromStr for Language {
    type Err = String;

    /// From a code, of which a part after a hyphen is ignored: `de`, `de-AT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.split('-').next().unwrap_or_default();
        let found = Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code));
        found.ok_or_else(|| format!("`{text}` is not one of en, de, fr, es, it"))
    }
}

/// The language of `lang=…` in the query, else the first of the accepted languages (RFC 9110, 12.5.4), else English.
pub(super) fn chosen(query: Option<&str>, accepted: Option<&str>) -> Language {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang=")?.parse().ok());
    asked.or_else(|| preferred(accepted?)).unwrap_or_default()
}

/// The known language with the largest weight; of several, the first.
fn preferred(accepted: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for item in accepted.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let Some(Ok(language)) = parts.next().map(str::parse::<Language>) else { continue };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok());
        let Some(weight) = weight.filter(|weight: &f32| *weight > 0.0) else { continue };
        if best.is_none_or(|(_, most)| weight > most) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_gets_the_language_of_the_link_or_of_the_browser() {
        let table = [
            (None, None, Language::English),
            (None, Some("de-AT,de;q=0.9,en;q=0.8"), Language::German),
            (None, Some("nl, en;q=0.4, fr-CH;q=0.7"), Language::French),
            (None, Some("pl,ja;q=0.5"), Language::English),
            (None, Some("es;q=0, it;q=0.1"), Language::Italian),
            (None, Some("de;q=nonsense, it;q=0.1"), Language::Italian),
            (Some("lang=es"), Some("de"), Language::Spanish),
            (Some("a=b&lang=IT"), Some("de"), Language::Italian),
            (Some("lang=xx"), Some("de"), Language::German),
        ];
        for (query, accepted, language) in table {
            assert_eq!(chosen(query, accepted), language, "{query:?} {accepted:?}");
        }
    }
}
