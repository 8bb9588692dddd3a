//! Galleries in a real PostgreSQL: what they find, what several do at once, and what they survive.

#![allow(clippy::print_stderr, reason = "whoever skips says so")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

#[path = "../../../visavis-face/tests/conformance/checks.rs"]
mod checks;
mod server;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use checks::{network, photo};
use server::{Server, sql};
use visavis_face::gallery::{
    AlarmEntry, Answer, EmbeddingId, FileGallery, Gallery, GalleryError, GalleryFile, NewAlarm, NewPhoto, PersonId,
};
use visavis_infer::manifest::Metric;
use visavis_postgres::{Address, PostgresGallery};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tries until it works.
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

/// An alarm for somebody who looks like (9, 9).
fn alarm(person: PersonId) -> NewAlarm<'static> {
    NewAlarm {
        time: 7,
        source: "door",
        person: Some(person),
        similarity: Some(0.5),
        vector: &[9.0, 9.0],
        crop: Some(&[0xFF, 0xD8, 0xFF]),
    }
}

/// A hundred searches that fail, none of which waits.
fn fails_at_once(gallery: &PostgresGallery) {
    let begun = Instant::now();
    for _ in 0..100 {
        let error = gallery.search(&[0.0, 0.0], 1).unwrap_err();
        assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
    }
    // Of a hundred that waited for an answer each would take seconds.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_gallery_in_a_database_does_what_every_gallery_does() {
    let Some(server) = Server::shared() else { return };
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        check(&|network| Box::new(server.gallery(network).1));
    }
}

#[test]
fn a_database_finds_what_a_file_finds() {
    let Some(server) = Server::shared() else { return };
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let network = EmbeddingId { length: 24, metric, same_person: 1.1, ..network() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.gallery");
        drop(GalleryFile::create(&path, &network).unwrap());
        let file = FileGallery::open(&path, &network).unwrap();
        let url = server.new_database();
        let database = PostgresGallery::create(&Address::parse(&url).unwrap(), &network).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut vector = || (0..24).map(|_| random.f32() * 2.0 - 1.0).collect::<Vec<f32>>();
        for at in 0..150 {
            let photos: Vec<NewPhoto> =
                (0..1 + at % 4).map(|_| NewPhoto { vector: vector(), ..photo(0.0, 0.0) }).collect();
            for gallery in [&file as &dyn Gallery, &database] {
                gallery.add(&format!("Person {at}"), &photos).unwrap();
            }
        }
        for at in 0..150 {
            let denied = vector();
            for gallery in [&file as &dyn Gallery, &database] {
                let person = gallery.find_person(&format!("Person {at}")).unwrap().id;
                gallery.deny(person, &denied).unwrap();
            }
        }
        assert_eq!(file.people().unwrap().len(), 150);
        for at in 0..60 {
            let (query, k) = (vector(), 1 + at % 12);
            let found = |gallery: &dyn Gallery| {
                let found = gallery.search(&query, k).unwrap();
                found.into_iter().map(|m| (m.name, m.same_person, m.distance, m.similarity)).collect::<Vec<_>>()
            };
            for (a, b) in found(&file).into_iter().zip(found(&database)) {
                assert_eq!((&a.0, a.1), (&b.0, b.1));
                assert!((a.2 - b.2).abs() < 1e-5 && (a.3 - b.3).abs() < 1e-5, "{a:?} {b:?}");
            }
        }
        // An index of pgvector's own may miss somebody; of so few it misses hardly anybody.
        let operators = if metric == Metric::Cosine { "vector_cosine_ops" } else { "vector_l2_ops" };
        sql(&url, &format!("CREATE INDEX ON visavis.photo USING hnsw (vector {operators})"));
        let agree = (0..60).filter(|_| {
            let query = vector();
            let first = |gallery: &dyn Gallery| gallery.search(&query, 1).unwrap().pop().map(|found| found.name);
            first(&file) == first(&database)
        });
        assert!(agree.count() >= 50);
    }
}

