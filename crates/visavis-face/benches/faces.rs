//! What the logic around the networks costs: `cargo bench -p visavis-face`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use visavis_face::detect::non_maximum_suppression;
use visavis_face::{Face, Tracker, TrackerParams};
use visavis_image::Rect;

/// Numbers that look random and are the same in every run.
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    }
}

fn faces(criterion: &mut Criterion) {
    let mut number = noise();
    let boxes: Vec<Face> = (0..300)
        .map(|_| {
            let rect = Rect::new(number() * 600.0, number() * 300.0, 20.0 + number() * 60.0, 20.0 + number() * 60.0);
            Face { rect, score: number(), landmarks: None, turn: Default::default() }
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
}

criterion_group!(benches, faces);
criterion_main!(benches);
