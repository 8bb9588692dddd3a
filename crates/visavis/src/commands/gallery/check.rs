//! `visavis gallery check`: what spoils a gallery.

use anyhow::Result;
use serde::Serialize;
use visavis_cli::index::photos_bar;
use visavis_cli::options::{say, say_json};
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;
use visavis_face::{FaceView, Quality, QualityParams, thumbnail_rect};
use visavis_gallery::{CheckParams, Finding, Gallery, PersonId, PersonSummary, PhotoId};
use visavis_image::codec;
use visavis_live::GalleryStore;

/// A finding, for scripts and for people.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    person: i64,
    name: String,
    /// The photo's number and file, if one photo is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The other person, if two are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<i64>,
    /// What was found, and what to do.
    text: String,
}

pub(super) fn run(session: &Session, place: &GalleryPlace, json: bool) -> Result<()> {
    let gallery = place.open(&super::embedding_id(session)?)?;
    let bar = photos_bar(0);
    let findings = gallery.check(&CheckParams::default(), |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let mut rows = Vec::new();
    for finding in findings {
        rows.extend(row(&gallery, place, finding)?);
    }
    let people = gallery.people()?;
    for person in &people {
        rows.extend(poor(&gallery, person)?);
    }
    if json {
        return say_json(&rows);
    }
    for row in &rows {
        say(&row.text)?;
    }
    say(&format!("{place}: {} people checked, {} findings", people.len(), rows.len()))
}

/// A finding in words; `None` if its photo or person was removed meanwhile.
fn row(gallery: &Gallery, place: &GalleryPlace, finding: Finding) -> Result<Option<Row>> {
    let name = |id: PersonId| Ok::<_, anyhow::Error>(gallery.person(id)?.map(|person| person.name));
    let (kind, person, photo, other) = (finding.kind(), finding.person(), finding.photo(), finding.other());
    let Some(own) = name(person)? else { return Ok(None) };
    let Some(file) = photo.map_or(Ok(Some(String::new())), |photo| gallery.source(photo))? else { return Ok(None) };
    let of = other.map_or(Ok(Some(String::new())), name)?;
    let Some(of) = of else { return Ok(None) };
    let text = match finding {
        Finding::OtherPerson { .. } => format!("{file} of {own} looks like {of}: remove it there or add it to {of}"),
        Finding::Unlike { .. } => format!("{file} looks like no other photo of {own}: look whether it shows them"),
        Finding::SamePerson { .. } => {
            format!("{own} and {of} are probably one person: {}", merge_command(&place.to_string(), &own, &of))
        }
        Finding::Redundant { of, .. } => {
            let of = gallery.source(of)?.unwrap_or_default();
            format!("{file} of {own} is almost the same picture as {of}: it may be removed")
        }
    };
    let file = photo.map(|_| file);
    let (photo, other) = (photo.map(|PhotoId(id)| id), other.map(|PersonId(id)| id));
    Ok(Some(Row { kind, person: person.0, name: own, photo, file, other, text }))
}

/// The command that merges two people, as it is typed into a POSIX shell.
fn merge_command(place: &str, name: &str, into: &str) -> String {
    let words = [place, name, into];
    // A word that begins with a dash would be taken for a flag.
    let end_of_flags = if words.iter().any(|word| word.starts_with('-')) { "-- " } else { "" };
    format!("visavis gallery merge {end_of_flags}{}", words.map(shell_word).join(" "))
}

/// A word for a POSIX shell, in single quotes if it contains more than letters, digits and a few signs.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Reports a person if all photos of the person are poor.
fn poor(gallery: &Gallery, person: &PersonSummary) -> Result<Option<Row>> {
    let mut reasons = Vec::new();
    for photo in gallery.photos(person.id)? {
        // A photo without a picture cannot be judged.
        let Some(jpeg) = gallery.thumbnail(photo)? else { return Ok(None) };
        let Ok(picture) = codec::decode(&jpeg, codec::MAX_PIXELS) else { return Ok(None) };
        let view = FaceView::upright(thumbnail_rect(&picture), None);
        let flaws = Quality::measure(&picture, &view, None).flaws(&QualityParams::default());
        let Some(flaw) = flaws.first() else { return Ok(None) };
        reasons.push(flaw.to_string());
    }
    let Some(reason) = reasons.first() else { return Ok(None) };
    let name = person.name.clone();
    let text = format!("{name} has only poor photos ({reason}): add a better one");
    Ok(Some(Row { kind: "poor", person: person.id.0, name, photo: None, file: None, other: None, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_safe_in_a_shell() {
        for (words, command) in [
            (["people.gallery", "Ada", "Zo\u{EB}"], "people.gallery Ada Zo\u{EB}"),
            (["my people.gallery", "Ada Lovelace", "O'Brien"], r"'my people.gallery' 'Ada Lovelace' 'O'\''Brien'"),
            (["q.gallery", "$(touch pwned)", "-v"], "-- q.gallery '$(touch pwned)' -v"),
            (["q.gallery", "`id`;\"!\\", "\u{1F989}"], "q.gallery '`id`;\"!\\' '\u{1F989}'"),
            (["postgres://ada@db/faces", "~", "*"], "postgres://ada@db/faces '~' '*'"),
        ] {
            let [place, name, into] = words;
            assert_eq!(merge_command(place, name, into), format!("visavis gallery merge {command}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_the_words_as_they_were() {
        for word in
            ["", "$(touch pwned)", "O'Brien", "a\\'b", "-v", "Zo\u{EB} \u{1F989}", "%s #&|<>*?[]{}~=!", "\"", "'"]
        {
            let script = format!("printf %s {}", shell_word(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
    }
}
