//! MQTT with a real broker.

use std::sync::Arc;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use crate::broker::{Broker, Observer, free_port, is_there, kept};
use crate::program::{Program, ask, stage_with_ada};
use crate::stage::Stage;

const ADA: &str = "homeassistant/binary_sensor/visavis_faces/door_person_1/config";

#[test]
fn home_assistant_finds_people_who_are_renamed_and_forgotten_with_everything() {
    if !is_there() {
        return;
    }
    let stage = stage_with_ada();
    let broker = Broker::start(&stage.path(""), free_port());
    let observer = Observer::new(broker.port);
    // Left by an earlier run, and of other programs.
    observer.keep("faces/cameras/old/people/9", "ON");
    observer.keep("homeassistant/binary_sensor/visavis_faces/old_person_9/config", "{\"name\":\"Old\"}");
    observer.keep("homeassistant/binary_sensor/other/x/config", "{}");
    observer.keep("faces/kitchen", "1");
    let url = format!("mqtt://127.0.0.1:{}/faces", broker.port);
    stage.succeeds(&["gallery", "watch", "p.gallery", "Ada"]);
    let program = Program::play(&stage, &["--remember", "--mqtt", &url, "--mqtt-snapshots"]);
    observer.wait("faces/availability", "online");
    let presence = observer.wait_json(ADA, |config| config["name"] == "Ada");
    assert_eq!(presence["device_class"], "occupancy");
    assert_eq!(presence["device"]["identifiers"], json!(["visavis_faces_door"]));
    observer.wait(presence["state_topic"].as_str().unwrap(), "ON");
    observer.wait_json("faces/cameras/door/state", |state| state["faces"] == 1 && state["status"] == "online");
    let seen = observer.wait_json("faces/cameras/door/events", |event| event["event_type"] == "identified");
    assert_eq!((&seen["name"], &seen["camera"]), (&json!("Ada"), &json!("door")));
    let alarm = observer.wait_json("faces/cameras/door/events", |event| event["event_type"] == "alarm");
    assert_eq!((&alarm["name"], &alarm["cause"]), (&json!("Ada"), &json!("watched")));
    assert!(alarm["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    observer.wait_json("faces/cameras/door/last_event", |event| event["name"] == "Ada");
    let is_snapshot = |topic: &str| topic == "faces/cameras/door/snapshot";
    observer.wait_from(0, "a JPEG", |topic, payload| is_snapshot(topic) && payload.starts_with(&[0xFF, 0xD8]));
    // Every entity names topics that exist.
    for (topic, config) in kept(broker.port).into_iter().filter(|(topic, _)| topic.contains("/visavis_faces/door_")) {
        let config: Value = serde_json::from_slice(&config).unwrap();
        let states = ["state_topic", "image_topic"].into_iter().filter_map(|key| config[key].as_str());
        for state in states {
            observer.wait_from(0, state, |on, payload| on == state && !payload.is_empty());
        }
        assert!(config["unique_id"].is_string() && config["origin"]["name"] == "visavis", "{topic}");
    }
    // What the earlier run left is deleted.
    observer.wait("faces/cameras/old/people/9", "");
    observer.wait("homeassistant/binary_sensor/visavis_faces/old_person_9/config", "");
    // Renamed: the entity is deleted and made anew.
    let person = format!("{}api/v1/people/1", program.address());
    let before = observer.all().len();
    let renamed = ask("PATCH", &person, None, Some(&json!({ "name": "Ada Lovelace" })));
    assert_eq!(renamed.0, 200, "{}", renamed.1);
    let emptied = observer.wait_from(before, "the deletion", |topic, payload| topic == ADA && payload.is_empty());
    observer.wait_from(emptied, "the new name", |topic, payload| {
        topic == ADA && serde_json::from_slice::<Value>(payload).is_ok_and(|config| config["name"] == "Ada Lovelace")
    });
    observer.wait_from(before, "the last event", |topic, payload| {
        topic == "faces/cameras/door/last_event" && payload.is_empty()
    });
    // Removed: nothing of the person stays.
    let before = observer.all().len();
    assert_eq!(ask("DELETE", &person, None, None).0, 200);
    for topic in [ADA, "faces/cameras/door/people/1"] {
        observer.wait_from(before, topic, |on, payload| on == topic && payload.is_empty());
    }
    let all = kept(broker.port);
    for (topic, payload) in &all {
        assert!(!String::from_utf8_lossy(payload).contains("Ada"), "{topic}");
        assert!(!topic.contains("person_1") && !topic.ends_with("/people/1"), "{topic}");
    }
    assert!(all.contains_key("homeassistant/binary_sensor/other/x/config") && all.contains_key("faces/kitchen"));
    // The end: the picture and the last event are deleted too.
    let told = program.quit();
    assert!(!told.contains("MQTT"), "{told}");
    let all = kept(broker.port);
    assert_eq!(all["faces/availability"], b"offline");
    assert!(!all.contains_key("faces/cameras/door/snapshot") && !all.contains_key("faces/cameras/door/last_event"));
}

#[test]
fn pictures_are_published_only_if_asked_for() {
    if !is_there() {
        return;
    }
    let stage = stage_with_ada();
    let broker = Broker::start(&stage.path(""), free_port());
    let observer = Observer::new(broker.port);
    stage.succeeds(&["gallery", "watch", "p.gallery", "Ada"]);
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let words = ["--remember", "--alarm-crops", "--mqtt", &url, "--mqtt-discovery", "none"];
    let program = Program::play(&stage, &words);
    observer.wait_json("visavis/cameras/door/events", |event| event["event_type"] == "alarm");
    observer.wait("visavis/cameras/door/people/1", "ON");
    program.quit();
    for (topic, payload, _) in observer.all() {
        assert!(!topic.ends_with("/snapshot") && !topic.starts_with("homeassistant/"), "{topic}");
        let text = String::from_utf8(payload).unwrap();
        assert!(!text.contains("crop") && !text.contains("/9j/"), "{topic}: {text}");
    }
    // A killed program is reported by its last will.
    let program = Program::play(&stage, &words);
    let online = observer.wait_from(observer.all().len(), "online", |topic, payload| {
        topic == "visavis/availability" && payload == b"online"
    });
    drop(program);
    observer.wait_from(online, "offline", |topic, payload| topic == "visavis/availability" && payload == b"offline");
}

/// A broker that asks for a password, and one of whom the program tells nothing about it.
#[test]
fn passwords_are_used_and_never_shown() {
    if !is_there() {
        return;
    }
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    let passwords = stage.path("passwords");
    let mut make = std::process::Command::new("mosquitto_passwd");
    make.args(["-b", "-c"]).arg(&passwords).args(["ada", "open-sesame"]);
    assert!(make.status().unwrap().success());
    let lines = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let broker = Broker::with(&stage.path(""), free_port(), &lines);
    let url = format!("mqtt://ada@127.0.0.1:{}/faces", broker.port);
    let mut options = MqttOptions::new("observer", "127.0.0.1", broker.port);
    options.set_credentials("ada", "open-sesame");
    let observer = Observer::with(options, Transport::tcp());
    let live = |words: &[&str], environment: &[(&str, &str)]| {
        Program::start(&stage, &[&["live", "film.mp4", "--repeat", "-vv"], words].concat(), environment)
    };
    // A wrong one.
    let program = live(&["--mqtt", &url], &[("VISAVIS_MQTT_PASSWORD", "open-barley")]);
    let told = program.wait_for("refuses the user name or the password");
    assert!(told.contains("--mqtt-password-file"), "{told}");
    assert!(!program.quit().contains("barley"));
    // From the environment, from a file, from the address.
    stage.write("password", b"open-sesame\n");
    let with_password = url.replace("ada@", "ada:open-sesame@");
    for (words, environment) in [
        (vec!["--mqtt", &url], vec![("VISAVIS_MQTT_PASSWORD", "open-sesame")]),
        (vec!["--mqtt", &url, "--mqtt-password-file", "password"], vec![]),
        (vec!["--mqtt", &with_password], vec![]),
    ] {
        let before = observer.all().len();
        let program = live(&words, &environment);
        observer.wait_from(before, "the state", |topic, payload| {
            topic == "faces/cameras/camera/state" && String::from_utf8_lossy(payload).contains("\"online\"")
        });
        let status = ask("GET", &format!("{}api/v1/status", program.address()), None, None);
        assert_eq!(status.0, 200);
        let told = program.quit();
        assert!(!told.contains("sesame") && !status.1.contains("sesame"), "{told}");
        assert!(observer.all().iter().all(|(_, payload, _)| !String::from_utf8_lossy(payload).contains("sesame")));
    }
    // Errors do not show it either.
    for bad in
        ["mqtt://ada:open-sesame@127.0.0.1:many", "http://ada:open-sesame@127.0.0.1", "mqtt://ada:open-sesame@h/a%23"]
    {
        let said = stage.fails(&["live", "film.mp4", "--models", "models", "--detector", "bright", "--mqtt", bad]);
        assert!(!said.contains("sesame") && said.contains("MQTT"), "{said}");
    }
}

#[test]
fn a_private_authority_encrypts_the_connection() {
    if !is_there() {
        return;
    }
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    stage.write("certificate.pem", signed.cert.pem().as_bytes());
    stage.write("key.pem", signed.signing_key.serialize_pem().as_bytes());
    let lines = format!(
        "allow_anonymous true\ncertfile {}\nkeyfile {}",
        stage.path("certificate.pem").display(),
        stage.path("key.pem").display()
    );
    let broker = Broker::with(&stage.path(""), free_port(), &lines);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&stage.read("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let transport = Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config)));
    let observer = Observer::with(MqttOptions::new("observer", "localhost", broker.port), transport);
    let url = format!("mqtts://localhost:{}", broker.port);
    let live = |words: &[&str]| {
        Program::start(&stage, &[&["live", "film.mp4", "--repeat", "--mqtt", &url], words].concat(), &[])
    };
    // An authority that is not trusted.
    let program = live(&[]);
    program.wait_for("--mqtt-ca");
    program.quit();
    let program = live(&["--mqtt-ca", "certificate.pem"]);
    observer.wait("visavis/availability", "online");
    program.quit();
    let said = stage.fails(&["live", "film.mp4", "--models", "models", "--mqtt", &url, "--mqtt-ca", "missing.pem"]);
    assert!(said.contains("missing.pem"), "{said}");
}
