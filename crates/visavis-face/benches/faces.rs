//! What the logic around the networks costs: `cargo bench -p visavis-face`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use visavis_face::detect::non_maximum_suppression;
use visavis_face::gallery::{EmbeddingId, GalleryBuilder, GalleryFile, NewPhoto, Snapshot};
use visavis_face::{Face, Tracker, TrackerParams};
use visavis_image::Rect;
use visavis_infer::manifest::Metric;

/// Numbers that look random and are the same in every run.
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    }
}

fn gallery(photos: usize, length: usize) -> Snapshot {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bench.gallery");
    let id = EmbeddingId {
        name: "noise".into(),
        fingerprint: "0".into(),
        length,
        metric: Metric::Cosine,
        same_person: 0.4,
        likeness: None,
    };
    let mut number = noise();
    let mut builder = GalleryBuilder::new(&path, &id).expect("a new gallery");
    // A hundred photos each: one transaction a person is what takes the time.
    for person in 0..photos / 100 {
        let photos: Vec<NewPhoto> = (0..100)
            .map(|_| NewPhoto {
                source: "noise".into(),
                sha256: None,
                vector: (0..length).map(|_| number() - 0.5).collect(),
                thumbnail: None,
                score: None,
            })
            .collect();
        builder.add(&format!("person {person}"), &photos).expect("an addition");
    }
    builder.finish().expect("a finished gallery");
    GalleryFile::open(&path, Some(&id)).and_then(|file| file.snapshot()).expect("a snapshot")
}

fn faces(criterion: &mut Criterion) {
    let mut number = noise();
    let boxes: Vec<Face> = (0..300)
        .map(|_| {
            let rect = Rect::new(number() * 600.0, number() * 300.0, 20.0 + number() * 60.0, 20.0 + number() * 60.0);
            Face { rect, score: number(), landmarks: None }
        })
        .collect();
    criterion.bench_function("suppression over 300 boxes", |b| {
        b.iter(|| non_maximum_suppression(black_box(boxes.clone()), 0.45));
    });
    let mut tracker = Tracker::new(TrackerParams::default());
    let mut now = Duration::ZERO;
    criterion.bench_function("tracking 50 faces", |b| {
        b.iter(|| {
            now += Duration::from_millis(33);
            tracker.update(now, black_box(&boxes[..50]))
        });
    });
    let snapshot = gallery(100_000, 128);
    let query: Vec<f32> = (0..128).map(|_| number() - 0.5).collect();
    criterion.bench_function("exact search over 100,000 x 128", |b| b.iter(|| snapshot.search(black_box(&query), 1)));
}

criterion_group!(benches, faces);
criterion_main!(benches);
