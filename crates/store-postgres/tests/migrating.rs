//! Which tables a node starts beside, while nodes of two versions run together.

mod server;

use std::str::FromStr;

use hooklatch_store::suite::Fixture;
use hooklatch_store_postgres::OpenError;
use server::InADatabase;
use tokio_postgres::{Config, NoTls};

/// Notes a step that a newer version has taken.
fn take_newer(fixture: &InADatabase, version: i64, compatible_from: i64) {
    let mut config = Config::from_str(&fixture.server).expect("the URL is one");
    config.dbname(&fixture.database);
    let sql = "INSERT INTO hooklatch.schema_version (version, compatible_from) VALUES ($1, $2)";
    fixture.runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        let taken = client.execute(sql, &[&version, &compatible_from]).await;
        assert_eq!(taken.expect("it is taken"), 1);
    });
}

#[test]
fn an_older_node_starts_beside_newer_tables_that_it_survives_and_no_others() {
    let fixture = InADatabase::new();
    take_newer(&fixture, 1_001, 1);
    let survived = fixture.try_open();
    survived.expect("it survives these tables").abandon();
    take_newer(&fixture, 1_002, 1_001);
    let Err(OpenError::Newer { found, .. }) = fixture.try_open() else {
        panic!("it was opened, or refused for something else");
    };
    assert_eq!(found, 1_002);
}
