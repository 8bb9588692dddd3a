//! `visavis gallery`: people to compare faces with.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest, Sha256};
use visavis_face::Enroller;
use visavis_face::gallery::{
    APPROXIMATE_FROM, Converted, EmbeddingId, GalleryBuilder, GalleryFile, IndexBuilder, IndexReport, NewPhoto,
    PhotoSource, index_path, photos_in,
};
use visavis_image::{Picture, codec};
use visavis_live::GalleryStore;

use crate::options::{EngineArgs, NetworkArgs, complain, cores, say, say_json};
use crate::place::GalleryPlace;
use crate::session::Session;

/// Build, list, search, index and thin out a gallery of people
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis gallery build people/ --out people.gallery      one folder or one file name for each person
  visavis gallery add people.gallery \"Ada Lovelace\" ada.jpg
  visavis gallery search people.gallery unknown.jpg --top 5
  visavis gallery list postgres://visavis@db/faces        a gallery in PostgreSQL with pgvector, see docs/postgres.md
  visavis gallery watch people.gallery \"Ada Lovelace\"
  visavis gallery convert people.gallery --similarity dlib_face_recognition
  visavis gallery index people.gallery                    hundreds of thousands of photos open and answer at once
  visavis gallery remove people.gallery \"Ada Lovelace\"")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a gallery from photos: a folder (person = subfolder or file name) or a CSV with `file` and `name`
    Build {
        /// Folder or CSV
        photos: PathBuf,
        /// The gallery to make; a file that is there is replaced when the new one is complete, a database is added to
        #[arg(long, value_name = "PLACE", value_parser = GalleryPlace::parser())]
        out: GalleryPlace,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Add photos of a person, who may be new
    Add {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// The photos; of each the main face is taken
        #[arg(required = true)]
        photos: Vec<PathBuf>,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Who is in a gallery
    List {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Whom the main face of a photo resembles
    Search {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The photo
        photo: PathBuf,
        /// How many people to name
        #[arg(long, default_value_t = 5, value_name = "N")]
        top: usize,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Put a person on the watch list: `visavis live` rings when they are seen
    Watch {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// Take them off it
        #[arg(long)]
        off: bool,
    },
    /// Give a person another name, such as a visitor whom nobody had named
    Rename {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// The new name
        to: String,
    },
    /// Join two people who are one
    Merge {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Who goes
        name: String,
        /// Who stays, with the photos of both
        into: String,
    },
    /// Give a gallery to another network, which looks at all its photos anew
    #[command(
        after_help = "The network looks at the pictures that the gallery keeps, so the photos are not needed. The gallery is as \
it was until all are done. While `visavis live` runs, `switch similarity NETWORK` does the same."
    )]
    Convert {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Make a large gallery open and answer at once: builds its index, a file beside it
    #[command(
        after_help = "The index holds the vectors again, and a graph of neighbours that is searched from 200,000 photos on. \
Whoever is added later is found all the same. Removing somebody deletes it: build it again then."
    )]
    Index {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Threads that build [default: all cores]
        #[arg(long, value_name = "N")]
        threads: Option<usize>,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Remove a person with all photos and vectors
    Remove {
        /// The gallery: a file or a database
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
    },
}

/// The networks that a gallery needs.
#[derive(clap::Args, Clone)]
struct GalleryNetworks {
    /// Network that finds the faces
    #[arg(long, value_name = "NETWORK")]
    detector: Option<String>,
    /// Network that finds the keypoints; `detector` takes those of the detector
    #[arg(long, value_name = "NETWORK")]
    keypoints: Option<String>,
    /// Network that makes the embeddings
    #[arg(long, value_name = "NETWORK")]
    similarity: Option<String>,
}

impl GalleryNetworks {
    /// Networks for `gallery`, or for one that is yet to be made.
    fn session(&self, engines: &EngineArgs, gallery: Option<&GalleryPlace>) -> Result<Session> {
        let networks = NetworkArgs {
            detector: self.detector.clone(),
            keypoints: self.keypoints.clone(),
            similarity: self.similarity.clone(),
            // Even no file's name makes the session choose a network for similarity.
            gallery: Some(gallery.cloned().unwrap_or_else(|| GalleryPlace::File(PathBuf::new()))),
            ..NetworkArgs::default()
        };
        Session::open(engines, &networks)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Build { photos, out, engines, networks, json } => {
            let session = networks.session(engines, None)?;
            let built = build(&session, &photos_in(photos)?, out)?;
            for failure in &built.failures {
                complain(&format!("left out: {failure}"));
            }
            if *json {
                return say_json(&built);
            }
            say(&format!("{out}: {} people, {} photos", built.people, built.photos))
        }
        Command::Add { place, name, photos, engines, networks, json } => {
            let added = add(&networks.session(engines, Some(place))?, place, name, photos)?;
            for failure in &added.failures {
                complain(&format!("left out: {failure}"));
            }
            if *json {
                return say_json(&added);
            }
            say(&format!("{name}: {} photo{} added", added.photos, if added.photos == 1 { "" } else { "s" }))
        }
        Command::List { place, json } => list(place, *json),
        Command::Search { place, photo, top, engines, networks, json } => {
            let session = networks.session(engines, Some(place))?;
            search(&session, place, photo, *top, *json)
        }
        Command::Watch { place, name, off } => {
            place.open_any()?.watch(name, !off)?;
            say(&format!("{name} is {} watched", if *off { "not" } else { "now" }))
        }
        Command::Rename { place, name, to } => {
            place.open_any()?.rename(name, to)?;
            say(&format!("{name} is {to} now"))
        }
        Command::Merge { place, name, into } => {
            let gallery = place.open_any()?;
            let (from, to) = (gallery.find_person(name)?.id, gallery.find_person(into)?.id);
            gallery.merge(from, to)?;
            say(&format!("{name} is {into} now"))
        }
        Command::Convert { place, engines, networks, json } => convert(&networks.session(engines, None)?, place, *json),
        Command::Index { place, threads, json } => {
            let built = index(place.file("an index")?, threads.unwrap_or_else(cores))?;
            if *json {
                return say_json(&built);
            }
            say(&format!(
                "{}: {} photos of {} people, {:.1} MB, {:.1} s",
                built.file,
                built.photos,
                built.people,
                built.bytes as f64 / 1e6,
                built.seconds
            ))
        }
        Command::Remove { place, name } => {
            let indexed = matches!(place, GalleryPlace::File(path) if index_path(path).exists());
            let removed = place.open_any()?.remove_person(name)?;
            let erased = match place {
                _ if removed.erased => "",
                GalleryPlace::File(_) => {
                    " (another program is using the gallery: traces in its unused pages go with the next removal)"
                }
                GalleryPlace::Database(_) => {
                    " (the server's log and backups hold them for a while: see docs/postgres.md)"
                }
            };
            say(&format!(
                "{name} and {} photo{} removed{erased}",
                removed.photos,
                if removed.photos == 1 { "" } else { "s" }
            ))?;
            if indexed {
                complain("the index went too, since it held the vectors: 'visavis gallery index' builds it again");
            }
            Ok(())
        }
    }
}

/// What a build did.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    pub(crate) people: usize,
    pub(crate) photos: usize,
    /// Photos that could not be used, with the reason.
    pub(crate) failures: Vec<String>,
}

