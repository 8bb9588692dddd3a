//! Gallery files: stored contents, refused files, and failures that they survive.

mod builder;
mod hostile;
mod sightings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, process};

use proptest::prelude::*;
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::*;
use crate::{
    Gallery, GalleryBuilder, IdentityParams, NewAlarm, NewPhoto, NewSighting, PersonId, PhotoId, SightingFilter,
    Snapshot,
};

fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b3c4d5e6f".into(),
        length: 3,
        metric: Metric::Euclidean,
        same_person: 0.6,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn photo(source: &str, vector: [f32; 3]) -> NewPhoto {
    NewPhoto {
        source: source.into(),
        sha256: None,
        vector: vector.to_vec(),
        thumbnail: Some(jpeg(source)),
        score: None,
    }
}

/// Bytes that begin like a JPEG, long enough for a page of their own, and contain a mark of the photo everywhere.
fn jpeg(mark: &str) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8, 0xFF];
    while bytes.len() < 6000 {
        bytes.extend_from_slice(format!("<face of {mark}>").as_bytes());
    }
    bytes
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.gallery");
    (folder, path)
}

/// A gallery of Ada (two photos) and Grace (one).
fn two_people(path: &Path) -> Gallery {
    let gallery = Gallery::create(path, &network()).unwrap();
    gallery.add("Ada", &[photo("ada1.jpg", [0.0, 0.0, 0.0]), photo("ada2.jpg", [1.0, 0.0, 0.0])]).unwrap();
    gallery.add("Grace", &[photo("grace.jpg", [0.0, 4.0, 3.0])]).unwrap();
    gallery
}

fn names(gallery: &Gallery) -> Vec<(String, usize)> {
    gallery.people().unwrap().into_iter().map(|person| (person.name, person.photos)).collect()
}

fn listing(folder: &TempDir) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

