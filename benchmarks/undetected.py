"""A worker that looks for nothing: it scores as ours does, with every detector taken out. What detection costs."""

from contracts.detection import Signals
from stream_app import pipeline
from stream_app.configuration import read_settings
from stream_app.detectors.known import Known
from stream_app.logs import set_up_logging
from stream_app.model_slot import LoadedModel
from stream_app.worker import run_worker


def main() -> None:
    # What the types say of these is no longer true on purpose.
    Known.drop_repeated = lambda *_: []  # type: ignore[method-assign]
    Known.odd = lambda *_: {}  # type: ignore[method-assign]
    LoadedModel.singles = lambda *_: {}  # type: ignore[assignment]
    pipeline.of_events = lambda *_: Signals(0, {})  # type: ignore[attr-defined]
    pipeline._part = lambda *_: None
    set_up_logging("supervisor")
    run_worker(read_settings(), 0)


if __name__ == "__main__":
    main()
