"""Receive webhooks so that each event has its effect once.

Stores and adapters are imported by their own names (``hooklatch_receiver.postgres``, ``.redis``,
``.gateway``, ``.memory``, ``.fastapi``, ``.django``, ``.flask``), so that nobody loads a driver
that is not used.
"""

from .answers import AnswerPolicy, Mode, Receipt, answer_for
from .async_receiver import AsyncHandler, AsyncReceiver
from .event import AsyncHookEvent, HookEvent, Overtaken
from .fingerprints import fingerprint
from .keys import scope_key, step_key
from .outcomes import (
    AsyncClaimStore,
    Begin,
    BeginRequest,
    Busy,
    ClaimRecord,
    ClaimState,
    ClaimStore,
    Completed,
    Conflict,
    Dead,
    Done,
    Ended,
    Metadata,
    PermanentFailure,
    RetryLater,
    Run,
    Saved,
    Unavailable,
)
from .providers import Provider, github, hmac, standard_webhooks, stripe, trusted
from .receiver import Handler, Receiver
from .request import HookRequest
from .results import Answer
from .settings import Notice, NoticeKind, Settings
from .signatures import (
    GithubVerifier,
    HmacVerifier,
    Refusal,
    StandardWebhooksVerifier,
    StripeVerifier,
    Verifier,
)
from .transactions import AsyncTransactions, Transactions

__all__ = [name for name in dir() if not name.startswith("_") and name[0].isupper()] + [
    "answer_for",
    "fingerprint",
    "github",
    "hmac",
    "scope_key",
    "standard_webhooks",
    "step_key",
    "stripe",
    "trusted",
]
