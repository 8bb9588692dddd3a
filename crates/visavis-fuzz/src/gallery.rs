//! Galleries: the file, its index, and the table of photos from which one is made.

use std::io::Cursor;
use std::path::Path;

use visavis_gallery::{
    CheckParams, EmbeddingId, Gallery, GalleryError, IdentityParams, IndexBuilder, NewAlarm, NewPhoto, NewSighting,
    PersonId, SightingFilter, fuzzing, index_path, photos_in,
};
use visavis_infer::manifest::Metric;

use crate::{Target, scratch};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "gallery", run: gallery, seeds: galleries, most_bytes: 128 << 10, mutations: 40 },
    Target { name: "index", run: index, seeds: indexes, most_bytes: 32 << 10, mutations: 400 },
    Target { name: "photo_table", run: photo_table, seeds: photo_tables, most_bytes: 4 << 10, mutations: 200 },
];

const LENGTH: usize = 4;

/// Some time in 2026.
const NOW: i64 = 1_790_000_000;

fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: LENGTH,
        metric: Metric::Cosine,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn photo(number: u8) -> NewPhoto {
    let vector = (0..LENGTH).map(|at| if at == usize::from(number) % LENGTH { 1.0 } else { 0.1 * f32::from(number) });
    NewPhoto {
        source: format!("{number}.jpg"),
        sha256: Some([number; 32]),
        vector: vector.collect(),
        thumbnail: Some(vec![0xFF, 0xD8, 0xFF, number]),
        score: Some(f32::from(number)),
    }
}

/// A gallery file: opened, read in every way, and changed.
fn gallery(bytes: &[u8]) {
    scratch::in_folder(|folder| {
        let path = folder.join("people.gallery");
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        let Ok(gallery) = Gallery::open(&path, None) else { return };
        read(&gallery);
        // Each change fails or not by itself.
        let _ = change(&gallery);
        read(&gallery);
    });
}

fn read(gallery: &Gallery) {
    let length = gallery.embedding().length;
    let query: Vec<f32> = (0..length).map(|at| if at == 0 { 1.0 } else { 0.2 }).collect();
    let _ = (gallery.search(&query, 3), gallery.search_exact(&query, 3), gallery.size(), gallery.identity_distance());
    let _ = (gallery.refresh(), gallery.strangers_within(0.01), gallery.check(&CheckParams::default(), |_, _| {}));
    for person in gallery.people().unwrap_or_default().into_iter().take(4) {
        let _ = (gallery.person_record(person.id), gallery.portrait(person.id));
        let _ = gallery.export_person(person.id, Cursor::new(Vec::new()));
        for photo in gallery.photos(person.id).unwrap_or_default().into_iter().take(4) {
            let _ = (gallery.source(photo), gallery.thumbnail(photo));
        }
    }
    for alarm in gallery.alarms(None, 4).unwrap_or_default() {
        let _ = gallery.alarm_crop(alarm.id);
    }
    let all = SightingFilter::default();
    for sighting in gallery.sightings(&all, 4).unwrap_or_default() {
        let _ = (gallery.sighting_vector(sighting.id), gallery.sighting_crop(sighting.id));
    }
    let _ = (gallery.sighting_groups(&all, 9), gallery.sighting_cameras(), gallery.sightings_like(&query, 4, NOW));
}

fn change(gallery: &Gallery) -> Result<(), GalleryError> {
    let vector: Vec<f32> = (0..gallery.embedding().length).map(|at| at as f32 + 0.5).collect();
    let photo = NewPhoto { vector: vector.clone(), ..photo(9) };
    let added = gallery.add("Grace Hopper", std::slice::from_ref(&photo)).map(|added| added.person);
    let people: Vec<PersonId> = gallery.people().unwrap_or_default().iter().map(|person| person.id).collect();
    let first = people.first().copied().unwrap_or(PersonId(1));
    let _ = (gallery.rename(first, "Eve"), gallery.watch(first, true), gallery.deny(first, &vector));
    let _ = gallery.record_sighting(&sighting(Some(first), &vector));
    let _ = (gallery.meet(&photo, NOW), gallery.seen(first, NOW, true), gallery.forget_met_before(NOW + 1));
    if let Ok(added) = added
        && let Some(merge) = gallery.merge(first, added)?
    {
        gallery.separate(&merge)?;
    }
    let removed = gallery.remove_person(first)?;
    gallery.restore(&removed.record)?;
    gallery.forget_sightings_before(NOW - 1)?;
    gallery.erase_remains().map(drop)
}

