//! A copy into a database: what comes back is what was brought, whatever interrupts it, and no
//! gateway opens the half of it.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share is a test, which the lint does not see"
)]

use hooklatch_core::claim::Scope;
use hooklatch_core::ids::{SourceId, first_number_at};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::transfer::{Chunk, Column, Cursor, Kind, MARKS, Row, Table, Tally, Value};
use hooklatch_store_postgres::{
    DatabaseUrl, Import, ImportError, OpenError, Options, PostgresStore, Standing,
};
use tokio_postgres::NoTls;

/// Which server the databases are made on.
const URL: &str = "HOOKLATCH_TEST_POSTGRES_URL";
/// Rows of each table.
const ROWS: i64 = 12;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const IDENTITY: i64 = 7;

/// An empty database.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn new(name: &str) -> Self {
        let server = std::env::var(URL);
        let server = server.unwrap_or_else(|_| {
            panic!("{URL} names no server; `cargo xtask test` starts one and runs this")
        });
        let name = format!("hooklatch_import_{name}_{}", std::process::id());
        let made = Self { server, name };
        let forget = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", made.name);
        execute(&made.server, &forget).await;
        execute(&made.server, &format!("CREATE DATABASE {}", made.name)).await;
        made
    }

    fn url(&self) -> DatabaseUrl {
        let url = DatabaseUrl::parse(&self.server).unwrap();
        url.with_database(&self.name)
    }

    async fn execute(&self, sql: &str) {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        execute(&format!("{server}/{}", self.name), sql).await;
    }

    async fn drop_it(self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        execute(&self.server, &sql).await;
    }
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Rows of a table, spread over some days, with everything in them that a column can hold.
fn rows(table: Table) -> Vec<Row> {
    let row = |n| {
        let columns = table.columns().iter().enumerate();
        columns
            .map(|(at, column)| value(table, column, at, n))
            .collect()
    };
    // Of marks there are so many.
    let many = if table == Table::Marks { 3 } else { ROWS };
    (0..many).map(row).collect()
}

