//! Measures the load of clients and prints it: `checks/clients`.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::program::Program;

/// Duration of each measurement.
const MEASURED: Duration = Duration::from_secs(60);
/// Time for which a client reads nothing.
const STALLED: Duration = Duration::from_secs(30);

#[test]
#[ignore = "measures for people: run checks/clients"]
fn clients() {
    let Some(film) = std::env::var_os("SOURCE") else { panic!("name a film: SOURCE=film.mp4") };
    let film = film.to_string_lossy();
    let mut words = vec![film.as_ref(), "--repeat"];
    let extra = std::env::var("WORDS").unwrap_or_default();
    words.extend(extra.split_whitespace());
    for (what, readers, stalls) in
        [("no client", 0, false), ("two clients", 2, false), ("two clients, and one that stalls", 2, true)]
    {
        let program = Program::start(&words);
        let (over, shown) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
        let memory = || rss(program.id());
        thread::scope(|scope| {
            for count in &shown[..readers] {
                let mut socket = live(&program.address);
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        if let Ok(Message::Binary(_)) = socket.read() {
                            count.fetch_add(1, Ordering::SeqCst);
                            socket.send(Message::text("seen")).unwrap();
                        }
                    }
                });
            }
            thread::sleep(Duration::from_secs(5));
            let before = statistics(&program.address);
            let (started, frames, first) = (Instant::now(), counts(&shown), memory());
            let mut highest = first;
            if stalls {
                // Connects, but reads nothing.
                let stalled = live(&program.address);
                while started.elapsed() < STALLED {
                    thread::sleep(Duration::from_millis(250));
                    highest = highest.max(memory());
                }
                drop(stalled);
            }
            thread::sleep(MEASURED.saturating_sub(started.elapsed()));
            let (after, seconds) = (statistics(&program.address), started.elapsed().as_secs_f64());
            highest = highest.max(memory());
            let rate = |name: &str| (after[name].as_f64().unwrap() - before[name].as_f64().unwrap()) / seconds;
            let (captured, ready) = (rate("captured_frames"), rate("shown_frames"));
            let clients: Vec<String> = counts(&shown)[..readers]
                .iter()
                .zip(frames)
                .map(|(count, before)| format!("{:.1}", (count - before) as f64 / seconds))
                .collect();
            println!(
                "{what}: captured {captured:.2}/s, ready to be shown {ready:.2}/s ({:.1} %), capture to shown p50 {:.1} ms, p95 \
                 {:.1} ms; at the clients {} pictures/s; memory {first:.1} MiB at first, {highest:.1} MiB at most, {:.1} MiB at last",
                100.0 * ready / captured,
                after["latency_p50_ms"].as_f64().unwrap(),
                after["latency_p95_ms"].as_f64().unwrap(),
                if clients.is_empty() { "no".into() } else { clients.join(" and ") },
                memory(),
            );
            over.store(true, Ordering::SeqCst);
        });
    }
}

fn counts(shown: &[AtomicUsize; 2]) -> [usize; 2] {
    [0, 1].map(|client| shown[client].load(Ordering::SeqCst))
}

fn live(address: &str) -> WebSocket<impl std::io::Read + std::io::Write> {
    tungstenite::connect(format!("{}api/v1/live", address.replace("http:", "ws:"))).unwrap().0
}

fn statistics(address: &str) -> Value {
    let answer = ureq::get(&format!("{address}api/v1/statistics")).call().unwrap();
    serde_json::from_reader(answer.into_body().into_reader()).unwrap()
}

/// Resident memory in MiB, if the system reports it (Linux).
fn rss(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
