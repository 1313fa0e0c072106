//! The contract, method by method: prepare what can be prepared, hand it to the writer or to a
//! reader, pass the answer on.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hooklatch_core::admission::{Admission, Arrival, ReleaseInput};
use hooklatch_core::claim::Scope;
use hooklatch_core::delivery::attempt::Attempt;
use hooklatch_core::delivery::control::LaneHealth;
use hooklatch_core::delivery::lifecycle::Command;
use hooklatch_core::delivery::{Delivery, Lane};
use hooklatch_core::ids::{ConnectionId, DeliveryId, MessageId, ProjectId, RequestId};
use hooklatch_core::key::Checksum;
use hooklatch_core::receiving::call::{Answer as CallAnswer, Call, Entry, Kept, Step};
use hooklatch_core::receiving::key::ScopeKey;
use hooklatch_core::retention::{PruneStep, Pruned};
use hooklatch_core::time::Timestamp;
use hooklatch_core::transform::Transformed;
use hooklatch_store::{
    Admissions, Answer, AttemptFilter, AuditEntry, ClaimView, Claims, Commanded, ConfigRecord,
    Configuration, Deliveries, Expected, FinishAttempt, Finished, History, LaneReporting,
    LaneStates, LeaseRequest, Leases, Ledger, MessageFilter, MessageView, Page, PageRequest,
    PayloadSizes, Refused, ReleaseOutcome, Reported, RequestFilter, RequestView, Retention, Saved,
    ScanPage, ScanStep, Scans, Store, StoreError, Wake,
};
use rusqlite::Connection;

use crate::admit::{self, Prepared};
use crate::config::{self, Probe};
use crate::deliveries::{self, PreparedFinish};
use crate::due::{self, HASTENED_PER_STEP};
use crate::fault::Fault;
use crate::ledger::{self, Freed, Wanted};
use crate::queue::{Run, Task};
use crate::receiving::{self, Called};
use crate::requests::{self, PreparedRefusal};
use crate::rows::transformed;
use crate::{Closed, SqliteStore, history, lanes, pages, retention, scan};

impl SqliteStore {
    /// Has the writer do something; answers after its commit.
    pub(crate) async fn write<I, O>(
        &self,
        input: I,
        bytes: usize,
        run: Run<I, O>,
    ) -> Result<O, StoreError>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let (task, answer) = Task::new(input, bytes, run);
        self.queue.push(Box::new(task))?;
        let answer = answer.await.unwrap_or(Err(StoreError::Unavailable(None)));
        answer.map(|(output, _)| output)
    }

    /// Has a reader read something.
    pub(crate) fn read<T, R>(&self, read: R) -> Answer<'_, T>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        Box::pin(self.readers.read(read))
    }
}

impl Admissions for SqliteStore {
    fn admit(&self, arrivals: Vec<Arrival>) -> Answer<'_, Vec<Admission>> {
        Box::pin(async move {
            let prepared = Prepared::new(arrivals, &self.secret);
            let bytes = prepared.bytes();
            self.write(prepared, bytes, admit::admit).await
        })
    }

    fn refuse(&self, refused: Refused) -> Answer<'_, RequestId> {
        Box::pin(async move {
            let prepared = PreparedRefusal::new(refused);
            let bytes = prepared.bytes();
            self.write(prepared, bytes, requests::refuse).await
        })
    }

    fn keep_diff(&self, request: RequestId, pointers: Vec<String>) -> Answer<'_, ()> {
        Box::pin(self.write((request, pointers), 0, requests::keep_diff))
    }

    fn release(
        &self,
        project: ProjectId,
        request: RequestId,
        input: ReleaseInput,
    ) -> Answer<'_, ReleaseOutcome> {
        Box::pin(self.write((project, request, input), 0, requests::release_one))
    }

    fn discard(&self, project: ProjectId, request: RequestId) -> Answer<'_, ReleaseOutcome> {
        Box::pin(self.write((project, request), 0, requests::discard_one))
    }

    fn request_body(&self, project: ProjectId, request: RequestId) -> Answer<'_, Option<Bytes>> {
        self.read(move |db| requests::request_body(db, project, request))
    }
}

