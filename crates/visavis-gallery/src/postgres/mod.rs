//! A gallery in PostgreSQL with pgvector, for galleries that several cameras share.
//!
//! It is in the schema `visavis` of a database, one gallery per database. The vectors are held in memory as those of a file,
//! so that recognition continues while the server is down. Changes by other programs are announced by `NOTIFY`, and also
//! looked for every few seconds. While the server is down, operations that need it fail at once
//! ([`GalleryError::Unreachable`]), and reconnecting is tried twice a second. A change that returned `Ok` is durable. A
//! change that failed because the connection was lost may or may not have been made.
//!
//! tokio runs on one internal thread, because only with it every wait can have a time limit. No method may be called from
//! within another tokio runtime, except from its `spawn_blocking`.

mod address;
mod failure;
mod link;
mod schema;
mod tls;
mod value;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;
use visavis_infer::manifest::Metric;

use crate::store::{Store, Transaction, Transactions, VectorColumns, Work};
use crate::value::{Row, Value};
use crate::{EmbeddingId, GalleryError};
use link::{Connections, Link, STATEMENT, Session};

pub use address::Address;

/// Interval at which changes are looked for that were not announced.
const POLLED_EVERY: Duration = Duration::from_secs(5);
/// Time limit for cleaning up after a removal.
const VACUUM: Duration = Duration::from_secs(60);

/// The rows of a gallery in a database.
pub struct PostgresStore {
    link: Link,
    place: Arc<Path>,
    /// When changes that were not announced were last looked for.
    polled: Mutex<Instant>,
}

impl PostgresStore {
    /// Creates the tables of a gallery without people, and opens it. The database must exist. The extension pgvector is
    /// added to it if necessary.
    ///
    /// # Errors
    /// [`GalleryError::Exists`] if the database already has a gallery, [`GalleryError::Embedding`] if a gallery cannot store
    /// the network's vectors (pgvector takes up to 16,000 numbers), [`GalleryError::Unreachable`], and
    /// [`GalleryError::Store`] if the server has no pgvector or refuses.
    pub fn create(address: &Address, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        Link::once(address, "creating the gallery", async |client| schema::create(client, address, embedding).await)?;
        Self::open(address)
    }

    /// Opens a gallery. An older format is migrated to the newest one.
    ///
    /// # Errors
    /// [`GalleryError::Missing`] if the database has none, [`GalleryError::Newer`], [`GalleryError::Unreachable`],
    /// [`GalleryError::Store`].
    pub fn open(address: &Address) -> Result<Self, GalleryError> {
        Link::once(address, "opening", async |client| schema::upgrade(client, address).await)?;
        let (link, place) = (Link::open(address)?, address.path().into());
        Ok(Self { link, place, polled: Mutex::new(Instant::now()) })
    }

    fn transact(
        &self,
        doing: &'static str,
        writes: bool,
        [begin, commit]: [&str; 2],
        work: Work<'_>,
    ) -> Result<(), GalleryError> {
        let connections = self.link.connections()?;
        let mut session = connections.session(writes);
        self.link.wait(&connections, doing, STATEMENT, session.begin(begin))?;
        let mut transaction =
            PostgresTransaction { store: self, connections: &connections, doing, session: &mut session };
        let worked = work(&mut transaction);
        let end = if worked.is_ok() { commit } else { "ROLLBACK" };
        let ended = self.link.wait(&connections, doing, STATEMENT, session.end(end));
        worked.and(ended)
    }
}

impl Store for PostgresStore {
    fn place(&self) -> &Path {
        self.link.place()
    }

    fn read(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.transact(doing, false, ["BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", "COMMIT"], work)
    }

    fn write(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.transact(doing, true, ["BEGIN ISOLATION LEVEL READ COMMITTED", "NOTIFY visavis; COMMIT"], work)
    }

