"""Write the pictures of docs/kibana.md: panels of a system whose worker somebody attacks, as Kibana would draw them."""

import io
import tempfile
from pathlib import Path

from PIL import Image

from monitoring.kibana.package import SAVED_OBJECTS, packaged
from tests.support.broker import Broker
from tests.support.elastic import ElasticServer
from tests.support.incidents import Incidents
from tests.support.kafka import KafkaServer
from tests.support.kibana import answered, panels, png
from tests.support.site import make_site

HERE = Path(__file__).parent
SHOWN = ("atlas", "predictions-and-alerts")
_COLOURS = 128  # of what is shown, so few are seen to be enough; of 64 two severities are one


def main() -> None:
    """Fill an Elasticsearch, ask it what the panels ask, and keep what Vega draws."""
    with tempfile.TemporaryDirectory() as name, KafkaServer() as kafka, ElasticServer() as elastic:
        directory = Path(name)
        incidents = Incidents(Broker(kafka.bootstrap, real=True), elastic, make_site(directory / "site"), directory)
        for panel in panels(packaged(SAVED_OBJECTS, incidents.prefix)):
            file = panel.name.rpartition("panel-")[2]
            if file in SHOWN:
                made = answered(incidents.shipped.client, panel.spec, incidents.bounds)
                picture = Image.open(io.BytesIO(png(panel, made)))
                picture.convert("RGB").quantize(_COLOURS).save(HERE / f"{file}.png", optimize=True)


if __name__ == "__main__":
    main()
