//! A pipeline with a server: black pictures, the networks of the program, a gallery of three people.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use visavis_face::Choice;
use visavis_gallery::{Gallery, NewPhoto};
use visavis_infer::{Registry, Runtime, Task};
use visavis_live::{AlarmParams, Delivery, Loader, Pipeline, PipelineParams, Prepared, RegistryLoader};
use visavis_video::{OpenOptions, standby, switched};
use visavis_web::{Access, AuditRecord, Camera, Listener, NoticeParams, OutputCounts, Server, ServerConfig};

pub(crate) const DETECTOR: &str = "ssd_mobilenetv1_quarter";
const SIMILARITY: &str = "similarity_efficientnet_lite0";

pub(crate) struct TestServer {
    // Dropped in this order, after the pipeline was stopped.
    server: Option<Server>,
    pipeline: Option<Pipeline>,
    pub(crate) address: SocketAddr,
    pub(crate) link: String,
    pub(crate) gallery: Arc<Gallery>,
    /// The records of the audit log.
    pub(crate) audit: Arc<Mutex<Vec<AuditRecord>>>,
    folder: TempDir,
}

impl TestServer {
    pub(crate) fn new(token: Option<&str>) -> Self {
        Self::with(Access { token: token.map(str::to_owned), ..Access::default() })
    }

    pub(crate) fn with(access: Access) -> Self {
        Self::with_notice(access, NoticeParams::default())
    }

    pub(crate) fn with_notice(access: Access, notice: NoticeParams) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut loader = RegistryLoader::new(Registry::open(&[]).unwrap(), Runtime::discover(None));
        let path = folder.path().join("people.gallery");
        let embedding = loader.embedding_id(SIMILARITY).unwrap();
        let file = Gallery::create(&path, &embedding).unwrap();
        for (number, name) in ["Ada", "Eve", "Grace"].into_iter().enumerate() {
            let mut vector = vec![0.01; embedding.length];
            vector[number] = 1.0;
            let thumbnail = Some(vec![0xFF, 0xD8, 0xFF, number as u8]);
            file.add(name, &[NewPhoto { source: name.into(), sha256: None, vector, thumbnail, score: None }]).unwrap();
        }
        drop(file);
        loader.gallery = Some(Box::new(path));
        let loader = Arc::new(loader);
        let choice = Choice { detector: DETECTOR.into(), similarity: Some(SIMILARITY.into()), ..Choice::default() };
        let params = PipelineParams { choice, alarm: Some(AlarmParams::default()), ..PipelineParams::default() };
        let mut prepared = Prepared::new(params, Arc::clone(&loader) as Arc<dyn Loader>).unwrap();
        let scenes = prepared.subscribe(Delivery::Newest);
        let (source, switch) = switched(standby(), None);
        let mut pipeline = prepared.start(source).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), access).unwrap();
        let link = listener.link();
        let address = link
            .trim_start_matches("https://")
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let gallery = loader.gallery(SIMILARITY).unwrap().unwrap();
        let audit = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&audit);
        let config = ServerConfig {
            pipeline: pipeline.handle(),
            loader,
            switch,
            waiting: false,
            sourceless: false,
            offers: vec!["/nowhere/film.mp4".into()],
            opening: OpenOptions::default(),
            comparing: None,
            record: Box::new(|_| Err("nothing is drawn in these tests".into())),
            audit: Some(Arc::new(move |record: &AuditRecord| written.lock().unwrap().push(record.clone()))),
            name: "door".into(),
            notice,
        };
        let events = pipeline.events().unwrap();
        let counts = Arc::new(OutputCounts::new("alarm_webhook"));
        counts.dropped(3);
        let server =
            listener.serve(vec![Camera { name: "door".into(), config, scenes }], vec![Arc::clone(&counts)]).unwrap();
        // The events until now. Later ones are passed on by the tests.
        events.try_iter().for_each(|event| server.handle_event(0, &event));
        Self { server: Some(server), pipeline: Some(pipeline), address, link, gallery, audit, folder }
    }

    pub(crate) fn inner(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn steer(&self, task: Task, network: Option<&str>) {
        self.pipeline.as_ref().unwrap().switch(task, network.map(str::to_owned));
    }

    /// The bytes of the gallery's file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new(self.folder.path()).join("people.gallery")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop();
            self.server.take();
            let _ = pipeline.join();
        }
    }
}
