"""What processes log to standard error: a line an event, as text or as an ECS document."""

import itertools
import logging
import socket
from typing import Literal

from contracts.codec import encode
from contracts.logs import Host, Log, LogError, LogEvent, LogLine, Node, Process, Service
from contracts.times import time_text


def set_up_logging(name: str, form: Literal["text", "ecs"] = "text") -> None:
    """Log to standard error: time, level, who (`name`), event and key=value."""
    if form == "ecs":
        handler = logging.StreamHandler()
        handler.setFormatter(EcsFormatter(name))
        logging.basicConfig(handlers=[handler])
    else:
        logging.basicConfig(format=f"%(asctime)s %(levelname)s {name} %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z")
    logging.getLogger("cardiosentry").setLevel(logging.INFO)
    # A timer that waits for its work is late: without a champion, or a broker, for as long as that lasts.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)


class EcsFormatter(logging.Formatter):
    """One JSON object a line, of the form of contracts/logs.py."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._service = Service(Node(name))
        self._host = Host(socket.gethostname())
        self._number = itertools.count()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        error = None
        if record.exc_info and record.exc_info[0]:
            error = LogError(record.exc_info[0].__name__, self.formatException(record.exc_info))
        line = LogLine(
            timestamp=time_text(int(record.created * 1000)),
            event=LogEvent(sequence=next(self._number)),
            log=Log(record.levelname.lower(), record.name),
            service=self._service,
            process=Process(record.process or 0),
            host=self._host,
            message=record.getMessage(),
            error=error,
        )
        return encode(line).decode()
