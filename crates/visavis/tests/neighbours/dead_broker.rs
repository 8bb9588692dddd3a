//! Brokers that are not there, do not answer, or come back.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::broker::{Broker, Observer, free_port, is_there};
use crate::program::{Program, stage_with_ada};
use crate::stage::Stage;

#[test]
fn a_dead_broker_delays_nothing() {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    // One that is not there, and one that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut clients = Vec::new();
        for mut client in silent.incoming().map_while(Result::ok) {
            // The greeting of the client is read, so that the client waits for the answer.
            let _ = client.read(&mut [0; 16]);
            clients.push(client);
        }
    });
    for (port, told) in [(free_port(), "cannot be reached"), (silent_port, "does not answer")] {
        let url = format!("mqtt://127.0.0.1:{port}");
        let words = ["live", "door=film.mp4", "--repeat", "--jsonl", "out.jsonl", "--mqtt", &url];
        let program = Program::start(&stage, &words, &[]);
        program.wait_for(told);
        // Frames are analysed and written all the time.
        let lines = || std::fs::read_to_string(stage.path("out.jsonl")).unwrap().lines().count();
        let before = lines();
        let until = std::time::Instant::now() + crate::TIMEOUT;
        while lines() < before + 25 {
            assert!(std::time::Instant::now() < until, "no frames: {}", program.told());
            thread::sleep(std::time::Duration::from_millis(50));
        }
        let told = program.quit();
        assert_eq!(told.matches("MQTT").count(), 1, "a failure is told once: {told}");
    }
}

#[test]
fn everything_is_published_again_after_a_broker_was_restarted() {
    if !is_there() {
        return;
    }
    let stage = stage_with_ada();
    let port = free_port();
    stage.succeeds(&["gallery", "watch", "p.gallery", "Ada"]);
    let url = format!("mqtt://127.0.0.1:{port}/faces");
    // The alarm is raised while there is no broker.
    let program = Program::play(&stage, &["--mqtt", &url]);
    program.wait_for("ALARM: Ada");
    program.wait_for("cannot be reached");
    for turn in 0..2 {
        let broker = Broker::start(&stage.path(""), port);
        let observer = Observer::new(port);
        observer.wait("faces/availability", "online");
        observer.wait("faces/cameras/door/people/1", "ON");
        observer.wait_json("homeassistant/binary_sensor/visavis_faces/door_person_1/config", |config| {
            config["name"] == "Ada"
        });
        observer.wait_json("faces/cameras/door/state", |state| state["status"] == "online");
        if turn == 0 {
            // The event waited for the broker.
            observer.wait_json("faces/cameras/door/events", |event: &Value| event["event_type"] == "alarm");
            program.wait_for("MQTT: connected");
        }
        drop(broker);
    }
    program.quit();
}
