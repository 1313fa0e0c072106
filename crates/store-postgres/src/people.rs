//! The contract's other half: what people see, decide and set, each in a transaction of its own
//! on a connection of the pool.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use hooklatch_core::admission::{Admission, Arrival, Refused, ReleaseInput};
use hooklatch_core::claim::Scope;
use hooklatch_core::delivery::Delivery;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::ids::{DeliveryId, MessageId, ProjectId, RequestId};
use hooklatch_core::key::Checksum;
use hooklatch_core::retention::{PruneStep, Pruned};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{
    Admissions, Answer, AttemptFilter, AuditEntry, ClaimView, ConfigRecord, Configuration,
    Expected, History, Ledger, MessageFilter, MessageView, Page, PageRequest, PayloadSizes,
    ReleaseOutcome, RequestFilter, RequestView, Retention, Saved, ScanPage, ScanStep, Scans, Store,
    Wake,
};
use tokio_postgres::Client;

use crate::ledger::{Freed, Wanted};
use crate::pool::{Doing, transact};
use crate::store::PostgresStore;
use crate::{
    commands, config, history, ledger, pages, partitions, requests, retention, scan, snapshot,
};

impl PostgresStore {
    /// Reads what one moment shows.
    pub(crate) fn read<T, F>(&self, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a Client) -> Doing<'a, T> + Send + 'static,
    {
        let pool = self.pool.clone();
        self.run(async move { snapshot::read(&pool, work).await })
    }
}

impl Admissions for PostgresStore {
    fn admit(&self, arrivals: Vec<Arrival>) -> Answer<'_, Vec<Admission>> {
        self.admit_arrivals(arrivals)
    }

    fn refuse(&self, refused: Refused) -> Answer<'_, RequestId> {
        self.refuse_request(refused)
    }

    fn keep_diff(&self, request: RequestId, pointers: Vec<String>) -> Answer<'_, ()> {
        let pool = self.pool.clone();
        let pointers = Arc::new(pointers);
        self.run(async move {
            transact(&pool, |transaction| {
                let pointers = Arc::clone(&pointers);
                Box::pin(async move { requests::keep_diff(transaction, request, &pointers).await })
            })
            .await
        })
    }

    fn release(
        &self,
        project: ProjectId,
        request: RequestId,
        input: ReleaseInput,
    ) -> Answer<'_, ReleaseOutcome> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            if !memory.has_partitions(input.now) {
                let client = pool.get().await?;
                memory.set_partitions(partitions::ensure(&client, input.now).await?);
            }
            let released = transact(&pool, |transaction| {
                let (memory, input) = (Arc::clone(&memory), input.clone());
                Box::pin(async move {
                    let asked = (project, request);
                    requests::release_one(transaction, &memory, asked, &input).await
                })
            });
            let (outcome, due) = released.await?;
            memory.learnt(&due);
            Ok(outcome)
        })
    }

    fn discard(&self, project: ProjectId, request: RequestId) -> Answer<'_, ReleaseOutcome> {
        let pool = self.pool.clone();
        self.run(async move {
            transact(&pool, |transaction| {
                Box::pin(async move { requests::discard_one(transaction, project, request).await })
            })
            .await
        })
    }

    fn request_body(&self, project: ProjectId, request: RequestId) -> Answer<'_, Option<Bytes>> {
        self.read(move |db| Box::pin(requests::request_body(db, project, request)))
    }
}

