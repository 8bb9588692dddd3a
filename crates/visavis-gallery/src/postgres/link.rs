//! The connections to the server: kept open in the background, and dropped at once if the server does not answer.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Error, Statement};

use super::Address;
use super::failure::{self, refused, unreachable};
use super::schema;
use crate::GalleryError;

/// Time limit for connecting, all steps together.
const CONNECT: Duration = Duration::from_secs(5);
/// Time limit of the server for a statement. The client waits a little longer, so that a statement that is only slow does
/// not cost the connection.
pub(super) const STATEMENT: Duration = Duration::from_secs(10);
/// How much longer than the server the client waits.
const GRACE: Duration = Duration::from_millis(500);
/// Pause before connecting again.
const AGAIN: Duration = Duration::from_millis(500);
/// Number of connections for reading, each for one thread at a time.
const READERS: usize = 3;
/// Maximum number of prepared statements per connection.
const STATEMENTS: usize = 64;

/// A failure of the database, or of the work that was done with it.
pub(super) enum Failure {
    /// A failure of the database or of the connection.
    Sql(Error),
    /// A failure of the work.
    Gallery(GalleryError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<GalleryError> for Failure {
    fn from(error: GalleryError) -> Self {
        Self::Gallery(error)
    }
}

/// The connections to a server.
pub(super) struct Link {
    inner: Arc<Inner>,
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
}

struct Inner {
    address: Address,
    place: PathBuf,
    state: RwLock<State>,
    /// Notified when the connections are lost.
    lost: Notify,
    /// Number of the current set of connections.
    generation: AtomicU64,
    /// Whether another program announced a change, or may have made one while this one was not connected.
    news: AtomicBool,
}

enum State {
    Up(Arc<Connections>),
    /// Not connected, with the reason.
    Down(String),
}

/// A set of connections to a server. If one fails, all are closed.
pub(super) struct Connections {
    generation: u64,
    /// The first one listens for changes.
    readers: Vec<Mutex<Session>>,
    writer: Mutex<Session>,
    drivers: Drivers,
}

/// A connection with its prepared statements.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    /// Whether a transaction was begun and neither committed nor rolled back.
    open: bool,
}

/// The tasks that transfer the data of the connections. They are aborted when this is dropped.
#[derive(Default)]
struct Drivers(Vec<AbortHandle>);

impl Drivers {
    fn abort(&self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Drivers {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Connections {
    /// A connection for a transaction. For reading, a free one if there is one.
    pub(super) fn session(&self, writes: bool) -> MutexGuard<'_, Session> {
        let free = self.readers.iter().filter(|_| !writes).find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| {
            let first = self.readers.first().filter(|_| !writes);
            first.unwrap_or(&self.writer).lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl Session {
    /// Begins a transaction with the statement `how`.
    pub(super) async fn begin(&mut self, how: &str) -> Result<(), Error> {
        if self.open {
            self.client.batch_execute("ROLLBACK").await?;
        }
        self.open = true;
        self.client.batch_execute(how).await
    }

    /// Ends a transaction.
    pub(super) async fn end(&mut self, how: &str) -> Result<(), Error> {
        self.client.batch_execute(how).await?;
        self.open = false;
        Ok(())
    }

    pub(super) async fn prepared(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Removes all prepared statements, as needed after a table was changed.
    pub(super) fn forget_statements(&mut self) {
        self.statements.clear();
    }
}

impl Link {
    /// Runs `work` once, over a separate connection.
    pub(super) fn once<T>(
        address: &Address,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        let place = address.path();
        let runtime = runtime(address)?;
        let done = runtime.block_on(async {
            let connect = async {
                let (client, connection) = address.connect().await?;
                tokio::spawn(connection);
                schema::prepare_session(&client, STATEMENT).await?;
                Ok(client)
            };
            let mut client = match timeout(CONNECT, connect).await {
                Ok(connected) => connected.map_err(|error: Error| unreachable(&place, failure::words(&error)))?,
                Err(_) => return Err(unreachable(&place, late(CONNECT))),
            };
            match timeout(STATEMENT + GRACE, work(&mut client)).await {
                Err(_) => Err(unreachable(&place, late(STATEMENT + GRACE))),
                Ok(Err(Failure::Sql(error))) if failure::is_lost(&error) => {
                    Err(unreachable(&place, failure::words(&error)))
                }
                Ok(Err(Failure::Sql(error))) => Err(refused(&place, doing, &error)),
                Ok(Err(Failure::Gallery(error))) => Err(error),
                Ok(Ok(done)) => Ok(done),
            }
        });
        // Does not wait for a DNS lookup that is still running.
        runtime.shutdown_background();
        done
    }

    /// Connects, and reconnects from then on.
    pub(super) fn open(address: &Address) -> Result<Self, GalleryError> {
        let runtime = runtime(address)?;
        let inner = Arc::new(Inner {
            address: address.clone(),
            place: address.path(),
            state: RwLock::new(State::Down("not connected yet".into())),
            lost: Notify::new(),
            generation: AtomicU64::new(0),
            news: AtomicBool::new(true),
        });
        let connected = runtime.block_on(Inner::connect(&inner));
        match connected {
            Ok(connections) => inner.set(State::Up(connections)),
            Err(why) => {
                runtime.shutdown_background();
                return Err(unreachable(&address.path(), why));
            }
        }
        runtime.spawn(stay_connected(Arc::clone(&inner)));
        Ok(Self { inner, runtime: Some(runtime) })
    }

    pub(super) fn place(&self) -> &PathBuf {
        &self.inner.place
    }

    /// The current connections.
    ///
    /// # Errors
    /// [`GalleryError::Unreachable`], without waiting, if there are none.
    pub(super) fn connections(&self) -> Result<Arc<Connections>, GalleryError> {
        match &*self.inner.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(connections) => Ok(Arc::clone(connections)),
            State::Down(why) => Err(unreachable(&self.inner.place, why.as_str())),
        }
    }

    /// Whether another program may have changed something since the last call.
    pub(super) fn take_news(&self) -> bool {
        self.inner.news.swap(false, Ordering::AcqRel)
    }

    /// Waits for an answer over one of these connections, for at most `limit`. Without an answer in time, all of them are
    /// dropped.
    pub(super) fn wait<T>(
        &self,
        connections: &Connections,
        doing: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, GalleryError> {
        let Some(runtime) = &self.runtime else {
            return Err(unreachable(&self.inner.place, "the gallery is being closed"));
        };
        let lost = |why: String| {
            self.inner.lose(connections.generation, why.clone());
            unreachable(&self.inner.place, why)
        };
        // The time-out must be created inside the runtime, whose timer it uses.
        match runtime.block_on(async { timeout(limit + GRACE, work).await }) {
            Err(_) => Err(lost(late(limit + GRACE))),
            Ok(Err(error)) if failure::is_lost(&error) => Err(lost(failure::words(&error))),
            Ok(Err(error)) => Err(refused(&self.inner.place, doing, &error)),
            Ok(Ok(done)) => Ok(done),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn set(&self, new: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Drops a set of connections if it is the current one. Callers that still wait for an answer get an error.
    fn lose(&self, generation: u64, why: String) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Up(connections) = &*state else { return };
        if connections.generation == generation {
            log::warn!("the connection to the gallery {} is lost: {why}", self.address);
            connections.drivers.abort();
            *state = State::Down(why);
            self.lost.notify_one();
        }
    }

    async fn connect(inner: &Arc<Self>) -> Result<Arc<Connections>, String> {
        timeout(CONNECT, Self::connect_all(inner)).await.unwrap_or_else(|_| Err(late(CONNECT)))
    }

    async fn connect_all(inner: &Arc<Self>) -> Result<Arc<Connections>, String> {
        let generation = inner.generation.fetch_add(1, Ordering::Relaxed);
        let mut drivers = Drivers::default();
        let writer = Mutex::new(Self::open(inner, generation, &mut drivers).await?);
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(Mutex::new(Self::open(inner, generation, &mut drivers).await?));
        }
        if let Some(Ok(first)) = readers.first_mut().map(Mutex::get_mut) {
            first.client.batch_execute("LISTEN visavis").await.map_err(|error| failure::words(&error))?;
        }
        // Changes while we were not connected were not announced to us.
        inner.news.store(true, Ordering::Release);
        Ok(Arc::new(Connections { generation, readers, writer, drivers }))
    }

    /// A connection of a set. When one ends, the whole set is dropped.
    async fn open(inner: &Arc<Self>, generation: u64, all: &mut Drivers) -> Result<Session, String> {
        let (client, mut connection) = inner.address.connect().await.map_err(|error| failure::words(&error))?;
        let inner = Arc::clone(inner);
        let driver = tokio::spawn(async move {
            let why = loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => inner.news.store(true, Ordering::Release),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break failure::words(&error),
                    None => break "the server closed the connection".to_owned(),
                }
            };
            inner.lose(generation, why);
        });
        all.0.push(driver.abort_handle());
        schema::prepare_session(&client, STATEMENT).await.map_err(|error| failure::words(&error))?;
        Ok(Session { client, statements: HashMap::new(), open: false })
    }
}

/// Reconnects whenever the connections are lost.
async fn stay_connected(inner: Arc<Inner>) {
    loop {
        inner.lost.notified().await;
        loop {
            match Inner::connect(&inner).await {
                Ok(connections) => {
                    log::info!("the gallery {} is connected again", inner.address);
                    inner.set(State::Up(connections));
                    break;
                }
                Err(why) => {
                    inner.set(State::Down(why));
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

fn runtime(address: &Address) -> Result<Runtime, GalleryError> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build();
    built.map_err(|error| unreachable(&address.path(), format!("its thread could not be started: {error}")))
}

fn late(limit: Duration) -> String {
    format!("no answer within {:.1} s", limit.as_secs_f32())
}
