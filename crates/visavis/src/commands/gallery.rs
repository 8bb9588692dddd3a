//! `visavis gallery`: builds, searches and changes galleries of people.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use visavis_gallery::{
    APPROXIMATE_FROM, Converted, EmbeddingId, FoundPhotos, Gallery, GalleryBuilder, PersonId, PersonSummary,
    PhotoSource, photos_in,
};
use visavis_image::{Picture, codec};
use visavis_live::GalleryStore;

mod check;
mod enrolment;
mod sightings;

use enrolment::{Enrolment, enrol};

use crate::audit_log::{self, AuditLog};
use crate::verdict::Verdict;
use visavis_cli::gallery_key::{gallery_key, read_or_create_key};
use visavis_cli::index::{index, photos_bar};
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, cores, parse_rate, say, say_json};
use visavis_cli::output::write_file;
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;

/// Build, search and change a gallery of people
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis gallery build people/ --out people.gallery      one folder or one file name for each person
  visavis gallery add people.gallery \"Ada Lovelace\" ada.jpg
  visavis gallery search people.gallery unknown.jpg --top 5
  visavis gallery list postgres://visavis@db/faces        a gallery in PostgreSQL with pgvector, see docs/postgres.md
  visavis gallery check people.gallery                    wrong names, one person under two names, poor photos
  visavis gallery watch people.gallery \"Ada Lovelace\"
  visavis gallery sightings people.gallery --photo unknown.jpg      was this face seen, and when
  visavis gallery export people.gallery \"Ada Lovelace\" --out ada.zip
  visavis gallery convert people.gallery --similarity dlib_face_recognition
  visavis gallery index people.gallery                    a large gallery opens and is searched faster
  visavis gallery encrypt people.gallery --key people.key
  visavis gallery remove people.gallery \"Ada Lovelace\"")]
