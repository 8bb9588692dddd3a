//! A hundred faults in sequence: `checks/rtsp`.

use std::time::{Duration, Instant};

use visavis_video::OpenOptions;

use crate::camera::{Camera, Reading, now, stamp};
use crate::relay::Relay;

/// Statistics of the pictures that are shown while a fault lasts or is recovered from.
#[derive(Default)]
struct Seen {
    shots: u64,
    failures: u64,
    /// Age of all pictures when they are read, in milliseconds.
    ages: Vec<u32>,
    unreadable: u64,
}

impl Seen {
    /// Reads for this long, or until a picture arrives that was made after `fresh`.
    fn read(&mut self, reading: &Reading, patience: Duration, fresh: Option<u32>) -> Option<Duration> {
        let started = Instant::now();
        while let Some(left) = patience.checked_sub(started.elapsed()) {
            match reading.next_within(left) {
                None => break,
                Some(Err(_)) => self.failures += 1,
                Some(Ok(shot)) => {
                    self.shots += 1;
                    let Some(made) = stamp(&shot.picture) else {
                        self.unreadable += 1;
                        continue;
                    };
                    self.ages.push(now().wrapping_sub(made));
                    if fresh.is_some_and(|fresh| made.wrapping_sub(fresh) < u32::MAX / 2) {
                        return Some(started.elapsed());
                    }
                }
            }
        }
        None
    }
}

/// FAULTS (100) faults of all kinds with CODEC (h264). Prints the recovery time of each.
#[test]
#[ignore = "takes ten minutes: run by checks/rtsp"]
fn faults() {
    let count: usize = std::env::var("FAULTS").map_or(100, |count| count.parse().unwrap());
    let codec = std::env::var("CODEC").unwrap_or_else(|_| "h264".into());
    let words = ["--codec", codec.as_str()];
    let Some(first) = Camera::start(&words) else { return };
    let port = first.port;
    let mut camera = Some(first);
    let relay = Relay::to(port);
    let reading = Reading::open(&format!("rtsp://127.0.0.1:{}/camera", relay.port), &OpenOptions::default()).unwrap();
    let mut seen = Seen::default();
    seen.read(&reading, Duration::from_secs(30), Some(now())).expect("it does not begin to play");
    let kinds = ["killed", "frozen", "another size", "clock set", "packets lost", "held up", "cut", "frozen for long"];
    let mut recovered: Vec<(&str, Option<Duration>)> = Vec::new();
    for number in 0..count {
        let kind = kinds[number % kinds.len()];
        let seconds = |least: u64| Duration::from_millis(least * 1000 + number as u64 * 37 % 1500);
        let current = camera.as_ref().unwrap();
        match kind {
            "killed" => {
                drop(camera.take());
                seen.read(&reading, seconds(1), None);
                camera = Some(Camera::again(&words, port));
            }
            "frozen" | "frozen for long" => {
                current.freeze();
                seen.read(&reading, seconds(if kind == "frozen" { 1 } else { 11 }), None);
                current.thaw();
            }
            "another size" => {
                drop(camera.take());
                let size = ["640x480", "320x240", "480x360"][number / kinds.len() % 3];
                camera = Some(Camera::again(&[words.as_slice(), &["--size", size]].concat(), port));
            }
            "clock set" => relay.jump([3600, -3600, 2, -2, 100_000, -7][number / kinds.len() % 6]),
            "packets lost" => {
                relay.lose(50);
                seen.read(&reading, seconds(1), None);
                relay.lose(0);
            }
            "held up" => {
                relay.hold(true);
                seen.read(&reading, seconds(2), None);
                relay.hold(false);
            }
            _ => relay.cut(),
        }
        // The fault is over: a picture that is made from now on must be shown.
        let took = seen.read(&reading, Duration::from_secs(30), Some(now()));
        println!(
            "{number:3} {kind:16} {}",
            took.map_or("not in 30 s".into(), |took| format!("{} ms", took.as_millis()))
        );
        recovered.push((kind, took));
        seen.read(&reading, Duration::from_millis(700), None);
    }
    let soon = recovered.iter().filter(|(_, took)| took.is_some_and(|took| took <= Duration::from_secs(5))).count();
    let mut took: Vec<Duration> = recovered.iter().filter_map(|(_, took)| *took).collect();
    took.sort_unstable();
    seen.ages.sort_unstable();
    let at = |share: f64| seen.ages[((seen.ages.len() - 1) as f64 * share) as usize];
    let old = seen.ages.iter().filter(|&&age| age > 1000).count();
    println!("{codec}: {count} faults, {soon} got over within 5 s; median {:?}", took[took.len() / 2]);
    println!(
        "{} pictures, {} failures told, {} unreadable; age p50 {} ms, p99 {} ms, most {} ms; {old} older than 1 s",
        seen.shots,
        seen.failures,
        seen.unreadable,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(soon * 100 >= count * 95, "{soon} of {count} within 5 s");
    assert_eq!(old, 0, "pictures older than 1 s were shown");
}