impl History for PostgresStore {
    fn message(&self, project: ProjectId, id: MessageId) -> Answer<'_, Option<MessageView>> {
        self.read(move |db| Box::pin(history::message(db, project, id)))
    }

    fn messages(
        &self,
        project: ProjectId,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<MessageView>> {
        self.read(move |db| {
            Box::pin(async move { pages::messages(db, project, &filter, page).await })
        })
    }

    fn request(&self, project: ProjectId, id: RequestId) -> Answer<'_, Option<RequestView>> {
        self.read(move |db| Box::pin(history::request(db, project, id)))
    }

    fn requests(
        &self,
        project: ProjectId,
        filter: RequestFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<RequestView>> {
        self.read(move |db| {
            Box::pin(async move { pages::requests(db, project, &filter, page).await })
        })
    }

    fn delivery(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Option<Delivery>> {
        self.read(move |db| Box::pin(history::delivery(db, project, id)))
    }

    fn attempts_of(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Vec<Attempt>> {
        self.read(move |db| Box::pin(history::attempts_of(db, project, id)))
    }

    fn attempts(
        &self,
        project: ProjectId,
        filter: AttemptFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<Attempt>> {
        self.read(move |db| {
            Box::pin(async move { pages::attempts(db, project, &filter, page).await })
        })
    }
}

impl Ledger for PostgresStore {
    fn claims(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        part: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<ClaimView>> {
        let now = self.memory.clock.now();
        let wanted = Wanted {
            project,
            checksums,
            part,
            limit,
        };
        self.read(move |db| Box::pin(async move { ledger::claims(db, &wanted, now).await }))
    }

    fn free(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        scope: Option<Scope>,
        audit: AuditEntry,
    ) -> Answer<'_, usize> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        let freed = Arc::new(Freed {
            project,
            checksums,
            scope,
            audit,
        });
        self.run(async move {
            transact(&pool, |transaction| {
                let (memory, freed) = (Arc::clone(&memory), Arc::clone(&freed));
                Box::pin(async move { ledger::free(transaction, &memory, &freed).await })
            })
            .await
        })
    }
}

impl Retention for PostgresStore {
    fn prune(&self, step: PruneStep) -> Answer<'_, Pruned> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            transact(&pool, |transaction| {
                let (clock, step) = (memory.clock.clone(), step.clone());
                Box::pin(async move {
                    let now = commands::now(transaction, &clock).await?;
                    retention::prune(transaction, now, &step).await
                })
            })
            .await
        })
    }

    fn prune_ended(&self, rows_max: usize) -> Answer<'_, usize> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            transact(&pool, |transaction| {
                let clock = memory.clock.clone();
                Box::pin(async move {
                    let now = commands::now(transaction, &clock).await?;
                    retention::prune_ended(transaction, now, rows_max).await
                })
            })
            .await
        })
    }

    fn payload_sizes(&self, below: i64, rows_max: usize) -> Answer<'_, PayloadSizes> {
        self.read(move |db| Box::pin(retention::payload_sizes(db, below, rows_max)))
    }
}

impl Scans for PostgresStore {
    fn scan(&self, step: ScanStep) -> Answer<'_, ScanPage> {
        self.read(move |db| Box::pin(async move { scan::scan(db, &step).await }))
    }

    fn scan_size(&self, step: ScanStep, limit: usize) -> Answer<'_, usize> {
        self.read(move |db| Box::pin(async move { scan::scan_size(db, &step, limit).await }))
    }
}

impl Configuration for PostgresStore {
    fn mint(&self) -> Answer<'_, i64> {
        let memory = Arc::clone(&self.memory);
        self.run(async move {
            let now = memory.clock.now();
            memory.numbers.with(|mint| mint.next(now))
        })
    }

    fn load(&self) -> Answer<'_, Vec<ConfigRecord>> {
        self.read(|db| Box::pin(config::load(db)))
    }

    fn version(&self) -> Answer<'_, i64> {
        self.read(|db| Box::pin(config::version(db)))
    }

    fn on_change(&self, wake: Wake) {
        let mut wakes = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        wakes.push(wake);
    }

    fn save(&self, record: ConfigRecord, expected: Expected) -> Answer<'_, Saved> {
        let pool = self.pool.clone();
        let record = Arc::new(record);
        self.run(async move {
            transact(&pool, |transaction| {
                let record = Arc::clone(&record);
                Box::pin(async move { config::save(transaction, &record, expected).await })
            })
            .await
        })
    }

    fn audit_log(&self, project: ProjectId, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        self.read(move |db| Box::pin(config::audit_log(db, project, limit)))
    }
}

impl Store for PostgresStore {
    fn now(&self) -> Timestamp {
        self.memory.clock.now()
    }

    fn ready(&self) -> Answer<'_, ()> {
        let (pool, memory) = (self.pool.clone(), Arc::clone(&self.memory));
        self.run(async move {
            memory.numbers.with(|_| ())?;
            let client = pool.get().await?;
            // A row that is written for the question alone.
            let sql = "INSERT INTO hooklatch.meta VALUES ('asked', 1) \
                       ON CONFLICT (name) DO UPDATE SET value = meta.value % 1000000 + 1";
            client.execute_typed(sql, &[]).await?;
            Ok(())
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.arriving.drain();
            self.delivering.drain();
            self.calling.drain();
            self.arriving.drained().await;
            self.delivering.drained().await;
            self.calling.drained().await;
            self.stop.cancel();
            self.pool.close();
            Ok(())
        })
    }
}
