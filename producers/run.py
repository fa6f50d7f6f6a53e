"""The loop that all production shares: take what is due, send it, and what is delayed when its time comes."""

import heapq
import itertools
import time
from collections.abc import Callable

import msgspec

from contracts.topics import EVENTS
from producers.pacing import Pace
from producers.sources import Sink, Source, SourceRecord


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is.

    `waiting` records are made but not due; `attacked` are an attack's, sent or withheld; `behind_s` is how late sending
    is, in seconds.
    """

    sent: int
    attacked: int
    waiting: int
    behind_s: float
    max_behind_s: float


def run(
    source: Source,
    sink: Sink,
    pace: Pace,
    *,
    stop: Callable[[], bool] = lambda: False,
    limit: int | None = None,
    clock: Callable[[], float] = time.time,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Send the records of `source` to `sink` at `pace` until its end, `limit` patient events, or `stop`.

    After the end of the source it stays for the delayed records; after `stop` it does not, and `waiting` counts them.
    What an attack adds counts neither for the pace nor for `limit`; what it withholds counts for both.
    Memory grows with rate x delay and nothing else. `clock` returns epoch seconds; `on_progress` is called once a
    round, in this thread. Records may still be on their way when this returns: close the publisher to know.

    Raises `UserError` from the source (what it gave before is sent) and from the sink.
    """
    delayed: list[tuple[float, int, SourceRecord]] = []
    tie_break = itertools.count()  # records do not compare; equal times keep their order
    made = sent = attacked = 0
    behind_s = max_behind_s = 0.0
    ended = limit == 0

    def so_far() -> Progress:
        return Progress(
            sent=sent, attacked=attacked, waiting=len(delayed), behind_s=behind_s, max_behind_s=max_behind_s
        )

    while not stop() and (delayed or not ended):
        now_s = pace.now_s()
        ripe: list[SourceRecord] = []
        while delayed and delayed[0][0] <= now_s:
            ripe.append(heapq.heappop(delayed)[2])
        due = 0 if ended else pace.due()
        if due:
            behind_s = pace.behind_s()
            max_behind_s = max(max_behind_s, behind_s)
            count = due if limit is None else min(due, limit - made)
            taken = source.take(count, int(clock() * 1000))
            events = 0
            for record in taken:
                events += record.topic is EVENTS and record.attack != "added"
                if record.attack == "withheld":
                    attacked += 1
                elif record.delay_s:
                    heapq.heappush(delayed, (now_s + record.delay_s, next(tie_break), record))
                else:
                    ripe.append(record)
            made += events
            pace.sent(events)
            ended = not taken or (limit is not None and made >= limit)
        if ripe:
            sink.send(ripe)
            sent += len(ripe)
            attacked += sum(record.attack is not None for record in ripe)
        elif delayed or not ended:
            # An ended source leaves only delayed records to wait for; the pace's own wait would be as short as 1 ms.
            sink.poll(min(0.1, max(0.001, delayed[0][0] - now_s)) if ended and delayed else pace.wait_s())
        on_progress(so_far())
    return so_far()
