//! A pipeline with a page: dark pictures, networks of the program, a gallery of made-up people.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use visavis_face::gallery::{Gallery, GalleryFile, NewPhoto};
use visavis_infer::{Registry, Runtime, Task};
use visavis_live::{AlarmParams, Choice, Delivery, Loader, Pipeline, PipelineParams, Prepared, RegistryLoader};
use visavis_video::{OpenOptions, standby, switched};
use visavis_web::{Listener, Parts, Server};

pub(crate) const DETECTOR: &str = "ssd_mobilenetv1_quarter";
const SIMILARITY: &str = "similarity_efficientnet_lite0";

pub(crate) struct House {
    // Dropped in this order: the pipeline has been stopped before.
    server: Option<Server>,
    pipeline: Option<Pipeline>,
    pub(crate) address: SocketAddr,
    pub(crate) link: String,
    pub(crate) gallery: Arc<dyn Gallery>,
    folder: TempDir,
}

impl House {
    pub(crate) fn new(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut loader = RegistryLoader::new(Registry::open(&[]).unwrap(), Runtime::discover(None));
        let path = folder.path().join("people.gallery");
        let embedding = loader.embedding_id(SIMILARITY).unwrap();
        let mut file = GalleryFile::create(&path, &embedding).unwrap();
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
        let mut prepared = Prepared::new(params.clone(), Arc::clone(&loader) as Arc<dyn Loader>).unwrap();
        let scenes = prepared.subscribe(Delivery::Newest);
        let (source, switch) = switched(standby(), None);
        let mut pipeline = prepared.start(source).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), token.map(str::to_owned)).unwrap();
        let link = listener.link();
        let address = link.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
        let gallery = loader.gallery(SIMILARITY).unwrap().unwrap();
        let parts = Parts {
            steering: pipeline.steering(),
            loader,
            params,
            switch,
            waiting: false,
            offers: vec!["/nowhere/film.mp4".into()],
            opening: OpenOptions::default(),
            record: Box::new(|_| Err("nothing is drawn in these tests".into())),
        };
        let events = pipeline.events().unwrap();
        let server = listener.serve(parts, scenes).unwrap();
        // What came until now; nobody tells more in these tests.
        events.try_iter().for_each(|event| server.tell(&event));
        Self { server: Some(server), pipeline: Some(pipeline), address, link, gallery, folder }
    }

    pub(crate) fn server(&self) -> &Server {
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

impl Drop for House {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop();
            self.server.take();
            let _ = pipeline.join();
        }
    }
}
