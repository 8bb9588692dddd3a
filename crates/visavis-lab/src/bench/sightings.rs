//! `visavis-lab bench sightings`: speed of a gallery with many sightings, and whether an erasure leaves anything.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use visavis_cli::options::{say, say_json};
use visavis_gallery::{Gallery, NewPhoto, NewSighting, PersonId, SightingFilter};

use super::{Crowd, Searches, search};

/// Days over which the sightings are spread.
const DAYS: i64 = 30;
const DAY: i64 = 86_400;
/// The Unix time at which they end, in seconds: long ago, so that no sighting counts as one that is still going on.
const END: i64 = 1_700_000_000;
/// Sightings that are stored in one transaction.
const BATCH: usize = 5_000;
/// One of so many sightings is of the person who is erased.
const ERASED_EVERY: usize = 1_000;

#[derive(Parser)]
pub(super) struct SightingsArgs {
    /// Number of synthetic sightings
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    sightings: usize,
    /// Number of different faces among them
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    faces: usize,
    /// Numbers per embedding
    #[arg(long, default_value_t = 256, value_name = "N")]
    length: usize,
    /// Bytes of the picture of each sighting
    #[arg(long, default_value_t = 500, value_name = "BYTES")]
    picture: usize,
    /// Number of searches by a face, one after the other, on one thread
    #[arg(long, default_value_t = 200, value_name = "N")]
    queries: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    sightings: usize,
    length: usize,
    gallery_bytes: u64,
    open_seconds: f64,
    /// The first search by a face, which reads all embeddings.
    first_search_seconds: f64,
    searches: Searches,
    /// The first page of each day, with the names of the cameras.
    day_milliseconds_mean: f64,
    day_milliseconds_max: f64,
    /// Removal of a person with their sightings, including the rewrite of the file.
    erase_seconds: f64,
    erased_sightings: usize,
    /// Number of places in the files of the gallery where something of that person is left.
    left: usize,
}

pub(super) fn run(args: &SightingsArgs) -> Result<()> {
    ensure!(args.sightings > 0 && args.faces > 0 && args.queries > 0, "the numbers must be at least 1");
    let temporary = tempfile::tempdir().context("no folder for the gallery could be made")?;
    let path = temporary.path().join("bench.gallery");
    let crowd = Crowd::new(args.seed, args.length, 0.6);
    let gallery = Gallery::create(&path, &crowd.id)?;
    // Their vectors are looked for in the file after the removal.
    let erased_vector = crowd.photo(args.faces + 1);
    let photo = NewPhoto {
        source: "erased.jpg".into(),
        sha256: None,
        vector: erased_vector.clone(),
        thumbnail: Some(picture("ERASED PERSON", args.picture)),
        score: None,
    };
    let erased = gallery.add("Erased Person", &[photo])?.person;
    let asked = fill(args, &crowd, &gallery, erased)?;
    drop(gallery);

    let started = Instant::now();
    let gallery = Gallery::open(&path, Some(&crowd.id))?;
    let open_seconds = started.elapsed().as_secs_f64();
    let like = |query: &[f32]| -> Result<Option<i64>> {
        Ok(gallery.sightings_like(query, 1, END + DAY)?.first().map(|found| found.sighting.id.0))
    };
    let started = Instant::now();
    like(&asked[0].1)?;
    let first_search_seconds = started.elapsed().as_secs_f64();
    let (searches, _) = search(&asked, like)?;
    let mut days = Vec::new();
    for day in 0..DAYS {
        let until = END - day * DAY;
        let filter = SightingFilter { from: Some(until - DAY), until: Some(until), ..SightingFilter::default() };
        let started = Instant::now();
        let shown = gallery.sightings(&filter, 60)?;
        ensure!(!gallery.sighting_cameras()?.is_empty() && !shown.is_empty(), "a day without sightings");
        days.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let gallery_bytes = fs::metadata(&path)?.len();
    let of_person = SightingFilter { person: Some(erased), ..SightingFilter::default() };
    let erased_sightings = gallery.sightings(&of_person, usize::MAX)?.len();
    let started = Instant::now();
    gallery.remove_person(erased)?;
    let erase_seconds = started.elapsed().as_secs_f64();
    let bytes: Vec<u8> = erased_vector.iter().take(8).flat_map(|number| number.to_le_bytes()).collect();
    let left = [b"ERASED PERSON".to_vec(), b"Erased Person".to_vec(), bytes];
    let report = Report {
        sightings: args.sightings,
        length: args.length,
        gallery_bytes,
        open_seconds,
        first_search_seconds,
        searches,
        day_milliseconds_mean: days.iter().sum::<f64>() / days.len() as f64,
        day_milliseconds_max: days.iter().copied().fold(0.0, f64::max),
        erase_seconds,
        erased_sightings,
        left: count(temporary.path(), &left)?,
    };
    if args.json { say_json(&report) } else { print(&report) }
}

/// Bytes that begin like a JPEG and contain `mark`.
fn picture(mark: &str, bytes: usize) -> Vec<u8> {
    let mut picture = vec![0xFF, 0xD8, 0xFF];
    while picture.len() < bytes.max(16) {
        picture.extend_from_slice(mark.as_bytes());
    }
    picture
}

/// Stores the sightings. Returns some of them: the number of a sighting, and a noisy copy of its embedding.
fn fill(args: &SightingsArgs, crowd: &Crowd, gallery: &Gallery, erased: PersonId) -> Result<Vec<(usize, Vec<f32>)>> {
    let bar = ProgressBar::new(args.sightings as u64).with_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} sightings stored, {per_sec}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let faces: Vec<Vec<f32>> = (0..args.faces).map(|face| crowd.photo(face)).collect();
    let (others, own) = (picture("another person", args.picture), picture("ERASED PERSON", args.picture));
    let erased_vector = crowd.photo(args.faces + 1);
    let mut asked = Vec::new();
    let every = (args.sightings / args.queries).max(1);
    let mut random = fastrand::Rng::with_seed(args.seed);
    for first in (0..args.sightings).step_by(BATCH) {
        let batch = first..(first + BATCH).min(args.sightings);
        let vectors: Vec<Vec<f32>> = batch
            .clone()
            .map(|number| match number % ERASED_EVERY {
                0 => erased_vector.clone(),
                // A look at the face: each sighting differs a little from all others.
                _ => faces[number % args.faces].iter().map(|value| value + 0.02 * (random.f32() - 0.5)).collect(),
            })
            .collect();
        let sightings: Vec<NewSighting<'_>> = batch
            .clone()
            .zip(&vectors)
            .map(|(number, vector)| {
                let time = END - DAYS * DAY + number as i64 * DAYS * DAY / args.sightings as i64;
                let is_erased = number % ERASED_EVERY == 0;
                NewSighting {
                    camera: if number % 2 == 0 { "door" } else { "yard" },
                    first_seen: time,
                    last_seen: time + 30,
                    person: is_erased.then_some(erased),
                    identified: None,
                    age: Some(40.0),
                    female: Some(0.5),
                    smiling: Some(0.3),
                    quality: 1.0,
                    vector,
                    crop: Some(if is_erased { &own } else { &others }),
                }
            })
            .collect();
        let stored = gallery.record_sightings(&sightings)?;
        for ((number, vector), id) in batch.zip(vectors).zip(stored) {
            if number % every == 1 && number % ERASED_EVERY != 0 {
                let query = vector.iter().map(|value| value + 0.002 * (random.f32() - 0.5)).collect();
                asked.push((id.map_or(0, |id| id.0 as usize), query));
            }
        }
        bar.set_position(first as u64);
    }
    bar.finish_and_clear();
    Ok(asked)
}

