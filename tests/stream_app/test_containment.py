"""While an incident is contained, records of a blocked source or by a revoked key go to quarantine, and no others."""

from contracts.events import Event, event_type
from contracts.heart_disease import HEART_DISEASE
from contracts.reasons import Reason
from contracts.releases import Contained
from producers.sources import SourceRecord
from stream_app.decode import Decoded, Decoder
from tests.producers.support import AT_MS, KEYRING, synthetic
from tests.stream_app.support import CHECKS, NOW_MS, batch_of, edited, wire

SOURCES = ("synthetic", "synthetic/icu", "synthetic/icu/bed-4", "synthetic/icu2", "uci/cleveland")


class Site:
    """A decoder, whose records it is told to refuse."""

    def __init__(self, *, require_mac: bool = True) -> None:
        self.contained = Contained()
        self._signed = require_mac
        self._decode: Decoder[Event] = Decoder(
            event_type(HEART_DISEASE),
            "observed_at",
            require_mac=require_mac,
            contained=lambda: self.contained,
            **CHECKS,
        )

    def refused(self) -> dict[str, Reason]:
        """Return why records of `SOURCES`, one each, are refused, by source."""
        made = [edited(record, source=source) for record, source in zip(records(), SOURCES, strict=True)]
        found: Decoded[Event] = self._decode(batch_of([wire(each, sign=self._signed) for each in made]), NOW_MS)
        assert sorted([*found.rows, *found.rejected]) == list(range(len(SOURCES)))
        assert all(found.claimed[row] == SOURCES[row] for row in found.rejected)
        return {SOURCES[row]: error.reason for row, error in found.rejected.items()}


def records() -> list[SourceRecord]:
    return list(synthetic().take(len(SOURCES), AT_MS))


def test_a_blocked_source_and_all_below_it_are_refused_until_it_is_unblocked() -> None:
    site = Site()
    assert site.refused() == {}
    site.contained = Contained(sources=frozenset({"synthetic/icu"}))
    assert site.refused() == {"synthetic/icu": Reason.BLOCKED, "synthetic/icu/bed-4": Reason.BLOCKED}
    site.contained = Contained(sources=frozenset({"uci", "synthetic/icu2"}))
    assert site.refused() == {"uci/cleveland": Reason.BLOCKED, "synthetic/icu2": Reason.BLOCKED}
    site.contained = Contained()
    assert site.refused() == {}


def test_a_block_holds_for_records_without_a_mac_too() -> None:
    site = Site(require_mac=False)
    site.contained = Contained(sources=frozenset({"uci"}))
    assert site.refused() == {"uci/cleveland": Reason.BLOCKED}


def test_a_revoked_key_is_refused_whatever_it_speaks_for() -> None:
    site = Site()
    key = KEYRING.key_for("uci/cleveland").key_id
    site.contained = Contained(keys=frozenset({key, "never-was"}))
    assert site.refused() == dict.fromkeys(SOURCES, Reason.BLOCKED)
    site.contained = Contained()
    assert site.refused() == {}