#[test]
fn what_one_adds_the_other_finds_at_once() {
    let Some(server) = Server::shared() else { return };
    let (address, here) = server.gallery(&network());
    let there = PostgresGallery::open(&address, Some(&network())).unwrap();
    assert!(!there.refresh().unwrap());
    here.add("Ada", &[photo(1.0, 0.0)]).unwrap();
    assert_eq!(&*there.search(&[1.0, 0.0], 1).unwrap()[0].name, "Ada");
    assert!(there.refresh().unwrap() && !there.refresh().unwrap());
    // Its own change hides no other's.
    here.watch("Ada", true).unwrap();
    there.rename("Ada", "Ada Lovelace").unwrap();
    assert!(there.refresh().unwrap() && here.refresh().unwrap());
    let ada = there.search(&[1.0, 0.0], 1).unwrap().remove(0);
    assert!(ada.watched);
    // What one rings the other lists, and answers.
    let rang = here.record_alarm(&alarm(ada.person)).unwrap().unwrap();
    assert!(there.refresh().unwrap());
    let listed = there.alarms(None, 9).unwrap().remove(0);
    assert_eq!((listed.person, listed.source), (Some((ada.person, "Ada Lovelace".into())), Some("door".into())));
    there.answer_alarm(rang, Answer::Denied).unwrap();
    assert_eq!(here.alarms(None, 9).unwrap()[0].answer, Answer::Denied);
    assert_eq!(here.search(&[8.0, 8.0], 1).unwrap(), [], "nobody else is there");
    there.remove_person("Ada Lovelace").unwrap();
    assert_eq!(here.search(&[1.0, 0.0], 1).unwrap(), []);
}

#[test]
fn a_new_name_added_by_two_at_once_is_one_person() {
    let Some(server) = Server::shared() else { return };
    let (address, here) = server.gallery(&network());
    let there = PostgresGallery::open(&address, None).unwrap();
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
    let gallery = PostgresGallery::create(&Address::parse(&url).unwrap(), &network()).unwrap();
    for name in ["Ada", "Grace"] {
        let jpeg = [[0xFF, 0xD8, 0xFF].to_vec(), vec![7; 20_000]].concat();
        let photos = [NewPhoto { thumbnail: Some(jpeg), ..photo(1.0, 0.0) }, photo(2.0, 0.0)];
        let person = gallery.add(name, &photos).unwrap().person;
        gallery.deny(person, &[5.0, 5.0]).unwrap();
        gallery.record_alarm(&alarm(person)).unwrap();
    }
    let removed = gallery.remove_person("Ada").unwrap();
    // The server's log holds it for a while.
    assert_eq!((removed.photos, removed.erased), (2, false));
    let left = "SELECT (SELECT count(*) FROM visavis.person), (SELECT count(*) FROM visavis.photo),
                       (SELECT count(*) FROM visavis.denial), (SELECT count(*) FROM visavis.alarm)";
    let counts = |row: &tokio_postgres::Row| [0, 1, 2, 3].map(|at| row.get::<_, i64>(at));
    assert_eq!(counts(&sql(&url, left)[0]), [1, 2, 1, 1]);
    let source: String = sql(&url, "SELECT DISTINCT source FROM visavis.photo")[0].get(0);
    assert_eq!(source, "x.jpg", "where a photo was kept is nobody's business");
}

#[test]
fn searches_do_not_wait_for_a_change() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let gallery = PostgresGallery::create(&Address::parse(&url).unwrap(), &network()).unwrap();
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
                while held.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        });
        while !held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
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
    let missing = PostgresGallery::open(&address, None).unwrap_err();
    assert!(
        matches!(missing, GalleryError::Missing { .. }) && missing.to_string().contains("postgres://"),
        "{missing}"
    );
    let long = EmbeddingId { length: 20_000, ..network() };
    assert!(matches!(PostgresGallery::create(&address, &long), Err(GalleryError::Embedding { .. })));
    drop(PostgresGallery::create(&address, &network()).unwrap());
    assert!(matches!(PostgresGallery::create(&address, &network()), Err(GalleryError::Exists { .. })));
    for other in [
        EmbeddingId { name: "hawk".into(), ..network() },
        EmbeddingId { fingerprint: "ff".into(), ..network() },
        EmbeddingId { length: 3, ..network() },
        EmbeddingId { metric: Metric::Cosine, ..network() },
    ] {
        assert!(matches!(PostgresGallery::open(&address, Some(&other)), Err(GalleryError::OtherNetwork { .. })));
    }
    // Another threshold reads the same vectors another way.
    let strict = EmbeddingId { same_person: 0.1, ..network() };
    assert_eq!(PostgresGallery::open(&address, Some(&strict)).unwrap().embedding(), &strict);
    assert_eq!(PostgresGallery::open(&address, None).unwrap().embedding(), &network());
}