/// Makes the gallery `out` from `photos`. No file is at `out` before all is done; a database takes each as it comes.
pub(crate) fn build(session: &Session, photos: &[PhotoSource], out: &GalleryPlace) -> Result<Built> {
    let id = embedding_id(session)?;
    match out {
        GalleryPlace::File(path) => {
            let mut builder = GalleryBuilder::new(path, &id)?;
            let failures = enrol(session, photos, |person, photo| Ok(builder.add(person, &[photo]).map(drop)?))?;
            let people = builder.people()?;
            let (people, photos) = (people.len(), people.iter().map(|person| person.photos).sum());
            builder.finish()?;
            if photos >= APPROXIMATE_FROM {
                index(path, cores())?;
            }
            Ok(Built { people, photos, failures })
        }
        GalleryPlace::Database(_) => {
            out.make(&id)?;
            let gallery = out.open(&id)?;
            let failures = enrol(session, photos, |person, photo| Ok(gallery.add(person, &[photo]).map(drop)?))?;
            let people = gallery.people()?;
            let (people, photos) = (people.len(), people.iter().map(|person| person.photos).sum());
            Ok(Built { people, photos, failures })
        }
    }
}

/// Hands over the faces on photos; gives what could not be used and why. Fails where nothing could.
fn enrol(
    session: &Session,
    photos: &[PhotoSource],
    mut take: impl FnMut(&str, NewPhoto) -> Result<()>,
) -> Result<Vec<String>> {
    let mut enroller = session.enroller()?;
    let bar = photos_bar(photos.len());
    let mut failures = Vec::new();
    for photo in photos {
        bar.set_message(photo.person.clone());
        match look(&mut enroller, &photo.path) {
            Ok(new) => take(&photo.person, new)?,
            Err(error) => failures.push(format!("{}: {error:#}", photo.path.display())),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failures.len() == photos.len() {
        for failure in &failures {
            complain(failure);
        }
        bail!("no face was found on any of the {} photos, nobody was added", photos.len());
    }
    Ok(failures)
}

/// What an addition did.
#[derive(Debug, Serialize)]
struct AddedPhotos {
    person: i64,
    photos: usize,
    /// Photos that could not be used, with the reason.
    failures: Vec<String>,
}

/// Adds photos of a person, all at once.
fn add(session: &Session, place: &GalleryPlace, name: &str, photos: &[PathBuf]) -> Result<AddedPhotos> {
    let gallery = place.open(&embedding_id(session)?)?;
    let sources: Vec<PhotoSource> =
        photos.iter().map(|path| PhotoSource { person: name.to_owned(), path: path.clone() }).collect();
    let mut new = Vec::new();
    let failures = enrol(session, &sources, |_, photo| {
        new.push(photo);
        Ok(())
    })?;
    let added = gallery.add(name, &new)?;
    Ok(AddedPhotos { person: added.person.0, photos: added.photos, failures })
}

/// What building an index did.
#[derive(Debug, Serialize)]
pub(crate) struct Indexed {
    pub(crate) file: String,
    pub(crate) people: usize,
    pub(crate) photos: usize,
    pub(crate) bytes: u64,
    pub(crate) graph_bytes: u64,
    /// Photos that a search looks at.
    pub(crate) candidates: usize,
    /// Share of the answers that are those of the exact search.
    pub(crate) recall: f64,
    pub(crate) seconds: f64,
}

/// Builds the index of a gallery.
pub(crate) fn index(gallery: &Path, threads: usize) -> Result<Indexed> {
    let (started, threads) = (Instant::now(), threads.max(1));
    let file = GalleryFile::open(gallery, None)?;
    let builder = IndexBuilder::new(&file, threads)?;
    let bar = photos_bar(builder.photos());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| builder.work(|photos| bar.inc(photos as u64)));
        }
    });
    bar.finish_and_clear();
    let IndexReport { people, photos, bytes, graph_bytes, candidates, recall } = builder.finish(&file)?;
    let (file, seconds) = (index_path(gallery).display().to_string(), started.elapsed().as_secs_f64());
    Ok(Indexed { file, people, photos, bytes, graph_bytes, candidates, recall, seconds })
}

