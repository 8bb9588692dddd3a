//! The connections to the server: kept up in the background, and given up at once where it does not answer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error, Row, Statement};
use visavis_face::gallery::{EmbeddingId, GalleryError};
use visavis_infer::manifest::Metric;

use crate::Address;
use crate::failure::{self, Failure, GIVEN, refused, unreachable};
use crate::schema;

/// Connecting, all of it.
const CONNECT: Duration = Duration::from_secs(5);
/// A search, at the server; here it is waited for a little longer, since a server that is merely slow is no reason to leave it.
const SEARCH: Duration = Duration::from_secs(2);
/// A statement of anything else.
pub(crate) const STATEMENT: Duration = Duration::from_secs(10);
/// What an answer may be late.
const GRACE: Duration = Duration::from_millis(500);
/// Pause before the server is looked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// Connections that search, for as many workers at once.
const SEARCHERS: usize = 3;

/// The way to a server.
pub(crate) struct Link {
    inner: Arc<Inner>,
    /// Only none while dropped.
    runtime: Option<Runtime>,
}

struct Inner {
    address: Address,
    embedding: EmbeddingId,
    state: RwLock<State>,
    /// Rung when the connections are lost.
    lost: Notify,
    /// Counts sets of connections.
    generation: AtomicU64,
}

enum State {
    Up(Arc<Connections>),
    /// And why.
    Down(String),
}

/// All connections to a server. They live and die together.
struct Connections {
    generation: u64,
    searchers: Vec<Searcher>,
    turn: AtomicUsize,
    /// For changes, and for what takes longer. One at a time: all of a transaction's statements are its own.
    store: Mutex<Client>,
    drivers: Drivers,
}

/// What moves the bytes of each connection; ends with them.
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

/// A connection that searches. Several threads may do so at once: it answers them in turn.
pub(crate) struct Searcher {
    pub(crate) client: Client,
    pub(crate) nearest: Statement,
    pub(crate) changes: Statement,
}

impl Link {
    /// Does something once, over a connection of its own.
    pub(crate) fn once<T>(
        address: &Address,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        let runtime = runtime(address)?;
        let done = runtime.block_on(async {
            let connect = async {
                let (client, connection) = address.connect().await?;
                tokio::spawn(connection);
                schema::prepare_session(&client, STATEMENT).await?;
                Ok(client)
            };
            let mut client = match timeout(CONNECT, connect).await {
                Ok(connected) => connected.map_err(|error: Error| unreachable(address, failure::words(&error)))?,
                Err(_) => return Err(unreachable(address, late(CONNECT))),
            };
            match timeout(STATEMENT + GRACE, work(&mut client)).await {
                Err(_) => Err(unreachable(address, late(STATEMENT + GRACE))),
                Ok(Err(Failure::Sql(error))) if failure::is_lost(&error) => {
                    Err(unreachable(address, failure::words(&error)))
                }
                Ok(Err(Failure::Sql(error))) => Err(refused(address, doing, &error)),
                Ok(Err(Failure::Gallery(error))) => Err(error),
                Ok(Err(Failure::Given)) => Err(unreachable(address, GIVEN)),
                Ok(Ok(done)) => Ok(done),
            }
        });
        // Does not wait for a name that is still being looked up.
        runtime.shutdown_background();
        done
    }

    /// Connects, and stays connected from then on.
    pub(crate) fn open(address: &Address, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        let runtime = runtime(address)?;
        let inner = Arc::new(Inner {
            address: address.clone(),
            embedding: embedding.clone(),
            state: RwLock::new(State::Down("not connected yet".into())),
            lost: Notify::new(),
            generation: AtomicU64::new(0),
        });
        let connected = runtime.block_on(Inner::connect(&inner));
        match connected {
            Ok(connections) => inner.set(State::Up(connections)),
            Err(why) => {
                runtime.shutdown_background();
                return Err(unreachable(address, why));
            }
        }
        runtime.spawn(stay_connected(Arc::clone(&inner)));
        Ok(Self { inner, runtime: Some(runtime) })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.inner.address
    }

    /// Asks over one of the connections that search.
    pub(crate) fn search<T>(
        &self,
        doing: &'static str,
        work: impl AsyncFnOnce(&Searcher) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        let connections = self.inner.connections()?;
        let turn = connections.turn.fetch_add(1, Ordering::Relaxed) % connections.searchers.len().max(1);
        let Some(searcher) = connections.searchers.get(turn) else { return Err(self.closing()) };
        self.finish(&connections, doing, SEARCH, work(searcher))
    }

    /// Does something over the connection for changes; `limit` is for all of it.
    pub(crate) fn store<T>(
        &self,
        doing: &'static str,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, GalleryError> {
        let connections = self.inner.connections()?;
        let mut client = connections.store.lock().unwrap_or_else(PoisonError::into_inner);
        self.finish(&connections, doing, limit, work(&mut client))
    }

