//! Galleries in a real PostgreSQL: searches, several programs at once, and failures of the server.

#![allow(clippy::print_stderr, reason = "a test that skips says so")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

#[path = "../conformance/checks/mod.rs"]
mod checks;
mod server;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use checks::{network, photo};
use server::{Server, create, open, sql};
use visavis_gallery::{
    Address, AlarmEntry, Answer, EmbeddingId, Gallery, GalleryError, GalleryKey, GalleryParams, IndexBuilder, NewAlarm,
    NewPhoto, PersonId, PostgresStore,
};
use visavis_infer::manifest::Metric;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Retries until it succeeds.
fn eventually<T>(mut work: impl FnMut() -> Result<T, GalleryError>) -> T {
    let begun = Instant::now();
    loop {
        match work() {
            Ok(done) => return done,
            Err(error) if begun.elapsed() > PATIENCE => panic!("still failing: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// An alarm for a person with a face at (9, 9).
fn alarm(person: PersonId) -> NewAlarm<'static> {
    NewAlarm {
        time: 7,
        source: "door",
        person: Some(person),
        identified: Some(0.5),
        vector: &[9.0, 9.0],
        crop: Some(&[0xFF, 0xD8, 0xFF]),
    }
}

/// Operations that need the server fail without waiting, and searches continue.
fn goes_on_without_the_server(gallery: &Gallery) {
    for _ in 0..100 {
        let error = gallery.people().unwrap_err();
        assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
    }
    assert_eq!(gallery.search(&[0.0, 0.0], 1).unwrap().len(), 1);
}

/// Number of photos on the server.
fn there_are(gallery: &Gallery) -> usize {
    gallery.people().unwrap().iter().map(|person| person.photos).sum()
}

/// Waits until something is true; fails if that takes too long.
fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a gallery has read a change of another program.
fn refreshed(gallery: &Gallery) {
    wait_until("a change comes", || gallery.refresh().unwrap());
}

#[test]
fn a_gallery_in_a_database_does_what_every_gallery_does() {
    let Some(server) = Server::shared() else { return };
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        check(&|network| server.gallery(network).1);
    }
}

#[test]
fn an_encrypted_database_does_what_every_gallery_does() {
    let Some(server) = Server::shared() else { return };
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        check(&|network| {
            let (address, gallery) = server.gallery(network);
            let key = GalleryKey::generate().unwrap();
            gallery.change_key(Some(&key)).unwrap();
            let params = GalleryParams { key: Some(key), ..GalleryParams::default() };
            Gallery::over(PostgresStore::open(&address).unwrap(), Some(network), params).unwrap()
        });
    }
}

#[test]
fn a_database_contains_only_encrypted_vectors_and_pictures() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let address = Address::parse(&url).unwrap();
    let plain = create(&address, &network()).unwrap();
    let jpeg = [0xFF, 0xD8, 0xFF, 7];
    let ada = NewPhoto { thumbnail: Some(jpeg.to_vec()), ..photo(1.0, 2.0) };
    let person = plain.add("Ada", &[ada]).unwrap().person;
    plain.deny(person, &[7.0, 7.0]).unwrap();
    let raised = plain.record_alarm(&alarm(person)).unwrap().unwrap();
    let key = GalleryKey::generate().unwrap();
    let old = open(&address, Some(&network())).unwrap();
    plain.change_key(Some(&key)).unwrap();
    let encrypted = |key: &GalleryKey| {
        let params = GalleryParams { key: Some(key.clone()), memory: 1, ..GalleryParams::default() };
        Gallery::over(PostgresStore::open(&address)?, Some(&network()), params)
    };

    // Each is longer than what it encrypts by a mark, a kind, a nonce and a tag.
    let lengths = "SELECT octet_length(photo.vector), octet_length(photo.thumbnail), octet_length(denial.vector),
                          octet_length(alarm.vector), octet_length(alarm.crop)
                   FROM visavis.photo, visavis.denial, visavis.alarm";
    let row = &sql(&url, lengths)[0];
    assert_eq!([0, 1, 2, 3, 4].map(|column| row.get::<_, i32>(column)), [8, 4, 8, 8, 3].map(|plain| plain + 33));

    assert!(matches!(open(&address, Some(&network())), Err(GalleryError::Encrypted { .. })));
    assert!(matches!(encrypted(&GalleryKey::generate().unwrap()), Err(GalleryError::WrongKey { .. })));
    assert!(matches!(old.add("Eve", &[photo(3.0, 3.0)]), Err(GalleryError::KeyChanged { .. })));
    // The memory limit is exceeded, but the server cannot search.
    let gallery = encrypted(&key).unwrap();
    assert_eq!(&*gallery.search(&[1.0, 2.0], 1).unwrap()[0].name, "Ada");
    assert_eq!(gallery.portrait(person).unwrap().unwrap(), jpeg);
    assert!(gallery.answer_alarm(raised, Answer::Denied).unwrap());
    assert_eq!(gallery.person_record(person).unwrap().unwrap().denials, [[7.0, 7.0], [9.0, 9.0]]);

    // Another network, and back to plain vectors of its length.
    let hawk = EmbeddingId { name: "hawk".into(), length: 3, ..network() };
    gallery.convert(&hawk, |_, _, _| Ok::<_, GalleryError>(vec![1.0, 2.0, 3.0])).unwrap();
    let params = GalleryParams { key: Some(key), ..GalleryParams::default() };
    let converted = Gallery::over(PostgresStore::open(&address).unwrap(), Some(&hawk), params).unwrap();
    converted.change_key(None).unwrap();
    let plain = open(&address, Some(&hawk)).unwrap();
    assert_eq!(plain.search(&[1.0, 2.0, 3.0], 1).unwrap()[0].distance, 0.0);
    assert_eq!(plain.portrait(person).unwrap().unwrap(), jpeg);
}