fn convert(session: &Session, place: &GalleryPlace, json: bool) -> Result<()> {
    let bar = photos_bar(0);
    let converted = session.loader.convert(place, &session.choice, &mut |done, photos| {
        bar.set_length(photos as u64);
        bar.set_position(done as u64);
        true
    })?;
    bar.finish_and_clear();
    let network = session.choice.similarity.as_deref().unwrap_or_default();
    if json {
        let Converted { photos, denials } = converted;
        return say_json(&serde_json::json!({ "network": network, "photos": photos, "denials_dropped": denials }));
    }
    if converted.denials > 0 {
        complain(&format!(
            "{} faces that were denied before may be taken for the same people again",
            converted.denials
        ));
    }
    say(&format!("{place}: {} photos, embeddings by {network} now", converted.photos))
}

fn photos_bar(photos: usize) -> ProgressBar {
    ProgressBar::new(photos as u64).with_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} photos, {per_sec}, {eta} left  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn embedding_id(session: &Session) -> Result<EmbeddingId> {
    let similarity = session.choice.similarity.as_deref().context("no network for similarity was chosen")?;
    Ok(session.loader.embedding_id(similarity)?)
}

/// Decodes a picture file.
pub(crate) fn read_picture(path: &Path) -> Result<(Picture, Vec<u8>)> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let picture = codec::decode(&bytes, codec::MAX_PIXELS).with_context(|| path.display().to_string())?;
    Ok((picture, bytes))
}

