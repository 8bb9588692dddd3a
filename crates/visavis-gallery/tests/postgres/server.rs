//! A PostgreSQL server for one test, or shared by tests that do not disturb each other.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;
use tokio_postgres::{NoTls, Row};
use visavis_gallery::{Address, EmbeddingId, Gallery, GalleryError, GalleryParams, PostgresStore};

/// Finds, starts and stops servers.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/postgres");

/// A running server; stopped and deleted when dropped.
pub(crate) struct Server {
    folder: TempDir,
    /// The address of its first database, with the password.
    pub(crate) url: String,
    databases: AtomicU32,
}

impl Server {
    /// Starts a server. Returns `None`, and prints why, if there is no PostgreSQL with pgvector.
    pub(crate) fn start() -> Option<Self> {
        if let Err(why) = script(&["bin"]) {
            eprintln!("SKIPPED, since no PostgreSQL with pgvector can be had: {why}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let url = script(&["start", folder.path().to_str().unwrap()]).unwrap();
        Some(Self { folder, url, databases: AtomicU32::new(0) })
    }

    /// A server that all tests share that run at the same time.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        // A panic in another test must not fail this one.
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A database without a gallery.
    pub(crate) fn database(&self) -> Address {
        Address::parse(&self.new_database()).unwrap()
    }

    pub(crate) fn new_database(&self) -> String {
        let name = format!("faces_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        sql(&self.url, &format!("CREATE DATABASE {name}"));
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    /// A database with an empty gallery.
    pub(crate) fn gallery(&self, network: &EmbeddingId) -> (Address, Gallery) {
        let address = self.database();
        let gallery = create(&address, network).unwrap();
        (address, gallery)
    }

    fn does(&self, what: &[&str]) {
        let (verb, more) = what.split_first().unwrap();
        let words: Vec<&str> =
            [*verb, self.folder.path().to_str().unwrap()].into_iter().chain(more.iter().copied()).collect();
        script(&words).unwrap();
    }

    /// Stops like a crash: nothing more is written.
    pub(crate) fn crash(&self) {
        self.does(&["stop", "immediate"]);
    }

    pub(crate) fn start_again(&self) {
        self.does(&["start"]);
    }

    /// Freezes the server: it accepts connections but answers nothing.
    pub(crate) fn freeze(&self) {
        self.does(&["freeze"]);
    }

    pub(crate) fn thaw(&self) {
        self.does(&["thaw"]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let folder = self.folder.path().to_str().unwrap_or_default();
        // It may be frozen or stopped already.
        let _ = script(&["thaw", folder]);
        let _ = script(&["stop", folder, "immediate"]);
    }
}

fn script(words: &[&str]) -> Result<String, String> {
    let output = Command::new("bash").arg(SCRIPT).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("bash: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Creates and opens a gallery.
pub(crate) fn create(address: &Address, network: &EmbeddingId) -> Result<Gallery, GalleryError> {
    Gallery::over(PostgresStore::create(address, network)?, Some(network), GalleryParams::default())
}

/// Opens a gallery.
pub(crate) fn open(address: &Address, expected: Option<&EmbeddingId>) -> Result<Gallery, GalleryError> {
    Gallery::over(PostgresStore::open(address)?, expected, GalleryParams::default())
}

/// Runs SQL on a database directly, without the gallery.
pub(crate) fn sql(url: &str, text: &str) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(text, &[]).await.unwrap()
    })
}