#[test]
fn a_database_finds_what_a_file_finds() {
    let Some(server) = Server::shared() else { return };
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let network = EmbeddingId { length: 24, metric, same_person: 1.1, ..network() };
        let folder = tempfile::tempdir().unwrap();
        let file = Gallery::create(folder.path().join("faces.gallery"), &network).unwrap();
        let url = server.new_database();
        let address = Address::parse(&url).unwrap();
        let database = create(&address, &network).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut vector = || (0..24).map(|_| random.f32() * 2.0 - 1.0).collect::<Vec<f32>>();
        for at in 0..150 {
            let photos: Vec<NewPhoto> =
                (0..1 + at % 4).map(|_| NewPhoto { vector: vector(), ..photo(0.0, 0.0) }).collect();
            for gallery in [&file, &database] {
                gallery.add(&format!("Person {at}"), &photos).unwrap();
            }
        }
        for at in 0..150 {
            let denied = vector();
            for gallery in [&file, &database] {
                let person = gallery.find_person(&format!("Person {at}")).unwrap().id;
                gallery.deny(person, &denied).unwrap();
            }
        }
        assert_eq!(file.people().unwrap().len(), 150);
        // Above the memory limit: the database searches.
        let params = GalleryParams { memory: 1_000, ..GalleryParams::default() };
        let searching = Gallery::over(PostgresStore::open(&address).unwrap(), Some(&network), params).unwrap();
        assert_eq!(searching.size(), database.size());
        for at in 0..60 {
            let (query, k) = (vector(), 1 + at % 12);
            let found = |gallery: &Gallery| {
                let found = gallery.search(&query, k).unwrap();
                found.into_iter().map(|m| (m.name, m.same_person, m.distance, m.likeness)).collect::<Vec<_>>()
            };
            assert_eq!(found(&file), found(&database));
            assert_eq!(found(&file).len(), found(&searching).len());
            for (a, b) in found(&file).into_iter().zip(found(&searching)) {
                assert_eq!((&a.0, a.1), (&b.0, b.1));
                assert!((a.2 - b.2).abs() < 1e-5 && (a.3 - b.3).abs() < 1e-5, "{a:?} {b:?}");
            }
        }
        // An index of pgvector may miss a person, but hardly ever among so few.
        let operators = if metric == Metric::Cosine { "vector_cosine_ops" } else { "vector_l2_ops" };
        sql(&url, &format!("CREATE INDEX ON visavis.photo USING hnsw (vector {operators})"));
        let agree = (0..60).filter(|_| {
            let query = vector();
            let first = |gallery: &Gallery| gallery.search(&query, 1).unwrap().pop().map(|found| found.name);
            first(&file) == first(&searching)
        });
        assert!(agree.count() >= 50);
    }
}

