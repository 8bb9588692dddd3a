//! One file for each command.

pub(crate) mod analyze;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod gallery;
pub(crate) mod health;
pub(crate) mod live;
pub(crate) mod man;
pub(crate) mod models;
pub(crate) mod notice;
pub(crate) mod runtime;
pub(crate) mod serve;