/// Number of places in the files of a folder where one of `marks` stands.
fn count(folder: &Path, marks: &[Vec<u8>]) -> Result<usize> {
    let files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let longest = marks.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = 0;
    for path in files {
        let mut file = File::open(&path)?;
        let (mut block, mut kept) = (vec![0; 64 << 20], 0);
        loop {
            let read = file.read(&mut block[kept..])?;
            if read == 0 {
                break;
            }
            let filled = kept + read;
            // Places that end in this block; what remains is looked at with the next one.
            for mark in marks {
                let starts = memchr_all(&block[..filled], mark).filter(|start| start + mark.len() > kept);
                found += starts.count();
            }
            kept = filled.min(longest.saturating_sub(1));
            block.copy_within(filled - kept..filled, 0);
        }
    }
    Ok(found)
}

/// The places where `mark` begins.
fn memchr_all<'a>(bytes: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(mark.len()).enumerate().filter(move |(_, window)| *window == mark).map(|(at, _)| at)
}

fn print(report: &Report) -> Result<()> {
    let Report { sightings, length, gallery_bytes, open_seconds, first_search_seconds, .. } = report;
    say(&format!("{sightings} sightings, {length} numbers each, {:.0} MB", *gallery_bytes as f64 / 1e6))?;
    say(&format!("opened in {open_seconds:.2} s; first search {first_search_seconds:.2} s"))?;
    let Searches { milliseconds, milliseconds_p95, found, .. } = &report.searches;
    say(&format!(
        "search by a face: {milliseconds:.1} ms, 95 % within {milliseconds_p95:.1} ms, {:.1} % found",
        found * 100.0
    ))?;
    let (mean, most) = (report.day_milliseconds_mean, report.day_milliseconds_max);
    say(&format!("page of a day: {mean:.1} ms, at most {most:.1} ms"))?;
    say(&format!(
        "a person with {} sightings erased in {:.1} s; found in the files afterwards: {}",
        report.erased_sightings, report.erase_seconds, report.left
    ))
}