#[test]
fn what_one_adds_the_other_finds() {
    let Some(server) = Server::shared() else { return };
    let (address, here) = server.gallery(&network());
    let there = open(&address, Some(&network())).unwrap();
    assert!(!there.refresh().unwrap());
    let ada = here.add("Ada", &[photo(1.0, 0.0)]).unwrap().person;
    refreshed(&there);
    assert_eq!(&*there.search(&[1.0, 0.0], 1).unwrap()[0].name, "Ada");
    assert!(!there.refresh().unwrap());
    // Its own change does not hide changes of others.
    here.watch(ada, true).unwrap();
    there.rename(ada, "Ada Lovelace").unwrap();
    refreshed(&there);
    refreshed(&here);
    for gallery in [&here, &there] {
        let found = gallery.search(&[1.0, 0.0], 1).unwrap().remove(0);
        assert!(found.watched && &*found.name == "Ada Lovelace");
    }
    // Each program lists and answers the alarms of the other.
    let kept = here.record_alarm(&alarm(ada)).unwrap().unwrap();
    refreshed(&there);
    let listed = there.alarms(None, 9).unwrap().remove(0);
    assert_eq!((listed.person, listed.source), (Some((ada, "Ada Lovelace".into())), Some("door".into())));
    there.answer_alarm(kept, Answer::Denied).unwrap();
    assert_eq!(here.alarms(None, 9).unwrap()[0].answer, Answer::Denied);
    refreshed(&here);
    assert_eq!(here.search(&[8.0, 8.0], 1).unwrap(), [], "there is no other person");
    there.remove_person(ada).unwrap();
    refreshed(&here);
    assert_eq!(here.search(&[1.0, 0.0], 1).unwrap(), []);
}

#[test]
fn an_index_of_a_database_is_used_and_deleted_with_a_removal() {
    let Some(server) = Server::shared() else { return };
    let (address, other) = server.gallery(&network());
    for at in 0..20 {
        other.add(&format!("Person {at}"), &[photo(at as f32, 0.0)]).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("cache").join("faces.index");
    let open = || {
        let params = GalleryParams { index: Some(index.clone()), approximate_from: 0, ..GalleryParams::default() };
        Gallery::over(PostgresStore::open(&address).unwrap(), Some(&network()), params).unwrap()
    };
    let gallery = open();
    let builder = IndexBuilder::new(&gallery, 1).unwrap();
    builder.work(|_| {});
    builder.finish(&gallery).unwrap();
    other.add("Ada", &[photo(3.0, 4.0)]).unwrap();
    let indexed = open();
    assert!(indexed.is_approximate() && index.exists());
    assert_eq!(&*indexed.search_exact(&[3.0, 3.5], 1).unwrap()[0].name, "Ada");
    // Another program removes a person whose vector is in the index.
    other.remove_person(other.find_person("Person 7").unwrap().id).unwrap();
    refreshed(&indexed);
    assert!(!index.exists());
    assert_ne!(&*indexed.search(&[7.0, 0.0], 1).unwrap()[0].name, "Person 7");
}

#[test]
fn a_new_name_added_by_two_at_once_is_one_person() {
    let Some(server) = Server::shared() else { return };
    let (address, here) = server.gallery(&network());
    let there = open(&address, None).unwrap();
    thread::scope(|scope| {
        for gallery in [&here, &there] {
            scope.spawn(move || {
                for at in 0..40 {
                    gallery.add(&format!("Person {at}"), &[photo(at as f32, 0.0)]).unwrap();
                    gallery.meet(&photo(at as f32, 9.0), 1).unwrap();
                }
            });
        }
    });
    let (met, added): (Vec<_>, Vec<_>) = here.people().unwrap().into_iter().partition(|person| person.met);
    assert_eq!((met.len(), added.len()), (80, 40));
    assert!(added.iter().all(|person| person.photos == 2));
}

#[test]
fn a_removed_person_leaves_no_rows() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let gallery = create(&Address::parse(&url).unwrap(), &network()).unwrap();
    for name in ["Ada", "Grace"] {
        let jpeg = [[0xFF, 0xD8, 0xFF].to_vec(), vec![7; 20_000]].concat();
        let photos = [NewPhoto { thumbnail: Some(jpeg), ..photo(1.0, 0.0) }, photo(2.0, 0.0)];
        let person = gallery.add(name, &photos).unwrap().person;
        gallery.deny(person, &[5.0, 5.0]).unwrap();
        gallery.record_alarm(&alarm(person)).unwrap();
    }
    let removed = gallery.remove_person(gallery.find_person("Ada").unwrap().id).unwrap();
    // The server's log still contains it.
    assert_eq!((removed.record.photos.len(), removed.erased), (2, false));
    let left = "SELECT (SELECT count(*) FROM visavis.person), (SELECT count(*) FROM visavis.photo),
                       (SELECT count(*) FROM visavis.denial), (SELECT count(*) FROM visavis.alarm)";
    let counts = |row: &tokio_postgres::Row| [0, 1, 2, 3].map(|at| row.get::<_, i64>(at));
    assert_eq!(counts(&sql(&url, left)[0]), [1, 2, 1, 1]);
    let source: String = sql(&url, "SELECT DISTINCT source FROM visavis.photo")[0].get(0);
    assert_eq!(source, "x.jpg", "the folder of a photo is not kept");
}

