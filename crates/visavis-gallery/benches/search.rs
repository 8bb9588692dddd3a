//! What a search costs: `cargo bench -p visavis-gallery`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use visavis_gallery::{EmbeddingId, Gallery, GalleryBuilder, IdentityParams, NewPhoto, Snapshot};
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
        identity: IdentityParams::default(),
    };
    let mut number = noise();
    let mut builder = GalleryBuilder::new(&path, &id, None).expect("a new gallery");
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
    Gallery::open(&path, Some(&id)).and_then(|file| file.snapshot()).expect("a snapshot")
}

fn search(criterion: &mut Criterion) {
    let mut number = noise();
    let snapshot = gallery(100_000, 128);
    let query: Vec<f32> = (0..128).map(|_| number() - 0.5).collect();
    criterion.bench_function("exact search over 100,000 x 128", |b| b.iter(|| snapshot.search(black_box(&query), 1)));
}

criterion_group!(benches, search);
criterion_main!(benches);