/// A failure of whoever looks at a photo.
fn missing() -> GalleryError {
    GalleryError::Missing { path: "face.jpg".into() }
}

#[test]
fn another_network_looks_at_the_photos() {
    let Some(server) = Server::shared() else { return };
    // As many numbers as before: only what the gallery says tells the vectors apart.
    for hawk in [
        EmbeddingId { name: "hawk".into(), fingerprint: "99".into(), ..network() },
        EmbeddingId { fingerprint: "98".into(), length: 3, metric: Metric::Cosine, ..network() },
    ] {
        let (address, old) = server.gallery(&network());
        let face = |face: u8| NewPhoto { thumbnail: Some(vec![0xFF, 0xD8, 0xFF, face]), ..photo(f32::from(face), 1.0) };
        let seen = |face: u8| [vec![1.0; hawk.length - 1], vec![f32::from(face)]].concat();
        let ada = old.add("Ada", &[face(1), face(2)]).unwrap().person;
        old.watch("Ada", true).unwrap();
        old.deny(ada, &[9.0, 9.0]).unwrap();
        let rang = old.record_alarm(&alarm(ada)).unwrap().unwrap();
        let record = old.person_record(ada).unwrap().unwrap();
        let open = || PostgresGallery::open(&address, None).unwrap();

        let mut told = Vec::new();
        let converted = open().convert(&hawk, |jpeg, done, photos| {
            if told.is_empty() {
                // The old one still answers, and is added to.
                assert_eq!(old.search(&[2.0, 1.0], 1)?[0].distance, 0.0);
                old.add("Grace", &[face(7)])?;
            }
            told.push((done, photos));
            Ok::<_, GalleryError>(seen(jpeg[3]))
        });
        let converted = converted.unwrap();
        assert_eq!((converted.photos, converted.denials), (3, 1));
        assert_eq!(told, [(0, 2), (1, 2), (2, 3)]);

        let new = PostgresGallery::open(&address, Some(&hawk)).unwrap();
        let found = new.search(&seen(7), 1).unwrap();
        assert_eq!((&*found[0].name, found[0].distance), ("Grace", 0.0));
        let found = new.search(&seen(1), 2).unwrap();
        assert_eq!((&*found[0].name, found[0].watched, found[0].distance), ("Ada", true, 0.0));
        // Who denies an alarm of the old network's denies nothing for the new one, whose vectors say other things.
        assert!(new.answer_alarm(rang, Answer::Denied).unwrap());
        assert_eq!(new.person_record(ada).unwrap().unwrap().denials, Vec::<Vec<f32>>::new());
        assert!(matches!(new.restore(&record), Err(GalleryError::OtherNetwork { .. })));
        new.deny(ada, &seen(1)).unwrap();
        new.add("Eve", &[NewPhoto { vector: seen(8), ..face(8) }]).unwrap();
        assert_eq!(open().convert(&hawk, |_, _, _| Err(missing())).unwrap().photos, 0);

        // Whoever still has it open for the old network neither finds wrong people nor adds vectors that do not belong.
        for wrong in [
            old.add("Mallory", &[photo(3.0, 1.0)]).map(drop),
            old.search(&[2.0, 1.0], 1).map(drop),
            old.refresh().map(drop),
        ] {
            let error = wrong.unwrap_err();
            assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
            assert!(error.to_string().contains("another network's gallery is there now"), "{error}");
        }
        assert!(new.find_person("Mallory").is_err());
    }
}

