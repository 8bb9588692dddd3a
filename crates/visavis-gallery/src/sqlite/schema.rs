//! The tables of a gallery file, its format number, and the migration from older formats.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::failed;
use crate::{EmbeddingId, GalleryError, rules};

/// Marks the file as a gallery in SQLite's header: "visv".
pub(crate) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"visv");

/// SQL from each format to the next; `user_version` counts the completed steps. Released steps are never changed; new ones
/// are added.
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (
        id          INTEGER PRIMARY KEY CHECK (id = 1),
        network     TEXT    NOT NULL,
        fingerprint TEXT    NOT NULL,
        length      INTEGER NOT NULL,
        metric      TEXT    NOT NULL CHECK (metric IN ('euclidean', 'cosine')),
        same_person REAL    NOT NULL,
        created     INTEGER NOT NULL DEFAULT (unixepoch())
    ) STRICT;

    -- AUTOINCREMENT: a number is never given again, so a match found before a removal cannot name another person.
    CREATE TABLE person (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        name    TEXT    NOT NULL UNIQUE,
        created INTEGER NOT NULL DEFAULT (unixepoch())
    ) STRICT;

    -- source: file name only, since a path tells where a stranger keeps things. sha256: of that file.
    -- vector: little-endian f32. thumbnail: JPEG.
    CREATE TABLE photo (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,
        person    INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        source    TEXT    NOT NULL,
        sha256    BLOB    CHECK (length(sha256) = 32),
        score     REAL,
        vector    BLOB    NOT NULL,
        thumbnail BLOB,
        UNIQUE (person, sha256)
    ) STRICT;
",
    "
    -- changes: counts the transactions that changed anything; what was changed carries the number. A program that knows
    -- the gallery as of one number reads what came after. token: tells this file from any other.
    ALTER TABLE meta ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE meta ADD COLUMN token BLOB;
    UPDATE meta SET token = randomblob(16);

    -- watched: an alarm is raised when they are seen. met: a visitor, added without a name and forgotten again after a
    -- time. seen: visits; last_seen: seconds since 1970.
    ALTER TABLE person ADD COLUMN watched INTEGER NOT NULL DEFAULT 0 CHECK (watched IN (0, 1));
    ALTER TABLE person ADD COLUMN met INTEGER NOT NULL DEFAULT 0 CHECK (met IN (0, 1));
    ALTER TABLE person ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE person ADD COLUMN last_seen INTEGER;
    ALTER TABLE person ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX person_changed ON person (changed);

    ALTER TABLE photo ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX photo_changed ON photo (changed);

    -- Photos that went: numbers only.
    CREATE TABLE removal (
        photo   INTEGER PRIMARY KEY,
        changed INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX removal_changed ON removal (changed);

    -- A face that is not this person.
    CREATE TABLE denial (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        vector BLOB    NOT NULL
    ) STRICT;
",
    "
    -- Alarms. time: seconds since 1970. person: the one that the face was taken for; none for an unknown face.
    -- vector: of the face, until the alarm is answered. crop: the face as JPEG, where alarms carry it.
    CREATE TABLE alarm (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        time       INTEGER NOT NULL,
        person     INTEGER REFERENCES person (id) ON DELETE CASCADE,
        similarity REAL,
        vector     BLOB,
        crop       BLOB,
        answer     TEXT    NOT NULL DEFAULT 'open' CHECK (answer IN ('open', 'acknowledged', 'denied'))
    ) STRICT;
    CREATE INDEX alarm_person ON alarm (person);
",
    "
    -- The name of the camera or the film.
    ALTER TABLE alarm ADD COLUMN source TEXT;
",
    "
    -- The chance that the face was the person. What older versions wrote into similarity was another number.
    ALTER TABLE alarm ADD COLUMN identified REAL;
",
    "
    -- ignored: a face on a poster or a screen, of which no sightings are recorded.
    ALTER TABLE person ADD COLUMN ignored INTEGER NOT NULL DEFAULT 0 CHECK (ignored IN (0, 1));

    -- Sightings: one visit of one face each. first_seen, last_seen: seconds since 1970. person: the one that the face was identified
    -- as; stated: by a user. smiling: share of the looks with a smile. vector: none after a conversion to another network. crop: the face as JPEG.
    CREATE TABLE sighting (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        camera     TEXT    NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen  INTEGER NOT NULL,
        person     INTEGER REFERENCES person (id) ON DELETE CASCADE,
        stated     INTEGER NOT NULL DEFAULT 0 CHECK (stated IN (0, 1)),
        identified REAL,
        age        REAL,
        female     REAL,
        smiling    REAL,
        quality    REAL    NOT NULL,
        vector     BLOB,
        crop       BLOB
    ) STRICT;
    CREATE INDEX sighting_first_seen ON sighting (first_seen);
    CREATE INDEX sighting_last_seen ON sighting (last_seen);
    CREATE INDEX sighting_person ON sighting (person, first_seen);
    CREATE INDEX sighting_camera ON sighting (camera, first_seen);
",
    "
    -- encrypted: by what the key is recognised, if vectors and pictures are encrypted.
    ALTER TABLE meta ADD COLUMN encrypted BLOB;
",
];

