//! A running `visavis live` or `visavis serve` with hand-made networks.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::TIMEOUT;
use crate::stage::Stage;

/// A film with one face, and a gallery in which it is Ada's.
pub(crate) fn stage_with_ada() -> Stage {
    let stage = Stage::new();
    stage.film("film.mp4", 25);
    std::fs::create_dir(stage.path("people")).unwrap();
    stage.picture("people/Ada.png", &[(1, 1)], [240; 3]);
    let build = ["gallery", "build", "people", "--out", "p.gallery", "--accept-poor", "--models", "models"];
    stage.succeeds(&[&build[..], &["--detector", "bright", "--similarity", "face"]].concat());
    stage
}

/// Ended on drop.
pub(crate) struct Program {
    child: Child,
    typed: Option<ChildStdin>,
    told: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Program {
    /// Starts a command in the folder of `stage`, with these variables in its environment.
    pub(crate) fn start(stage: &Stage, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let networks =
            ["--models", "models", "--detector", "bright", "--similarity", "face", "--listen", "127.0.0.1:0"];
        let mut command = stage.command(&[words, &networks].concat());
        command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (typed, errors) = (child.stdin.take(), child.stderr.take().unwrap());
        let told = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let telling = Arc::clone(&told);
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                telling.0.lock().unwrap().push(line);
                telling.1.notify_all();
            }
        });
        Self { child, typed, told }
    }

    /// Plays the film as the camera `door`, again and again.
    pub(crate) fn play(stage: &Stage, words: &[&str]) -> Self {
        let film = ["live", "door=film.mp4", "--repeat", "--gallery", "p.gallery", "--alarm-confirm", "1"];
        Self::start(stage, &[&film, words].concat(), &[])
    }

    /// Waits until a line of standard error contains this text; the line.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + TIMEOUT;
        let mut lines = self.told.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} was not told: {}", lines.join("\n"));
            lines = self.told.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// What it has written to standard error.
    pub(crate) fn told(&self) -> String {
        self.told.0.lock().unwrap().join("\n")
    }

    /// The address of its page, ending with a slash.
    pub(crate) fn address(&self) -> String {
        let line = self.wait_for("the page: ");
        let (_, link) = line.split_once("the page: ").unwrap();
        link.split(['?', '"']).next().unwrap().to_owned()
    }

    /// Types a line on its standard input.
    pub(crate) fn type_line(&mut self, line: &str) {
        let typed = self.typed.as_mut().unwrap();
        writeln!(typed, "{line}").unwrap();
        typed.flush().unwrap();
    }

    /// Types `quit` and waits for the end; what it has written to standard error.
    pub(crate) fn quit(mut self) -> String {
        self.type_line("quit");
        let until = Instant::now() + TIMEOUT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end: {}", self.told());
            thread::sleep(std::time::Duration::from_millis(20));
        }
        self.told()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status and the body of an answer.
pub(crate) fn ask(method: &str, link: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(link);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = match body {
        Some(body) => agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    // An exported file is not text.
    let body = answer.into_body().read_to_vec().unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}