fn look(enroller: &mut Enroller, path: &Path) -> Result<NewPhoto> {
    let (picture, bytes) = read_picture(path)?;
    let enrolled = enroller.enrol(&picture)?.context("no face found")?;
    Ok(NewPhoto {
        source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: Some(Sha256::digest(&bytes).into()),
        vector: enrolled.vector,
        thumbnail: enrolled.thumbnail,
        score: Some(enrolled.score),
    })
}

fn list(place: &GalleryPlace, json: bool) -> Result<()> {
    let gallery = place.open_any()?;
    let people = gallery.people()?;
    if json {
        let rows: Vec<_> = people
            .iter()
            .map(|p| {
                serde_json::json!({ "id": p.id.0, "name": p.name, "photos": p.photos, "watched": p.watched,
                        "met": p.met, "seen": p.seen, "last_seen": p.last_seen })
            })
            .collect();
        return say_json(&serde_json::json!({ "network": gallery.embedding().name, "people": rows }));
    }
    for person in &people {
        let watched = if person.watched { "  watched" } else { "" };
        let seen = match (person.seen, person.last_seen) {
            (0, _) | (_, None) => String::new(),
            (1, Some(last)) => format!("  seen once, {}", ago(last)),
            (visits, Some(last)) => format!("  seen {visits} times, last {}", ago(last)),
        };
        say(&format!("{:5}  {}{watched}{seen}", person.photos, person.name))?;
    }
    say(&format!("{} people, embeddings by {}", people.len(), gallery.embedding().name))
}

/// How long ago, in the largest unit that there is one of.
fn ago(at: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = now.saturating_sub(u64::try_from(at).unwrap_or(0));
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    match units.into_iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => {
            let count = seconds / unit;
            format!("{count} {name}{} ago", if count == 1 { "" } else { "s" })
        }
        None => "just now".into(),
    }
}

fn search(session: &Session, place: &GalleryPlace, photo: &Path, top: usize, json: bool) -> Result<()> {
    let gallery = place.open(&embedding_id(session)?)?;
    let (picture, _) = read_picture(photo)?;
    let enrolled =
        session.enroller()?.enrol(&picture)?.with_context(|| format!("no face was found on {}", photo.display()))?;
    if enrolled.faces > 1 {
        complain(&format!("{} faces are on the photo: the largest is searched", enrolled.faces));
    }
    let found = gallery.search(&enrolled.vector, top.max(1))?;
    if json {
        let rows: Vec<_> = found
            .iter()
            .map(|m| {
                serde_json::json!({ "name": &*m.name, "person": m.person.0, "distance": m.distance,
                    "similarity": m.similarity, "same_person": m.same_person })
            })
            .collect();
        return say_json(&rows);
    }
    for m in &found {
        let verdict = if m.same_person { "same person" } else { "resembles" };
        say(&format!("{:3.0} %  {verdict:11}  {}", m.similarity * 100.0, m.name))?;
    }
    Ok(())
}
