"""What `cardiosentry baseline` learns from: the events of a stretch of the stream, checked as a worker checks them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cli.embedded import is_embedded
from cli.kafka import client_properties, connect
from cli.releasing import now_ms
from contracts.errors import RetryableError, UserError
from contracts.features import Matrix
from contracts.settings import Settings
from contracts.topics import EVENTS
from models.baseline import MOST_EVENTS
from models.event_sample import Events, EventSample
from models.release_log import ReleaseLog
from models.scorer import Scorer
from models.store import open_store
from monitoring.reader import TopicReader
from stream_app.configuration import read_keyring
from stream_app.decode import Decoder
from stream_app.loading import Loader
from stream_app.messages import to_batch
from stream_app.model_slot import LoadedModel

_AT_ONCE = 2000


@dataclass(frozen=True)
class Learned:
    """A sample of the events, of how many records it is and how many of those were refused, and the model's scores."""

    events: Events
    read: int
    refused: int
    score: Callable[[Matrix], npt.NDArray[np.floating]]


def live_champion(settings: Settings, log: ReleaseLog) -> LoadedModel:
    """Return the champion that workers score with, verified as they verify it; raises `UserError`.

    Its decoder refuses what is contained by `log`, whenever it was sent.
    """
    releases = log.candidates("champion", now_ms=now_ms())
    if not releases:
        raise UserError("champion: expected one that is live, found none; release one by `cardiosentry release`")
    keyring = read_keyring(Path(settings.keys), required=settings.require_mac)
    load = Loader(
        open_store(settings.store),
        log,
        lambda event: Decoder(
            event,
            "observed_at",
            keyring,
            require_mac=settings.require_mac,
            max_future_ms=settings.max_future_s * 1000,
            contained=lambda: log.contained,
        ),
    )
    try:
        return load(releases[0])
    except RetryableError as error:
        raise UserError(f"setting store: {error}") from None


def learn(settings: Settings, champion: LoadedModel, since_ms: int, until_ms: int) -> Learned:
    """Return what stands in patient-events from `since_ms` to before `until_ms` by Kafka's timestamps."""
    topic = settings.topic_prefix + EVENTS.name
    sample = EventSample(MOST_EVENTS, len(champion.bundle.manifest.feature_table.features))
    read = refused = 0
    # The embedded broker has no index of times.
    beginning = is_embedded(connect(settings)[1].cluster_id)
    since = None if beginning else since_ms
    with TopicReader(client_properties(settings), [topic], beginning=beginning, since_ms=since) as reader:
        wanted = (each for each in reader.until_end() if since_ms <= each.timestamp()[1] < until_ms)
        while messages := list(islice(wanted, _AT_ONCE)):
            decoded = champion.decoder(to_batch(topic, messages, {}), now_ms())
            values = champion.score.values(decoded)
            sample.add(decoded.records, values)
            read += len(messages)
            refused += len(decoded.rejected)
    return Learned(sample.events, read, refused, Scorer(champion.bundle).score)
