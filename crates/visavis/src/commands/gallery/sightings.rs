//! `visavis gallery sightings`: who was seen when, and whether a face on a photo was seen.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde::Serialize;
use visavis_cli::options::{complain, say, say_json};
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;
use visavis_gallery::{Gallery, SightingEntry, SightingFilter, SightingMatch};
use visavis_live::GalleryStore;

use super::{embedding_id, read_picture};
use crate::alarms::time_of;

/// Which sightings to list.
#[derive(clap::Args)]
pub(super) struct SightingsArgs {
    /// Only sightings of the face on this photo, most similar first
    #[arg(long, value_name = "FILE")]
    pub(super) photo: Option<PathBuf>,
    /// Only sightings of this person
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Only sightings of faces that were not identified
    #[arg(long, conflicts_with = "person")]
    unnamed: bool,
    /// Only sightings by this camera
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Only sightings that began at this time or later: 2026-05-31, 2026-05-31T08:00, or a time ago such as 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only sightings that began before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Largest number of sightings to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Write the pictures of the listed sightings to this folder, as NUMBER.jpg
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

/// A time of the user's clock, or a time ago.
fn parse_time(text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    // A date alone is its midnight.
    if let Ok(time) = text.parse::<DateTime>() {
        return Ok(time.to_zoned(TimeZone::system())?.timestamp());
    }
    let ago = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let ago = ago.and_then(|ago| Zoned::now().checked_sub(ago).ok());
    ago.map(|time| time.timestamp()).with_context(|| {
        format!("`{text}` is not a time: write 2026-05-31, 2026-05-31T08:00, or a time ago such as 2h or 3d")
    })
}

/// A sighting as it is printed.
#[derive(Serialize)]
struct SightingRow {
    sighting: i64,
    camera: String,
    first_seen: String,
    last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identified: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    female: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smiling: Option<f32>,
    /// Distance from the face on the photo.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f32>,
    /// Whether the face counts as the one on the photo.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_person: Option<bool>,
}

impl SightingRow {
    fn new(entry: SightingEntry) -> Self {
        let (person, name) = entry.person.map(|(person, name)| (person.0, name)).unzip();
        Self {
            sighting: entry.id.0,
            camera: entry.camera,
            first_seen: time_of(entry.first_seen),
            last_seen: time_of(entry.last_seen),
            person,
            name,
            identified: entry.identified,
            age: entry.age,
            female: entry.female,
            smiling: entry.smiling,
            distance: None,
            same_person: None,
        }
    }

    fn of_match(found: SightingMatch) -> Self {
        let (distance, same_person) = (Some(found.distance), Some(found.same_person));
        Self { distance, same_person, ..Self::new(found.sighting) }
    }

    /// One line for a person to read, in the local time.
    fn line(&self) -> String {
        let first = self.first_seen.parse::<Timestamp>().unwrap_or_default();
        let last = self.last_seen.parse::<Timestamp>().unwrap_or_default();
        let seconds = last.as_second() - first.as_second();
        let begun = first.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
        let mut words = vec![format!("{:6}  {begun}  {seconds:5} s  {}", self.sighting, self.camera)];
        words.push(self.name.clone().unwrap_or_else(|| "unknown".into()));
        words.extend(self.age.map(|age| format!("about {age:.0}")));
        words.extend(self.female.map(|female| if female >= 0.5 { "woman".into() } else { "man".into() }));
        words.extend(self.same_person.map(|same| if same { "the same person".into() } else { "similar".to_owned() }));
        words.join("  ")
    }
}

/// Lists sightings. `session` is needed to compare a photo.
pub(super) fn run(args: &SightingsArgs, place: &GalleryPlace, session: Option<&Session>, json: bool) -> Result<()> {
    let gallery = match session {
        Some(session) => place.open(&embedding_id(session)?)?,
        None => place.open_any()?,
    };
    let filter = SightingFilter {
        from: args.since.map(Timestamp::as_second),
        until: args.until.map(Timestamp::as_second),
        camera: args.camera.clone(),
        person: args.person.as_deref().map(|name| gallery.find_person(name)).transpose()?.map(|person| person.id),
        unnamed: args.unnamed,
        after: None,
    };
    let rows = match (&args.photo, session) {
        (Some(photo), Some(session)) => {
            let (picture, _) = read_picture(photo)?;
            let found = session.enroller()?.enrol(&picture)?;
            let found = found.with_context(|| format!("no face was found on {}", photo.display()))?;
            if found.faces > 1 {
                complain(&format!("the photo shows {} faces: the main one is searched", found.faces));
            }
            like(&gallery, &found.vector, &filter, args.limit)?
        }
        _ => gallery.sightings(&filter, args.limit)?.into_iter().map(SightingRow::new).collect(),
    };
    if let Some(folder) = &args.save {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        for row in &rows {
            if let Some(jpeg) = gallery.sighting_crop(visavis_gallery::SightingId(row.sighting))? {
                let file = folder.join(format!("{}.jpg", row.sighting));
                fs::write(&file, jpeg).with_context(|| format!("{} cannot be written", file.display()))?;
            }
        }
    }
    if json {
        return say_json(&rows);
    }
    for row in &rows {
        say(&row.line())?;
    }
    if rows.is_empty() {
        complain("no sightings: `visavis live --remember` records them");
    }
    Ok(())
}

/// The sightings most similar to a face that pass the filter: those that count as the same person, and else the nearest one.
fn like(gallery: &Gallery, vector: &[f32], filter: &SightingFilter, limit: usize) -> Result<Vec<SightingRow>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let passes = |found: &SightingMatch| {
        let SightingEntry { first_seen, camera, person, .. } = &found.sighting;
        let person = person.as_ref().map(|(person, _)| *person);
        filter.from.is_none_or(|from| *first_seen >= from)
            && filter.until.is_none_or(|until| *first_seen < until)
            && filter.camera.as_ref().is_none_or(|wanted| wanted == camera)
            && (filter.person.is_none() || filter.person == person)
            && !(filter.unnamed && person.is_some())
    };
    if limit == 0 {
        bail!("--limit must be at least 1");
    }
    let mut found = gallery.sightings_like(vector, limit.saturating_mul(20).min(10_000), now)?;
    found.retain(passes);
    let same = found.iter().filter(|found| found.same_person).count();
    found.truncate(same.max(1).min(limit));
    Ok(found.into_iter().map(SightingRow::of_match).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_times_or_a_time_ago() {
        assert_eq!(parse_time("2026-05-31T08:00:00Z").unwrap().as_second(), 1_780_214_400);
        let day = parse_time("2026-05-31").unwrap().to_zoned(TimeZone::system());
        assert_eq!((day.date().to_string(), day.hour()), ("2026-05-31".into(), 0));
        let early = parse_time("2026-05-31T08:30").unwrap().to_zoned(TimeZone::system());
        assert_eq!((early.hour(), early.minute()), (8, 30));
        let hours = |text| Timestamp::now().as_second() - parse_time(text).unwrap().as_second();
        assert!((7_199..=7_201).contains(&hours("2h")));
        assert!(hours("3d") >= 3 * 24 * 3600 - 3_700);
        for wrong in ["yesterday", "-2h", "25:00", ""] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
