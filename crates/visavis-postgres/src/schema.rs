//! The tables, and what they say of the network that made them.

use std::time::Duration;

use tokio_postgres::{Client, Error, Row, Transaction};
use visavis_face::gallery::{EmbeddingId, GalleryError, rules};
use visavis_infer::manifest::Metric;

use crate::Address;
use crate::failure::{Failure, refused};

/// The format that this program reads and writes.
pub(crate) const FORMAT: i32 = STEPS.len() as i32;

/// The longest vector that pgvector takes.
const LONGEST: usize = 16_000;

/// SQL from each format to the next; `{length}` is that of a vector. Steps that were once released are never changed, only
/// followed by new ones.
const STEPS: &[&str] = &["
    -- changes: counts the transactions that changed anything a search would see; its row is held by whoever changes
    -- something, so changes come one after the other.
    CREATE TABLE visavis.meta (
        id          smallint    PRIMARY KEY CHECK (id = 1),
        format      integer     NOT NULL,
        network     text        NOT NULL,
        fingerprint text        NOT NULL,
        length      integer     NOT NULL,
        metric      text        NOT NULL CHECK (metric IN ('euclidean', 'cosine')),
        same_person real        NOT NULL,
        changes     bigint      NOT NULL DEFAULT 0,
        created     timestamptz NOT NULL DEFAULT now()
    );

    -- watched: an alarm rings when they are seen. met: nobody added them, they were seen and are forgotten again after a
    -- time. seen: visits; last_seen: seconds since 1970. Numbers are never given again.
    CREATE TABLE visavis.person (
        id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name      text        NOT NULL UNIQUE,
        watched   boolean     NOT NULL DEFAULT false,
        met       boolean     NOT NULL DEFAULT false,
        seen      bigint      NOT NULL DEFAULT 0,
        last_seen bigint,
        created   timestamptz NOT NULL DEFAULT now()
    );

    -- source: file name only, since a path tells where a stranger keeps things. sha256: of that file. thumbnail: JPEG.
    CREATE TABLE visavis.photo (
        id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        person    bigint NOT NULL REFERENCES visavis.person ON DELETE CASCADE,
        source    text   NOT NULL,
        sha256    bytea  CHECK (octet_length(sha256) = 32),
        score     real,
        vector    vector({length}) NOT NULL,
        thumbnail bytea,
        UNIQUE (person, sha256)
    );

    -- A face that somebody said is not this person.
    CREATE TABLE visavis.denial (
        id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        person bigint NOT NULL REFERENCES visavis.person ON DELETE CASCADE,
        vector vector({length}) NOT NULL
    );
    CREATE INDEX denial_person ON visavis.denial (person);
", "
    -- Alarms that rang, whichever program rang them. time: seconds since 1970. source: the camera or the film. person: whom the
    -- face was taken for; none for somebody unknown. vector: of the look that rang, until somebody answered. crop: the face as
    -- JPEG, where alarms carry it.
    CREATE TABLE visavis.alarm (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        time       bigint NOT NULL,
        source     text,
        person     bigint REFERENCES visavis.person ON DELETE CASCADE,
        similarity real,
        vector     real[],
        crop       bytea,
        answer     text NOT NULL DEFAULT 'open' CHECK (answer IN ('open', 'acknowledged', 'denied'))
    );
    CREATE INDEX alarm_person ON visavis.alarm (person);
"];

/// Where names are looked for: in our schema, and where pgvector is.
const PATH: &str = "SELECT set_config('search_path', concat_ws(', ', 'visavis', (
    SELECT quote_ident(nspname) FROM pg_catalog.pg_extension
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector')), false);";

/// How this program works with a connection: bounded waits, and no name that another schema could take over.
pub(crate) async fn prepare_session(client: &Client, limit: Duration) -> Result<(), Error> {
    let limit = limit.as_millis();
    client
        .batch_execute(&format!(
            "SET statement_timeout = {limit};
             SET lock_timeout = 5000;
             SET idle_in_transaction_session_timeout = 20000;
             -- A query's vector differs each time, and with it whether an index serves.
             SET plan_cache_mode = force_custom_plan;
             -- Of an index, if somebody made one: how many photos it looks at, at least.
             SET hnsw.ef_search = 200;
             -- Whatever the server's default: a change that was answered lasts.
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
             {PATH}"
        ))
        .await
}

/// Whether a gallery can hold the vectors of a network.
pub(crate) fn fits(embedding: &EmbeddingId) -> Result<(), GalleryError> {
    rules::network(embedding)?;
    if embedding.length > LONGEST {
        let reason = format!("vectors of {} numbers: pgvector takes at most {LONGEST}", embedding.length);
        return Err(GalleryError::Embedding { network: embedding.name.clone(), reason });
    }
    Ok(())
}

/// Makes the tables.
pub(crate) async fn create(client: &mut Client, address: &Address, embedding: &EmbeddingId) -> Result<(), Failure> {
    fits(embedding)?;
    let doing = "adding pgvector (CREATE EXTENSION vector)";
    let change = client.transaction().await?;
    // Of two programs that make it at once, the second waits here and then finds it.
    change.batch_execute("SELECT pg_advisory_xact_lock(hashtextextended('visavis gallery', 0))").await?;
    if is_there(change.query_one(IS_THERE, &[]).await?)? {
        return Err(GalleryError::Exists { path: address.path() }.into());
    }
    let extension = change.batch_execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public").await;
    extension.map_err(|error| refused(address, doing, &error))?;
    change.batch_execute("CREATE SCHEMA IF NOT EXISTS visavis").await?;
    change.batch_execute(PATH).await?;
    steps_from(0, &change, embedding).await?;
    let (length, metric) = (i32::try_from(embedding.length).unwrap_or(i32::MAX), metric_name(embedding.metric));
    change
        .execute(
            "INSERT INTO visavis.meta (id, format, network, fingerprint, length, metric, same_person)
             VALUES (1, $1, $2, $3, $4, $5, $6)",
            &[&FORMAT, &embedding.name, &embedding.fingerprint, &length, &metric, &embedding.same_person],
        )
        .await?;
    Ok(change.commit().await?)
}

async fn steps_from(format: i32, change: &Transaction<'_>, embedding: &EmbeddingId) -> Result<(), Error> {
    for step in STEPS.iter().skip(usize::try_from(format).unwrap_or(0)) {
        change.batch_execute(&step.replace("{length}", &embedding.length.to_string())).await?;
    }
    Ok(())
}

/// Brings an older gallery to this program's format. Programs that have it open go on.
pub(crate) async fn upgrade(client: &mut Client, embedding: &EmbeddingId) -> Result<(), Failure> {
    let change = client.transaction().await?;
    // Read again: another program may have been faster.
    let row = change.query_one("SELECT format FROM visavis.meta WHERE id = 1 FOR UPDATE", &[]).await?;
    steps_from(row.try_get(0)?, &change, embedding).await?;
    change.execute("UPDATE visavis.meta SET format = greatest(format, $1)", &[&FORMAT]).await?;
    Ok(change.commit().await?)
}

const IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'visavis' AND tablename = 'meta')";

