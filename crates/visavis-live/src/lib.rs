//! The live pipeline: threads, scheduling, model switching, statistics.