/// The format that this program writes.
pub(crate) const FORMAT: i64 = STEPS.len() as i64;

/// Size in bytes up to which a gallery is checked completely when it is opened.
const MOST_CHECKED: i64 = 256 << 20;

/// Largest value or row in bytes. A vector has at most 256 KiB, a thumbnail some ten.
const MOST_VALUE: i32 = 32 << 20;

/// Opens `file` with the settings for every gallery. Reads nothing yet.
pub(crate) fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // A `Connection` is never used by two threads at once, so SQLite needs no mutex.
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Another program's change takes milliseconds; a lock that is held for longer than this is an error.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A removed face must not remain in unused parts of the file or in a temporary file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // A gallery may come from an untrusted source. A table of it may in truth be a view that computes without end, and a trigger may
    // run at every change: our galleries have neither.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST_VALUE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Changes are rare, and a removal must be final, so each change is synchronised to the disk: with `normal`, a power cut
    // could restore a removed person.
    connection.pragma_update(None, "synchronous", "full")
}

/// The format of the file.
///
/// # Errors
/// If the file is not a gallery, is damaged, or is newer than this program.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i64, GalleryError> {
    let failed = failed(path, "checking");
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(&failed)?;
    if application != APPLICATION_ID {
        let reason = "it is another program's SQLite file, or an empty one".into();
        return Err(GalleryError::NotAGallery { path: path.to_path_buf(), reason });
    }
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
    if format > FORMAT {
        return Err(GalleryError::Newer { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    // The check reads every page, which takes seconds for a gigabyte at every start. In a large gallery, damage is found
    // when it is read instead: SQLite checks the pages that it reads, and every vector is checked when it is used.
    let count = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(&failed);
    if count("page_count")?.saturating_mul(count("page_size")?) > MOST_CHECKED {
        return Ok(format);
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&failed)?;
    if verdict != "ok" {
        return Err(GalleryError::Damaged { path: path.to_path_buf(), reason: verdict });
    }
    Ok(format)
}

/// Creates the tables of a new gallery in the empty file of `connection`.
pub(super) fn initialise(connection: &mut Connection, embedding: &EmbeddingId) -> rusqlite::Result<()> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    steps_from(0, &change)?;
    change.execute(
        "INSERT INTO meta (id, network, fingerprint, length, metric, same_person) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![
            embedding.name,
            embedding.fingerprint,
            embedding.length as i64,
            rules::metric_name(embedding.metric),
            embedding.same_person
        ],
    )?;
    change.execute("UPDATE meta SET token = randomblob(16)", [])?;
    change.commit()
}

/// Migrates an older file to the newest format.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again, since another program may have migrated it meanwhile.
    let format: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    steps_from(format, &change)?;
    change.commit()
}

fn steps_from(format: i64, change: &Transaction<'_>) -> rusqlite::Result<()> {
    for step in STEPS.iter().skip(usize::try_from(format).unwrap_or(0)) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", FORMAT)
}
