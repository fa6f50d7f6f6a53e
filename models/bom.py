"""A bundle's bill of materials for machine learning: CycloneDX 1.6 (ECMA-424) as JSON.

It says what the bundle's files are, by SHA-256, which data and libraries made them, what the model is worth and what
it is not for. It is made of the bundle alone, so that whoever has the bundle can make it again, byte for byte; it lies
beside the bundle, since it names the digest of all that is in it. The signature is left out as in that digest.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from models.bundle import MANIFEST_FILE, PROVENANCE_PREFIX, Manifest, bundle_digest, decode_manifest, digested
from models.card_text import LIMITS, PURPOSE
from models.dataset import load_dataset
from models.dsse import EnvelopeError, open_envelope
from models.metrics import FIGURES
from models.provenance import MAX_BYTES, STEPS, Statement, file_of

BOM_FILE = "bom.cdx.json"

_DATA = "training-data"

# What holds of every model that is made here, whatever the patients were.
_NOT_FOR = ("Not for treating anybody: it is no medical device, and no clinician has validated it.",)
_LIMITS = (
    "A probability for a site that was not in training needs recalibration on outcomes of that site before anybody "
    "relies on it.",
    "What it says of patients unlike those it learnt from is a guess.",
)


def bill_of_materials(files: Mapping[str, bytes]) -> bytes:
    """Return the bill of materials of a verified bundle, `files` by name. The same digest gives the same bytes."""
    manifest, digest = decode_manifest(files[MANIFEST_FILE]), bundle_digest(files)
    model = Component(
        name=manifest.name,
        version=manifest.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=digest,
        description="Probability of disease from the features of a patient event, as a graph in ONNX.",
        components=[
            Component(name=name, type=ComponentType.FILE, bom_ref=name, hashes=[_sha256(files[name])])
            for name in digested(files)
        ],
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.ATTESTATION,
                url=XsUri(name),
                comment="in-toto statement with SLSA provenance, in the bundle",
                hashes=[_sha256(files[name])],
            )
            for name in digested(files)
            if name.startswith(PROVENANCE_PREFIX)
        ],
    )
    data = Component(
        name="training data",
        type=ComponentType.DATA,
        bom_ref=_DATA,
        description=f"{manifest.training_data.patients} patients, {manifest.training_data.positives} with disease; "
        "named by its digest, and no row of it is here",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=manifest.training_data.sha256)],
    )
    libraries = [_library(name, version) for name, version in manifest.libraries.items()]
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, digest), components=[data, *libraries])
    bom.metadata.component = model
    bom.register_dependency(model, [data, *libraries])
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document["metadata"].pop("timestamp")  # the library's: when it was asked
    if made_at := _made_at(files):
        document["metadata"]["timestamp"] = made_at
    document["metadata"]["component"]["modelCard"] = _card(manifest)  # the library has no class for it
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _sha256(content: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(content).hexdigest())


def _library(name: str, version: str) -> Component:
    python = name == "python"
    return Component(
        name=name,
        version=version,
        type=ComponentType.PLATFORM if python else ComponentType.LIBRARY,
        purl=PackageURL("generic" if python else "pypi", name=name, version=version),
        bom_ref=f"{name}@{version}",
    )


def _made_at(files: Mapping[str, bytes]) -> str:
    """Return when the last step of the bundle's provenance was over, "" where no statement says so."""
    try:
        payload = open_envelope(files[file_of(STEPS[-1])], max_bytes=MAX_BYTES).payload
        finished = msgspec.json.decode(payload, type=Statement).predicate.run_details.metadata.finished_on
        return datetime.fromisoformat(finished).isoformat()
    except (KeyError, EnvelopeError, ValueError):
        return ""


def _card(manifest: Manifest) -> dict[str, Any]:
    """Return the `modelCard` of the specification: what the model is, what it is worth, and what it is not for."""
    evaluation = manifest.evaluation
    features = len(manifest.feature_table.features)
    limits = [*_NOT_FOR, *_LIMITS]
    if manifest.training_data.sha256 == load_dataset().sha256:
        limits += _sentences(LIMITS.format(patients=manifest.training_data.patients))
    metrics: list[dict[str, Any]] = []
    for name in FIGURES:
        if (value := getattr(evaluation, name, None)) is not None:
            metrics.append({"type": name, "value": f"{value:g}", "slice": evaluation.method})
            if interval := evaluation.intervals.get(name):
                low, high = (f"{bound:g}" for bound in interval)
                metrics[-1]["confidenceInterval"] = {"lowerBound": low, "upperBound": high}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": f"binary classification, positive from a probability of {manifest.threshold:g} on",
            "architectureFamily": "additive gradient boosting",
            "modelArchitecture": "boosted stumps, one curve a feature, calibrated by Platt's sigmoid",
            "datasets": [{"ref": _DATA}],
            "inputs": [{"format": f"float32 (n, {features}), NaN where missing"}],
            "outputs": [{"format": "float32 (n, 1), probability of disease"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {
            "useCases": [" ".join(PURPOSE.format(feature_count=features).split())],
            "technicalLimitations": limits,
        },
    }


def _sentences(text: str) -> list[str]:
    """Return the entries of a list in Markdown, each as one line."""
    return [" ".join(entry.split()) for entry in f"\n{text}".split("\n- ")[1:]]
