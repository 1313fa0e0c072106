//! Tests of the configuration, as clients see it: JSON in, JSON or errors out.

mod connection;
mod endpoint;
mod endpoint_auth;
mod former;
mod group;
mod project;
mod source;
mod verifier;
