//! Calls every target with its seeds, with the committed inputs, and with a bounded number of mutations of both.
//!
//! `VISAVIS_FUZZ_INPUTS` multiplies the number of mutations, `VISAVIS_FUZZ_SEED` changes them. An input at which a target panics is
//! written to a file, whose path the failure names: put it into `crates/visavis-fuzz/corpus/TARGET`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says at which input")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Once;

use fastrand::Rng;
use visavis_fuzz::mutate::mutated;
use visavis_fuzz::panics::{self, AtPanic};
use visavis_fuzz::{Target, target, targets};

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Calls the target; if it panics, or a thread of it does, fails with the path of the input.
fn call(target: &Target, input: &[u8], origin: &str) {
    let returned = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    let seen = panics::seen();
    if returned && seen.is_empty() {
        return;
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.failed", target.name));
    std::fs::write(&file, input).unwrap();
    println!("{origin}, {} bytes, written to {}: {}", input.len(), file.display(), seen.join("\n"));
    // Not a new panic: another test would take it for one of a thread of its target.
    resume_unwind(Box::new("a target panicked"));
}

fn replay(name: &str) {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| panics::watch(AtPanic::Remember));
    let target = target(name).unwrap();
    let (seeds, corpus) = ((target.seeds)(), target.corpus().unwrap());
    for (number, seed) in seeds.iter().enumerate() {
        assert!(seed.len() <= target.most_bytes, "seed {number} has {} bytes", seed.len());
        call(&target, seed, &format!("seed {number}"));
    }
    for (number, input) in corpus.iter().enumerate() {
        call(&target, input, &format!("input {number} of the corpus"));
    }
    call(&target, &[], "no bytes");
    let inputs = [seeds, corpus].concat();
    let mut random = Rng::with_seed(number("VISAVIS_FUZZ_SEED", 1));
    for turn in 0..number("VISAVIS_FUZZ_INPUTS", 1) * target.mutations as u64 {
        call(&target, &mutated(&inputs, target.most_bytes, &mut random), &format!("mutation {turn}"));
    }
}

macro_rules! replay {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let listed = [$(stringify!($name)),*];
            for target in targets() {
                assert!(listed.contains(&target.name), "{}", target.name);
            }
        }
    };
}

replay!(
    picture,
    gif,
    mp4,
    h264,
    mjpeg,
    rtsp,
    webcam,
    ffprobe,
    manifest,
    onnx,
    forest,
    gallery,
    index,
    photo_table,
    layout,
    coco,
    pack,
    recipe,
    weights,
    quantise,
    api,
    websocket,
    config,
);
