//! The log as JSON, and the audit log.

use std::time::Instant;

use serde_json::{Value, json};

use crate::TIMEOUT;
use crate::program::{Program, ask, stage_with_ada};
use crate::stage::Stage;

fn records(stage: &Stage) -> Vec<Value> {
    let text = String::from_utf8(stage.read("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_message_is_a_json_object_if_asked_for() {
    let stage = stage_with_ada();
    stage.succeeds(&["gallery", "watch", "p.gallery", "Ada"]);
    let mut program = Program::play(&stage, &["--log-format", "json", "-v"]);
    program.type_line("nonsense");
    program.wait_for("unknown command");
    program.wait_for("ALARM: Ada");
    program.type_line("switch age missing");
    program.wait_for("missing could not be loaded");
    let told = program.quit();
    let lines: Vec<Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["target"].is_string() && line["message"].is_string(), "{line}");
    }
    let of = |kind: &str| lines.iter().filter(|line| line["fields"]["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("alarm")[0]["fields"], json!({ "event": "alarm", "camera": "door" }));
    // Told once, and as a warning.
    let failed = lines.iter().filter(|line| line["message"].as_str().unwrap().contains("missing could not be loaded"));
    assert_eq!(failed.map(|line| line["level"].as_str().unwrap()).collect::<Vec<_>>(), ["warn"]);
    // An error that ends the program.
    let output = stage.run(&["live", "missing.mp4", "--log-format", "json"]);
    let told = String::from_utf8(output.stderr).unwrap();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((output.status.code(), &last["level"]), (Some(1), &json!("error")));
    assert!(last["message"].as_str().unwrap().contains("missing.mp4"), "{last}");
}

#[test]
fn the_audit_log_says_who_changed_what_over_the_api_and_the_command_line() {
    let stage = stage_with_ada();
    let token = "0123456789abcdef";
    let words = ["--audit-log", "audit.jsonl", "--token", token, "--remember"];
    let mut program = Program::play(&stage, &words);
    let link = |path: &str| format!("{}api/v1/{path}", program.address());
    let change = |method: &str, path: &str, body: Value| {
        let (status, answer) = ask(method, &link(path), Some(token), Some(&body));
        assert!((200..300).contains(&status), "{path}: {answer}");
        serde_json::from_str::<Value>(&answer).unwrap_or(Value::Null)
    };
    change("PATCH", "people/1", json!({ "name": "Ada Lovelace", "watched": true }));
    change("PATCH", "settings", json!({ "workers": 2, "gallery": { "alarm_confirm": 3 } }));
    change("PUT", "tasks/smile", json!({ "network": null }));
    change("GET", "people/1/export", Value::Null);
    let until = Instant::now() + TIMEOUT;
    let alarm = loop {
        let alarms = change("GET", "alarms", Value::Null);
        if let Some(alarm) = alarms[0]["id"].as_i64() {
            break alarm;
        }
        assert!(Instant::now() < until, "no alarm was raised: {}", program.told());
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    change("PATCH", &format!("alarms/{alarm}"), json!({ "answer": "acknowledged" }));
    let removed = change("DELETE", "people/1", Value::Null);
    change("POST", "people/undo", json!({ "undo": removed["undo"] }));
    // What was refused is not recorded.
    assert_eq!(ask("PATCH", &link("people/1"), None, Some(&json!({ "name": "Eve" }))).0, 401);
    assert_eq!(ask("PATCH", &link("people/99"), Some(token), Some(&json!({ "name": "Eve" }))).0, 404);
    program.type_line("switch age none");
    program.wait_for("age: switched off");
    program.quit();
    // The command line.
    let gallery = |words: &[&str]| stage.succeeds(&[words, &["--audit-log", "audit.jsonl"]].concat());
    gallery(&["gallery", "rename", "p.gallery", "Ada Lovelace", "Ada"]);
    gallery(&["gallery", "export", "p.gallery", "Ada", "--out", "ada.zip"]);
    gallery(&["gallery", "remove", "p.gallery", "Ada"]);
    gallery(&["gallery", "list", "p.gallery"]);
    let records = records(&stage);
    let actions: Vec<&str> = records.iter().map(|record| record["action"].as_str().unwrap()).collect();
    let expected = [
        "person_renamed",
        "person_watched",
        "settings_changed",
        "network_switched",
        "person_exported",
        "alarm_acknowledged",
        "person_removed",
        "action_undone",
        "network_switched",
        "person_renamed",
        "person_exported",
        "person_removed",
    ];
    assert_eq!(actions, expected);
    let who = &records[0]["who"];
    assert_eq!(
        (&who["via"], &who["authentication"], &who["address"]),
        (&json!("api"), &json!("token"), &json!("127.0.0.1"))
    );
    assert_eq!((&records[0]["name"], &records[0]["new_name"]), (&json!("Ada"), &json!("Ada Lovelace")));
    assert_eq!(records[2]["settings"], json!({ "workers": 2, "gallery": records[2]["settings"]["gallery"] }));
    assert_eq!(records[2]["settings"]["gallery"]["alarm_confirm"], 3);
    assert_eq!(records[8]["who"]["via"], "standard input");
    assert_eq!((&records[9]["who"]["via"], &records[9]["gallery"]), (&json!("command line"), &json!("p.gallery")));
    assert!(!String::from_utf8(stage.read("audit.jsonl")).unwrap().contains(token));
    // A log that cannot be written is refused before anything is changed.
    let said = stage.fails(&["gallery", "list", "p.gallery", "--audit-log", "no/audit.jsonl"]);
    assert!(said.contains("no/audit.jsonl"), "{said}");
}