#[test]
fn an_older_gallery_is_brought_to_the_newest_format() {
    let Some(server) = Server::shared() else { return };
    let url = server.new_database();
    let address = Address::parse(&url).unwrap();
    let ada = PostgresGallery::create(&address, &network()).unwrap().add("Ada", &[photo(1.0, 0.0)]).unwrap().person;
    sql(&url, "DROP TABLE visavis.alarm");
    sql(&url, "UPDATE visavis.meta SET format = 1");
    // Several at once, of which one is the first.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                PostgresGallery::open(&address, Some(&network())).unwrap().record_alarm(&alarm(ada)).unwrap()
            });
        }
    });
    let gallery = PostgresGallery::open(&address, None).unwrap();
    let rang: Vec<AlarmEntry> = gallery.alarms(None, 9).unwrap();
    assert!(rang.len() == 4 && rang.iter().all(|alarm| alarm.person == Some((ada, "Ada".into()))), "{rang:?}");
    assert_eq!(sql(&url, "SELECT format FROM visavis.meta")[0].get::<_, i32>(0), 2);
    sql(&url, "UPDATE visavis.meta SET format = 3");
    let error = PostgresGallery::open(&address, None).unwrap_err();
    assert!(matches!(error, GalleryError::Newer { found: 3, known: 2, .. }), "{error:?}");
}

#[test]
fn a_conversion_that_fails_changes_nothing() {
    let Some(server) = Server::shared() else { return };
    let (address, gallery) = server.gallery(&network());
    let hawk = EmbeddingId { fingerprint: "99".into(), length: 3, ..network() };
    let convert = |vector: Result<Vec<f32>, GalleryError>| {
        let mut vector = Some(vector);
        let embed = |_: &[u8], _, _| vector.take().unwrap_or(Ok(vec![1.0; 3]));
        PostgresGallery::open(&address, None).unwrap().convert(&hawk, embed).unwrap_err()
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
        let error = PostgresGallery::open(&Address::parse(url).unwrap(), None).unwrap_err();
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
    let other = PostgresGallery::open(&address, Some(&network())).unwrap();
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
        while gallery.people().unwrap().len() < 30 {
            thread::sleep(Duration::from_millis(5));
        }
        server.crash();
        adding.join().unwrap()
    });
    assert!(acknowledged.len() >= 30);
    fails_at_once(&gallery);
    fails_at_once(&other);
    assert!(matches!(gallery.add("Nobody", &[photo(0.0, 5.0)]), Err(GalleryError::Unreachable { .. })));
    assert!(matches!(gallery.refresh(), Err(GalleryError::Unreachable { .. })));
    server.start_again();
    // Both come back by themselves.
    for gallery in [&gallery, &other] {
        let back = eventually(|| gallery.search(&[0.0, 0.0], 1));
        assert_eq!(&*back[0].name, "Person 0");
        let there: Vec<String> = gallery.people().unwrap().into_iter().map(|person| person.name).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|name| !there.contains(name)).collect();
        assert!(lost.is_empty(), "{} acknowledged, lost {lost:?}", acknowledged.len());
        assert!(!there.contains(&"Nobody".to_owned()));
    }
    gallery.add("Eve", &[photo(0.0, 9.0)]).unwrap();
    assert_eq!(&*other.search(&[0.0, 9.0], 1).unwrap()[0].name, "Eve");
}

#[test]
fn a_server_that_answers_nothing_is_left_and_taken_up_again() {
    let Some(server) = Server::start() else { return };
    let (address, gallery) = server.gallery(&network());
    gallery.add("Ada", &[photo(1.0, 0.0)]).unwrap();
    server.freeze();
    // Several workers at once, and a change: each waits once, and none for long.
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(matches!(gallery.search(&[1.0, 0.0], 1), Err(GalleryError::Unreachable { .. }))));
        }
        let error = gallery.add("Eve", &[photo(2.0, 0.0)]).unwrap_err();
        assert!(matches!(error, GalleryError::Unreachable { .. }), "{error:?}");
    });
    assert!(begun.elapsed() < PATIENCE);
    fails_at_once(&gallery);
    assert!(matches!(PostgresGallery::open(&address, None), Err(GalleryError::Unreachable { .. })));
    server.thaw();
    assert_eq!(&*eventually(|| gallery.search(&[1.0, 0.0], 1))[0].name, "Ada");
    gallery.add("Grace", &[photo(3.0, 0.0)]).unwrap();
    assert_eq!(&*gallery.search(&[3.0, 0.0], 1).unwrap()[0].name, "Grace");
}
