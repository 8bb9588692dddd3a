//! The program and its neighbours: an MQTT broker, Prometheus, readers of logs. With hand-made networks, so no other weights are
//! needed. Without mosquitto or promtool, the tests that need them say that they are skipped.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]
#![allow(clippy::print_stderr, reason = "a skipped test prints why")]

mod broker;
mod dead_broker;
mod logs;
mod monitoring;
mod mqtt;
mod program;
#[path = "../command_line/stage.rs"]
#[allow(dead_code, reason = "these tests need a part of it")]
mod stage;
#[path = "../../../visavis-infer/tests/support/mod.rs"]
mod support;

use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_visavis");

/// A wait of a test that takes longer than this fails the test.
const TIMEOUT: Duration = Duration::from_secs(180);