pub(crate) struct Args {
    /// Append who changed what, and when, to this file as JSON lines, such as /var/log/visavis/audit.jsonl
    #[arg(long, value_name = "FILE", env = "VISAVIS_AUDIT_LOG", hide_env_values = true, global = true)]
    audit_log: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a gallery from photos
    ///
    /// The photos are in a folder, with one subfolder or one file name for each person, or are listed in a CSV file with the
    /// columns `file` and `name`. The type of a photo follows from its contents, not from its ending. What cannot be used is skipped
    /// and reported; hidden files, texts and tables beside the photos are ignored.
    Build {
        /// Folder of photos, or CSV file with the columns `file` and `name`
        photos: PathBuf,
        /// Gallery to build: a file, which replaces an existing one when complete, or a database, to which the photos are added
        #[arg(long, value_name = "PLACE", value_parser = GalleryPlace::parser())]
        out: GalleryPlace,
        /// Also take poor photos: a face that is small, blurred or turned to the side. Each is reported
        #[arg(long)]
        accept_poor: bool,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add photos of a person; a new person is added to the gallery
    Add {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// The photos. Of several faces in a photo, the largest is taken, and this is reported
        #[arg(required = true)]
        photos: Vec<PathBuf>,
        /// Also take poor photos: a face that is small, blurred or turned to the side. Each is reported
        #[arg(long)]
        accept_poor: bool,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the people of a gallery
    List {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the most similar people for the largest face of a photo
    Search {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Photo to search for
        photo: PathBuf,
        /// Number of people to show
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
        top: usize,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Find photos of another person, one person under two names, photos that add nothing, and poor photos
    #[command(
        after_help = "Nothing is changed. Each finding names the command or the photo that helps. The exit status is 0 whether or \
not anything was found."
    )]
    Check {
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
    /// Put a person on the watch list: `visavis live` raises an alarm when they are seen
    Watch {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// Take the person off the watch list
        #[arg(long)]
        off: bool,
    },
    /// Rename a person, such as a visitor; a renamed visitor becomes a permanent person
    Rename {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// The new name
        to: String,
    },
    /// Merge two entries that are the same person
    Merge {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Name of the entry that is removed
        name: String,
        /// Name of the entry that remains, with the photos of both
        into: String,
    },
    /// List who was seen when, as recorded by `visavis live --remember`
    #[command(after_help = "Examples:
  visavis gallery sightings people.gallery --since 2h
  visavis gallery sightings people.gallery --person \"Ada Lovelace\" --camera door --json
  visavis gallery sightings people.gallery --photo unknown.jpg --since 2026-05-31 --save seen/")]
    Sightings {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        #[command(flatten)]
        wanted: sightings::SightingsArgs,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything stored about a person to a ZIP file: photos, embeddings, alarms, sightings
    Export {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
        /// File to write; it must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Convert a gallery to another network: compute the embeddings of all its photos again
    #[command(
        after_help = "The embeddings are computed from the pictures of faces in the gallery: the original photos are not needed. \
The gallery does not change until all embeddings are computed. While `visavis live` runs, type `switch similarity NETWORK` to do \
the same."
    )]
    Convert {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        #[command(flatten)]
        engines: EngineArgs,
        #[command(flatten)]
        networks: GalleryNetworks,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Build the index of a large gallery, with which it opens and is searched faster
    #[command(
        after_help = "The index is a file beside the gallery, or for a database a file in the user's cache folder. It contains \
a copy of the embeddings and, from 200,000 photos on, a graph for approximate search. People who are added later are found without \
building it again. Removing a person deletes the index: build it again then."
    )]
    Index {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// Number of threads [default: CPU cores]
        #[arg(long, value_name = "N")]
        threads: Option<usize>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Encrypt the embeddings and pictures of a gallery, or change the key of an encrypted one
    #[command(
        after_help = "Every command that opens an encrypted gallery needs its key: in the file that VISAVIS_GALLERY_KEY_FILE names, \
in VISAVIS_GALLERY_KEY, or in systemd's credential gallery-key. With a key, new galleries are encrypted from the start. A gallery whose \
key is lost cannot be read any more. Names, times and the names of photo files are not encrypted; an encrypted gallery has no index. \
Programs that have the gallery open must be started again with the new key.

Examples:
  visavis gallery encrypt people.gallery --key people.key
  VISAVIS_GALLERY_KEY_FILE=people.key visavis gallery list people.gallery
  VISAVIS_GALLERY_KEY_FILE=people.key visavis gallery encrypt people.gallery --key new.key"
    )]
    Encrypt {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// File with the key. If it does not exist, a new key is written to it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Store the embeddings and pictures of an encrypted gallery unencrypted again
    Decrypt {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
    },
    /// Remove a person with all photos, embeddings, alarms and sightings
    Remove {
        /// Gallery: a file or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "GALLERY", value_parser = GalleryPlace::parser())]
        place: GalleryPlace,
        /// The person's name
        name: String,
    },
}

/// The flags for the networks that a gallery needs.
#[derive(clap::Args, Clone)]
struct GalleryNetworks {
    /// Network that detects faces
    #[arg(long, value_name = "NETWORK", help_heading = "Networks")]
    detector: Option<String>,
    /// Network that locates keypoints, or `detector`: use the keypoints of the detector
    #[arg(long, value_name = "NETWORK", help_heading = "Networks")]
    keypoints: Option<String>,
    /// Network that computes the embeddings
    #[arg(long, value_name = "NETWORK", help_heading = "Networks")]
    similarity: Option<String>,
    /// Share of strangers that may be identified as a person of the gallery, whatever its size [default: 0.01]
    #[arg(long, value_name = "SHARE", value_parser = parse_rate)]
    false_matches: Option<f64>,
}

impl GalleryNetworks {
    /// Opens the networks for `gallery`, or for a gallery that does not exist yet.
    fn session(&self, engines: &EngineArgs, gallery: Option<&GalleryPlace>) -> Result<Session> {
        let networks = NetworkArgs {
            detector: self.detector.clone(),
            keypoints: self.keypoints.clone(),
            similarity: self.similarity.clone(),
            false_matches: self.false_matches,
            // Any gallery, even an empty path, makes the session choose a network for similarity.
            gallery: Some(gallery.cloned().unwrap_or_else(|| GalleryPlace::File(PathBuf::new()))),
            ..NetworkArgs::default()
        };
        Session::open(engines, &networks)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Opened before anything is changed: an audit log that cannot be written is an error.
    let audit = args.audit_log.as_deref().map(AuditLog::open).transpose()?;
    let record = |place: &GalleryPlace, action: &str, mut details: Value| {
        if let (Some(audit), Some(fields)) = (&audit, details.as_object_mut()) {
            fields.insert("gallery".into(), place.to_string().into());
            audit.write(&audit_log::user("command line"), action, &details);
        }
    };
    match &args.command {
        Command::Build { photos, out, accept_poor, engines, networks, json } => {
            // Loading the networks and computing the embeddings takes long, so mistakes are found before that.
            if let GalleryPlace::File(path) = out {
                GalleryBuilder::check_target(path)?;
            }
            let FoundPhotos { photos, skipped } = photos_in(photos)?;
            let session = networks.session(engines, None)?;
            let mut built = build(&session, &photos, out, *accept_poor).inspect_err(|_| complain_skipped(&skipped))?;
            built.enrolment.failures.extend(skipped);
            record(out, "gallery_built", json!({ "people": built.people, "photos": built.photos }));
            built.enrolment.complain();
            if *json {
                return say_json(&built);
            }
            say(&format!("{out}: {} people, {} photos", built.people, built.photos))
        }
        Command::Add { place, name, photos, accept_poor, engines, networks, json } => {
            let added = add(&networks.session(engines, Some(place))?, place, name, photos, *accept_poor)?;
            record(place, "photo_added", json!({ "person": added.person, "name": name, "photos": added.photos }));
            added.enrolment.complain();
            if *json {
                return say_json(&added);
            }
            if added.known > 0 {
                complain(&format!("photos that are already in the gallery: {}", added.known));
            }
            say(&format!("{name}: {} photo{} added", added.photos, if added.photos == 1 { "" } else { "s" }))
        }
        Command::List { place, json } => list(place, *json),
        Command::Search { place, photo, top, engines, networks, json } => {
            let session = networks.session(engines, Some(place))?;
            search(&session, place, photo, *top, *json)
        }
        Command::Check { place, engines, networks, json } => {
            check::run(&networks.session(engines, Some(place))?, place, *json)
        }
        Command::Watch { place, name, off } => {
            let gallery = place.open_any()?;
            let person = gallery.find_person(name)?;
            gallery.watch(person.id, !off)?;
            let action = if *off { "person_unwatched" } else { "person_watched" };
            record(place, action, json!({ "person": person.id.0, "name": person.name }));
            say(&format!("{name} is {} the watch list", if *off { "off" } else { "on" }))
        }
        Command::Rename { place, name, to } => {
            let gallery = place.open_any()?;
            let person = gallery.find_person(name)?;
            gallery.rename(person.id, to)?;
            let details = json!({ "person": person.id.0, "name": person.name, "new_name": to.trim() });
            record(place, "person_renamed", details);
            say(&format!("{name} was renamed to {to}"))
        }
        Command::Merge { place, name, into } => {
            let gallery = place.open_any()?;
            let (from, to) = (gallery.find_person(name)?, gallery.find_person(into)?);
            if from.id == to.id {
                bail!("{name} and {into} are the same person of the gallery {place}: give the names of two");
            }
            if gallery.merge(from.id, to.id)?.is_none() {
                bail!("{name} or {into} was removed from the gallery {place} meanwhile: nothing was merged");
            }
            let details = json!({ "person": from.id.0, "name": from.name, "into": to.id.0, "into_name": to.name });
            record(place, "people_merged", details);
            say(&format!("{name} was merged into {into}"))
        }
        Command::Sightings { place, wanted, engines, networks, json } => {
            let session = wanted.photo.as_ref().map(|_| networks.session(engines, Some(place))).transpose()?;
            sightings::run(wanted, place, session.as_ref(), *json)
        }
        Command::Export { place, name, out } => {
            let gallery = place.open_any()?;
            let person = gallery.find_person(name)?.id;
            export(&gallery, person, out).with_context(|| format!("{name} was not exported"))?;
            record(place, "person_exported", json!({ "person": person.0, "name": name }));
            say(&format!("everything about {name} was written to {}", out.display()))
        }
        Command::Convert { place, engines, networks, json } => {
            let session = networks.session(engines, None)?;
            convert(&session, place, *json)?;
            record(place, "gallery_converted", json!({ "network": session.choice.similarity }));
            Ok(())
        }
        Command::Index { place, threads, json } => {
            let built = index(&*place.open_any()?, threads.unwrap_or_else(cores))?;
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
        Command::Encrypt { place, key } => {
            let gallery = place.open_for_key_change()?;
            let clean = gallery.change_key(Some(&read_or_create_key(key)?))?;
            record(place, "gallery_encrypted", json!({}));
            say(&format!("{place} is encrypted by the key in {}{}", key.display(), traces(place, clean)))
        }
        Command::Decrypt { place } => {
            let clean = place.open_for_key_change()?.change_key(None)?;
            record(place, "gallery_decrypted", json!({}));
            say(&format!("{place} is not encrypted any more{}", traces(place, clean)))
        }
        Command::Remove { place, name } => {
            let gallery = place.open_any()?;
            let indexed = gallery.index_path().is_some_and(Path::exists);
            let person = gallery.find_person(name)?.id;
            let removed = gallery.remove_person(person)?;
            let photos = removed.record.photos.len();
            record(
                place,
                "person_removed",
                json!({ "person": person.0, "name": removed.record.name, "photos": photos }),
            );
            let erased = traces(place, removed.erased);
            say(&format!("{name} and {photos} photo{} removed{erased}", if photos == 1 { "" } else { "s" }))?;
            if indexed {
                complain(
                    "the index was deleted, since it contained the embeddings: 'visavis gallery index' builds it again",
                );
            }
            Ok(())
        }
    }
}

/// Reports what was left out when photos were looked for.
fn complain_skipped(skipped: &[String]) {
    for skipped in skipped {
        complain(&format!("skipped: {skipped}"));
    }
}

/// Writes everything about a person to a new ZIP file, which exists only when it is complete.
fn export(gallery: &Gallery, person: PersonId, out: &Path) -> Result<()> {
    if out.as_os_str().is_empty() {
        bail!("--out is empty: give the name of the ZIP file");
    }
    if out.symlink_metadata().is_ok() {
        bail!("{} exists already: remove it, or choose another name", out.display());
    }
    let mut zip = Vec::new();
    if !gallery.export_person(person, &mut zip)? {
        bail!("the person was removed meanwhile");
    }
    write_file(out, zip)
}

/// Where traces of removed rows remain, unless `erased`.
fn traces(place: &GalleryPlace, erased: bool) -> &'static str {
    match place {
        _ if erased => "",
        GalleryPlace::File(_) => {
            " (another program uses the gallery: traces remain in unused pages of the file until the next removal)"
        }
        GalleryPlace::Database(_) => {
            " (the server's log and backups still contain what was removed: see docs/postgres.md)"
        }
    }
}

/// What a build did.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    pub(crate) people: usize,
    pub(crate) photos: usize,
    #[serde(flatten)]
    pub(crate) enrolment: Enrolment,
}

/// Makes the gallery `out` from `photos`. No file is at `out` before all is done; a database takes each as it comes.
pub(crate) fn build(session: &Session, photos: &[PhotoSource], out: &GalleryPlace, accept_poor: bool) -> Result<Built> {
    let id = embedding_id(session)?;
    let of = |people: &[PersonSummary]| (people.len(), people.iter().map(|person| person.photos).sum());
    match out {
        GalleryPlace::File(path) => {
            let mut builder = GalleryBuilder::new(path, &id, gallery_key()?.as_ref())?;
            let add = |person: &str, photo| Ok(builder.add(person, &[photo]).map(drop)?);
            let enrolment = enrol(session, photos, accept_poor, add)?;
            let (people, photos) = of(&builder.people()?);
            builder.finish()?;
            let gallery = out.open_any()?;
            if photos >= APPROXIMATE_FROM && gallery.index_path().is_some() {
                index(&gallery, cores())?;
            }
            Ok(Built { people, photos, enrolment })
        }
        GalleryPlace::Database(_) => {
            out.make(&id)?;
            let gallery = out.open(&id)?;
            let add = |person: &str, photo| Ok(gallery.add(person, &[photo]).map(drop)?);
            let enrolment = enrol(session, photos, accept_poor, add)?;
            let (people, photos) = of(&gallery.people()?);
            Ok(Built { people, photos, enrolment })
        }
    }
}

/// The result of an addition.
#[derive(Debug, Serialize)]
struct AddedPhotos {
    person: i64,
    /// Photos added.
    photos: usize,
    /// Photos that the person had already.
    known: usize,
    #[serde(flatten)]
    enrolment: Enrolment,
}

/// Adds photos of a person, all at once.
fn add(
    session: &Session,
    place: &GalleryPlace,
    name: &str,
    photos: &[PathBuf],
    accept_poor: bool,
) -> Result<AddedPhotos> {
    let gallery = place.open(&embedding_id(session)?)?;
    let sources: Vec<PhotoSource> =
        photos.iter().map(|path| PhotoSource { person: name.to_owned(), path: path.clone() }).collect();
    let mut new = Vec::new();
    let enrolment = enrol(session, &sources, accept_poor, |_, photo| {
        new.push(photo);
        Ok(())
    })?;
    let added = gallery.add(name, &new)?;
    Ok(AddedPhotos { person: added.person.0, photos: added.photos, known: new.len() - added.photos, enrolment })
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
            "{} answers \"not this person\" belong to the old network and were deleted",
            converted.denials
        ));
    }
    say(&format!("{place}: the embeddings of {} photos were computed with {network}", converted.photos))
}

