//! `visavis-lab bench`: speed and recall of searches in a synthetic gallery, and among synthetic sightings.

mod sightings;

use std::f32::consts::TAU;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use visavis_gallery::{
    EmbeddingId, Gallery, GalleryBuilder, GalleryParams, IdentityParams, NewPhoto, PersonRecord, SqliteStore,
};
use visavis_infer::manifest::Metric;

use visavis_cli::index::index;
use visavis_cli::options::{cores, say, say_json};

/// Measure searches in a large gallery and among many sightings
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab bench gallery --people 1000000 --approximate
  visavis-lab bench gallery --people 1000000 --approximate --like people.gallery --write big/
  visavis bench live --source film.mp4 --gallery big/bench.gallery
  visavis-lab bench sightings --sightings 1000000")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Search in a synthetic gallery
    Gallery(GalleryArgs),
    /// Search among synthetic sightings, list those of a day, and erase a person
    Sightings(sightings::SightingsArgs),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Gallery(args) => gallery(args),
        Command::Sightings(args) => sightings::run(args),
    }
}

#[derive(Parser)]
struct GalleryArgs {
    /// Number of synthetic people with one photo each: random unit vectors, the hardest case for a graph of neighbours
    #[arg(long, value_name = "N")]
    people: usize,
    /// Make vectors with the distribution of this gallery's photos, for its network, and add its own people
    #[arg(long, value_name = "GALLERY", conflicts_with = "length")]
    like: Option<PathBuf>,
    /// Numbers per vector
    #[arg(long, default_value_t = 128, value_name = "N")]
    length: usize,
    /// Number of searches, one after the other, on one thread
    #[arg(long, default_value_t = 200, value_name = "N")]
    queries: usize,
    /// Distance of a query from the photo that it should find [default: 0.6 of the photo's length; with --like, half the
    /// same-person distance]
    #[arg(long, value_name = "LENGTH")]
    noise: Option<f32>,
    /// Also build an index, and search with its graph
    #[arg(long)]
    approximate: bool,
    /// Threads that build the index [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Write the gallery to this folder, and the vectors as base.f32 and queries.f32 (little-endian, row by row)
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    people: usize,
    length: usize,
    queries: usize,
    noise: f32,
    gallery_bytes: u64,
    /// Time to read all vectors from the gallery.
    open_seconds: f64,
    exact: Searches,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate: Option<Approximate>,
}

#[derive(Serialize)]
struct Searches {
    milliseconds: f64,
    milliseconds_p50: f64,
    milliseconds_p95: f64,
    /// Share of the queries whose own photo came first.
    found: f64,
}

#[derive(Serialize)]
struct Approximate {
    threads: usize,
    build_seconds: f64,
    index_bytes: u64,
    graph_bytes: u64,
    /// Number of photos that a search compares.
    candidates: usize,
    /// Time to map the index.
    open_seconds: f64,
    #[serde(flatten)]
    searches: Searches,
    /// Share of the queries with the same first photo as in the exact search.
    recall_at_1: f64,
}

/// Number of differences between photos that are added for a synthetic one.
const DIFFERENCES: usize = 32;

/// Makes synthetic people.
struct Crowd {
    seed: u64,
    id: EmbeddingId,
    /// Photos whose distribution is imitated; if empty, all directions are equally likely.
    photos: Vec<Vec<f32>>,
    mean: Vec<f32>,
    /// Distance of a query from its photo.
    noise: f32,
}

impl Crowd {
    /// Vectors in all directions alike. `noise` is the distance of a query from its photo.
    fn new(seed: u64, length: usize, noise: f32) -> Self {
        let id = EmbeddingId {
            name: "noise".into(),
            fingerprint: "0".into(),
            length,
            metric: Metric::Cosine,
            same_person: 0.4,
            likeness: None,
            identity: IdentityParams::default(),
        };
        Self { seed, id, photos: Vec::new(), mean: vec![0.0; length], noise }
    }

