//! The tables, their format, and the migration from older formats.

use std::time::Duration;

use tokio_postgres::{Client, Error, Transaction};

use super::Address;
use super::failure::refused;
use super::link::Failure;
use crate::{EmbeddingId, GalleryError, rules};

/// The format that this program reads and writes.
pub(super) const FORMAT: i32 = STEPS.len() as i32;

/// The longest vector that pgvector takes.
const LONGEST: usize = 16_000;

/// SQL from each format to the next; `{length}` stands for the length of a vector. Released steps are never changed; new
/// ones are added.
const STEPS: &[&str] = &["
    -- changes: counts the transactions that changed anything a search would see; its row is locked by each change,
    -- so changes come one after the other.
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

    -- watched: an alarm is raised when they are seen. met: a visitor, added without a name and forgotten again after a
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

    -- A face that is not this person.
    CREATE TABLE visavis.denial (
        id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        person bigint NOT NULL REFERENCES visavis.person ON DELETE CASCADE,
        vector vector({length}) NOT NULL
    );
    CREATE INDEX denial_person ON visavis.denial (person);
", "
    -- Alarms of all programs. time: seconds since 1970. source: the camera or the film. person: the one that the face was taken
    -- for; none for an unknown face. vector: of the face, until the alarm is answered. crop: the face as JPEG, where alarms carry
    -- it.
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
", "
    -- The chance that the face was the person. What older versions wrote into similarity was another number.
    ALTER TABLE visavis.alarm ADD COLUMN identified real;
", "
    -- The log of changes: people, photos and removed photos carry the number of the change that wrote them. A program that knows
    -- the gallery as of one number reads what came after. token: tells this gallery from any other.
    ALTER TABLE visavis.meta ADD COLUMN token bytea NOT NULL DEFAULT decode(md5(random()::text || clock_timestamp()::text), 'hex');
    ALTER TABLE visavis.person ADD COLUMN changed bigint NOT NULL DEFAULT 0;
    CREATE INDEX person_changed ON visavis.person (changed);
    ALTER TABLE visavis.photo ADD COLUMN changed bigint NOT NULL DEFAULT 0;
    CREATE INDEX photo_changed ON visavis.photo (changed);
    CREATE TABLE visavis.removal (photo bigint PRIMARY KEY, changed bigint NOT NULL);
    CREATE INDEX removal_changed ON visavis.removal (changed);
", "
    -- ignored: a face on a poster or a screen, of which no sightings are recorded.
    ALTER TABLE visavis.person ADD COLUMN ignored boolean NOT NULL DEFAULT false;

    -- Sightings: one visit of one face each. first_seen, last_seen: seconds since 1970. person: the one that the face was identified
    -- as; stated: by a user. smiling: share of the looks with a smile. vector: none after a conversion to another network. crop: the face as JPEG.
    CREATE TABLE visavis.sighting (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        camera     text   NOT NULL,
        first_seen bigint NOT NULL,
        last_seen  bigint NOT NULL,
        person     bigint REFERENCES visavis.person ON DELETE CASCADE,
        stated     boolean NOT NULL DEFAULT false,
        identified real,
        age        real,
        female     real,
        smiling    real,
        quality    real   NOT NULL,
        vector     real[],
        crop       bytea
    );
    CREATE INDEX sighting_first_seen ON visavis.sighting (first_seen);
    CREATE INDEX sighting_last_seen ON visavis.sighting (last_seen);
    CREATE INDEX sighting_person ON visavis.sighting (person, first_seen);
    CREATE INDEX sighting_camera ON visavis.sighting (camera, first_seen);
", "
    -- encrypted: by what the key is recognised, if vectors and pictures are encrypted. Then the columns of vectors are of type bytea.
    ALTER TABLE visavis.meta ADD COLUMN encrypted bytea;
"];

/// If two programs create or change the tables at once, the second waits for this lock and then finds the work done.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('visavis gallery', 0))";

/// Where names are looked up: in our schema, and in that of pgvector.
const PATH: &str = "SELECT set_config('search_path', concat_ws(', ', 'visavis', (
    SELECT quote_ident(nspname) FROM pg_catalog.pg_extension
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector')), false);";

/// Sets up a connection: time limits, and a search path that no other schema can intercept.
pub(super) async fn prepare_session(client: &Client, limit: Duration) -> Result<(), Error> {
    let limit = limit.as_millis();
    client
        .batch_execute(&format!(
            "SET statement_timeout = {limit};
             SET lock_timeout = 5000;
             SET idle_in_transaction_session_timeout = 20000;
             -- A query's vector differs each time, and with it whether an index serves.
             SET plan_cache_mode = force_custom_plan;
             -- How many photos an index of pgvector looks at, at least, if there is one.
             SET hnsw.ef_search = 200;
             -- Whatever the server's default: a change that was answered lasts.
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
             {PATH}"
        ))
        .await
}

/// Checks that a gallery can store the vectors of a network.
pub(super) fn fits(embedding: &EmbeddingId) -> Result<(), GalleryError> {
    rules::network(embedding)?;
    if embedding.length > LONGEST {
        let reason = format!("its vectors have {} numbers, but pgvector takes at most {LONGEST}", embedding.length);
        return Err(GalleryError::Embedding { network: embedding.name.clone(), reason });
    }
    Ok(())
}

/// Creates the tables.
pub(super) async fn create(client: &mut Client, address: &Address, embedding: &EmbeddingId) -> Result<(), Failure> {
    fits(embedding)?;
    let doing = "adding pgvector (CREATE EXTENSION vector)";
    let change = client.transaction().await?;
    change.batch_execute(LOCK).await?;
    if is_there(change.query_one(IS_THERE, &[]).await?)? {
        return Err(GalleryError::Exists { path: address.path() }.into());
    }
    let extension = change.batch_execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public").await;
    extension.map_err(|error| refused(&address.path(), doing, &error))?;
    change.batch_execute("CREATE SCHEMA IF NOT EXISTS visavis").await?;
    change.batch_execute(PATH).await?;
    steps_from(0, &change, embedding.length).await?;
    let (length, metric) = (i32::try_from(embedding.length).unwrap_or(i32::MAX), rules::metric_name(embedding.metric));
    change
        .execute(
            "INSERT INTO visavis.meta (id, format, network, fingerprint, length, metric, same_person)
             VALUES (1, $1, $2, $3, $4, $5, $6)",
            &[&FORMAT, &embedding.name, &embedding.fingerprint, &length, &metric, &embedding.same_person],
        )
        .await?;
    Ok(change.commit().await?)
}

async fn steps_from(format: i32, change: &Transaction<'_>, length: usize) -> Result<(), Error> {
    for step in STEPS.iter().skip(usize::try_from(format).unwrap_or(0)) {
        change.batch_execute(&step.replace("{length}", &length.to_string())).await?;
    }
    Ok(())
}

/// Checks that there is a gallery that this program can read, and migrates an older format.
pub(super) async fn upgrade(client: &mut Client, address: &Address) -> Result<(), Failure> {
    if !is_there(client.query_one(IS_THERE, &[]).await?)? {
        return Err(GalleryError::Missing { path: address.path() }.into());
    }
    let sql = "SELECT format FROM visavis.meta WHERE id = 1";
    // Without that row the gallery is damaged. This is reported where the row is read.
    let format = client.query_opt(sql, &[]).await?.map_or(Ok(FORMAT), |row| row.try_get::<_, i32>(0))?;
    if format > FORMAT {
        return Err(GalleryError::Newer { path: address.path(), found: format.into(), known: FORMAT.into() }.into());
    }
    if format == FORMAT {
        return Ok(());
    }
    let change = client.transaction().await?;
    change.batch_execute(LOCK).await?;
    // Read again, since another program may have migrated it meanwhile.
    let row = change.query_one(sql, &[]).await?;
    // Only the first step contains the length of vectors, and every gallery has completed it.
    steps_from(row.try_get(0)?, &change, 0).await?;
    change.execute("UPDATE visavis.meta SET format = greatest(format, $1)", &[&FORMAT]).await?;
    Ok(change.commit().await?)
}

const IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'visavis' AND tablename = 'meta')";

fn is_there(row: tokio_postgres::Row) -> Result<bool, Error> {
    row.try_get(0)
}
