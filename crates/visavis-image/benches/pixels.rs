//! Time of the picture operations in the pipeline: `cargo bench -p visavis-image`.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use visavis_image::draw::{FaceLabel, Gender, Overlay, OverlayParams, Smile};
use visavis_image::{Picture, Rect, Resizer, Similarity, warp_into};

fn noise(width: u32, height: u32) -> Picture {
    let mut state = 1u32;
    let pixels = (0..width * height * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Picture::from_rgb(width, height, pixels.collect()).expect("as many bytes as pixels")
}

fn pixels(criterion: &mut Criterion) {
    let frame = noise(1280, 720);
    let mut resizer = Resizer::new();
    let mut small = Picture::new(320, 192);
    criterion.bench_function("fit 1280x720 into 320x192", |b| {
        b.iter(|| resizer.fit(black_box(&frame), &mut small, f32::INFINITY));
    });
    let mut crop = Picture::new(112, 112);
    for scale in [1.0f32, 1.4, 2.0, 3.0] {
        let turn = Similarity { a: scale * 0.98, b: scale * 0.2, tx: 400.0, ty: 200.0 };
        criterion.bench_function(&format!("warp to 112x112 at scale {scale}"), |b| {
            b.iter(|| warp_into(black_box(&frame), &turn, &mut crop));
        });
    }
    let mut canvas = Picture::new(1280, 720);
    criterion.bench_function("copy 1280x720", |b| b.iter(|| canvas.copy_from(black_box(&frame))));
    criterion.bench_function("mirror 1280x720", |b| b.iter(|| canvas.mirror()));
    let mut overlay = Overlay::new(OverlayParams::default());
    let labels: Vec<FaceLabel> = (0..4u64)
        .map(|n| FaceLabel {
            bounds: Rect::new(80.0 + 300.0 * n as f32, 200.0, 140.0, 170.0),
            track: n,
            age: Some(34.0),
            gender: Some((Gender::Female, 0.9)),
            smile: Some(Smile { share: 0.8, smiling: true }),
            ..FaceLabel::default()
        })
        .collect();
    criterion.bench_function("overlay of four faces on 1280x720", |b| b.iter(|| overlay.draw(&mut canvas, &labels)));
}

criterion_group!(benches, pixels);
criterion_main!(benches);
