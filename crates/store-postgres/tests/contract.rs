//! The contract suite on PostgreSQL: each sentence in a database of its own, on the server that
//! `HOOKLATCH_TEST_POSTGRES_URL` names.

mod server;

use server::InADatabase;

hooklatch_store::contract!(InADatabase);
