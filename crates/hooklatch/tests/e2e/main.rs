//! The real binary from outside, over HTTP and signals alone: what users rely on when providers
//! repeat themselves, processes are killed, disks fill up and clients send nonsense.

mod bad_http;
mod bad_input;
mod deleted;
mod full_disk;
mod kill;
mod process;
mod real_input;
mod support;
mod tour;