#[test]
fn searches_do_not_wait_for_a_change() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let gallery = create(&Address::parse(&url).unwrap(), &network()).unwrap();
    gallery.add("Ada", &[photo(1.0, 0.0)]).unwrap();
    let held = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let change = client.transaction().await.unwrap();
                change.execute("UPDATE visavis.meta SET changes = changes + 1", &[]).await.unwrap();
                held.store(true, Ordering::SeqCst);
                let begun = Instant::now();
                while held.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        });
        wait_until("the other program changes the gallery", || held.load(Ordering::SeqCst));
        assert_eq!(&*gallery.search(&[1.0, 0.0], 1).unwrap()[0].name, "Ada");
        assert!(!gallery.refresh().unwrap());
        let error = gallery.add("Eve", &[photo(2.0, 0.0)]).unwrap_err();
        held.store(false, Ordering::SeqCst);
        assert!(matches!(error, GalleryError::InUse { .. }), "{error:?}");
    });
    eventually(|| gallery.add("Eve", &[photo(2.0, 0.0)]));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let Some(server) = Server::shared() else { return };
    let address = server.database();
    let missing = open(&address, None).unwrap_err();
    assert!(
        matches!(missing, GalleryError::Missing { .. }) && missing.to_string().contains("postgres://"),
        "{missing}"
    );
    let long = EmbeddingId { length: 20_000, ..network() };
    assert!(matches!(create(&address, &long), Err(GalleryError::Embedding { .. })));
    drop(create(&address, &network()).unwrap());
    assert!(matches!(create(&address, &network()), Err(GalleryError::Exists { .. })));
    for other in [
        EmbeddingId { name: "hawk".into(), ..network() },
        EmbeddingId { fingerprint: "ff".into(), ..network() },
        EmbeddingId { length: 3, ..network() },
        EmbeddingId { metric: Metric::Cosine, ..network() },
    ] {
        assert!(matches!(open(&address, Some(&other)), Err(GalleryError::OtherNetwork { .. })));
    }
    // Another threshold rates the same vectors differently.
    let strict = EmbeddingId { same_person: 0.1, ..network() };
    assert_eq!(open(&address, Some(&strict)).unwrap().embedding(), &strict);
    assert_eq!(open(&address, None).unwrap().embedding(), &network());
}