impl Deliveries for SqliteStore {
    fn lease(&self, request: LeaseRequest) -> Answer<'_, Leases> {
        Box::pin(self.write(request, 0, deliveries::lease))
    }

    fn finish(&self, finish: FinishAttempt) -> Answer<'_, Finished> {
        Box::pin(async move {
            let prepared = PreparedFinish::new(finish);
            let bytes = prepared.bytes();
            self.write(prepared, bytes, deliveries::finish).await
        })
    }

    fn finish_and_report(
        &self,
        finish: FinishAttempt,
        report: LaneReporting,
    ) -> Answer<'_, Reported> {
        Box::pin(async move {
            let prepared = PreparedFinish::new(finish);
            let bytes = prepared.bytes();
            let both = (prepared, report);
            self.write(both, bytes, lanes::finish_and_report).await
        })
    }

    fn command(
        &self,
        project: ProjectId,
        delivery: DeliveryId,
        command: Command,
    ) -> Answer<'_, Commanded> {
        Box::pin(self.write((project, delivery, command), 0, deliveries::command))
    }

    fn keep_transformed(
        &self,
        delivery: DeliveryId,
        transformed: Transformed,
    ) -> Answer<'_, Transformed> {
        let bytes = transformed.body.len();
        Box::pin(self.write((delivery, transformed), bytes, transformed::keep))
    }

    fn transformed(&self, delivery: DeliveryId) -> Answer<'_, Option<Transformed>> {
        self.read(move |db| transformed::load(db, delivery))
    }

    fn hasten(&self, lane: Lane) -> Answer<'_, ()> {
        Box::pin(async move {
            while self.write(lane, 0, due::hasten).await? == HASTENED_PER_STEP {}
            Ok(())
        })
    }

    fn on_work(&self, wake: Wake) {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        wakes.push(wake);
    }
}

impl LaneStates for SqliteStore {
    fn health(&self, lanes: Vec<Lane>) -> Answer<'_, Vec<LaneHealth>> {
        self.read(move |db| lanes::health(db, &lanes))
    }

    fn shift(&self, connection: ConnectionId, from: Lane, to: Lane) -> Answer<'_, ()> {
        Box::pin(async move {
            // Looked for beside the writer, and moved in steps, so that nobody waits long.
            let waiting = self.read(move |db| lanes::waiting(db, connection, from));
            for step in waiting.await?.chunks(lanes::SHIFTED_PER_STEP) {
                self.write((step.to_vec(), from, to), 0, lanes::shift)
                    .await?;
            }
            Ok(())
        })
    }
}

impl History for SqliteStore {
    fn message(&self, project: ProjectId, id: MessageId) -> Answer<'_, Option<MessageView>> {
        self.read(move |db| history::message(db, project, id))
    }

    fn messages(
        &self,
        project: ProjectId,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<MessageView>> {
        self.read(move |db| pages::messages(db, project, &filter, page))
    }

    fn request(&self, project: ProjectId, id: RequestId) -> Answer<'_, Option<RequestView>> {
        self.read(move |db| history::request(db, project, id))
    }

    fn requests(
        &self,
        project: ProjectId,
        filter: RequestFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<RequestView>> {
        self.read(move |db| pages::requests(db, project, &filter, page))
    }

    fn delivery(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Option<Delivery>> {
        self.read(move |db| history::delivery(db, project, id))
    }

    fn attempts_of(&self, project: ProjectId, id: DeliveryId) -> Answer<'_, Vec<Attempt>> {
        self.read(move |db| history::attempts_of(db, project, id))
    }

    fn attempts(
        &self,
        project: ProjectId,
        filter: AttemptFilter,
        page: PageRequest,
    ) -> Answer<'_, Page<Attempt>> {
        self.read(move |db| pages::attempts(db, project, &filter, page))
    }
}

