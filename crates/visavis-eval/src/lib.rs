//! Metrics, protocols, tables.
