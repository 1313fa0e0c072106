//! The real binary from outside, over HTTP and signals alone: what users rely on when providers
//! repeat themselves, processes are killed, disks fill up and clients send nonsense.

#![expect(
    clippy::unwrap_used,
    reason = "sentences are tests on each store, which the lint does not see"
)]

mod apply;
mod backtest;
mod bad_http;
mod bad_input;
mod claims;
mod client;
mod commands;
mod control;
mod copy;
mod copy_work;
mod database;
mod deleted;
mod documents;
mod full_disk;
mod house;
mod kill;
mod official;
mod order;
mod outbox;
mod process;
mod real_input;
mod recover;
mod remote;
mod replays;
mod retention;
mod rules;
mod shadow;
mod support;
mod tls;
mod tour;
mod traces;
mod vectors;