    /// Lets the server reuse the space of removed rows. Returns false, since its log and its backups keep them for a while.
    fn erase_remains(&self) -> Result<bool, GalleryError> {
        let connections = self.link.connections()?;
        let session = connections.session(true);
        let sql = |limit: Duration| format!("SET statement_timeout = {}", limit.as_millis());
        let cleaned = self.link.wait(&connections, "clearing the space of removed rows", VACUUM, async {
            session.client.batch_execute(&sql(VACUUM)).await?;
            let tables = "visavis.photo, visavis.denial, visavis.alarm, visavis.sighting, visavis.person";
            let cleaned = session.client.batch_execute(&format!("VACUUM {tables}")).await;
            session.client.batch_execute(&sql(STATEMENT)).await?;
            cleaned
        });
        if let Err(error) = cleaned {
            // The server's automatic clean-up will do it later.
            log::warn!("{error}");
        }
        Ok(false)
    }

    fn may_have_news(&self) -> Result<bool, GalleryError> {
        self.link.connections()?;
        let mut polled = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.link.take_news() || polled.elapsed() >= POLLED_EVERY;
        if news {
            *polled = Instant::now();
        }
        Ok(news)
    }

    fn index(&self) -> Option<PathBuf> {
        None
    }

    fn check_network(&self, embedding: &EmbeddingId) -> Result<(), GalleryError> {
        schema::fits(embedding)
    }

    fn nearest(&self, metric: Metric, query: &[f32], photos: usize) -> Result<Option<Vec<Row>>, GalleryError> {
        let far = match metric {
            Metric::Euclidean => "<->",
            Metric::Cosine => "<=>",
        };
        let sql = format!(
            "SELECT near.id, near.person, person.name, person.watched, near.distance, EXISTS (
                 SELECT FROM denial WHERE denial.person = near.person AND (denial.vector {far} $1::vector) < near.distance)
             FROM (
                 SELECT id, person, vector {far} $1::vector AS distance FROM photo
                 ORDER BY vector {far} $1::vector LIMIT $2) AS near
             JOIN person ON person.id = near.person
             ORDER BY near.distance, near.person, near.id"
        );
        self.reading("searching", |tx| tx.query(&sql, &[query.into(), photos.into()])).map(Some)
    }
}

struct PostgresTransaction<'a> {
    store: &'a PostgresStore,
    connections: &'a Connections,
    doing: &'static str,
    session: &'a mut Session,
}

impl Transaction for PostgresTransaction<'_> {
    fn place(&self) -> &Path {
        &self.store.place
    }

    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<usize, GalleryError> {
        let rows = self.store.link.wait(self.connections, self.doing, STATEMENT, async {
            let statement = self.session.prepared(sql).await?;
            self.session.client.execute(&statement, &borrowed(params)).await
        })?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn query(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, GalleryError> {
        let place = &self.store.place;
        self.store.link.wait(self.connections, self.doing, STATEMENT, async {
            let statement = self.session.prepared(sql).await?;
            let rows = self.session.client.query(&statement, &borrowed(params)).await?;
            let row = |row: &tokio_postgres::Row| {
                Ok(Row::new(place, (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>()?))
            };
            rows.iter().map(row).collect()
        })
    }

    /// The old columns are dropped first, so that the rewritten rows contain nothing of the old vectors.
    fn set_vector_columns(&mut self, columns: VectorColumns) -> Result<(), GalleryError> {
        let [always, optional] = match columns {
            VectorColumns::Numbers(length) => [
                format!("vector({length}) NOT NULL DEFAULT array_fill(0::real, ARRAY[{length}])::vector"),
                "real[]".to_owned(),
            ],
            VectorColumns::Encrypted => ["bytea NOT NULL DEFAULT ''".to_owned(), "bytea".to_owned()],
        };
        let tables = [("photo", &always), ("denial", &always), ("alarm", &optional), ("sighting", &optional)];
        let tables = tables.map(|(table, kind)| {
            format!(
                "ALTER TABLE visavis.{table} DROP COLUMN vector;
                 ALTER TABLE visavis.{table} ADD COLUMN vector {kind};
                 ALTER TABLE visavis.{table} ALTER COLUMN vector DROP DEFAULT;"
            )
        });
        self.session.forget_statements();
        let change = tables.concat();
        let work = self.session.client.batch_execute(&change);
        self.store.link.wait(self.connections, self.doing, STATEMENT, work)
    }
}

fn borrowed<'a>(params: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
