//! A server with a running pipeline, whose networks find no faces.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use visavis_face::{Choice, CutFace, Detect, Face, FaceError, FaceView, Findings, Locate, Recognise};
use visavis_gallery::{Converted, EmbeddingId, Gallery, IdentityParams, NewAlarm, NewPhoto, NewSighting};
use visavis_image::Picture;
use visavis_infer::manifest::Metric;
use visavis_infer::runtime::Search;
use visavis_infer::{InferError, Placement, Registry, Runtime, Task};
use visavis_live::{
    AlarmParams, Delivery, LiveError, Loader, Pipeline, PipelineParams, Prepared, RegistryLoader, Scene,
};
use visavis_video::{OpenOptions, standby, switched};
use visavis_web::{Access, Camera, Listener, NoticeParams, Record, Server, ServerConfig};

use crate::scratch;

/// The name of the network of the gallery.
const NETWORK: &str = "owl";

const TOKEN: &str = "0123456789abcdef";

/// An answer that takes longer than this is a hang, which the driver reports.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of an answer that are read: longer ones are streams without end.
const MOST_ANSWER: usize = 1 << 20;

pub(super) struct ApiServer {
    // Both run until the process ends.
    _server: Server,
    _pipeline: Pipeline,
    _folder: TempDir,
    gallery: Arc<Gallery>,
    port: u16,
    /// Number of connections that were opened.
    connections: u32,
    /// A connection whose last answer was read completely.
    open: Option<TcpStream>,
}

impl ApiServer {
    /// Calls `call` with the one server of this process.
    pub(super) fn with(call: impl FnOnce(&mut Self)) {
        static SERVER: OnceLock<Mutex<ApiServer>> = OnceLock::new();
        let mut server =
            SERVER.get_or_init(|| Mutex::new(Self::start())).lock().unwrap_or_else(PoisonError::into_inner);
        server.fill_gallery();
        call(&mut server);
    }

    fn start() -> Self {
        let folder = scratch::folder();
        let path: PathBuf = folder.path().join("people.gallery");
        let embedding = EmbeddingId {
            name: NETWORK.into(),
            fingerprint: "1a2b".into(),
            length: 4,
            metric: Metric::Cosine,
            same_person: 0.5,
            likeness: None,
            identity: IdentityParams::default(),
        };
        let gallery = Arc::new(Gallery::create(&path, &embedding).expect("a gallery can be made"));
        let choice = Choice { detector: "none".into(), similarity: Some(NETWORK.into()), ..Choice::default() };
        let params = PipelineParams { choice, alarm: Some(AlarmParams::default()), ..PipelineParams::default() };
        let networks = Arc::new(NoNetworks(Arc::clone(&gallery)));
        let mut prepared = Prepared::new(params, networks).expect("the pipeline can be prepared");
        let scenes = prepared.subscribe(Delivery::Newest);
        let (source, switch) = switched(standby(), None);
        let pipeline = prepared.start(source).expect("the pipeline starts");
        let registry = Registry::join(&[], None, &[]).expect("an empty registry can be opened");
        let loader = Arc::new(RegistryLoader::new(registry, Runtime::from_search(&Search::default())));
        let config = ServerConfig {
            pipeline: pipeline.handle(),
            loader,
            switch,
            waiting: false,
            sourceless: false,
            offers: vec!["/nowhere/film.mp4".into()],
            opening: OpenOptions::default(),
            comparing: None,
            record: Box::new(|_| Ok(Box::new(NoFilm))),
            audit: Some(Arc::new(|_| {})),
            name: "door".into(),
            notice: NoticeParams::default(),
        };
        // All addresses of the loopback network are used, so that the ports of old connections are not used up.
        let access = Access { token: Some(TOKEN.into()), ..Access::default() };
        let listener = Listener::bind((Ipv4Addr::UNSPECIFIED, 0).into(), access).expect("a port is free");
        let link = listener.link();
        let port = link.split('/').nth(2).and_then(|address| address.rsplit(':').next()?.parse().ok());
        let port = port.expect("the link has a port");
        let camera = Camera { name: "door".into(), config, scenes };
        let server = listener.serve(vec![camera], Vec::new()).expect("the server starts");
        Self { _server: server, _pipeline: pipeline, _folder: folder, gallery, port, connections: 0, open: None }
    }

    /// Adds what earlier requests have removed.
    fn fill_gallery(&self) {
        let people = self.gallery.people().map_or(0, |people| people.len());
        if people >= 2 {
            return;
        }
        let mut person = None;
        for (number, name) in (1..).zip(["Ada", "Eve", "Grace"]) {
            let vector = vec![1.0, 0.1 * number as f32, 0.2, 0.3];
            let thumbnail = Some(vec![0xFF, 0xD8, 0xFF, number as u8]);
            let photo = NewPhoto { source: name.into(), sha256: None, vector, thumbnail, score: None };
            person = self.gallery.add(name, &[photo]).ok().map(|added| added.person);
        }
        let vector = [1.0, 0.2, 0.2, 0.3];
        let alarm =
            NewAlarm { time: 1_790_000_000, source: "door", person, identified: None, vector: &vector, crop: None };
        let _ = self.gallery.record_alarm(&alarm);
        let sighting = NewSighting {
            camera: "door",
            first_seen: 1_790_000_000,
            last_seen: 1_790_000_009,
            person,
            identified: None,
            age: Some(40.0),
            female: None,
            smiling: None,
            quality: 0.5,
            vector: &vector,
            crop: None,
        };
        let _ = self.gallery.record_sighting(&sighting);
    }

