"""The final count of a publisher."""

import msgspec

from contracts.errors import UserError


class TopicCount(msgspec.Struct):
    """Records of one topic. After the publisher's `close`, sent = delivered + failed."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0


class Report(msgspec.Struct, frozen=True):
    """Records handed over (`sent`), confirmed by the brokers (`delivered`), and not (`failed`), by topic and in all."""

    topics: dict[str, TopicCount]

    @property
    def sent(self) -> int:
        return sum(count.sent for count in self.topics.values())

    @property
    def delivered(self) -> int:
        return sum(count.delivered for count in self.topics.values())

    @property
    def failed(self) -> int:
        return sum(count.failed for count in self.topics.values())


class PublishFailed(UserError):  # as contracts.errors.ModelRejected: what happened to whom
    """At least one record was not confirmed; `report` counts."""

    def __init__(self, text: str, report: Report) -> None:
        super().__init__(text)
        self.report = report