fn value(table: Table, column: &Column, at: usize, n: i64) -> Value {
    match (table, column.name) {
        (Table::Claims, "scope") => {
            let source = Scope::Source(SourceId::from_number(3));
            return Value::Text(source.to_string());
        }
        (Table::Claims, "parts") => return Value::Text(r#"["a","b"]"#.to_owned()),
        (Table::Claims, "kind") => return Value::Integer(n % 2),
        (Table::Marks, "name") => {
            let mark = MARKS[usize::try_from(n).unwrap()];
            return Value::Text(mark.to_owned());
        }
        (Table::Deliveries, "status") => return Value::Integer(n % 6),
        (Table::Messages | Table::Requests, "checksum") if n % 2 == 0 => return Value::Null,
        (Table::Messages, "tenant") if n % 3 == 0 => return Value::Null,
        _ => {}
    }
    match column.kind {
        Kind::Integer if at == 0 => {
            let day = Millis::from_seconds(86_400 * (n % 3));
            Value::Integer(first_number_at(NOW - day) + n)
        }
        Kind::Integer => Value::Integer(n),
        Kind::Flag => Value::Integer(n % 2),
        Kind::Text => Value::Text(format!("a\0b\u{1}{n}")),
        Kind::Json => Value::Text(format!(r#"{{"n": {n}, "nul": "\u0000"}}"#)),
        Kind::Bytes => Value::Bytes(vec![u8::try_from(n).unwrap(); 32]),
    }
}

fn tally(rows: &[Row]) -> Tally {
    let mut tally = Tally::default();
    for row in rows {
        tally += Tally::of(row);
    }
    tally
}

/// The first or the second half of a table.
fn half(table: Table, second: bool) -> Chunk {
    let rows = rows(table);
    let (first_half, second_half) = rows.split_at(rows.len() / 2);
    Chunk {
        rows: if second { second_half } else { first_half }.to_vec(),
        last: Cursor {
            first: 1 + i64::from(second),
            second: 0,
        },
    }
}

async fn bring(import: &mut Import, second: bool) {
    for table in Table::ALL {
        let chunk = half(table, second);
        import.take(table, &chunk).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_brought_in_pieces_comes_back_as_it_was() {
    let database = Database::new("pieces").await;
    let url = database.url();
    let mut import = Import::open(&url, IDENTITY, NOW).await.unwrap();
    assert_eq!(import.standing(Table::Messages), Standing::default());
    bring(&mut import, false).await;
    drop(import);

    let mut import = Import::open(&url, IDENTITY, NOW + Millis::from_seconds(60))
        .await
        .unwrap();
    assert_eq!(import.cutoff(), NOW);
    for table in Table::ALL {
        let rows = half(table, false).rows.len() as u64;
        assert_eq!(import.standing(table).rows, rows, "{table:?}");
    }
    bring(&mut import, true).await;
    for table in Table::ALL {
        let mut read = 0;
        let found = import.tally(table, |rows| read += rows).await.unwrap();
        assert_eq!(found, tally(&rows(table)), "{table:?}");
        assert_eq!(read, found.rows, "{table:?}");
    }
    drop(import);
    database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_copied_database_is_opened_by_nobody_and_a_complete_one_is() {
    let database = Database::new("half").await;
    let url = database.url();
    let mut import = Import::open(&url, IDENTITY, NOW).await.unwrap();
    let audit = half(Table::Audit, false);
    import.take(Table::Audit, &audit).await.unwrap();
    let opened = PostgresStore::open(&url, Options::default()).await;
    let refused = opened.map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::HalfCopied), "{refused}");
    assert!(refused.to_string().contains("hooklatch copy"), "{refused}");

    import.complete().await.unwrap();
    let store = PostgresStore::open(&url, Options::default()).await.unwrap();
    drop(import);
    let again = Import::open(&url, IDENTITY, NOW).await.unwrap();
    assert!(again.is_complete());
    store.abandon();
    drop(again);
    database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_mixes_with_nothing_else() {
    let database = Database::new("mixed").await;
    let url = database.url();
    hooklatch_store_postgres::migrate(&url).await.unwrap();
    let other = "INSERT INTO hooklatch.audit VALUES (1, 1, 1, NULL, 'a', 'b', NULL)";
    database.execute(other).await;
    let refused = Import::open(&url, IDENTITY, NOW).await.map(drop);
    assert!(matches!(refused, Err(ImportError::NotEmpty)), "{refused:?}");

    database.execute("TRUNCATE hooklatch.audit").await;
    let first = Import::open(&url, IDENTITY, NOW).await.unwrap();
    let second = Import::open(&url, IDENTITY, NOW).await.map(drop);
    assert!(matches!(second, Err(ImportError::Busy)), "{second:?}");
    drop(first);
    let other = Import::open(&url, IDENTITY + 1, NOW).await.map(drop);
    assert!(matches!(other, Err(ImportError::OtherSource)), "{other:?}");
    database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_does_not_fit_brings_nothing() {
    let database = Database::new("misfit").await;
    let url = database.url();
    let mut import = Import::open(&url, IDENTITY, NOW).await.unwrap();
    let mut chunk = half(Table::Deliveries, false);
    // A second row of the same number: the tables' own constraint refuses it.
    let first = chunk.rows[0].clone();
    chunk.rows.push(first);
    let refused = import.take(Table::Deliveries, &chunk).await;
    assert!(matches!(refused, Err(ImportError::Refused(_))));
    chunk.rows.pop();
    chunk.rows[0][6] = Value::Text("no status".to_owned());
    let refused = import.take(Table::Deliveries, &chunk).await;
    assert!(matches!(refused, Err(ImportError::Refused(_))));
    let found = import.tally(Table::Deliveries, |_| {}).await.unwrap();
    assert_eq!(found, Tally::default());
    assert_eq!(import.standing(Table::Deliveries), Standing::default());
    drop(import);
    database.drop_it().await;
}
