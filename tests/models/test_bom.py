"""A bundle's bill of materials: valid, the same every time, and of what the bundle holds."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cli.main import cardiosentry
from models.bom import bill_of_materials
from models.bundle import MANIFEST_FILE, SIGNATURE_FILE, bundle_digest, decode_manifest, encode_manifest
from models.provenance import STEPS, file_of
from models.verify import read_bundle
from tests.conftest import Trained
from tests.models.test_provenance import made as chain_of
from tests.support.site import Site


@pytest.fixture
def files(trained: Trained) -> dict[str, bytes]:
    return dict(read_bundle(trained.bundle))


@pytest.fixture
def proven(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with a chain of statements beside them."""
    return files | {name: content for name, content in chain_of().items() if name.startswith("provenance-")}


def read(files: dict[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bill_of_materials(files))
    return found


@pytest.mark.parametrize("which", ["files", "proven"])
def test_it_is_valid_by_the_schema_of_the_specification(which: str, request: pytest.FixtureRequest) -> None:
    bom = bill_of_materials(request.getfixturevalue(which)).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
    spoilt = bom.replace('"machine-learning-model"', '"oracle"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(spoilt) is not None


def test_the_same_digest_gives_the_same_bytes_and_another_one_another_serial_number(files: dict[str, bytes]) -> None:
    assert bill_of_materials(files) == bill_of_materials(files | {SIGNATURE_FILE: b"signed again"})
    manifest = msgspec.structs.replace(decode_manifest(files[MANIFEST_FILE]), version="2.0.0")
    other = read(files | {MANIFEST_FILE: encode_manifest(manifest)})
    assert other["serialNumber"] != read(files)["serialNumber"]


def test_it_names_the_model_its_files_data_libraries_and_worth(files: dict[str, bytes]) -> None:
    bom, manifest = read(files), decode_manifest(files[MANIFEST_FILE])
    model = bom["metadata"]["component"]
    assert (model["type"], model["bom-ref"]) == ("machine-learning-model", bundle_digest(files))
    assert {each["name"]: each["hashes"][0]["content"] for each in model["components"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != SIGNATURE_FILE
    }
    components = {each["name"]: each for each in bom["components"]}
    assert components["training data"]["hashes"][0]["content"] == manifest.training_data.sha256
    for name, version in manifest.libraries.items():
        kind = "generic" if name == "python" else "pypi"
        assert (components[name]["version"], components[name]["purl"]) == (version, f"pkg:{kind}/{name}@{version}")
    assert {"numpy", "scikit-learn", "joblib", "protobuf", "python"} <= components.keys()
    (found,) = (
        each for each in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] if each["type"] == "auc"
    )
    low, high = map(float, (found["confidenceInterval"][f"{end}Bound"] for end in ("lower", "upper")))
    assert low < float(found["value"]) == manifest.evaluation.auc < high
    (needs,) = (each for each in bom["dependencies"] if each["ref"] == model["bom-ref"])
    assert set(needs["dependsOn"]) == {each["bom-ref"] for each in bom["components"]}


def test_limits_of_the_shipped_patients_are_told_of_no_other_model(files: dict[str, bytes]) -> None:
    def limits(files: dict[str, bytes]) -> str:
        return " ".join(read(files)["metadata"]["component"]["modelCard"]["considerations"]["technicalLimitations"])

    manifest = decode_manifest(files[MANIFEST_FILE])
    data = msgspec.structs.replace(manifest.training_data, sha256="0" * 64)
    other = files | {MANIFEST_FILE: encode_manifest(msgspec.structs.replace(manifest, training_data=data))}
    for each in (files, other):
        assert "no medical device" in limits(each)
    assert "Switzerland" in limits(files)
    assert "Switzerland" not in limits(other)


def test_its_provenance_is_referred_to_and_dates_it(files: dict[str, bytes], proven: dict[str, bytes]) -> None:
    bom = read(proven)
    named = {each["url"]: each["hashes"][0]["content"] for each in bom["metadata"]["component"]["externalReferences"]}
    assert named == {file_of(step): hashlib.sha256(proven[file_of(step)]).hexdigest() for step in STEPS}
    assert bom["metadata"]["timestamp"] == "2026-11-23T00:00:01+00:00"
    for undated in (files, proven | {file_of("gate-2"): b"no statement"}):
        assert "timestamp" not in read(undated)["metadata"]


def test_the_command_writes_it_of_a_verified_bundle_and_of_no_other(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "bom.json"

    def ask(bundle: Path) -> None:
        done = CliRunner().invoke(cardiosentry, ["provenance", str(bundle), f"--keys={site.keys}", f"--bom={out}"])
        assert done.exit_code == 1  # neither has a chain

    forged = tmp_path / "forged"
    forged.mkdir()
    for name, content in read_bundle(site.bundle).items():
        (forged / name).write_bytes(content.replace(b"heart-disease-uci", b"heart-disease-ucj"))
    ask(forged)
    assert not out.exists()
    ask(site.bundle)
    assert out.read_bytes() == bill_of_materials(read_bundle(site.bundle))
