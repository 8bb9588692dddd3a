//! A headless Chromium, controlled over its own protocol (JSON over a WebSocket). The few methods that the tests need take
//! little code, and unlike WebDriver it reports every error in the console.

use std::collections::VecDeque;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// Time limit of every step; a slow machine runs the networks without optimisation.
const PATIENCE: Duration = Duration::from_secs(120);

/// Finds Chromium, or installs it from Debian. Returns the reason if it is not available.
pub(crate) fn find() -> Result<PathBuf, String> {
    let look = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut programs = std::env::split_paths(&folders)
            .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
        programs.find(|program| program.is_file())
    };
    if let Some(program) = look() {
        return Ok(program);
    }
    let install = ["apt-get update -q", "apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core"];
    for step in install {
        let done = Command::new("sh").args(["-c", step]).stdin(Stdio::null()).output();
        let done = done.map_err(|error| format!("there is no Chromium, and `{step}` does not start: {error}"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or_default().to_owned();
            return Err(format!("there is no Chromium, and `{step}` failed: {said}"));
        }
    }
    look().ok_or_else(|| "there is no Chromium, also after installing it".into())
}

/// A running browser, ended on drop.
pub(crate) struct Browser {
    child: Child,
    port: u16,
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser. Its fake camera plays `film` (an MJPEG file), if one is given.
    pub(crate) fn start(program: &Path, film: Option<&Path>) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--autoplay-policy=no-user-gesture-required",
            "--remote-debugging-port=0",
            // Host names of the tests resolve to this machine, and self-signed certificates are accepted.
            "--host-resolver-rules=MAP *.example 127.0.0.1",
            "--ignore-certificate-errors",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        if let Some(film) = film {
            command.args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]);
            command.arg(format!("--use-file-for-fake-video-capture={}", film.display()));
        }
        let child = command.arg("about:blank").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (note, started) = (profile.path().join("DevToolsActivePort"), Instant::now());
        let port = loop {
            let port = fs::read_to_string(&note).ok().and_then(|text| text.lines().next()?.parse().ok());
            if let Some(port) = port {
                break port;
            }
            assert!(started.elapsed() < PATIENCE, "Chromium did not start");
            thread::sleep(Duration::from_millis(50));
        };
        Self { child, port, _profile: profile }
    }

    /// The addresses of frames from other sites than their pages. A refused frame has the address of an error page.
    pub(crate) fn wait_for_frames(&self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let answer = ureq::get(format!("http://127.0.0.1:{}/json/list", self.port)).call();
            let text = answer.unwrap().body_mut().read_to_string().unwrap();
            let targets: Value = serde_json::from_str(&text).unwrap();
            let frames = targets.as_array().unwrap().iter().filter(|target| target["type"] == "iframe");
            let addresses: Vec<String> = frames
                .filter_map(|frame| frame["url"].as_str())
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect();
            if !addresses.is_empty() {
                return addresses;
            }
            assert!(started.elapsed() < PATIENCE, "no frame comes: {text}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Opens a page of this size at `address`.
    pub(crate) fn open(&self, address: &str, width: u32, height: u32) -> Page {
        let opened = ureq::put(format!("http://127.0.0.1:{}/json/new?about:blank", self.port)).send_empty();
        let answer = opened.unwrap().body_mut().read_to_string().unwrap();
        let target: Value = serde_json::from_str(&answer).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(target["webSocketDebuggerUrl"].as_str().unwrap(), stream).unwrap();
        let mut page = Page { socket, number: 0, complaints: VecDeque::new() };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            page.call(domain, json!({}));
        }
        page.resize(width, height);
        page.call("Page.navigate", json!({ "url": address }));
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One page.
pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    number: u64,
    /// Errors in the page: of scripts, refused resources, violations of the security policy.
    pub(crate) complaints: VecDeque<String>,
}

impl Page {
    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let request = json!({ "id": self.number, "method": method, "params": params });
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let message: Value = serde_json::from_str(text.as_str()).unwrap();
            if message["id"] == self.number {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push_back(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                self.complaints.push_back(params["args"].to_string())
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push_back(params["entry"].to_string());
            }
            _ => {}
        }
    }

    /// The value of an expression; waits if it is a promise.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression (which may use `await`) is true, and returns its value.
    pub(crate) fn wait(&mut self, expression: &str) -> Value {
        let started = Instant::now();
        loop {
            let value =
                self.eval(&format!("(async () => {{ try {{ return ({expression}) }} catch {{ return null }} }})()"));
            if !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0 {
                return value;
            }
            if started.elapsed() > PATIENCE {
                let text = self.eval("document.body.innerText");
                panic!(
                    "`{expression}` did not come true; the page says:\n{text}\nand complains: {:?}",
                    self.complaints
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Clicks the first element that matches a selector and contains this text.
    pub(crate) fn click(&mut self, selector: &str, text: &str) {
        let element = format!(
            "[...document.querySelectorAll({selector:?})].find((e) => e.textContent.includes({text:?}) && !e.disabled && e.checkVisibility())"
        );
        self.wait(&format!("Boolean({element})"));
        self.eval(&format!("{element}.click()"));
    }

    /// Clicks at a position, like a mouse.
    pub(crate) fn click_at(&mut self, x: f64, y: f64) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let buttons = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", buttons);
        }
    }

    /// Types a text into the focused element.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let scale = if mobile { 2 } else { 1 };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// A screenshot as PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        use base64::Engine;
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }
}