/// The contents of all files of the folder, concatenated.
fn raw_bytes(folder: &TempDir) -> Vec<u8> {
    listing(folder).iter().flat_map(|name| fs::read(folder.path().join(name)).unwrap()).collect()
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn what_is_added_is_there_after_reopening() {
    let (_folder, path) = folder();
    drop(two_people(&path));
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    assert_eq!(gallery.embedding(), &network());
    assert_eq!(names(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
    let snapshot = gallery.snapshot().unwrap();
    assert_eq!((snapshot.people(), snapshot.photos()), (2, 3));
    let found = snapshot.search(&[1.0, 0.0, 0.0], 5).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((&*found[0].name, found[0].distance), ("Ada", 0.0));
    assert_eq!(gallery.thumbnail(found[0].photo).unwrap().unwrap(), jpeg("ada2.jpg"));
    assert_eq!(gallery.thumbnail(PhotoId(99)).unwrap(), None);
    // (1, -4, -3) has length sqrt(26).
    assert_eq!((&*found[1].name, found[1].distance), ("Grace", 26f32.sqrt()));
    assert_eq!(gallery.find_person(" Grace ").unwrap().id, found[1].person);
}

#[test]
fn a_copy_of_the_file_alone_has_every_change() {
    let (folder, path) = folder();
    let gallery = two_people(&path);
    let copy = folder.path().join("copy.gallery");
    let copied = || {
        fs::copy(&path, &copy).unwrap();
        Gallery::open(&copy, None).unwrap()
    };
    assert_eq!(names(&copied()), [("Ada".into(), 2), ("Grace".into(), 1)]);
    gallery.rename(gallery.find_person("Grace").unwrap().id, "Hopper").unwrap();
    gallery.remove_person(gallery.find_person("Ada").unwrap().id).unwrap();
    gallery.add("Eve", &[photo("eve.jpg", [7.0, 0.0, 0.0])]).unwrap();
    assert_eq!(names(&copied()), [("Eve".into(), 1), ("Hopper".into(), 1)]);
    // Sightings are in the file once the gallery is closed, even if another program has it open.
    let _other = Gallery::open(&path, None).unwrap();
    let sighting = NewSighting {
        camera: "door",
        first_seen: 1,
        last_seen: 2,
        person: None,
        identified: None,
        age: None,
        female: None,
        smiling: None,
        quality: 1.0,
        vector: &[1.0, 2.0, 3.0],
        crop: None,
    };
    gallery.record_sighting(&sighting).unwrap();
    drop(gallery);
    assert_eq!(copied().sightings(&SightingFilter::default(), 9).unwrap().len(), 1);
}

#[test]
fn a_name_that_an_older_version_stored_in_another_form_is_found() {
    let (_folder, path) = folder();
    let gallery = Gallery::create(&path, &network()).unwrap();
    let (composed, decomposed) = ("Jos\u{E9}", "Jose\u{301}");
    let jose = gallery.add("Jose", &[photo("1.jpg", [0.0; 3])]).unwrap().person;
    drop(gallery);
    Connection::open(&path).unwrap().execute("UPDATE person SET name = ?1", [decomposed]).unwrap();
    let gallery = Gallery::open(&path, None).unwrap();
    for name in [composed, decomposed] {
        assert_eq!(gallery.find_person(name).unwrap().id, jose);
        assert_eq!(gallery.add(name, &[photo("2.jpg", [0.0; 3])]).unwrap().person, jose);
    }
    assert_eq!(names(&gallery), [(decomposed.into(), 3)]);
    gallery.rename(jose, decomposed).unwrap();
    assert_eq!(names(&gallery), [(composed.into(), 3)]);
}

#[test]
fn failures_of_the_system_are_told_in_one_sentence() {
    let (_folder, path) = folder();
    let told = |code| {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("words of SQLite".into()));
        failed(&path, "adding photos")(error)
    };
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
        let error = told(code);
        assert!(matches!(error, GalleryError::Full { .. }), "{error}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    let other = told(ffi::SQLITE_IOERR_READ);
    assert!(other.to_string().ends_with("adding photos: words of SQLite"), "{other}");
    assert!(std::error::Error::source(&other).is_none(), "it would be printed again");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_and_what_cannot_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = folder();
    let socket = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for error in
        [Gallery::open(&socket, None).unwrap_err(), GalleryBuilder::new(&socket, &network(), None).unwrap_err()]
    {
        assert!(matches!(error, GalleryError::NotAGallery { .. }), "{error}");
    }
    drop(two_people(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The administrator may read it nevertheless.
    if File::open(&path).is_err() {
        let error = Gallery::open(&path, None).unwrap_err();
        assert!(matches!(error, GalleryError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn a_file_name_is_kept_without_its_folders() {
    let (folder, path) = folder();
    let gallery = Gallery::create(&path, &network()).unwrap();
    gallery.add("Ada", &[photo("/home/eve/secret/ada.jpg", [0.0; 3]), photo(r"C:\eve\ada2.jpg", [0.0; 3])]).unwrap();
    drop(gallery);
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection.prepare("SELECT source FROM photo ORDER BY id").unwrap();
    let sources: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(sources, ["ada.jpg", "ada2.jpg"]);
    // The mark inside the fake thumbnail repeats the path, so only the column is searched.
    assert_eq!(listing(&folder)[0], "faces.gallery");
}

#[test]
fn unusable_photos_change_nothing() {
    let (_folder, path) = folder();
    let gallery = two_people(&path);
    let good = photo("good.jpg", [0.0; 3]);
    let bad = [
        (NewPhoto { vector: vec![0.0; 4], ..good.clone() }, "it has 4 numbers, not 3"),
        (NewPhoto { vector: vec![0.0, f32::NAN, 0.0], ..good.clone() }, "its number 1 (from 0) is not finite"),
        (NewPhoto { vector: vec![f32::NEG_INFINITY, 0.0, 0.0], ..good.clone() }, "its number 0 (from 0) is not finite"),
        (NewPhoto { vector: vec![3e38, 0.0, 0.0], ..good.clone() }, "overflow"),
        (NewPhoto { thumbnail: Some(b"GIF89a".to_vec()), ..good.clone() }, "not a JPEG"),
        (NewPhoto { score: Some(f32::NAN), ..good.clone() }, "score is not finite"),
    ];
    for (photo, why) in bad {
        let error = gallery.add("Eve", &[good.clone(), photo]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why) && text.contains("\"Eve\"") && text.contains("good.jpg"), "{text}");
    }
    assert!(matches!(gallery.add("Eve", &[]), Err(GalleryError::NoPhoto { .. })));
    assert!(matches!(gallery.add(" \n", &[good]), Err(GalleryError::Name { .. })));
    assert_eq!(names(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
}

#[test]
fn cosine_refuses_a_vector_without_direction() {
    let (_folder, path) = folder();
    let cosine = EmbeddingId { metric: Metric::Cosine, ..network() };
    let gallery = Gallery::create(&path, &cosine).unwrap();
    let error = gallery.add("Ada", &[photo("x.jpg", [0.0; 3])]).unwrap_err().to_string();
    assert!(error.contains("no direction"), "{error}");
    gallery.add("Ada", &[photo("x.jpg", [0.0, 2.0, 0.0])]).unwrap();
    drop(gallery);
    let found = Gallery::open(&path, Some(&cosine)).unwrap().snapshot().unwrap().search(&[7.0, 0.0, 0.0], 1).unwrap();
    assert_eq!(found[0].distance, 1.0);
}

#[test]
fn a_removed_person_leaves_no_bytes() {
    let (folder, path) = folder();
    let gallery = Gallery::create(&path, &network()).unwrap();
    let mut ada = photo("Lovelace-Countess.jpg", [0.0; 3]);
    ada.vector = vec![1.2345e-7, -9.8765e5, 4.4444e3];
    let vector: Vec<u8> = ada.vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    gallery.add("Ada Lovelace", std::slice::from_ref(&ada)).unwrap();
    gallery.add("Grace", &[photo("grace.jpg", [0.0; 3])]).unwrap();
    let traces = [
        b"Ada Lovelace".to_vec(),
        b"Lovelace-Countess".to_vec(),
        jpeg("Lovelace-Countess.jpg")[..200].to_vec(),
        vector,
    ];
    let before = raw_bytes(&folder);
    for trace in &traces {
        assert!(holds(&before, trace), "{:?}", String::from_utf8_lossy(trace));
    }
    let removed = gallery.remove_person(gallery.find_person("Ada Lovelace").unwrap().id).unwrap();
    assert_eq!((removed.record.photos.len(), removed.erased), (1, true));
    let after = raw_bytes(&folder);
    for trace in &traces {
        assert!(!holds(&after, trace), "{:?}", String::from_utf8_lossy(trace));
    }
    assert!(holds(&after, b"<face of grace.jpg>"));
    // The number is not reused either.
    let ids: Vec<_> = gallery.people().unwrap().into_iter().map(|person| person.id).collect();
    let eve = gallery.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    assert_eq!((ids, eve.person), (vec![PersonId(2)], PersonId(3)));
}

#[test]
fn many_changes_leave_no_bytes_of_removed_people() {
    // Hundreds of rows move between pages as the trees grow and shrink. With `secure_delete` alone a few copies would
    // remain.
    let (folder, path) = folder();
    let gallery =
        Gallery::over(SqliteStore::create_aside(&path, &network()).unwrap(), None, Default::default()).unwrap();
    let mut random: u32 = 1;
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for number in 0..600 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mark = format!("#{number:05}!");
        let thumbnail = [&[0xFF, 0xD8, 0xFF], mark.repeat((random >> 16) as usize % 150).as_bytes()].concat();
        let photo = NewPhoto { thumbnail: Some(thumbnail), ..photo(&mark, [0.0; 3]) };
        // Names with arbitrary first letters, long enough to fill the pages of their tree, are inserted anywhere in it.
        let name = format!("{:08x}{}", random.reverse_bits(), mark.repeat(1 + (random >> 24) as usize % 20));
        gallery.add(&name, &[photo]).unwrap();
        there.push((name, mark));
        if number % 3 != 0 {
            let (name, mark) = there.swap_remove((random >> 10) as usize % there.len());
            assert!(gallery.remove_person(gallery.find_person(&name).unwrap().id).unwrap().erased);
            gone.push(mark);
        }
    }
    let bytes = raw_bytes(&folder);
    let found: BTreeSet<&[u8]> = bytes.windows(7).filter(|window| window[0] == b'#' && window[6] == b'!').collect();
    let remains: Vec<_> = gone.iter().filter(|mark| found.contains(mark.as_bytes())).collect();
    assert!(remains.is_empty(), "{} of {} removed people left bytes: {remains:?}", remains.len(), gone.len());
    assert!(there.iter().all(|(_, mark)| found.contains(mark.as_bytes())));
}

#[test]
fn a_reader_keeps_remains_until_it_is_done() {
    let (folder, path) = folder();
    let gallery = two_people(&path);
    gallery.erase_remains().unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM photo").unwrap();
    // The checkpoint waits for a shorter time here than in production.
    drop(gallery);
    let store = SqliteStore::open(&path).unwrap();
    store.connection().busy_timeout(Duration::from_millis(10)).unwrap();
    let gallery = Gallery::over(store, None, Default::default()).unwrap();
    assert!(!gallery.remove_person(gallery.find_person("Ada").unwrap().id).unwrap().erased);
    let seen: i64 = reader.query_row("SELECT count(*) FROM photo", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 3, "the reader sees the state that it began with");
    assert!(holds(&raw_bytes(&folder), b"<face of ada1.jpg>"));
    reader.execute_batch("COMMIT").unwrap();
    assert!(gallery.erase_remains().unwrap());
    assert!(!holds(&raw_bytes(&folder), b"<face of ada1.jpg>"));
}

#[test]
fn one_reads_while_another_writes() {
    let (_folder, path) = folder();
    let writer = two_people(&path);
    let reader = Gallery::open(&path, Some(&network())).unwrap();
    let before = reader.snapshot().unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let path = &path;
            let other = Gallery::open(path, None).unwrap();
            let mut counts = Vec::new();
            for _ in 0..50 {
                let snapshot = other.snapshot().unwrap();
                // Photos come two at a time, so an odd number besides the three would be half an addition.
                assert_eq!((snapshot.photos() - 3) % 2, 0);
                counts.push(snapshot.photos());
            }
            counts
        });
        for number in 0..20 {
            writer.add(&format!("Person {number}"), &[photo("a", [1.0; 3]), photo("b", [2.0; 3])]).unwrap();
        }
        assert!(reading.join().unwrap().is_sorted());
    });
    assert_eq!(before.photos(), 3, "a snapshot stays as it is");
    assert_eq!(reader.snapshot().unwrap().photos(), 43);
}

#[test]
fn another_network_is_refused_with_the_way_out() {
    let (_folder, path) = folder();
    drop(two_people(&path));
    let others = [
        EmbeddingId { name: "hawk".into(), fingerprint: "99".into(), ..network() },
        EmbeddingId { fingerprint: "ffffffffffff".into(), ..network() },
        EmbeddingId { length: 4, ..network() },
        EmbeddingId { metric: Metric::Cosine, ..network() },
    ];
    for other in &others {
        let error = Gallery::open(&path, Some(other)).unwrap_err();
        assert!(matches!(error, GalleryError::OtherNetwork { .. }), "{error}");
    }
    let shown = path.display();
    assert_eq!(
        Gallery::open(&path, Some(&others[0])).unwrap_err().to_string(),
        format!(
            "the gallery {shown} was made with the network owl (1a2b3c4d…), not with hawk (99): \
             convert the gallery, or use the network that made it"
        )
    );
    // Another threshold rates the same vectors differently.
    let strict = EmbeddingId { same_person: 0.1, ..network() };
    assert_eq!(Gallery::open(&path, Some(&strict)).unwrap().snapshot().unwrap().embedding(), &strict);
    assert_eq!(Gallery::open(&path, None).unwrap().embedding(), &network());
}

#[test]
fn impossible_networks_are_refused() {
    let (folder, path) = folder();
    for (bad, why) in [
        (EmbeddingId { name: String::new(), ..network() }, "no name"),
        (EmbeddingId { length: 0, ..network() }, "0 numbers"),
        (EmbeddingId { length: 65_537, ..network() }, "65537 numbers"),
        (EmbeddingId { same_person: 0.0, ..network() }, "must be above 0"),
        (EmbeddingId { same_person: f32::NAN, ..network() }, "must be above 0"),
    ] {
        for error in [
            Gallery::create(&path, &bad).unwrap_err(),
            GalleryBuilder::new(&path, &bad, None).unwrap_err(),
            Snapshot::empty(bad).unwrap_err(),
        ] {
            assert!(error.to_string().contains(why), "{error}");
        }
    }
    assert!(listing(&folder).is_empty());
}

#[test]
fn other_files_are_refused_by_name() {
    let (folder, path) = folder();
    let open = || Gallery::open(&path, None).unwrap_err();
    let text = open().to_string();
    assert!(text.contains("there is no gallery") && text.contains("faces.gallery") && text.contains("build"), "{text}");
    for contents in [&b""[..], b"x", b"SQLite format 3\0", &[0xFF, 0xD8, 0xFF].repeat(1000), &b"text\n".repeat(500)] {
        fs::write(&path, contents).unwrap();
        let error = open();
        assert!(matches!(error, GalleryError::NotAGallery { .. }), "{} bytes: {error}", contents.len());
        assert!(error.to_string().contains("faces.gallery is not a gallery"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), contents, "a foreign file is left alone");
    }
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE note (text)").unwrap();
    assert!(matches!(open(), GalleryError::NotAGallery { .. }));
    let error = Gallery::open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("it is a folder"), "{error}");
    assert!(matches!(Gallery::create(&path, &network()), Err(GalleryError::Exists { .. })));
    assert!(matches!(GalleryBuilder::new(&path, &network(), None), Err(GalleryError::NotAGallery { .. })));
    assert_eq!(listing(&folder), ["faces.gallery"]);
}

#[test]
fn an_older_format_is_brought_to_the_newest() {
    for format in 1..=schema::STEPS.len() {
        let (_folder, path) = folder();
        let old = Connection::open(&path).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", format as i64).unwrap();
        schema::STEPS[..format].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.execute_batch(
            "INSERT INTO meta (id, network, fingerprint, length, metric, same_person)
             VALUES (1, 'owl', '1a2b3c4d5e6f', 3, 'euclidean', 0.6);
             INSERT INTO person (name) VALUES ('Ada'), ('Visitor 2');
             INSERT INTO photo (person, source, vector) VALUES (1, 'a.jpg', zeroblob(12)), (2, 'b.jpg', zeroblob(12))",
        )
        .unwrap();
        if format >= 2 {
            old.execute_batch(
                "UPDATE meta SET token = randomblob(16); UPDATE person SET met = 1, seen = 3, last_seen = 9 WHERE id = 2;
                 INSERT INTO denial (person, vector) VALUES (1, x'0000003f0000000000000000')",
            )
            .unwrap();
        }
        if format >= 3 {
            old.execute_batch("INSERT INTO alarm (time, person) VALUES (5, 1)").unwrap();
        }
        drop(old);
        // The second time it has the newest format.
        for time in [7, 8] {
            let gallery = Gallery::open(&path, Some(&network())).unwrap();
            let found = gallery.search(&[0.5, 0.0, 0.0], 2).unwrap();
            assert_eq!(found.len(), if format >= 2 { 1 } else { 2 }, "format {format}: Ada is denied for that face");
            let people = gallery.people().unwrap();
            assert_eq!(names(&gallery), [("Ada".into(), 1), ("Visitor 2".into(), 1)]);
            assert_eq!((people[1].met, people[1].seen), if format >= 2 { (true, 3) } else { (false, 0) });
            let vector = [0.5; 3];
            let alarm = NewAlarm { time, source: "door", person: None, identified: None, vector: &vector, crop: None };
            gallery.record_alarm(&alarm).unwrap();
        }
        let alarms = Gallery::open(&path, None).unwrap().alarms(None, 9).unwrap();
        let kept: Vec<_> = alarms.iter().map(|alarm| (alarm.time, alarm.source.as_deref())).collect();
        let expected = [(8, Some("door")), (7, Some("door")), (5, None)];
        assert_eq!(kept, expected[..if format >= 3 { 3 } else { 2 }]);
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (_folder, path) = folder();
    drop(two_people(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", FORMAT + 1).unwrap();
    let error = Gallery::open(&path, None).unwrap_err();
    assert!(matches!(error, GalleryError::Newer { found, known, .. } if found == known + 1), "{error}");
    assert!(error.to_string().contains("use a newer visavis"), "{error}");
}

#[test]
fn a_gallery_without_its_network_is_damaged() {
    for sql in ["DELETE FROM meta", "UPDATE meta SET length = 0", "UPDATE meta SET same_person = -1"] {
        let (_folder, path) = folder();
        drop(two_people(&path));
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = Gallery::open(&path, None).unwrap_err();
        assert!(matches!(error, GalleryError::Damaged { .. }), "{sql}: {error}");
    }
}

#[test]
fn an_unusable_vector_in_the_file_is_named() {
    for blob in
        ["x''", "x'0000'", "x'000000000000000000000000ff'", "x'0000000000000000'", "x'0000c07f0000000000000000'"]
    {
        let (_folder, path) = folder();
        drop(two_people(&path));
        let sql = format!("UPDATE photo SET vector = {blob} WHERE id = 2");
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        let error = Gallery::open(&path, None).unwrap().snapshot().unwrap_err();
        assert!(matches!(error, GalleryError::Damaged { .. }) && error.to_string().contains("photo 2"), "{error}");
    }
}

/// Uses every operation of a file that may be damaged. Errors are allowed, panics are not.
fn use_all(path: &Path) -> Result<(), GalleryError> {
    let gallery = Gallery::open(path, Some(&network()))?;
    let people = gallery.people()?;
    for found in gallery.snapshot()?.search(&[0.0; 3], 10)? {
        gallery.thumbnail(found.photo)?;
        gallery.portrait(found.person)?;
    }
    gallery.add("Eve", &[photo("eve.jpg", [0.0; 3])])?;
    for person in people {
        gallery.remove_person(person.id)?;
    }
    Ok(())
}

/// The bytes of a complete gallery, without a log beside it.
fn whole_file() -> Vec<u8> {
    let (_folder, path) = folder();
    drop(two_people(&path));
    fs::read(&path).unwrap()
}

#[test]
fn a_file_cut_short_is_refused() {
    let whole = whole_file();
    let (_folder, path) = folder();
    for length in
        (0..whole.len()).step_by(509).chain([1, 15, 16, 99, 100, 101, 511, 512, 4095, 4096, 4097, whole.len() - 1])
    {
        fs::write(&path, &whole[..length]).unwrap();
        let error = use_all(&path).unwrap_err();
        assert!(
            matches!(error, GalleryError::Damaged { .. } | GalleryError::NotAGallery { .. }),
            "cut to {length} of {} bytes: {error}",
            whole.len()
        );
        assert!(error.to_string().contains("faces.gallery"), "{error}");
        remove_with_companions(&path);
    }
    fs::write(&path, &whole).unwrap();
    use_all(&path).unwrap();
}

#[test]
fn a_damaged_page_is_found_on_opening() {
    let whole = whole_file();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let (_folder, path) = folder();
    // The first page is that of the header; each table starts on a page of its own after it.
    for start in (page..whole.len()).step_by(page).filter(|start| matches!(whole[*start], 0x02 | 0x05 | 0x0A | 0x0D)) {
        let mut bytes = whole.clone();
        bytes[start..start + 8].fill(0xEE);
        fs::write(&path, &bytes).unwrap();
        let error = Gallery::open(&path, None).unwrap_err();
        assert!(matches!(error, GalleryError::Damaged { .. }), "page at {start}: {error}");
        assert!(error.to_string().contains("faces.gallery"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = whole_file();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let (_folder, path) = folder();
        fs::write(&path, &bytes).unwrap();
        // The error depends on the damaged place; damage inside a thumbnail is not noticed.
        let _ = use_all(&path);
    }
}

/// Environment variable with the path of the gallery, for the process that will be killed.
const VICTIM: &str = "VISAVIS_GALLERY_TEST_VICTIM";

#[test]
fn a_killed_writer_leaves_the_state_before() {
    if let Some(path) = env::var_os(VICTIM) {
        let mut connection = Connection::open(path).unwrap();
        // The cache is so small that half of the change is in the log before the end.
        connection.pragma_update(None, "cache_size", 2).unwrap();
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        change.execute_batch("DELETE FROM photo WHERE person = 1; INSERT INTO person (name) VALUES ('Eve')").unwrap();
        for _ in 0..20 {
            let sql = "INSERT INTO photo (person, source, vector, thumbnail) VALUES (3, 'half', zeroblob(12), zeroblob(50000))";
            change.execute(sql, []).unwrap();
        }
        // Without any clean-up.
        process::abort();
    }
    let (folder, path) = folder();
    drop(two_people(&path));
    let name = "a_killed_writer_leaves_the_state_before";
    let killed = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{}::{name}", module_path!().split_once("::").unwrap().1)])
        .env(VICTIM, &path)
        .output()
        .unwrap();
    assert!(!killed.status.success(), "{}", String::from_utf8_lossy(&killed.stdout));
    assert!(fs::metadata(folder.path().join("faces.gallery-wal")).unwrap().len() > 500_000, "the change had begun");
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    assert_eq!(names(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
    assert_eq!(gallery.snapshot().unwrap().photos(), 3);
    gallery.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
}

#[test]
fn a_change_not_committed_is_undone() {
    let (_folder, path) = folder();
    let gallery = two_people(&path);
    let mut other = Connection::open(&path).unwrap();
    let change = other.transaction().unwrap();
    change.execute_batch("DELETE FROM photo; DELETE FROM person").unwrap();
    assert_eq!(gallery.snapshot().unwrap().photos(), 3);
    drop(change);
    assert_eq!(gallery.snapshot().unwrap().photos(), 3);
    gallery.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
}