impl Ledger for SqliteStore {
    fn claims(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        part: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<ClaimView>> {
        let (secret, now) = (self.secret, self.clock.now());
        let wanted = Wanted {
            project,
            checksums,
            part,
            limit,
        };
        self.read(move |db| ledger::claims(db, &secret, &wanted, now))
    }

    fn free(
        &self,
        project: ProjectId,
        checksums: Vec<Checksum>,
        scope: Option<Scope>,
        audit: AuditEntry,
    ) -> Answer<'_, usize> {
        let freed = Freed {
            project,
            checksums,
            scope,
            audit,
        };
        Box::pin(self.write(freed, 0, ledger::free))
    }
}

impl Retention for SqliteStore {
    fn prune(&self, step: PruneStep) -> Answer<'_, Pruned> {
        Box::pin(self.write(step, 0, retention::prune))
    }

    fn prune_ended(&self, rows_max: usize) -> Answer<'_, usize> {
        Box::pin(self.write(rows_max, 0, retention::prune_ended))
    }

    fn payload_sizes(&self, below: i64, rows_max: usize) -> Answer<'_, PayloadSizes> {
        self.read(move |db| retention::payload_sizes(db, below, rows_max))
    }
}

impl Scans for SqliteStore {
    fn scan(&self, step: ScanStep) -> Answer<'_, ScanPage> {
        self.read(move |db| scan::scan(db, &step))
    }

    fn scan_size(&self, step: ScanStep, limit: usize) -> Answer<'_, usize> {
        self.read(move |db| scan::scan_size(db, &step, limit))
    }
}

impl Claims for SqliteStore {
    fn call_claim(
        &self,
        project: ProjectId,
        key: ScopeKey,
        call: Call,
        audit: AuditEntry,
    ) -> Answer<'_, CallAnswer> {
        let called = Called {
            project,
            key,
            call,
            audit,
        };
        let bytes = called.call.bytes();
        Box::pin(self.write(called, bytes, receiving::call))
    }

    fn claim_entry(&self, project: ProjectId, key: ScopeKey) -> Answer<'_, Option<Entry>> {
        self.read(move |db| receiving::entry(db, project, key))
    }

    fn keep_claim_step(&self, project: ProjectId, key: ScopeKey, step: Step) -> Answer<'_, Kept> {
        let bytes = step.result.len();
        Box::pin(self.write((project, key, step), bytes, receiving::keep_step))
    }

    fn claim_step(
        &self,
        project: ProjectId,
        key: ScopeKey,
        generation: u32,
        name: String,
    ) -> Answer<'_, Option<Vec<u8>>> {
        self.read(move |db| receiving::step(db, (project, key), generation, &name))
    }

    fn sweep_claims(&self, limit: usize) -> Answer<'_, usize> {
        Box::pin(self.write(limit, 0, receiving::sweep_now))
    }
}

impl Configuration for SqliteStore {
    fn mint(&self) -> Answer<'_, i64> {
        Box::pin(self.write((), 0, config::mint))
    }

    fn load(&self) -> Answer<'_, Vec<ConfigRecord>> {
        self.read(config::load)
    }

    fn version(&self) -> Answer<'_, i64> {
        self.read(config::version)
    }

    /// Never calls it: no other process can have the directory.
    fn on_change(&self, _: Wake) {}

    fn save(&self, record: ConfigRecord, expected: Expected) -> Answer<'_, Saved> {
        let bytes = record.document.len();
        Box::pin(self.write((record, expected), bytes, config::save))
    }

    fn audit_log(&self, project: ProjectId, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        self.read(move |db| config::audit_log(db, project, limit))
    }
}

impl Store for SqliteStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn ready(&self) -> Answer<'_, ()> {
        let probe = if self.troubled.load(Ordering::Relaxed) {
            Probe::Disk
        } else {
            Probe::Writer
        };
        Box::pin(self.write(probe, 0, config::probe))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.queue.drain();
            let mut closed = self.closed.clone();
            // The writer says so, or is gone.
            drop(closed.wait_for(|closed| *closed == Closed::Yes).await);
            Ok(())
        })
    }
}