/// A failure while a vector is computed.
fn missing() -> GalleryError {
    GalleryError::Missing { path: "face.jpg".into() }
}

#[test]
fn another_network_looks_at_the_photos() {
    let Some(server) = Server::shared() else { return };
    // The vectors have the same length as before: only `meta` distinguishes them.
    for hawk in [
        EmbeddingId { name: "hawk".into(), fingerprint: "99".into(), ..network() },
        EmbeddingId { fingerprint: "98".into(), length: 3, metric: Metric::Cosine, ..network() },
    ] {
        let (address, old) = server.gallery(&network());
        let face = |face: u8| NewPhoto { thumbnail: Some(vec![0xFF, 0xD8, 0xFF, face]), ..photo(f32::from(face), 1.0) };
        let seen = |face: u8| [vec![1.0; hawk.length - 1], vec![f32::from(face)]].concat();
        let ada = old.add("Ada", &[face(1), face(2)]).unwrap().person;
        old.watch(ada, true).unwrap();
        old.deny(ada, &[9.0, 9.0]).unwrap();
        let rang = old.record_alarm(&alarm(ada)).unwrap().unwrap();
        let record = old.person_record(ada).unwrap().unwrap();
        let opened = || open(&address, None).unwrap();

        let mut told = Vec::new();
        let converted = opened().convert(&hawk, |jpeg, done, photos| {
            if told.is_empty() {
                // The old network can still be searched, and photos can be added.
                assert_eq!(old.search(&[2.0, 1.0], 1)?[0].distance, 0.0);
                old.add("Grace", &[face(7)])?;
            }
            told.push((done, photos));
            Ok::<_, GalleryError>(seen(jpeg[3]))
        });
        let converted = converted.unwrap();
        assert_eq!((converted.photos, converted.denials), (3, 1));
        assert_eq!(told, [(0, 2), (1, 2), (2, 3)]);

        let new = open(&address, Some(&hawk)).unwrap();
        let found = new.search(&seen(7), 1).unwrap();
        assert_eq!((&*found[0].name, found[0].distance), ("Grace", 0.0));
        let found = new.search(&seen(1), 2).unwrap();
        assert_eq!((&*found[0].name, found[0].watched), ("Ada", true));
        assert!(found[0].distance < 1e-6, "{}", found[0].distance);
        // Denying an alarm of the old network stores no denial for the new one, whose vectors are not comparable.
        assert!(new.answer_alarm(rang, Answer::Denied).unwrap());
        assert_eq!(new.person_record(ada).unwrap().unwrap().denials, Vec::<Vec<f32>>::new());
        assert!(matches!(new.restore(&record), Err(GalleryError::OtherNetwork { .. })));
        new.deny(ada, &seen(1)).unwrap();
        new.add("Eve", &[NewPhoto { vector: seen(8), ..face(8) }]).unwrap();
        assert_eq!(opened().convert(&hawk, |_, _, _| Err(missing())).unwrap().photos, 0);

        // A program that still has it open for the old network can search, but cannot add vectors of the old network.
        for wrong in [old.add("Mallory", &[photo(3.0, 1.0)]).map(drop), old.refresh().map(drop)] {
            let error = wrong.unwrap_err();
            assert!(matches!(error, GalleryError::OtherNetwork { .. }), "{error:?}");
        }
        assert_eq!(&*old.search(&[2.0, 1.0], 1).unwrap()[0].name, "Ada");
        assert!(new.find_person("Mallory").is_err());
    }
}

