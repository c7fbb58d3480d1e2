"""What the adapters of HTTP clients share: what may be repeated, which headers go along, what an answer means.

A request goes through a pipeline as a stream whose first item is the answer's head and whose others are the chunks of
its body: so retry and fallback act until there is an answer, the permit is held until the body is exhausted, closed or
collected, and `Timeout(limit=, idle=, min_rate=)` bounds the body too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from seawall.core.context import idempotency_key, remaining
from seawall.core.errors import ConfigurationError, DeadlineExceededError, TimedOutError
from seawall.core.verdict import Verdict
from seawall.integrations._common import SeawallWarning as SeawallWarning
from seawall.integrations._common import time_is_up
from seawall.policies.retry import Retry

if TYPE_CHECKING:
    from seawall.pipeline.calling import Bound
    from seawall.pipeline.compose import Pipeline

#: Methods that do no harm when done twice. Source: RFC 9110 section 9.2.2.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
KEY_HEADER = "Idempotency-Key"  #: draft-ietf-httpapi-idempotency-key-header
DEADLINE_HEADER = "deadline-left-ms"  #: whole milliseconds that are left; relative, so no clock needs to be right
SMALL_ANSWER_BYTES = 65_536  #: failed answers up to this size are read at once, which frees their connections


class UnwantedAnswer(Exception):  # noqa: N818  # no error to a caller: it gets the answer
    """An answer that counts as a failure, on its way through the policies; the caller gets the answer itself.

    Rules that look at errors (`Retry(retryable=…)`, `Fallback(on=…)`) meet it; `classify` is asked about the answer.

    Args:
        response: the answer, with `status_code` and `headers`.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(f"answer {response.status_code}")
        self.response = response
        self.__seawall_answer__ = response


class HttpRules:
    """The rules of one adapter.

    Args:
        pipeline: what requests go through.
        key: for policies that keep a state for each key: "host" is host and port, a function takes the request and
            gives the key, None leaves it to the policies.
        peers: hosts ("api.internal" or "api.internal:8443") that are told the deadline in `deadline-left-ms`. No other
            is: how long a caller waits is nobody else's business.

    Raises:
        ConfigurationError: for a policy that cannot act on HTTP requests.
    """

    def __init__(
        self, pipeline: Pipeline, *, key: str | Callable[[Any], Hashable] | None, peers: Collection[str]
    ) -> None:
        if isinstance(peers, str):
            raise ConfigurationError(f"peers = {peers!r}: must be a list of hosts")
        if not (key is None or key == "host" or callable(key)):
            raise ConfigurationError(f'key = {key!r}: must be "host", a function of the request, or None')
        pipeline._check_stream()
        self._retries = [policy for policy in pipeline.policies if isinstance(policy, Retry)]
        for retry in self._retries:
            if retry.after_first != "raise":
                raise ConfigurationError(
                    f'Retry.after_first = {retry.after_first!r} in "{pipeline.name}": an HTTP body arrives in other '
                    "pieces each time and cannot be gone on with; protect the stream of items with pipeline.stream(…)"
                )
        self.pipeline = pipeline
        self._key = key
        self._peers = frozenset(peer.lower() for peer in peers)

    def calls(self, method: str, authority: str, request: Any, *, keyed: bool, replayable: bool) -> Bound:
        """The pipeline for one request.

        Args:
            method: of the request.
            authority: host, with the port unless it is the scheme's own.
            request: for the rule of the key.
            keyed: whether the request has an idempotency key of its own.
            replayable: whether its body can be sent twice.
        """
        key: Hashable = None
        if self._key is not None:
            key = authority if not callable(self._key) else self._key(request)
        keyed = keyed or idempotency_key() is not None or any(one.idempotent == "key" for one in self._retries)
        harmless = method.upper() in REPEATABLE or keyed
        # a retry that says False of itself keeps its word; True only says that this adapter may judge
        said = harmless and replayable and all(one.idempotent is not False for one in self._retries)
        return self.pipeline.with_options(key=key, idempotent=said)

    def headers(self, method: str, host: str, authority: str, present: Mapping[str, str]) -> dict[str, str]:
        """Headers to add to an attempt: the key of the logical call, and the deadline for a declared peer."""
        added = {}
        key = idempotency_key()
        if key is not None and method.upper() not in REPEATABLE and KEY_HEADER not in present:
            added[KEY_HEADER] = key
        left = remaining()
        if left is not None and {host.lower(), authority.lower()} & self._peers:
            added[DEADLINE_HEADER] = str(math.floor(left * 1000))
        return added

    def unwanted(self, response: Any) -> UnwantedAnswer | None:
        """The error for an answer that is a failure, or that the retry wants again; None for one to hand on."""
        verdict = self.pipeline._judge.judge(None, response)
        answer = UnwantedAnswer(response)
        if verdict.failed or verdict is Verdict.THROTTLED:
            return answer
        again = response.status_code >= 400 and any(retry._predicate(answer) for retry in self._retries)
        return answer if again else None

    def check_time(self, what: str) -> None:
        """Refuse to send when nothing remains."""
        if time_is_up():
            raise DeadlineExceededError(
                f'{what} through "{self.pipeline.name}" rejected: the deadline has passed; nothing was sent.',
                policy="deadline",
                name=self.pipeline.name,
            )

    def timed_out(self, what: str) -> TimedOutError:
        """The error for a request that our deadline cut short."""
        return TimedOutError(
            f'{what} through "{self.pipeline.name}" was cut short by the deadline. It may have been executed.',
            policy="deadline",
            name=self.pipeline.name,
        )


def authority_of(scheme: str, host: str, port: int | None) -> str:
    """Host and port in lower case, the port left out if it is the scheme's own."""
    usual = {"http": 80, "https": 443}.get(scheme)
    return host.lower() if port is None or port == usual else f"{host.lower()}:{port}"


def hand_over(stream: Any, response: Any) -> None:
    """Let the policies judge the end of the exchange by the answer that is being handed to the caller."""
    stream._core.call.value = response