    fn like(args: &GalleryArgs, people: &[PersonRecord], id: EmbeddingId) -> Result<Self> {
        let photos: Vec<Vec<f32>> =
            people.iter().flat_map(|person| &person.photos).map(|photo| alike(&id, photo.vector.clone())).collect();
        ensure!(photos.len() > 1, "a gallery of two photos or more is needed to make up others like them");
        let mean = (0..id.length).map(|at| photos.iter().map(|photo| photo[at]).sum::<f32>() / photos.len() as f32);
        let noise = id.step(id.same_person / 2.0);
        Ok(Self { seed: args.seed, mean: mean.collect(), noise: args.noise.unwrap_or(noise), photos, id })
    }

    /// A normally distributed vector with mean zero, the same for the same `which`.
    fn normal(&self, which: u64) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ which);
        let normal =
            |random: &mut fastrand::Rng| (-2.0 * (1.0 - random.f32()).ln()).sqrt() * (TAU * random.f32()).cos();
        if self.photos.is_empty() {
            return (0..self.id.length).map(|_| normal(&mut random)).collect();
        }
        // A sum of differences has twice the covariance of the photos for each term.
        let mut sum = vec![0.0; self.id.length];
        for _ in 0..DIFFERENCES {
            let weight = normal(&mut random) / (2.0 * DIFFERENCES as f32).sqrt();
            let [one, other] = [0, 1].map(|_| &self.photos[random.usize(..self.photos.len())]);
            let difference = one.iter().zip(other).map(|(one, other)| one - other);
            sum.iter_mut().zip(difference).for_each(|(sum, difference)| *sum += weight * difference);
        }
        sum
    }

    fn photo(&self, person: usize) -> Vec<f32> {
        let around = self.normal(person as u64);
        alike(&self.id, around.iter().zip(&self.mean).map(|(around, mean)| around + mean).collect())
    }

    /// A noisy copy of a person's photo.
    fn query(&self, person: usize, number: usize) -> Vec<f32> {
        let (photo, noise) = (self.photo(person), unit(self.normal(u64::MAX - number as u64)));
        alike(&self.id, photo.iter().zip(noise).map(|(value, noise)| value + self.noise * noise).collect())
    }
}

