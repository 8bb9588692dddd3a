//! A gallery in PostgreSQL with pgvector: [`PostgresGallery`], for galleries beyond one machine or shared by many cameras.
//!
//! It lies in a schema of its own, `visavis`, one in a database. Every search asks the server, so what one program was told
//! is added the next search of every other finds.
//!
//! The server may go away and come back. Whoever asks meanwhile is told so at once ([`GalleryError::Unreachable`]), and twice a
//! second the gallery looks whether the server is there again. A change that was answered with `Ok` lasts; one that failed
//! because the server went away may have happened or not.
//!
//! The program around it need not know of any of this: tokio runs on one thread inside, because only with it every wait can have
//! an end. Nothing here may be called from within another tokio runtime, but for its `spawn_blocking`.
//!
//! [`GalleryError::Unreachable`]: visavis_face::gallery::GalleryError::Unreachable

mod address;
mod alarms;
mod convert;
mod edit;
mod failure;
mod gallery;
mod link;
mod schema;
mod tls;
mod undo;

pub use address::Address;
pub use gallery::PostgresGallery;
