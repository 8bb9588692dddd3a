//! Sightings in a gallery file: what an erasure leaves, and a crash.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{VICTIM, folder, holds, jpeg, names, network, raw_bytes, two_people};
use crate::{Gallery, NewSighting, SightingId};

#[test]
fn removed_and_expired_sightings_leave_no_bytes() {
    let (folder, path) = folder();
    let gallery = two_people(&path);
    let ada = gallery.find_person("Ada").unwrap().id;
    for number in 0..60_i16 {
        // Vectors with bytes that nothing else has.
        let vector = [f32::from_bits(0x4142_4344), f32::from_bits(0x4546_4748), f32::from(number)];
        let (person, camera) = if number % 2 == 0 { (Some(ada), "<seen by door>") } else { (None, "<seen by yard>") };
        let crop = jpeg(if number % 2 == 0 { "ada at the door" } else { "a stranger" });
        let time = 1_000 + i64::from(number);
        let sighting = NewSighting {
            camera,
            first_seen: time,
            last_seen: time,
            person,
            identified: None,
            age: None,
            female: None,
            smiling: None,
            quality: 1.0,
            vector: &vector,
            crop: Some(&crop),
        };
        gallery.record_sighting(&sighting).unwrap().unwrap();
    }
    let there = |text: &str| holds(&raw_bytes(&folder), text.as_bytes());
    assert!(there("<face of ada at the door>") && there("<seen by door>") && there("DCBAHGFE"));
    gallery.remove_person(ada).unwrap();
    assert!(!there("<face of ada at the door>") && !there("<seen by door>") && there("<seen by yard>"));
    assert_eq!(gallery.forget_sightings_before(2_000).unwrap(), 30);
    gallery.erase_remains().unwrap();
    assert!(!there("<face of a stranger>") && !there("<seen by yard>") && !there("DCBAHGFE"));
}

#[test]
fn a_kill_amid_a_thousand_sightings_loses_none_that_was_acknowledged() {
    let sighting = |time: i64| NewSighting {
        camera: "door",
        first_seen: time,
        last_seen: time + 1,
        person: None,
        identified: None,
        age: None,
        female: None,
        smiling: None,
        quality: 1.0,
        vector: &[1.0, 2.0, 3.0],
        crop: Some(&[0xFF, 0xD8, 0xFF]),
    };
    if let Some(path) = env::var_os(VICTIM) {
        let gallery = Gallery::open(path, Some(&network())).unwrap();
        for time in 0..1_000 {
            let id = gallery.record_sighting(&sighting(time)).unwrap().unwrap();
            // Not `println!`, which the test harness keeps for itself.
            writeln!(io::stderr(), "stored {} {time}", id.0).unwrap();
        }
        return;
    }
    let (_folder, path) = folder();
    drop(two_people(&path));
    let name = "a_kill_amid_a_thousand_sightings_loses_none_that_was_acknowledged";
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{}::{name}", module_path!().split_once("::").unwrap().1)])
        .env(VICTIM, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["stored", id, time] = words[..] {
            acknowledged.push((id.parse::<i64>().unwrap(), time.parse::<i64>().unwrap()));
        }
        // What is in the pipe after the kill was acknowledged too.
        if acknowledged.len() == 400 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!((400..1_000).contains(&acknowledged.len()), "{}", acknowledged.len());
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    for (id, time) in acknowledged {
        let stored = gallery.sighting(SightingId(id)).unwrap();
        assert!(stored.is_some_and(|stored| stored.first_seen == time && stored.has_crop), "sighting {id}");
    }
    assert_eq!(names(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
}
