"""What `cardiosentry ship` needs of the other packages: the topics' identities, and who may sign what."""

from pathlib import Path

from confluent_kafka import KafkaException, TopicCollection

from cli.embedded import is_embedded
from cli.kafka import connect
from contracts.access import SHIPPER
from contracts.errors import ModelRejected, UserError
from contracts.settings import Settings
from models.release_log import ReleaseLog
from models.roots import read_root
from monitoring.elastic.audit import Judge, Judged

_TIMEOUT_S = 10.0


def topic_identities(settings: Settings) -> dict[str, str]:
    """Return each topic's UUID by its name; the cluster's id on the embedded broker, whose topics have none."""
    names = [settings.topic_prefix + topic.name for topic in SHIPPER.reads]
    client, cluster = connect(settings)
    cluster_id = cluster.cluster_id or ""
    if is_embedded(cluster_id):
        return dict.fromkeys(names, cluster_id)
    identities = {}
    for name, found in client.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S).items():
        try:
            identities[name] = str(found.result().topic_id)
        except KafkaException as error:
            raise UserError(f"topic {name}: expected its description, the broker said: {error.args[0].str()}") from None
    return identities


def new_judge(settings: Settings) -> Judge:
    """Return what judges the records of model-releases, from the first, as workers do."""
    log = ReleaseLog(read_root(Path(settings.keys)))

    def judge(content: bytes) -> Judged:
        try:
            entry = log.read(content)
        except ModelRejected as rejected:
            return Judged(None, fault=str(rejected))
        if entry is None:
            return Judged(None, fault="expected a statement once, this one came before")
        return Judged(entry.statement, entry.signed_by)

    return judge
