"""The steps of the pipeline, put together: each reads what those before it wrote, and writes what it found."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from cli.collecting import collect_topics
from cli.releasing import announce, now_ms, read_releases, release_bundle
from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from contracts.releases import Release
from contracts.settings import Settings
from models.bom import BOM_FILE, bill_of_materials
from models.bundle import MANIFEST_FILE, MODEL_FILE, Manifest, decode_manifest, encode_manifest, write_bundle
from models.dataset import load_dataset
from models.fit import fit
from models.keyfile import KeyFile
from models.pipeline import sealed
from models.pipeline.attacks.poisoning import examine_snapshot
from models.pipeline.attacks.suite import attack
from models.pipeline.champion import Champion, new_to
from models.pipeline.check import Check, Report
from models.pipeline.compliance.gate import comply
from models.pipeline.evaluation import evaluate
from models.pipeline.plots import plot_evaluation
from models.pipeline.policy import Policy
from models.pipeline.rows import Rows, row_digests
from models.pipeline.run import Step, Workspace, sha256_of, write_whole
from models.pipeline.scanners.scan import scan
from models.pipeline.scanners.tree import Paths
from models.pipeline.signed_csv import collect_csv
from models.pipeline.snapshot import MANIFEST_FILE as SNAPSHOT_FILE
from models.pipeline.snapshot import Snapshot, SnapshotWriter
from models.pipeline.training import train
from models.release import sign_step
from models.release_log import ReleaseLog
from models.scorer import Scorer
from models.sealing import PrivateKey, load_public_key
from models.sign import signer
from models.store import fetch, open_store
from models.train import DEFAULT_SEED, assemble, scorer_of
from models.verify import read_bundle, verify_files

_BUNDLE = "bundle"
_ROWS_FILE = "rows.json"
_LEARNT_FILE = "learnt.json.sealed"  # by the digests of rows one could ask whether a patient was among them


class _Split(msgspec.Struct, frozen=True):
    """Positions of a snapshot's rows: those that were learnt from, and those that nothing saw."""

    train: list[int]
    held_out: list[int]


