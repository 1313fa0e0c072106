"""One request from its bytes to its answer, in every line of the answer table, in both kinds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flows import Flow
from signing import PAID, signed

from hooklatch_receiver import (
    Answer,
    HookRequest,
    PermanentFailure,
    Receiver,
    RetryLater,
    Unavailable,
    scope_key,
    stripe,
    trusted,
)
from hooklatch_receiver.memory import MemoryStore

KEY = scope_key(["msg_1"], source="standard_webhooks")


@pytest.fixture(params=["sync", "async"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    made = Flow(request.param)
    made.make()
    yield made
    made.close()


def receipt(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("hooklatch-receipt")


def never(_event: Any) -> None:
    pytest.fail("it must not run")


def failing(_event: Any) -> None:
    raise RuntimeError("the bank is closed")


def hopeless(_event: Any) -> None:
    raise PermanentFailure("no such order")


def test_a_first_delivery_runs_the_handler_and_a_duplicate_gets_its_answer(flow: Flow) -> None:
    runs: list[int] = []

    def handler(_event: Any) -> Answer:
        runs.append(1)
        return Answer(201, {"Location": "/orders/7", "Set-Cookie": "a=b"}, {"run": len(runs)})

    first = flow.send(signed("msg_1", PAID), handler)
    assert receipt(first) == (201, "processed")
    assert first.headers["set-cookie"] == "a=b"
    second = flow.send(signed("msg_1", PAID), handler)
    assert receipt(second) == (200, "duplicate")
    assert second.body == b'{"run":1}'
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == "/orders/7"
    assert "set-cookie" not in second.headers
    assert flow.kinds() == ["reserved", "completed", "duplicate_completed"]


def test_nothing_is_claimed_for_a_request_whose_signature_fails(flow: Flow) -> None:
    request = signed("msg_1", PAID)
    forged = type(request)(request.headers, request.body.replace(b"7", b"8"))
    assert receipt(flow.send(forged, never)) == (401, "rejected")
    assert flow.memory.lookup(KEY) is None


def test_a_duplicate_in_flight_is_told_to_come_again(flow: Flow) -> None:
    running, finish = threading.Event(), threading.Event()

    def handler(_event: Any) -> None:
        running.set()
        assert finish.wait(10)

    first = flow.start(signed("msg_1", PAID), handler)
    assert running.wait(10)
    second = flow.send(signed("msg_1", PAID), never)
    assert receipt(second) == (503, "in-progress")
    assert int(second.headers["retry-after"]) >= 1
    finish.set()
    assert first.result(10).status == 200


def test_a_duplicate_waits_for_the_first_to_end_and_gets_its_answer(flow: Flow) -> None:
    flow.make(wait_seconds=10.0)
    running, finish = threading.Event(), threading.Event()

    def handler(_event: Any) -> str:
        running.set()
        assert finish.wait(10)
        return "done"

    first = flow.start(signed("msg_1", PAID), handler)
    assert running.wait(10)
    second = flow.start(signed("msg_1", PAID), never)
    finish.set()
    assert first.result(10).body == b"done"
    assert receipt(second.result(10)) == (200, "duplicate")
    assert second.result(10).body == b"done"


def test_another_payload_under_a_known_key_is_flagged_and_never_run(flow: Flow) -> None:
    flow.send(signed("msg_1", PAID))
    answer = flow.send(signed("msg_1", {**PAID, "order": 8}), never)
    assert receipt(answer) == (200, "duplicate")
    assert answer.headers["hooklatch-flag"] == "payload_mismatch"
    assert flow.kinds()[-1] == "payload_mismatch"


def test_the_same_payload_spelled_otherwise_is_no_other_payload(flow: Flow) -> None:
    flow.send(signed("msg_1", {"a": 1, "b": 2}))
    answer = flow.send(signed("msg_1", {"b": 2, "a": 1}), never)
    assert "hooklatch-flag" not in answer.headers
    assert receipt(answer) == (200, "duplicate")


def test_another_payload_is_refused_where_the_policy_says_so(flow: Flow) -> None:
    flow.make(on_conflict="reject")
    flow.send(signed("msg_1", PAID))
    assert receipt(flow.send(signed("msg_1", {"order": 8}), never)) == (409, "rejected")


def test_a_failed_handler_is_tried_again_and_its_attempts_are_counted(flow: Flow) -> None:
    flow.make(retry_after_seconds=0.0)
    failed = flow.send(signed("msg_1", PAID), failing)
    assert receipt(failed) == (503, None)
    assert b"bank" not in failed.body
    attempts: list[int] = []
    second = flow.send(signed("msg_1", PAID), lambda event: attempts.append(event.attempt))
    assert receipt(second) == (200, "processed")
    assert attempts == [2]
    assert flow.kinds() == ["reserved", "released", "taken_over", "completed"]


def test_a_handler_says_when_it_may_be_tried_again(flow: Flow) -> None:
    def handler(_event: Any) -> None:
        raise RetryLater("the bank opens at nine", 90)

    assert flow.send(signed("msg_1", PAID), handler).headers["retry-after"] == "90"
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (503, "in-progress")


def test_a_permanent_failure_is_given_up_and_is_not_run_again(flow: Flow) -> None:
    assert receipt(flow.send(signed("msg_1", PAID), hopeless)) == (200, None)
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (200, None)
    assert flow.kinds() == ["reserved", "dead", "dead_again"]


def test_a_dead_event_is_gone_where_the_policy_says_so(flow: Flow) -> None:
    flow.make(on_dead="gone")
    assert receipt(flow.send(signed("msg_1", PAID), hopeless)) == (410, "rejected")


def test_a_refusal_of_the_handler_gives_the_event_up(flow: Flow) -> None:
    refused = flow.send(signed("msg_1", PAID), lambda event: Answer(422))
    assert receipt(refused) == (422, "rejected")
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (200, None)


@pytest.mark.parametrize("status", [302, 409, 429])
def test_what_is_no_refusal_comes_again_when_it_says(flow: Flow, status: int) -> None:
    answer = flow.send(signed("msg_1", PAID), lambda event: Answer(status, {"Retry-After": "7"}))
    assert (*receipt(answer), answer.headers["retry-after"]) == (503, None, "7")


def test_an_answer_is_kept_as_in_every_other_language(flow: Flow) -> None:
    headers = {"ETag": '"7"', "Set-Cookie": "a=b"}
    flow.send(signed("msg_1", PAID), lambda event: Answer(201, headers, "booked"))
    record = flow.memory.lookup(KEY)
    assert record is not None and record.result is not None
    assert json.loads(record.result) == {
        "v": 1,
        "status": 201,
        "headers": [["content-type", "text/plain; charset=utf-8"], ["etag", '"7"']],
        "body": "Ym9va2Vk",
    }


def test_an_event_that_fails_too_often_is_given_up(flow: Flow) -> None:
    flow.make(retry_after_seconds=0.0, attempts_max=3)
    statuses = [flow.send(signed("msg_1", PAID), failing).status for _ in range(5)]
    assert statuses == [503, 503, 503, 200, 200]
    assert flow.kinds().count("released") == 3


@pytest.mark.parametrize("value", ["", None, ["a"], {"a": 1}, "x" * 5_000])
def test_a_missing_or_unusable_key_is_refused(flow: Flow, value: Any) -> None:
    flow.make(key=["body:$.order_id"])
    assert receipt(flow.send(signed("msg_1", {"order_id": value}), never)) == (400, "rejected")
    assert receipt(flow.send(signed("msg_1", {}), never)) == (400, "rejected")


def test_a_number_of_any_size_is_a_key_of_its_own() -> None:
    receiver = Receiver(MemoryStore(), provider=trusted(name="shop", key=["body:$.id"]))
    numbers = ["9007199254740993.5", "9007199254740993.6", "9007199254740993.50"]
    receipts = []
    for number in numbers:
        body = f'{{"id": {number}}}'.encode()
        request = HookRequest(method="POST", path="/", headers=[], body=body)
        receipts.append(receiver.receive(request, lambda event: None).headers["hooklatch-receipt"])
    assert receipts == ["processed", "processed", "duplicate"]


def test_without_a_key_the_content_can_be_the_key(flow: Flow) -> None:
    flow.make(key=["body:$.id"], on_missing_key="content")
    assert receipt(flow.send(signed("msg_1", PAID))) == (200, "processed")
    assert receipt(flow.send(signed("msg_2", PAID), never)) == (200, "duplicate")
    assert receipt(flow.send(signed("msg_3", {"order": 8}))) == (200, "processed")


def test_unprotected_runs_are_opt_in_and_are_told(flow: Flow) -> None:
    flow.make(key=["body:$.id"], on_missing_key="run")
    assert flow.send(signed("msg_1", PAID)).status == 200
    assert flow.kinds() == ["ran_unprotected"]


class Away(MemoryStore):
    """Fails in what ``away`` names."""

    def __init__(self, *away: str) -> None:
        super().__init__()
        self.away = set(away)

    def begin(self, *arguments: Any) -> Any:
        return self._unless("begin", *arguments)

    def complete(self, *arguments: Any) -> Any:
        return self._unless("complete", *arguments)

    def fail(self, *arguments: Any) -> Any:
        return self._unless("fail", *arguments)

    def renew(self, *arguments: Any) -> Any:
        return self._unless("renew", *arguments)

    def _unless(self, name: str, *arguments: Any) -> Any:
        if name in self.away:
            raise Unavailable("away")
        return getattr(MemoryStore, name)(self, *arguments)


def test_without_a_store_nothing_is_run(flow: Flow) -> None:
    flow.make(store=Away("begin"))
    answer = flow.send(signed("msg_1", PAID), never)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1


def test_without_a_store_events_run_only_where_that_was_asked_for(flow: Flow) -> None:
    flow.make(store=Away("begin"), on_unavailable="run")
    assert flow.send(signed("msg_1", PAID)).status == 200
    assert flow.kinds() == ["unavailable", "ran_unprotected"]


def test_an_effect_whose_record_cannot_be_completed_is_answered_with_2xx(flow: Flow) -> None:
    store = Away("complete")
    flow.make(store=store)
    assert receipt(flow.send(signed("msg_1", PAID))) == (200, "processed")
    assert flow.kinds()[-1] == "complete_failed"
    store.away.clear()
    flow.drain()
    assert flow.kinds()[-1] == "completed"


def test_a_failure_that_cannot_be_written_down_comes_again(flow: Flow) -> None:
    flow.make(store=Away("fail"), on_unavailable="run")
    assert flow.send(signed("msg_1", PAID), hopeless).status == 503
    assert flow.kinds() == ["reserved", "release_failed"]


def test_a_lease_is_renewed_while_the_handler_works(flow: Flow) -> None:
    flow.make(lease_seconds=0.15)
    running, finish = threading.Event(), threading.Event()

    def handler(_event: Any) -> None:
        running.set()
        assert finish.wait(10)

    first = flow.start(signed("msg_1", PAID), handler)
    assert running.wait(10)
    time.sleep(0.4)
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (503, "in-progress")
    finish.set()
    assert receipt(first.result(10)) == (200, "processed")


def test_who_is_overtaken_is_told_to_stop_and_its_answer_is_not_kept(flow: Flow) -> None:
    store = Away("renew")
    flow.make(store=store, lease_seconds=0.1, wait_seconds=5.0)
    running, second_ended = threading.Event(), threading.Event()
    cancelled: list[bool] = []

    def first(event: Any) -> str:
        running.set()
        assert second_ended.wait(10)
        until = time.monotonic() + 5
        while not event.cancelled and time.monotonic() < until:
            time.sleep(0.01)
        cancelled.append(event.cancelled)
        return "first"

    def second(_event: Any) -> str:
        store.away.clear()
        return "second"

    slow = flow.start(signed("msg_1", PAID), first)
    assert running.wait(10)
    assert receipt(flow.send(signed("msg_1", PAID), second)) == (200, "processed")
    second_ended.set()
    assert slow.result(10).status == 200
    assert cancelled == [True]
    assert "lease_lost" in flow.kinds()
    assert "complete_fenced" in flow.kinds()
    assert flow.send(signed("msg_1", PAID), never).body == b"second"


def test_past_the_deadline_an_async_handler_goes_on_and_its_effect_counts() -> None:
    flow = Flow("async")
    flow.make(deadline_seconds=0.05, lease_seconds=60.0)
    finish = threading.Event()
    late = flow.send(signed("msg_1", PAID), lambda event: finish.wait(10) and None)
    assert receipt(late) == (503, "in-progress")
    finish.set()
    flow.drain()
    record = flow.memory.lookup(KEY)
    assert record is not None and record.state == "completed"
    flow.close()


def test_a_step_is_done_once_over_all_runs_and_gets_one_key(flow: Flow) -> None:
    flow.make(retry_after_seconds=0.0)
    charged: list[str] = []
    mailed: list[str] = []

    def charge(key: str) -> dict[str, int]:
        charged.append(key)
        return {"id": len(charged)}

    def mail(key: str) -> None:
        mailed.append(key)
        if len(mailed) == 1:
            raise RuntimeError("the mail server is away")

    def handler(event: Any) -> None:
        assert flow.step(event, "charge", charge) == {"id": 1}
        flow.step(event, "mail", mail)

    assert flow.send(signed("msg_1", PAID), handler).status == 503
    assert flow.send(signed("msg_1", PAID), handler).status == 200
    assert len(charged) == 1
    assert len(mailed) == 2 and mailed[0] == mailed[1] != charged[0]


def test_a_long_answer_is_not_kept_and_the_duplicate_says_so(flow: Flow) -> None:
    flow.make(result_bytes_max=10)
    assert len(flow.send(signed("msg_1", PAID), lambda event: "x" * 11).body) == 11
    again = flow.send(signed("msg_1", PAID), never)
    assert (*receipt(again), again.body) == (200, "duplicate", b"")


def test_a_long_body_is_refused_before_anything_else(flow: Flow) -> None:
    flow.make(body_bytes_max=100)
    assert flow.send(signed("msg_1", "x" * 200), never).status == 413


def test_api_mode_says_409_in_flight_and_repeats_the_stored_status(flow: Flow) -> None:
    flow.make(mode="api")
    running, finish = threading.Event(), threading.Event()

    def handler(_event: Any) -> Answer:
        running.set()
        assert finish.wait(10)
        return Answer(201, body="made")

    first = flow.start(signed("msg_1", PAID), handler)
    assert running.wait(10)
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (409, None)
    finish.set()
    assert first.result(10).status == 201
    again = flow.send(signed("msg_1", PAID), never)
    assert (*receipt(again), again.body) == (201, "duplicate", b"made")
    assert receipt(flow.send(signed("msg_1", {"order": 8}), never)) == (409, "rejected")


def test_api_mode_keeps_a_refusal_and_not_a_failure(flow: Flow) -> None:
    flow.make(mode="api", retry_after_seconds=0.0, conflict_status=422)
    assert flow.send(signed("msg_1", PAID), lambda event: Answer(404)).status == 404
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (404, None)
    assert flow.send(signed("msg_1", {"order": 8}), never).status == 422
    upstream = flow.send(signed("msg_2", PAID), lambda event: Answer(502, body="upstream"))
    assert (upstream.status, upstream.body) == (502, b"upstream")
    assert receipt(flow.send(signed("msg_2", PAID))) == (200, "processed")


def test_an_event_is_remembered_for_longer_than_its_provider_repeats_it() -> None:
    with pytest.raises(ValueError, match="259200 s.*60 s"):
        Receiver(MemoryStore(), provider=stripe("whsec_x"), retention_seconds=60)


def test_a_receiver_that_is_drained_takes_no_more(flow: Flow) -> None:
    flow.drain()
    assert flow.send(signed("msg_1", PAID), never).status == 503


def test_tenants_and_consumers_never_meet(flow: Flow) -> None:
    store = MemoryStore()
    for tenant, consumer in (("a", "x"), ("b", "x"), ("a", "y"), ("ax", "")):
        flow.make(store=store, tenant=lambda request, tenant=tenant: tenant, consumer=consumer)
        assert receipt(flow.send(signed("msg_1", PAID))) == (200, "processed")
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (200, "duplicate")


def effects(database: str) -> int:
    with psycopg.connect(database) as connection:
        return len(connection.execute("SELECT 1 FROM effects").fetchall())


def test_v3_claim_and_effect_are_one_commit(flow: Flow, database: str) -> None:
    flow.make(database=database, retry_after_seconds=0.0)
    attempts: list[int] = []

    def book(event: Any) -> None:
        flow.execute(event, "INSERT INTO effects VALUES ('7')")
        attempts.append(event.attempt)

    def book_and_fail(event: Any) -> None:
        book(event)
        raise RuntimeError("after the effect")

    assert flow.send(signed("msg_1", PAID), book_and_fail).status == 503
    assert effects(database) == 0
    assert receipt(flow.send(signed("msg_1", PAID), book)) == (200, "processed")
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (200, "duplicate")
    assert (attempts, effects(database)) == ([1, 2], 1)


def test_of_16_at_once_in_transactions_one_runs(flow: Flow, database: str) -> None:
    flow.make(database=database, wait_seconds=10.0)
    runs: list[int] = []

    def handler(_event: Any) -> None:
        runs.append(1)
        time.sleep(0.05)

    started = [flow.start(signed("msg_1", PAID), handler) for _ in range(16)]
    receipts = [receipt(future.result(30)) for future in started]
    assert len(runs) == 1
    assert receipts.count((200, "duplicate")) == 15


def test_a_duplicate_of_a_transaction_in_flight_is_told_to_come_again(
    flow: Flow, database: str
) -> None:
    flow.make(database=database, wait_seconds=0.05)
    running, finish = threading.Event(), threading.Event()

    def handler(_event: Any) -> None:
        running.set()
        assert finish.wait(10)

    first = flow.start(signed("msg_1", PAID), handler)
    assert running.wait(10)
    assert receipt(flow.send(signed("msg_1", PAID), never)) == (503, "in-progress")
    finish.set()
    assert first.result(10).status == 200


def test_a_transaction_that_the_database_wants_again_is_done_again(
    flow: Flow, database: str
) -> None:
    flow.make(database=database)
    runs: list[int] = []

    def handler(event: Any) -> None:
        flow.execute(event, "INSERT INTO effects VALUES ('7')")
        runs.append(1)
        if len(runs) == 1:
            again = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"
            flow.execute(event, again)

    assert receipt(flow.send(signed("msg_1", PAID), handler)) == (200, "processed")
    assert (len(runs), effects(database)) == (2, 1)


def test_an_event_that_always_fails_in_its_transaction_is_given_up(
    flow: Flow, database: str
) -> None:
    flow.make(database=database, retry_after_seconds=0.0, attempts_max=2)
    statuses = [flow.send(signed("msg_1", PAID), failing).status for _ in range(4)]
    assert statuses == [503, 503, 200, 200]
