use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::GalleryKey;
use crate::{
    AlarmId, Answer, EmbeddingId, Gallery, GalleryBuilder, GalleryError, GalleryParams, IdentityParams, IndexBuilder,
    NewAlarm, NewPhoto, NewSighting, SightingFilter, SqliteStore, index_path,
};

/// The picture of every photo, alarm and sighting.
const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 17, 93, 201, 4, 88, 61, 250, 119];

fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 8,
        metric: Metric::Euclidean,
        same_person: 0.6,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

/// A vector whose bytes are found nowhere by chance.
fn vector(face: u8) -> Vec<f32> {
    (0..8).map(|at| f32::from(face) + 0.123_457 * (at as f32 + 1.0)).collect()
}

fn open(path: &Path, key: Option<&GalleryKey>) -> Result<Gallery, GalleryError> {
    let params = GalleryParams { key: key.cloned(), ..GalleryParams::default() };
    Gallery::over(SqliteStore::open(path)?, Some(&network()), params)
}

/// Adds a person with a photo, a denied face, an alarm and a sighting.
fn fill(gallery: &Gallery, face: u8) {
    let name = format!("Person {face}");
    let photo = NewPhoto {
        source: "x.jpg".into(),
        sha256: Some([face; 32]),
        vector: vector(face),
        thumbnail: Some(JPEG.to_vec()),
        score: None,
    };
    let person = gallery.add(&name, &[photo]).unwrap().person;
    gallery.deny(person, &vector(100)).unwrap();
    let alarm = NewAlarm {
        time: 7,
        source: "door",
        person: Some(person),
        identified: None,
        vector: &vector(101),
        crop: Some(JPEG),
    };
    gallery.record_alarm(&alarm).unwrap().unwrap();
    let sighting = NewSighting {
        camera: "door",
        first_seen: 1,
        last_seen: 2,
        person: Some(person),
        identified: None,
        age: None,
        female: None,
        smiling: None,
        quality: 1.0,
        vector: &vector(102),
        crop: Some(JPEG),
    };
    gallery.record_sighting(&sighting).unwrap().unwrap();
}

/// What `fill` added is there.
fn assert_filled(gallery: &Gallery, face: u8) {
    let nearest = &gallery.search(&vector(face), 1).unwrap()[0];
    assert_eq!((nearest.name.to_string(), nearest.distance), (format!("Person {face}"), 0.0));
    let record = gallery.person_record(nearest.person).unwrap().unwrap();
    assert_eq!((&record.photos[0].vector, record.photos[0].thumbnail.as_deref()), (&vector(face), Some(JPEG)));
    assert_eq!(record.photos[0].sha256, Some([face; 32]));
    assert_eq!(record.denials, [vector(100)]);
    assert_eq!(gallery.alarm_crop(AlarmId(1)).unwrap().as_deref(), Some(JPEG));
    let seen = gallery.sightings(&SightingFilter::default(), 9).unwrap();
    assert_eq!(gallery.sighting_crop(seen[0].id).unwrap().as_deref(), Some(JPEG));
    assert!(!gallery.sightings_like(&vector(102), 9, 10).unwrap().is_empty());
}

/// The files in `folder` that contain a vector or a picture in the clear.
fn in_the_clear(folder: &Path) -> Vec<PathBuf> {
    let faces =
        [1, 2, 100, 101, 102].map(|face| vector(face).iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        if holds(JPEG) || faces.iter().any(|face| holds(&face[..16])) {
            found.push(path);
        }
    }
    found
}

/// An unencrypted gallery with two people.
fn filled() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.gallery");
    let gallery = Gallery::create(&path, &network()).unwrap();
    fill(&gallery, 1);
    fill(&gallery, 2);
    (folder, path)
}

#[test]
fn nothing_is_in_the_clear_in_any_file() {
    let (folder, path) = filled();
    let plain = open(&path, None).unwrap();
    let builder = IndexBuilder::new(&plain, 1).unwrap();
    builder.work(|_| {});
    builder.finish(&plain).unwrap();
    assert!(in_the_clear(folder.path()).contains(&path) && index_path(&path).exists());

    let key = GalleryKey::generate().unwrap();
    assert!(plain.change_key(Some(&key)).unwrap());
    assert_eq!(in_the_clear(folder.path()), Vec::<PathBuf>::new());
    assert!(!index_path(&path).exists());

    // With its log, while it is open and is changed.
    let gallery = open(&path, Some(&key)).unwrap();
    gallery.remove_person(gallery.find_person("Person 2").unwrap().id).unwrap();
    fill(&gallery, 2);
    assert_filled(&gallery, 1);
    assert_filled(&gallery, 2);
    assert!(fs::read_dir(folder.path()).unwrap().count() > 1, "the log is a file of its own");
    assert_eq!(in_the_clear(folder.path()), Vec::<PathBuf>::new());
    assert!(gallery.index_path().is_none());
    assert!(matches!(IndexBuilder::new(&gallery, 1), Err(GalleryError::Index { .. })));
}