#[test]
fn an_older_gallery_is_brought_to_the_newest_format() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let address = Address::parse(&url).unwrap();
    let old = create(&address, &network()).unwrap();
    let ada = old.add("Ada", &[photo(1.0, 0.0)]).unwrap().person;
    let visitor = old.meet(&photo(5.0, 0.0), 9).unwrap();
    drop(old);
    sql(&url, "DROP TABLE visavis.alarm");
    make_old(&url, 1);
    // Several at once, one of which comes first.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| open(&address, Some(&network())).unwrap().record_alarm(&alarm(ada)).unwrap());
        }
    });
    let gallery = open(&address, None).unwrap();
    let rang: Vec<AlarmEntry> = gallery.alarms(None, 9).unwrap();
    let found = gallery.search(&[1.0, 0.0], 2).unwrap();
    assert_eq!(found.iter().map(|found| found.person).collect::<Vec<_>>(), [ada, visitor]);
    assert!(gallery.person(visitor).unwrap().is_some_and(|visitor| visitor.met && visitor.last_seen == Some(9)));
    assert!(rang.len() == 4 && rang.iter().all(|alarm| alarm.person == Some((ada, "Ada".into()))), "{rang:?}");
    assert_eq!(sql(&url, "SELECT format FROM visavis.meta")[0].get::<_, i32>(0), 6);
    sql(&url, "UPDATE visavis.meta SET format = 7");
    let error = open(&address, None).unwrap_err();
    assert!(matches!(error, GalleryError::Newer { found: 7, known: 6, .. }), "{error:?}");
}

/// Removes what formats after `format`, 1 or 3, have added besides alarms.
fn make_old(url: &str, format: i32) {
    for old in [
        "DROP TABLE visavis.sighting",
        "ALTER TABLE visavis.person DROP COLUMN ignored",
        "DROP TABLE visavis.removal",
        "ALTER TABLE visavis.photo DROP COLUMN changed",
        "ALTER TABLE visavis.person DROP COLUMN changed",
        "ALTER TABLE visavis.meta DROP COLUMN token",
        "ALTER TABLE visavis.meta DROP COLUMN encrypted",
        format!("UPDATE visavis.meta SET format = {format}").as_str(),
    ] {
        sql(url, old);
    }
}

#[test]
fn an_older_gallery_keeps_its_people_photos_visitors_and_alarms() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let address = Address::parse(&url).unwrap();
    let old = create(&address, &network()).unwrap();
    let ada = old.add("Ada", &[photo(1.0, 0.0), photo(2.0, 0.0)]).unwrap().person;
    let visitor = old.meet(&photo(5.0, 0.0), 9).unwrap();
    old.watch(ada, true).unwrap();
    old.deny(ada, &[7.0, 0.0]).unwrap();
    let rang = old.record_alarm(&alarm(ada)).unwrap().unwrap();
    let people = old.people().unwrap();
    let alarms = old.alarms(None, 9).unwrap();
    drop(old);
    make_old(&url, 3);
    let gallery = open(&address, Some(&network())).unwrap();
    assert_eq!((gallery.people().unwrap(), gallery.alarms(None, 9).unwrap()), (people, alarms));
    assert_eq!(gallery.alarm_crop(rang).unwrap().unwrap(), [0xFF, 0xD8, 0xFF]);
    assert!(gallery.person(visitor).unwrap().is_some_and(|visitor| visitor.met));
    assert_eq!(gallery.search(&[1.1, 0.0], 1).unwrap()[0].person, ada);
    // The denial is there: a face near to it is the visitor.
    assert_eq!(gallery.search(&[7.0, 0.0], 1).unwrap()[0].person, visitor);
    assert!(gallery.answer_alarm(rang, Answer::Denied).unwrap());
    assert!(gallery.sightings(&Default::default(), 9).unwrap().is_empty());
}

#[test]
fn a_conversion_that_fails_changes_nothing() {
    let Some(server) = Server::shared() else { return };
    let (address, gallery) = server.gallery(&network());
    let hawk = EmbeddingId { fingerprint: "99".into(), length: 3, ..network() };
    let convert = |vector: Result<Vec<f32>, GalleryError>| {
        let mut vector = Some(vector);
        let embed = |_: &[u8], _, _| vector.take().unwrap_or(Ok(vec![1.0; 3]));
        open(&address, None).unwrap().convert(&hawk, embed).unwrap_err()
    };
    gallery.add("Ada", &[NewPhoto { thumbnail: Some(vec![0xFF, 0xD8, 0xFF]), ..photo(1.0, 0.0) }]).unwrap();
    assert!(matches!(convert(Ok(vec![1.0; 2])), GalleryError::Query { .. }));
    assert!(matches!(convert(Err(missing())), GalleryError::Missing { .. }));
    gallery.add("Grace", &[NewPhoto { thumbnail: None, ..photo(2.0, 0.0) }]).unwrap();
    assert!(matches!(convert(Ok(vec![1.0; 3])), GalleryError::NoThumbnail { photos: 1, .. }));
    assert_eq!(&*gallery.search(&[2.0, 0.0], 1).unwrap()[0].name, "Grace");
}