/// Scales a vector to the length of the network's vectors.
fn alike(id: &EmbeddingId, vector: Vec<f32>) -> Vec<f32> {
    match id.metric {
        Metric::Euclidean => vector,
        Metric::Cosine => unit(vector),
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

/// All people of a gallery with their photos, and its network.
fn read(gallery: &Path) -> Result<(Vec<PersonRecord>, EmbeddingId)> {
    let file = Gallery::open(gallery, None)?;
    let mut people = Vec::new();
    for person in file.people()? {
        people.extend(file.person_record(person.id)?);
    }
    Ok((people, file.embedding().clone()))
}

fn gallery(args: &GalleryArgs) -> Result<()> {
    ensure!(args.people > 0 && args.queries > 0, "at least one person and one query are needed");
    let temporary = tempfile::tempdir().context("no folder for the gallery could be made")?;
    let folder = args.write.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let (others, crowd) = match &args.like {
        None => (Vec::new(), Crowd::new(args.seed, args.length, args.noise.unwrap_or(0.6))),
        Some(gallery) => {
            let (people, id) = read(gallery)?;
            let crowd = Crowd::like(args, &people, id)?;
            (people, crowd)
        }
    };
    let of = |number: usize| number * args.people / args.queries;
    // The number of the person to be found: those of the other gallery come first.
    let asked = |number: usize| (others.len() + of(number) + 1, crowd.query(of(number), number));
    let queries: Vec<_> = (0..args.queries).map(asked).collect();
    if args.write.is_some() {
        let write = |name: &str, vectors: &mut dyn Iterator<Item = Vec<f32>>| -> Result<()> {
            let path = folder.join(name);
            let mut file = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
            for number in vectors.flatten() {
                file.write_all(&number.to_le_bytes())?;
            }
            Ok(file.flush()?)
        };
        write("base.f32", &mut (0..args.people).map(|person| crowd.photo(person)))?;
        write("queries.f32", &mut queries.iter().map(|(_, query)| query.clone()))?;
    }
    let (path, id) = (folder.join("bench.gallery"), &crowd.id);
    fill(args.people, &crowd, &others, &path)?;
    let started = Instant::now();
    let opened = Gallery::open(&path, Some(id))?;
    let open_seconds = started.elapsed().as_secs_f64();
    let (exact, named) =
        search(&queries, |query| Ok(opened.search_exact(query, 1)?.first().map(|found| found.person.0)))?;
    drop(opened);
    let mut approximate = None;
    if args.approximate {
        let threads = args.threads.unwrap_or_else(cores).max(1);
        let built = index(&Gallery::open(&path, None)?, threads)?;
        let started = Instant::now();
        let params = GalleryParams { approximate_from: 0, ..GalleryParams::default() };
        let opened = Gallery::over(SqliteStore::open(&path)?, Some(id), params)?;
        let open_seconds = started.elapsed().as_secs_f64();
        ensure!(opened.is_approximate(), "the index that was built is not used");
        let (searches, near) =
            search(&queries, |query| Ok(opened.search(query, 1)?.first().map(|found| found.person.0)))?;
        let same = near.iter().zip(&named).filter(|(near, exact)| near == exact).count();
        approximate = Some(Approximate {
            threads,
            build_seconds: built.seconds,
            index_bytes: built.bytes,
            graph_bytes: built.graph_bytes,
            candidates: built.candidates,
            open_seconds,
            searches,
            recall_at_1: same as f64 / queries.len() as f64,
        });
    }
    let report = Report {
        people: others.len() + args.people,
        length: id.length,
        queries: args.queries,
        noise: crowd.noise,
        gallery_bytes: fs::metadata(&path)?.len(),
        open_seconds,
        exact,
        approximate,
    };
    if args.json { say_json(&report) } else { print(&report) }
}

/// Makes the gallery: first the others, then the synthetic people, numbered from 1.
fn fill(people: usize, crowd: &Crowd, others: &[PersonRecord], path: &Path) -> Result<()> {
    let mut builder = GalleryBuilder::new(path, &crowd.id, None)?;
    for other in others {
        builder.add(&other.name, &other.photos)?;
    }
    let bar = ProgressBar::new(people as u64).with_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} people made up, {per_sec}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    for person in 0..people {
        let vector = crowd.photo(person);
        let photo = NewPhoto { source: "noise".into(), sha256: None, vector, thumbnail: None, score: None };
        builder.add(&format!("person {person}"), &[photo])?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(builder.finish()?)
}

/// Runs every search once before measuring, so that mapped files are in memory.
fn search(
    queries: &[(usize, Vec<f32>)],
    mut ask: impl FnMut(&[f32]) -> Result<Option<i64>>,
) -> Result<(Searches, Vec<Option<i64>>)> {
    for (_, query) in queries {
        ask(query)?;
    }
    let (mut named, mut times) = (Vec::new(), Vec::new());
    for (_, query) in queries {
        let started = Instant::now();
        named.push(ask(query)?);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let found = queries.iter().zip(&named).filter(|((person, _), named)| **named == Some(*person as i64)).count();
    let milliseconds = times.iter().sum::<f64>() / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (p50, p95) = (at(0.5), at(0.95));
    let found = found as f64 / queries.len() as f64;
    Ok((Searches { milliseconds, milliseconds_p50: p50, milliseconds_p95: p95, found }, named))
}

fn print(report: &Report) -> Result<()> {
    let line = |name: &str, searches: &Searches| {
        format!(
            "{name:12} {:9.3} ms a query ({:.3} p50, {:.3} p95), {:.1} % found",
            searches.milliseconds,
            searches.milliseconds_p50,
            searches.milliseconds_p95,
            searches.found * 100.0
        )
    };
    say(&format!(
        "{} people, {} numbers each, {} queries, noise {}",
        report.people, report.length, report.queries, report.noise
    ))?;
    say(&format!("gallery      {:.1} MB, opened in {:.2} s", report.gallery_bytes as f64 / 1e6, report.open_seconds))?;
    say(&line("exact", &report.exact))?;
    if let Some(approximate) = &report.approximate {
        say(&format!(
            "index        {:.1} MB ({:.1} MB of them the graph), built in {:.1} s by {} thread(s), opened in {:.2} s, {} candidates",
            approximate.index_bytes as f64 / 1e6,
            approximate.graph_bytes as f64 / 1e6,
            approximate.build_seconds,
            approximate.threads,
            approximate.open_seconds,
            approximate.candidates
        ))?;
        say(&line("approximate", &approximate.searches))?;
        say(&format!("recall@1     {:.4}", approximate.recall_at_1))?;
    }
    Ok(())
}
