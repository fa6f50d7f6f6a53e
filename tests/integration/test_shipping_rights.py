"""The rights that docs/shipping.md tells to give are enough, and less than enough to read, change or delete."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AuthorizationException, Elasticsearch

from contracts.topics import PREDICTIONS
from tests.conftest import cannot_run
from tests.support.broker import Broker
from tests.support.elastic import PASSWORD, ElasticServer, ElasticUnavailable
from tests.support.process import ROOT, run_command
from tests.support.shipping import Shipped, Shipping, predictions, publish
from tests.support.site import Site


def documented_roles() -> dict[str, Any]:
    """Return the roles of the API keys in docs/shipping.md, for every prefix."""
    text = (ROOT / "docs" / "shipping.md").read_text("utf-8").replace('"cardiosentry-*"', '"*cardiosentry-*"')
    bodies = re.findall(r"```json\nPOST /_security/api_key\n(.*?)```", text, re.DOTALL)
    return {name: role for body in bodies for name, role in json.loads(body)["role_descriptors"].items()}


@pytest.fixture(scope="module")
def secure() -> Iterator[ElasticServer]:
    try:
        with ElasticServer(roles=documented_roles()) as server:
            yield server
    except ElasticUnavailable as error:
        cannot_run(str(error), "real Elasticsearch")


def login(user: str, password: str = PASSWORD) -> dict[str, str]:
    return {"ELASTIC_USERNAME": user, "ELASTIC_PASSWORD": password}


def run(server: ElasticServer, prefix: str, *arguments: str, user: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run_command("ship", *arguments, "--elastic", server.address, "--topic-prefix", prefix, env=user)


def test_each_role_may_do_its_own_work_and_no_more(
    secure: ElasticServer, kafka: Broker, site: Site, tmp_path: Path
) -> None:
    prefix = kafka.topics("rights")
    made = run(secure, prefix, "--setup", "--without-ilm", user=login("setup"))
    assert made.returncode == 0, made.stderr
    now_ms = time.time_ns() // 1_000_000  # what is older than the topic's retention the broker deletes
    sent = predictions(50, now_ms, now_ms)
    publish(kafka.bootstrap, prefix + PREDICTIONS.name, sent)
    shipped = Shipped(secure.address, prefix, ("superuser", PASSWORD))
    log = tmp_path / "log"
    with Shipping(kafka.bootstrap, prefix, secure.address, site.keys, log, **login("ship")) as shipping:
        shipped.wait_for("predictions", 50, shipping)
        assert shipping.stop() == 0

    (first, *_) = shipped.documents("predictions")
    where, identity = first["_index"], first["_id"]
    ship = Elasticsearch(secure.address, basic_auth=("ship", PASSWORD))
    forbidden: list[Callable[[], object]] = [
        lambda: ship.search(index=where),
        lambda: ship.get(index=where, id=identity),
        lambda: ship.index(index=where, id=identity, document=first["_source"]),
        lambda: ship.delete(index=where, id=identity),
        lambda: ship.indices.delete(index=where),
        lambda: ship.indices.put_settings(index=where, settings={"index.refresh_interval": "1h"}),
        lambda: ship.create(index="another", id="1", document={"a": 1}),
    ]
    for each in forbidden:
        with pytest.raises(AuthorizationException):
            each()
    assert len(shipped.documents("predictions")) == 50
    assert PASSWORD not in log.read_text()


def test_a_wrong_password_and_a_missing_right_are_told(secure: ElasticServer) -> None:
    wrong = run(secure, "", "--setup", "--without-ilm", user=login("setup", "hidden"))
    lacking = run(secure, "", "--setup", "--without-ilm", user=login("ship"))
    assert (wrong.returncode, lacking.returncode) == (1, 1)
    assert "expected a key or password that it takes" in wrong.stderr
    assert "expected a key with the rights that docs/shipping.md lists" in lacking.stderr
    assert "hidden" not in wrong.stderr