fn embedding_id(session: &Session) -> Result<EmbeddingId> {
    let similarity = session.choice.similarity.as_deref().context("no network for similarity was chosen")?;
    Ok(session.loader.embedding_id(similarity)?)
}

/// Decodes a picture file. Returns the picture and the bytes of the file. Errors begin with the path.
fn read_picture(path: &Path) -> Result<(Picture, Vec<u8>)> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{shown}: there is no such file: correct the path")
        }
        Err(error) => bail!("{shown}: the file cannot be read: {error}"),
        Ok(meta) if meta.is_dir() => bail!("{shown}: this is a folder: give the photos in it"),
        // A named pipe would be waited for without end.
        Ok(meta) if !meta.is_file() => bail!("{shown}: this is no regular file: give a photo"),
        Ok(_) => {}
    }
    // The message contains its cause already.
    let decoded = visavis_video::load_photo(path, codec::MAX_PIXELS).map_err(|error| anyhow!("{error}"))?;
    let picture = decoded.picture;
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok((picture, bytes))
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
    say(&format!("{} people, embeddings computed with {}", people.len(), gallery.embedding().name))
}

/// How long ago `at` (Unix time in seconds) was, in the largest unit of which at least one has passed.
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
        complain(&format!("the photo shows {} faces: the main one is searched", enrolled.faces));
    }
    let found = gallery.search(&enrolled.vector, top)?;
    if json {
        let rows: Vec<_> = found
            .iter()
            .map(|m| {
                serde_json::json!({ "name": &*m.name, "person": m.person.0, "distance": m.distance,
                    "likeness": m.likeness, "identified": m.identified, "same_person": m.same_person })
            })
            .collect();
        return say_json(&rows);
    }
    for m in &found {
        let verdict = Verdict { same_person: m.same_person, identified: m.identified, likeness: m.likeness };
        say(&format!("{verdict:20}  {}", m.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