    fn finish<T>(
        &self,
        connections: &Connections,
        doing: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, GalleryError> {
        let Some(runtime) = &self.runtime else { return Err(self.closing()) };
        let lost = |why: String| {
            self.inner.lose(connections.generation, why.clone());
            unreachable(&self.inner.address, why)
        };
        // The time-out is made inside the runtime, which keeps its clock.
        match runtime.block_on(async { timeout(limit + GRACE, work).await }) {
            Err(_) => Err(lost(late(limit + GRACE))),
            Ok(Err(Failure::Sql(error))) if failure::is_lost(&error) => Err(lost(failure::words(&error))),
            Ok(Err(Failure::Sql(error))) => Err(refused(&self.inner.address, doing, &error)),
            Ok(Err(Failure::Gallery(error))) => Err(error),
            Ok(Err(Failure::Given)) => Err(lost(GIVEN.into())),
            Ok(Ok(done)) => Ok(done),
        }
    }

    /// Whether the gallery is still the network's that it was opened for, whose vectors compare with those in it: `row` holds
    /// the fingerprint.
    pub(crate) fn check_network(&self, row: &Row, at: usize) -> Result<(), Failure> {
        let there: &str = row.try_get(at)?;
        if there == self.inner.embedding.fingerprint { Ok(()) } else { Err(Failure::Given) }
    }

    fn closing(&self) -> GalleryError {
        unreachable(&self.inner.address, "it is being closed")
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
    fn connections(&self) -> Result<Arc<Connections>, GalleryError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(connections) => Ok(Arc::clone(connections)),
            State::Down(why) => Err(unreachable(&self.address, why.as_str())),
        }
    }

    fn set(&self, new: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Gives up a set of connections, if it is the one in use. Whoever still waits for an answer is told so.
    fn lose(&self, generation: u64, why: String) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Up(connections) = &*state else { return };
        if connections.generation == generation {
            log::warn!("the gallery {} is lost: {why}", self.address);
            connections.drivers.abort();
            *state = State::Down(why);
            self.lost.notify_one();
        }
    }

    /// A new set of connections, to the gallery that was opened.
    async fn connect(inner: &Arc<Self>) -> Result<Arc<Connections>, String> {
        timeout(CONNECT, Self::connect_all(inner)).await.unwrap_or_else(|_| Err(late(CONNECT)))
    }

    async fn connect_all(inner: &Arc<Self>) -> Result<Arc<Connections>, String> {
        let words = |error: Error| failure::words(&error);
        let generation = inner.generation.fetch_add(1, Ordering::Relaxed);
        let mut drivers = Drivers::default();
        let store = Self::open(inner, generation, STATEMENT, &mut drivers).await?;
        match schema::embedding(&store, &inner.address).await {
            Ok((there, _)) if there.compares_with(&inner.embedding) => {}
            Ok((there, _)) => return Err(format!("{GIVEN}, that of {}", there.name)),
            Err(Failure::Given) => return Err(GIVEN.into()),
            Err(Failure::Sql(error)) => return Err(words(error)),
            Err(Failure::Gallery(error)) => return Err(error.to_string()),
        }
        let mut searchers = Vec::new();
        for _ in 0..SEARCHERS {
            let client = Self::open(inner, generation, SEARCH, &mut drivers).await?;
            let nearest = client.prepare(&nearest(inner.embedding.metric)).await.map_err(words)?;
            let changes = client.prepare("SELECT changes, fingerprint FROM visavis.meta").await.map_err(words)?;
            searchers.push(Searcher { client, nearest, changes });
        }
        let (turn, store) = (AtomicUsize::new(0), Mutex::new(store));
        Ok(Arc::new(Connections { generation, searchers, turn, store, drivers }))
    }

    /// A connection of a set. When one ends, all do.
    async fn open(inner: &Arc<Self>, generation: u64, limit: Duration, all: &mut Drivers) -> Result<Client, String> {
        let (client, connection) = inner.address.connect().await.map_err(|error| failure::words(&error))?;
        let inner = Arc::clone(inner);
        let driver = tokio::spawn(async move {
            let why = match connection.await {
                Ok(()) => "the server closed the connection".to_owned(),
                Err(error) => failure::words(&error),
            };
            inner.lose(generation, why);
        });
        all.0.push(driver.abort_handle());
        schema::prepare_session(&client, limit).await.map_err(|error| failure::words(&error))?;
        Ok(client)
    }
}

/// Brings the connections back whenever they are lost.
async fn stay_connected(inner: Arc<Inner>) {
    loop {
        inner.lost.notified().await;
        loop {
            match Inner::connect(&inner).await {
                Ok(connections) => {
                    log::info!("the gallery {} is reached again", inner.address);
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

/// The photos nearest to a vector, nearest first, each with its person, whether it was denied that they look like this, and whose
/// network's vectors they are.
/// `$1`: the vector, `$2`: how many.
fn nearest(metric: Metric) -> String {
    let far = match metric {
        Metric::Euclidean => "<->",
        Metric::Cosine => "<=>",
    };
    format!(
        "SELECT near.id, near.person, person.name, person.watched, near.distance, EXISTS (
             SELECT FROM visavis.denial
             WHERE denial.person = near.person AND (denial.vector {far} $1::real[]::vector) < near.distance),
             (SELECT fingerprint FROM visavis.meta)
         FROM (
             SELECT id, person, vector {far} $1::real[]::vector AS distance FROM visavis.photo
             ORDER BY vector {far} $1::real[]::vector LIMIT $2) AS near
         JOIN visavis.person ON person.id = near.person
         ORDER BY near.distance, near.person, near.id"
    )
}

fn runtime(address: &Address) -> Result<Runtime, GalleryError> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build();
    built.map_err(|error| unreachable(address, format!("no thread for it could be started: {error}")))
}

fn late(limit: Duration) -> String {
    format!("no answer within {:.1} s", limit.as_secs_f32())
}