@dataclass
class Retraining:
    """One retrain: what its steps need. `csv` is a directory with a signed file, in place of the topics."""

    settings: Settings
    policy: Policy
    source: Path
    key_path: Path
    passphrase: bytes | None
    csv: Path | None = None
    since_ms: int | None = None
    progress: Callable[[str], None] = lambda _: None

    def steps(self) -> list[Step]:
        """Return the steps in their order."""
        origin = "the signed CSV file" if self.csv else "patient-events and patient-outcomes"
        return [
            Step("collect", f"bring rows together from {origin} into a sealed snapshot", self._collect),
            Step("gate-1", "scan the source; look for what must not be trained on, and for poison", self._gate_1, True),
            Step("train", "set patients aside, compare settings, fit, export and check a graph", self._train, True),
            Step(
                "evaluate", "judge the candidate on the patients that nothing saw, beside the champion", self._evaluate
            ),
            Step("attack", "attack the candidate: evasion, membership, extraction, backdoors", self._attack),
            Step("gate-2", "judge what was found, and scan the candidate's files", self._gate_2, True),
            Step("sign", "write the bundle with its provenance, sign it, and write its bill of materials", self._sign),
            Step("store", f"put its files into {self.settings.store}", self._store),
            Step("release", "announce it as challenger; a person's key makes it champion", self._release),
        ]

    @cached_property
    def _log(self) -> ReleaseLog:
        return read_releases(self.settings)

    @cached_property
    def _unwrapper(self) -> PrivateKey:
        return PrivateKey.load(Path(self.settings.keys) / sealed.PRIVATE_KEY_FILE, "pipeline's")

    @cached_property
    def _trusted(self) -> Rows:
        """The data that comes with the program: judged before anything of the stream was."""
        patients = load_dataset().distinct()
        return Rows(patients.x, patients.y, patients.site, np.arange(len(patients)))

    def _collect(self, workspace: Workspace) -> Report:
        directory = workspace.directory("collect")
        if self.csv is None:
            contained = read_releases(self.settings).contained  # as it is when this step is done
            return collect_topics(
                self.settings, directory, self.policy.collect, contained=contained, since_ms=self.since_ms
            )
        public = load_public_key(Path(self.settings.keys) / sealed.PUBLIC_KEY_FILE, "pipeline's")
        return collect_csv(self.csv, directory, public, self._log.trust, self.policy.collect, now_ms=now_ms())

    def _gate_1(self, workspace: Workspace) -> Report:
        if not workspace.done["collect"].report.passed:
            return Report(step="gate-1", checks=(_carried("collection", workspace.done["collect"].report),))
        security = scan(Paths(source=self.source), self.policy.security, today=datetime.now(UTC).date())
        snapshot = self._snapshot(workspace, "collect")
        complied = comply(pd.concat(snapshot.frames(), ignore_index=True), self.policy.compliance, HEART_DISEASE)
        checks = [*security.checks, *complied.report.checks]
        facts = {**security.facts, **complied.report.facts}
        files: dict[str, str] = {}
        if complied.frame is not None:
            files[SNAPSHOT_FILE] = self._rewritten(workspace, snapshot, complied.frame)
            rows = _rows(self._snapshot(workspace, "gate-1", files[SNAPSHOT_FILE]))
            poison = examine_snapshot(HEART_DISEASE, self._trusted, rows, self.policy.attacks.poisoning, DEFAULT_SEED)
            checks += poison.checks
            facts |= poison.facts
        return Report(step="gate-1", checks=tuple(checks), facts=facts, files=files)

    def _rewritten(self, workspace: Workspace, snapshot: Snapshot, frame: pd.DataFrame) -> str:
        """Write what compliance left of a snapshot as the next one, and return its digest."""
        public = load_public_key(Path(self.settings.keys) / sealed.PUBLIC_KEY_FILE, "pipeline's")
        before = snapshot.manifest
        with SnapshotWriter(workspace.directory("gate-1"), HEART_DISEASE, public) as writer:
            writer.add(frame)
            left = before.rows - len(frame)
            _, digest = writer.finish(
                made_at=now_ms(),
                made_from=before.made_from,
                read=before.read,
                left_out={**before.left_out, **({"compliance": {"remedied": left}} if left else {})},
                places=before.places,
                signed_by=before.signed_by,
            )
        return digest.removeprefix("sha256:")

    def _train(self, workspace: Workspace) -> Report:
        directory, rows = workspace.directory("train"), self._gated_rows(workspace)
        candidate, report = train(rows, self.policy.training, DEFAULT_SEED, self.progress)
        if candidate is None or not report.passed:
            return report
        learnt = rows.take(candidate.train)
        manifest, graph = assemble(
            candidate.model,
            learnt.x,
            learnt.y,
            learnt.site,
            sha256=self._snapshot(workspace, "gate-1").manifest.content,
            seed=DEFAULT_SEED,
            version=f"{datetime.now(UTC):%Y.%m.%d}-{workspace.run.id[-4:]}",
            progress=self.progress,
        )
        written = {
            MODEL_FILE: graph,
            MANIFEST_FILE: encode_manifest(manifest),
            _ROWS_FILE: msgspec.json.encode(_Split(candidate.train.tolist(), candidate.held_out.tolist())),
            _LEARNT_FILE: self._sealed(msgspec.json.encode(sorted(row_digests(learnt.x)))),
        }
        for name, content in written.items():
            write_whole(directory / name, content)
        files = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
        return msgspec.structs.replace(report, files=files)

    def _sealed(self, content: bytes) -> bytes:
        """Return the content as only who holds the pipeline's private key can read it."""
        public = load_public_key(Path(self.settings.keys) / sealed.PUBLIC_KEY_FILE, "pipeline's")
        made = io.BytesIO()
        with sealed.seal_for(public, made) as file:
            file.write(content)
        return made.getvalue()

    def _evaluate(self, workspace: Workspace) -> Report:
        learnt, held_out = self._split(workspace)
        manifest, graph = _candidate(workspace)
        score, champion = scorer_of(graph), self._champion(workspace)
        probabilities = {"candidate": score(held_out.x).astype(np.float64)}
        if champion is not None and champion.learnt is not None and new_to(champion.learnt, held_out).all():
            probabilities["champion"] = np.asarray(champion.score(held_out.x), dtype=np.float64)
        positive = probabilities["candidate"] >= manifest.threshold
        plot_evaluation(workspace.directory("evaluate"), held_out, probabilities, positive)
        return evaluate(
            score,
            manifest.threshold,
            learnt,
            held_out,
            HEART_DISEASE,
            self.policy.evaluation,
            DEFAULT_SEED,
            champion,
        )

    def _attack(self, workspace: Workspace) -> Report:
        learnt, held_out = self._split(workspace)
        manifest, graph = _candidate(workspace)
        return attack(
            HEART_DISEASE,
            scorer_of(graph),
            manifest.threshold,
            learnt,
            held_out,
            self._champion(workspace) or self._of_trusted_rows(),
            graph,
            encode_manifest(manifest),
            self.policy.attacks,
            DEFAULT_SEED,
        )

    def _gate_2(self, workspace: Workspace) -> Report:
        carried = [_carried(name, workspace.done[name].report) for name in ("evaluate", "attack")]
        artefacts = workspace.directory("gate-2") / "artefacts"
        artefacts.mkdir()
        for name in (MODEL_FILE, MANIFEST_FILE):
            write_whole(artefacts / name, (workspace.directory("train") / name).read_bytes())
        today = datetime.now(UTC).date()
        security = scan(Paths(artefacts=artefacts), self.policy.security, today=today, only=("modelscan", "artefacts"))
        return Report(step="gate-2", checks=(*carried, *security.checks), facts=security.facts)

    def _sign(self, workspace: Workspace) -> Report:
        path = workspace.path / _BUNDLE
        manifest, graph = _candidate(workspace)
        digest = write_bundle(path, manifest, graph, signer(self.key_path, self.passphrase), workspace.statements())
        bom = workspace.directory("sign") / BOM_FILE
        write_whole(bom, bill_of_materials(read_bundle(path)))
        files = {file.name: sha256_of(file) for file in (*sorted(path.iterdir()), bom)}
        return Report(step="sign", facts={"bundle": digest}, files=files)

    def _store(self, workspace: Workspace) -> Report:
        store = open_store(self.settings.store)
        stored = [store.put(content) for content in read_bundle(workspace.path / _BUNDLE).values()]
        return Report(step="store", facts={"store": self.settings.store, "files": len(stored)})

    def _release(self, workspace: Workspace) -> Report:
        check_freeze(self.settings)  # it may have come during the run
        digest = str(workspace.done["sign"].report.facts["bundle"])
        key = KeyFile.load(self.key_path, self.passphrase)
        reason = f"retrain {workspace.run.id}"
        for stage in ("candidate", "gated"):
            announce(self.settings, self._log, sign_step(digest, stage, key, reason=reason, now_ms=now_ms()))
        said = release_bundle(
            self.settings, workspace.path / _BUNDLE, role="challenger", reason=reason, days=90, key=self.key_path
        )
        return Report(step="release", facts={"released": said})

    def _champion(self, workspace: Workspace) -> Champion | None:
        """Return the champion in use with what it learnt from, where a run or the shipped data tells."""
        found = self._log.candidates("champion", now_ms=now_ms())
        if not found:
            return None
        release: Release = found[0]
        files = fetch(open_store(self.settings.store), release)
        verified = verify_files(files, self._log.trust_of(release).pems, where=Path("champion"))
        learnt = self._learnt(workspace, release.digest, verified.manifest)
        return Champion(Scorer(verified).score, verified.manifest.threshold, learnt)

    def _learnt(self, workspace: Workspace, digest: str, manifest: Manifest) -> frozenset[str] | None:
        if manifest.training_data.sha256 == load_dataset().sha256:
            return frozenset(row_digests(self._trusted.x))
        for path in workspace.path.parent.glob(f"*/train/{_LEARNT_FILE}"):
            signed = path.parents[1] / "sign" / "report.json"
            if signed.exists() and digest in signed.read_text():
                with sealed.unseal(self._unwrapper, path.open("rb")) as file:
                    return frozenset(msgspec.json.decode(file.read(), type=list[str]))
        return None

    def _of_trusted_rows(self) -> Champion:
        rows = self._trusted
        model = fit(rows.x, rows.y, DEFAULT_SEED)
        return Champion(model.probability, model.threshold, frozenset(row_digests(rows.x)))

    def _snapshot(self, workspace: Workspace, step: str, digest: str | None = None) -> Snapshot:
        digest = digest or workspace.done[step].report.files[SNAPSHOT_FILE]
        return Snapshot.open(workspace.directory(step), f"sha256:{digest}", self._unwrapper, HEART_DISEASE)

    def _gated_rows(self, workspace: Workspace) -> Rows:
        return _rows(self._snapshot(workspace, "gate-1"))

    def _split(self, workspace: Workspace) -> tuple[Rows, Rows]:
        rows = self._gated_rows(workspace)
        split = msgspec.json.decode((workspace.directory("train") / _ROWS_FILE).read_bytes(), type=_Split)
        return rows.take(np.array(split.train)), rows.take(np.array(split.held_out))


def check_freeze(settings: Settings) -> None:
    """Raise `UserError` while retraining is frozen."""
    entry = read_releases(settings).in_force("freeze-retraining")
    if entry is not None:
        by = ", ".join(entry.signed_by)
        raise UserError(f"retraining is frozen by {by}: {entry.reason}; `cardiosentry contain thaw` lets it go on")


def _rows(snapshot: Snapshot) -> Rows:
    rows = snapshot.rows()
    return Rows(rows.x, rows.y, rows.site, np.unique(rows.group, return_inverse=True)[1])


def _candidate(workspace: Workspace) -> tuple[Manifest, bytes]:
    directory = workspace.directory("train")
    return decode_manifest((directory / MANIFEST_FILE).read_bytes()), (directory / MODEL_FILE).read_bytes()


def _carried(name: str, report: Report) -> Check:
    """Return a step's checks as one: whether all of them passed."""
    failed = [check.name for check in report.checks if check.verdict == "fail"]
    return Check(
        name=name,
        verdict="fail" if failed else "pass",
        found=f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed",
        limit="all of them",
        advice=f"Look at {', '.join(failed)} above." if failed else "",
    )