#[test]
fn no_error_tells_the_password() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let password = url.split(':').nth(2).and_then(|rest| rest.split('@').next()).unwrap().to_owned();
    let wrong = url.replace(&password, "let-me-in");
    let nowhere = url.rsplit_once(':').map(|(before, _)| format!("{before}:1/faces")).unwrap();
    let no_database = format!("{url}_not");
    for (url, told) in [(&wrong, "password authentication failed"), (&nowhere, "refused"), (&no_database, "not exist")]
    {
        let error = open(&Address::parse(url).unwrap(), None).unwrap_err();
        assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(text.contains(told) && text.contains("postgres://visavis@127.0.0.1"), "{text}");
            assert!(!text.contains(&password) && !text.contains("let-me-in"), "{text}");
        }
    }
}

#[test]
fn a_server_that_crashes_loses_nothing_that_was_acknowledged() {
    let Some(server) = Server::start() else { return };
    let (address, gallery) = server.gallery(&network());
    let other = open(&address, Some(&network())).unwrap();
    let acknowledged = thread::scope(|scope| {
        let adding = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for at in 0.. {
                let name = format!("Person {at}");
                match gallery.add(&name, &[photo(at as f32, 0.0)]) {
                    Ok(_) => acknowledged.push(name),
                    Err(GalleryError::Unreachable { .. }) => return acknowledged,
                    Err(error) => panic!("{error:?}"),
                }
            }
            acknowledged
        });
        wait_until("30 people are added", || gallery.people().unwrap().len() >= 30);
        // The vectors in its memory are searched while the server is down.
        refreshed(&other);
        server.crash();
        adding.join().unwrap()
    });
    assert!(acknowledged.len() >= 30);
    goes_on_without_the_server(&gallery);
    goes_on_without_the_server(&other);
    assert!(matches!(gallery.add("Nobody", &[photo(0.0, 5.0)]), Err(GalleryError::Unreachable { .. })));
    assert!(matches!(gallery.refresh(), Err(GalleryError::Unreachable { .. })));
    server.start_again();
    // Both reconnect by themselves.
    for gallery in [&gallery, &other] {
        let there: Vec<String> = eventually(|| gallery.people()).into_iter().map(|person| person.name).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|name| !there.contains(name)).collect();
        assert!(lost.is_empty(), "{} acknowledged, lost {lost:?}", acknowledged.len());
        assert!(!there.contains(&"Nobody".to_owned()));
    }
    gallery.add("Eve", &[photo(0.0, 9.0)]).unwrap();
    refreshed(&other);
    assert_eq!(&*other.search(&[0.0, 9.0], 1).unwrap()[0].name, "Eve");
    assert_eq!(other.size(), there_are(&other));
}

#[test]
fn a_server_that_answers_nothing_is_left_and_taken_up_again() {
    let Some(server) = Server::start() else { return };
    let (address, gallery) = server.gallery(&network());
    gallery.add("Ada", &[photo(1.0, 0.0)]).unwrap();
    server.freeze();
    // Several readers and a change at once: each waits once.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(matches!(gallery.people(), Err(GalleryError::Unreachable { .. }))));
        }
        let error = gallery.add("Eve", &[photo(2.0, 0.0)]).unwrap_err();
        assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
    });
    goes_on_without_the_server(&gallery);
    assert!(matches!(open(&address, None), Err(GalleryError::Unreachable { .. })));
    server.thaw();
    assert_eq!(eventually(|| gallery.people())[0].name, "Ada");
    gallery.add("Grace", &[photo(3.0, 0.0)]).unwrap();
    assert_eq!(&*gallery.search(&[3.0, 0.0], 1).unwrap()[0].name, "Grace");
}
