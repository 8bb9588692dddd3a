//! A PostgreSQL server that a test has for itself, or shares with those that do it no harm.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;
use tokio_postgres::{NoTls, Row};
use visavis_face::gallery::EmbeddingId;
use visavis_postgres::{Address, PostgresGallery};

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
    /// Starts one; none, and says why, where there is no PostgreSQL with pgvector.
    pub(crate) fn start() -> Option<Self> {
        if let Err(why) = script(&["bin"]) {
            eprintln!("SKIPPED, since no PostgreSQL with pgvector can be had: {why}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let url = script(&["start", folder.path().to_str().unwrap()]).unwrap();
        Some(Self { folder, url, databases: AtomicU32::new(0) })
    }

    /// One for all tests that run at the same time.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        // A test that failed elsewhere is no reason to fail here.
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
    pub(crate) fn gallery(&self, network: &EmbeddingId) -> (Address, PostgresGallery) {
        let address = self.database();
        let gallery = PostgresGallery::create(&address, network).unwrap();
        (address, gallery)
    }

    fn does(&self, what: &[&str]) {
        let (verb, more) = what.split_first().unwrap();
        let words: Vec<&str> =
            [*verb, self.folder.path().to_str().unwrap()].into_iter().chain(more.iter().copied()).collect();
        script(&words).unwrap();
    }

    /// As a crash does: nothing is written any more.
    pub(crate) fn crash(&self) {
        self.does(&["stop", "immediate"]);
    }

    pub(crate) fn start_again(&self) {
        self.does(&["start"]);
    }

    /// Takes connections, and answers nothing.
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
        // It may be frozen, or stopped already.
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

/// Says SQL to a database, past the gallery.
pub(crate) fn sql(url: &str, text: &str) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(text, &[]).await.unwrap()
    })
}