fn is_there(row: Row) -> Result<bool, Error> {
    row.try_get(0)
}

/// The network that made the gallery, and the gallery's format.
pub(crate) async fn embedding(client: &Client, address: &Address) -> Result<(EmbeddingId, i32), Failure> {
    if !is_there(client.query_one(IS_THERE, &[]).await?)? {
        return Err(GalleryError::Missing { path: address.path() }.into());
    }
    let damaged = |reason: String| Failure::from(GalleryError::Damaged { path: address.path(), reason });
    let sql = "SELECT format, network, fingerprint, length, metric, same_person FROM visavis.meta WHERE id = 1";
    let Some(row) = client.query_opt(sql, &[]).await? else {
        return Err(damaged("it does not say which network made it".into()));
    };
    let format: i32 = row.try_get(0)?;
    if format > FORMAT {
        let (found, known) = (i64::from(format), i64::from(FORMAT));
        return Err(GalleryError::Newer { path: address.path(), found, known }.into());
    }
    let metric = match row.try_get(4)? {
        "euclidean" => Metric::Euclidean,
        "cosine" => Metric::Cosine,
        other => return Err(damaged(format!("it compares vectors by {other:?}"))),
    };
    let embedding = EmbeddingId {
        name: row.try_get(1)?,
        fingerprint: row.try_get(2)?,
        length: usize::try_from(row.try_get::<_, i32>(3)?).unwrap_or(0),
        metric,
        same_person: row.try_get(5)?,
        likeness: None,
    };
    match embedding.fault() {
        Some(reason) => Err(damaged(reason)),
        None => Ok((embedding, format)),
    }
}

pub(crate) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Euclidean => "euclidean",
        Metric::Cosine => "cosine",
    }
}