fn sighting(person: Option<PersonId>, vector: &[f32]) -> NewSighting<'_> {
    NewSighting {
        camera: "door",
        first_seen: NOW - 9,
        last_seen: NOW,
        person,
        identified: Some(0.9),
        age: Some(40.0),
        female: Some(0.1),
        smiling: Some(0.5),
        quality: 0.7,
        vector,
        crop: Some(&[0xFF, 0xD8, 0xFF, 1]),
    }
}

/// An index file of a gallery, searched through its graph. The hash of its header is made to fit, as an attacker would.
fn index(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    fuzzing::seal_index(&mut bytes);
    scratch::with_file("people.gallery.index", &bytes, |path| {
        for query in [[1.0, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 1.0]] {
            let _ = fuzzing::search_index(path, &network(), &query);
        }
    });
}

/// A table of photos and people.
fn photo_table(bytes: &[u8]) {
    scratch::in_folder(|folder| {
        for name in ["ada.jpg", "eve.jpg"] {
            std::fs::write(folder.join(name), b"").expect("a temporary file can be written");
        }
        let path = folder.join("people.csv");
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        let _ = photos_in(&path);
    });
}

/// A gallery with something in every table.
fn filled(path: &Path, people: u8) -> Gallery {
    let gallery = Gallery::create(path, &network()).expect("a gallery can be made");
    let mut last = PersonId(0);
    for number in 0..people {
        let photos = [photo(number), photo(number + 100)];
        last = gallery.add(&format!("Person {number}"), &photos).expect("photos can be added").person;
    }
    let vector = photo(3).vector;
    let alarm = NewAlarm {
        time: NOW,
        source: "door",
        person: Some(last),
        identified: Some(0.8),
        vector: &vector,
        crop: Some(&[0xFF, 0xD8, 0xFF, 2]),
    };
    gallery.record_alarm(&alarm).expect("an alarm can be added");
    gallery.record_sighting(&sighting(Some(last), &vector)).expect("a sighting can be added");
    gallery.record_sighting(&sighting(None, &vector)).expect("a sighting can be added");
    gallery.deny(last, &vector).expect("a denied face can be added");
    gallery.meet(&photo(50), NOW).expect("a visitor can be added");
    gallery
}

fn galleries() -> Vec<Vec<u8>> {
    scratch::in_folder(|folder| {
        let path = folder.join("people.gallery");
        drop(filled(&path, 2));
        vec![std::fs::read(&path).expect("the gallery can be read")]
    })
}

fn indexes() -> Vec<Vec<u8>> {
    scratch::in_folder(|folder| {
        let path = folder.join("people.gallery");
        let gallery = filled(&path, 30);
        let builder = IndexBuilder::new(&gallery, 1).expect("an index can be begun");
        builder.work(|_| {});
        builder.finish(&gallery).expect("an index can be written");
        vec![std::fs::read(index_path(&path)).expect("the index can be read")]
    })
}

fn photo_tables() -> Vec<Vec<u8>> {
    let tables = [
        "name,file\nAda Lovelace,ada.jpg\nEve,eve.jpg\n",
        "person,note,image\n\"Ada, Countess\",\"a \"\"quoted\"\" one\",ada.jpg\n",
        "label;path\nAda;ada.jpg\n",
    ];
    tables.map(|table| table.as_bytes().to_vec()).to_vec()
}