#[test]
fn a_new_gallery_is_encrypted_while_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.gallery");
    let key = GalleryKey::generate().unwrap();
    let mut builder = GalleryBuilder::new(&path, &network(), Some(&key)).unwrap();
    let photo = NewPhoto {
        source: "x.jpg".into(),
        sha256: None,
        vector: vector(1),
        thumbnail: Some(JPEG.to_vec()),
        score: None,
    };
    builder.add("Ada", &[photo]).unwrap();
    assert_eq!(in_the_clear(folder.path()), Vec::<PathBuf>::new());
    builder.finish().unwrap();
    assert_eq!(in_the_clear(folder.path()), Vec::<PathBuf>::new());
    assert_eq!(&*open(&path, Some(&key)).unwrap().search(&vector(1), 1).unwrap()[0].name, "Ada");
}

#[test]
fn a_gallery_without_its_key_says_so() {
    let (_folder, path) = filled();
    let [key, other] = [(); 2].map(|()| GalleryKey::generate().unwrap());
    assert!(matches!(open(&path, Some(&key)), Err(GalleryError::NotEncrypted { .. })));
    open(&path, None).unwrap().change_key(Some(&key)).unwrap();
    assert!(matches!(open(&path, None), Err(GalleryError::Encrypted { .. })));
    assert!(matches!(open(&path, Some(&other)), Err(GalleryError::WrongKey { .. })));
    assert_filled(&open(&path, Some(&key)).unwrap(), 1);
}

#[test]
fn a_gallery_gets_another_key_and_is_decrypted() {
    let (folder, path) = filled();
    let [first, second] = [(); 2].map(|()| GalleryKey::generate().unwrap());
    for (old, new) in [(None, Some(&first)), (Some(&first), Some(&second)), (Some(&second), None)] {
        open(&path, old).unwrap().change_key(new).unwrap();
        let gallery = open(&path, new).unwrap();
        assert_filled(&gallery, 1);
        assert_filled(&gallery, 2);
        drop(gallery);
        assert_eq!(in_the_clear(folder.path()).is_empty(), new.is_some());
        assert!(open(&path, old).is_err());
    }
}

#[test]
fn a_program_with_the_old_key_writes_nothing() {
    let (folder, path) = filled();
    let old = open(&path, None).unwrap();
    let key = GalleryKey::generate().unwrap();
    open(&path, None).unwrap().change_key(Some(&key)).unwrap();
    let photo = NewPhoto { source: "x.jpg".into(), sha256: None, vector: vector(1), thumbnail: None, score: None };
    assert!(matches!(old.add("Eve", &[photo]), Err(GalleryError::KeyChanged { .. })));
    assert!(matches!(old.answer_alarm(AlarmId(1), Answer::Denied), Err(GalleryError::KeyChanged { .. })));
    assert!(matches!(old.refresh(), Err(GalleryError::KeyChanged { .. })));
    // It still recognises people by the vectors in its memory.
    assert_eq!(&*old.search(&vector(2), 1).unwrap()[0].name, "Person 2");
    drop(old);
    open(&path, Some(&key)).unwrap().erase_remains().unwrap();
    assert_eq!(in_the_clear(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_changed_row_is_refused() {
    let (_folder, path) = filled();
    let key = GalleryKey::generate().unwrap();
    open(&path, None).unwrap().change_key(Some(&key)).unwrap();
    // A vector in the place of a picture, and a picture with another last byte.
    let change = "UPDATE photo SET thumbnail = CASE id WHEN 1 THEN vector
                  ELSE CAST(substr(thumbnail, 1, length(thumbnail) - 1) || x'00' AS BLOB) END";
    SqliteStore::open(&path).unwrap().connection().execute(change, []).unwrap();
    let gallery = open(&path, Some(&key)).unwrap();
    let person = gallery.find_person("Person 2").unwrap().id;
    assert!(matches!(gallery.portrait(person), Err(GalleryError::Damaged { .. })));
}

#[test]
fn a_key_is_written_and_read_as_text() {
    let key = GalleryKey::generate().unwrap();
    assert_eq!(GalleryKey::parse(&format!(" {}\n", &*key.to_text())).unwrap(), key);
    assert_eq!(format!("{key:?}"), "GalleryKey");
    let bad = ["", "12", &"g".repeat(64), &"é".repeat(32), &"a".repeat(65)];
    for bad in bad {
        let error = GalleryKey::parse(bad).unwrap_err().to_string();
        assert!(bad.is_empty() || !error.contains(bad), "{error}");
    }
}