    fn connect(&mut self) -> TcpStream {
        self.connections += 1;
        let [low, high, ..] = self.connections.to_le_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, high, low.clamp(1, 254)), self.port));
        let stream = TcpStream::connect(address).expect("the server accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("the time limit can be set");
        stream.set_nodelay(true).expect("the connection can be set up");
        stream
    }

    /// Sends a request and reads its answer, which must come.
    pub(super) fn request(&mut self, method: &str, address: &str, kind: &str, body: &[u8]) {
        let mut head = format!("{method} {address} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
        head += &format!("Content-Length: {}\r\n", body.len());
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\n");
        }
        let request = [head.as_bytes(), b"\r\n", body].concat();
        // The server may have closed the connection that was open: then the request is sent again.
        let mut last = self.open.take();
        loop {
            let reused = last.is_some();
            let mut stream = last.take().unwrap_or_else(|| self.connect());
            match stream.write_all(&request).and_then(|()| answer(&mut stream, method)) {
                Ok(Some(true)) => {
                    self.open = Some(stream);
                    return;
                }
                Ok(Some(false)) => return,
                Ok(None) | Err(_) if reused => {}
                Ok(None) => panic!("no answer to {method} {address}"),
                Err(error) => panic!("no answer to {method} {address}: {error}"),
            }
        }
    }

    /// Opens a WebSocket, sends these bytes and reads until the server closes the connection.
    pub(super) fn frames(&mut self, path: &str, frames: &[u8]) {
        let mut stream = self.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the handshake can be sent");
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(frames).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection is not closed"),
                Err(_) => return,
            }
        }
    }
}

/// Reads an answer. Returns whether the connection can be used again; `None` if there was no answer.
fn answer(stream: &mut TcpStream, method: &str) -> std::io::Result<Option<bool>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    let status = status.expect("an answer has a status");
    // This server has no networks; a request may ask for one.
    let text = String::from_utf8_lossy(&bytes);
    assert!(status != 500 || text.contains("no model is called"), "{text}");
    if matches!(status, 204 | 304) || method == "HEAD" {
        return Ok(Some(!head.contains("connection: close")));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    // A stream, of which the begin is enough.
    let Some(length) = length.filter(|length| *length < MOST_ANSWER) else { return Ok(Some(false)) };
    while bytes.len() < end + length {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(Some(false));
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    Ok(Some(!head.contains("connection: close")))
}

/// A recording of which nothing is written.
struct NoFilm;

impl Record for NoFilm {
    fn take(&mut self, _: &Scene) -> Result<(), String> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

/// A loader of a detector that finds no faces.
struct NoNetworks(Arc<Gallery>);

struct NoFaces;

impl Detect for NoFaces {
    fn detect(&mut self, _: &Picture) -> Result<Vec<Face>, FaceError> {
        Ok(Vec::new())
    }

    fn placement(&self) -> Placement {
        Placement { engine: "none".into(), device: "none".into(), threads: 1 }
    }
}

/// The network of the gallery, which is never asked, since there are no faces.
struct NoResults;

impl Recognise for NoResults {
    fn tasks(&self) -> &[Task] {
        &[Task::Similarity]
    }

    fn needs_landmarks(&self) -> bool {
        false
    }

    fn recognise_cut(
        &mut self,
        _: &Picture,
        faces: &[FaceView],
        _: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError> {
        Ok(vec![Findings::default(); faces.len()])
    }

    fn placement(&self) -> Placement {
        NoFaces.placement()
    }
}

fn missing(name: &str) -> LiveError {
    InferError::UnknownModel { name: name.into(), hint: "there are none".into() }.into()
}

impl Loader for NoNetworks {
    fn detector(&self, _: &str) -> Result<Box<dyn Detect>, LiveError> {
        Ok(Box::new(NoFaces))
    }

    fn locator(&self, model: &str) -> Result<Box<dyn Locate>, LiveError> {
        Err(missing(model))
    }

    fn recogniser(&self, model: &str) -> Result<Box<dyn Recognise>, LiveError> {
        if model == NETWORK { Ok(Box::new(NoResults)) } else { Err(missing(model)) }
    }

    fn gallery(&self, _: &str) -> Result<Option<Arc<Gallery>>, LiveError> {
        Ok(Some(Arc::clone(&self.0)))
    }

    fn convert_gallery(
        &self,
        choice: &Choice,
        _: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Converted, LiveError> {
        Err(missing(choice.similarity.as_deref().unwrap_or_default()))
    }
}
