"""A bundle that is not exactly what was signed does not load, and one sentence says why."""

import base64
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.errors import ModelRejected
from models import verify
from models.bundle import BUNDLE_FILES, MAX_BYTES, bundle_digest, decode_manifest, digested, encode_manifest
from models.sign import generate_signing_key, sign_bundle
from models.verify import verify_bundle
from tests.conftest import Trained

Damage = Callable[[Path], object]


def test_a_signed_bundle_verifies_to_the_bytes_on_disk(trained: Trained) -> None:
    bundle = verify_bundle(trained.bundle, trained.public_key)
    assert bundle.digest == trained.digest
    assert bundle.onnx == (trained.bundle / "model.onnx").read_bytes()
    assert bundle.manifest == decode_manifest((trained.bundle / "manifest.json").read_bytes())


def test_a_bundle_may_be_reached_through_a_link_to_its_directory(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(trained.bundle)
    assert verify_bundle(tmp_path / "current", trained.public_key).digest == trained.digest


def link_elsewhere(path: Path) -> None:
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def grow_over_the_limit(path: Path) -> None:
    os.truncate(path, MAX_BYTES[path.name] + 1)


def each_file(title: str, damage: Damage, expected: str) -> dict[str, tuple[Damage, str]]:
    """Return a case for each file of a bundle."""

    def to(name: str) -> Damage:
        return lambda bundle: damage(bundle / name)

    return {title.format(name): (to(name), f"{name}: {expected}") for name in BUNDLE_FILES}


def empty(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()


def edit_signature(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(bundle: Path) -> None:
        content = json.loads((bundle / "model.sig").read_text(encoding="utf-8"))
        change(content)
        (bundle / "model.sig").write_text(json.dumps(content), encoding="utf-8")

    return damage


def edit_payload(old: bytes, new: bytes) -> Damage:
    def change(content: dict[str, Any]) -> None:
        payload = base64.b64decode(content["dsseEnvelope"]["payload"])
        assert old in payload
        content["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(old, new)).decode()

    return edit_signature(change)


REFUSALS: dict[str, tuple[Damage, str]] = {
    "no directory": (shutil.rmtree, "bundle: expected a bundle's directory"),
    "an empty directory": (empty, "manifest.json: expected this file of a bundle"),
    "a file too many": (lambda b: (b / "model.pkl").touch(), "model.pkl: expected a file that the signature is over"),
    "a directory too many": (lambda b: (b / "more").mkdir(), "more: expected a regular file"),
    "a hidden file": (lambda b: (b / ".git").touch(), ".git: expected a plain file name"),
    "files without end": (lambda b: [(b / f"{n}").write_bytes(b"") for n in range(40)], "expected at most 32 files"),
    "a model that is garbage": (lambda b: (b / "model.onnx").write_bytes(b"garbage"), "model.onnx: expected the bytes"),
    "a manifest cut short": (lambda b: os.truncate(b / "manifest.json", 100), "manifest.json: expected the bytes"),
    "an empty signature": (lambda b: os.truncate(b / "model.sig", 0), "model.sig: expected an OpenSSF"),
    "a signature cut short": (lambda b: os.truncate(b / "model.sig", 700), "model.sig: expected an OpenSSF"),
    "a signature that is JSON of something else": (
        lambda b: (b / "model.sig").write_text("[" * 50_000, encoding="utf-8"),
        "model.sig: expected an OpenSSF",
    ),
    "a signature of nobody": (
        edit_signature(lambda s: s["dsseEnvelope"].update(signatures=[])),
        "model.sig: expected the number of signatures 1, got '0'",
    ),
    "a second signature": (
        edit_signature(lambda s: s["dsseEnvelope"]["signatures"].append({"sig": "AAAA", "keyid": ""})),
        "model.sig: expected the number of signatures 1, got '2'",
    ),
    "a signature without the key's name": (
        edit_signature(lambda s: s["verificationMaterial"]["publicKey"].clear()),
        "model.sig: expected an OpenSSF",
    ),
    "a signature that signs less": (
        edit_payload(b'"manifest.json"', b'"model2.onnx"'),
        "model.sig: expected a signature over the files here, got one over 'model2.onnx'",
    ),
    "a statement changed in a word": (
        edit_payload(b'"subject"', b' "subject"'),
        "model.sig: expected a valid signature",
    ),
    "a payload of another type": (
        edit_signature(lambda s: s["dsseEnvelope"].update(payloadType="text/plain")),
        "model.sig: expected the payload type",
    ),
    **each_file("no {}", Path.unlink, "expected this file of a bundle"),
    **each_file("a link as {}", link_elsewhere, "expected a regular file"),
    **each_file("a pipe as {}", replace_by_pipe, "expected a regular file"),
    **each_file("a directory as {}", replace_by_directory, "expected a regular file"),
    **each_file("an oversized {}", grow_over_the_limit, "expected at most"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_changed_bundle_is_refused_in_a_sentence_that_names_the_file(
    trained: Trained, copied: Path, case: str
) -> None:
    damage, expected = REFUSALS[case]
    damage(copied)
    with pytest.raises(ModelRejected) as error:
        verify_bundle(copied, trained.public_key)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", digested(BUNDLE_FILES))
def test_a_flipped_bit_anywhere_in_a_signed_file_is_refused(trained: Trained, copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 40)):
        (copied / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ModelRejected, match=f"{name}: expected the bytes that were signed"):
            verify_bundle(copied, trained.public_key)


def test_a_flipped_bit_in_the_signature_is_refused_or_changes_nothing_that_is_read(
    trained: Trained, copied: Path
) -> None:
    content = (copied / "model.sig").read_bytes()
    refused = 0
    for at in range(0, len(content), 15):
        (copied / "model.sig").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert verify_bundle(copied, trained.public_key).digest == trained.digest
        except ModelRejected as error:
            refused += 1
            assert "model.sig: " in str(error) or "the bytes that were signed" in str(error)  # noqa: PT017
    assert refused > 0.9 * len(content) / 15  # what is left: the spelling of fields that are not read


def test_the_signature_of_another_bundle_is_refused(trained: Trained, copied: Path, tmp_path: Path) -> None:
    manifest = decode_manifest((copied / "manifest.json").read_bytes())
    other = shutil.copytree(copied, tmp_path / "other")
    (other / "manifest.json").write_bytes(encode_manifest(msgspec.structs.replace(manifest, threshold=0.9)))
    sign_bundle(other, trained.private_key)
    shutil.copy(other / "model.sig", copied / "model.sig")
    with pytest.raises(ModelRejected, match=r"manifest.json: expected the bytes that were signed"):
        verify_bundle(copied, trained.public_key)


def test_a_bundle_signed_by_another_key_is_refused(trained: Trained, copied: Path, tmp_path: Path) -> None:
    foreign, _ = generate_signing_key(tmp_path / "foreign")
    sign_bundle(copied, foreign)
    with pytest.raises(ModelRejected, match=r"model.sig: expected a valid signature by the private half of"):
        verify_bundle(copied, trained.public_key)


def test_a_foreign_signature_under_our_keys_name_is_refused(trained: Trained, copied: Path, tmp_path: Path) -> None:
    ours = json.loads((copied / "model.sig").read_text(encoding="utf-8"))["verificationMaterial"]
    foreign, _ = generate_signing_key(tmp_path / "foreign")
    sign_bundle(copied, foreign)
    edit_signature(lambda signature: signature.update(verificationMaterial=ours))(copied)
    with pytest.raises(ModelRejected, match=r"model.sig: expected a valid signature"):
        verify_bundle(copied, trained.public_key)


def test_a_second_reading_of_the_envelope_under_another_spelling_is_not_believed(
    trained: Trained, copied: Path, tmp_path: Path
) -> None:
    """The library knows two spellings of the envelope: the one that we read is the one that it must verify."""
    genuine = json.loads((copied / "model.sig").read_text(encoding="utf-8"))
    (copied / "model.onnx").write_bytes(b"evil")
    foreign, _ = generate_signing_key(tmp_path / "foreign")
    sign_bundle(copied, foreign)
    evil = json.loads((copied / "model.sig").read_text(encoding="utf-8"))
    both = {**genuine, "dsseEnvelope": evil["dsseEnvelope"], "dsse_envelope": genuine["dsseEnvelope"]}
    (copied / "model.sig").write_text(json.dumps(both), encoding="utf-8")
    with pytest.raises(ModelRejected, match=r"model.sig: expected a valid signature"):
        verify_bundle(copied, trained.public_key)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_public_key_that_is_none_is_refused(trained: Trained, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wrong.pub").write_bytes(content)
    with pytest.raises(ModelRejected, match=r"wrong.pub: expected an elliptic-curve public key in PEM"):
        verify_bundle(trained.bundle, tmp_path / "wrong.pub")


def test_a_public_key_that_is_not_there_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match=r"none.pub: expected the public signing key"):
        verify_bundle(trained.bundle, tmp_path / "none.pub")


def edit_manifest(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        change(manifest)
        (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    return damage


def drop_last_feature(manifest: dict[str, Any]) -> None:
    for values in (manifest["feature_table"]["features"], *(row["values"] for row in manifest["reference_rows"])):
        values.pop()


def replace_model(content: bytes) -> Damage:
    def damage(bundle: Path) -> None:
        (bundle / "model.onnx").write_bytes(content)
        edit_manifest(lambda manifest: manifest.update(model_bytes=len(content)))(bundle)

    return damage


SIGNED_FAULTS: dict[str, tuple[Damage, str]] = {
    "a manifest that is not JSON": (
        lambda b: (b / "manifest.json").write_bytes(b"\xff{"),
        "manifest.json: expected a manifest of format 1",
    ),
    "a manifest of a later format": (
        edit_manifest(lambda m: m.update(format=2)),
        "manifest.json: expected a manifest of format 1",
    ),
    "a field that we do not know": (edit_manifest(lambda m: m.update(hook="x")), "unknown field"),
    "a threshold that decides nothing": (edit_manifest(lambda m: m.update(threshold=1.5)), "$.threshold"),
    "a model in another place": (edit_manifest(lambda m: m.update(model_file="../model.onnx")), "$.model_file"),
    "a feature table with a range upside down": (
        edit_manifest(lambda m: m["feature_table"]["features"][0].update(hard=[120, 18])),
        "hard range",
    ),
    "the feature table of another model": (
        edit_manifest(
            lambda m: (
                m["feature_table"]["features"].pop(),
                [r["values"].pop() for r in m["reference_rows"]],
                m.update(reference_statistics=None),
            )
        ),
        "model.onnx: expected an input of any number of rows by 12 features",
    ),
    "reference statistics of another feature table": (
        edit_manifest(lambda m: m["feature_table"]["features"][1].update(name="weight")),
        "expected columns of the feature table",
    ),
    "a limit of a feature that is not there": (
        edit_manifest(lambda m: m["feature_table"]["limits"][0].update(weights={"weight": 1})),
        "expected limits and needs of its features, got weight",
    ),
    "distances of a table of another width": (
        edit_manifest(lambda m: m["reference_statistics"]["likeness"]["mean"].pop()),
        "likeness: expected 13 features",
    ),
    "thresholds that fall": (
        edit_manifest(lambda m: m["reference_statistics"]["nulls"]["age"]["thresholds"].sort(reverse=True)),
        "null distribution of age: expected rising thresholds",
    ),
    "another input": (edit_manifest(lambda m: m.update(input_name="x")), "model.onnx: expected one float32 input 'x'"),
    "another output": (edit_manifest(lambda m: m.update(output_name="y")), "model.onnx: expected one float32 output"),
    "another size": (edit_manifest(lambda m: m.update(model_bytes=1)), "model.onnx: expected 1 bytes"),
    "a model that is garbage": (replace_model(b"garbage"), "model.onnx: expected an ONNX graph"),
    "an empty model": (replace_model(b""), "model.onnx: expected an ONNX graph"),
    "a pickle in disguise": (replace_model(pickle.dumps({"evil": print})), "model.onnx: expected an ONNX graph"),
    "no reference rows": (edit_manifest(lambda m: m.update(reference_rows=[])), "$.reference_rows"),
    "other answers than the manifest's": (
        edit_manifest(lambda m: m["reference_rows"][3].update(probability=0.99)),
        "model.onnx: expected the probabilities of the manifest's reference rows",
    ),
    "reference rows of another model": (
        edit_manifest(lambda m: m["reference_rows"][3]["values"].pop()),
        "model.onnx: expected reference rows of 13 features",
    ),
}


@pytest.mark.parametrize("case", SIGNED_FAULTS)
def test_a_bundle_that_is_signed_but_does_not_fit_together_is_refused(
    trained: Trained, copied: Path, case: str
) -> None:
    damage, expected = SIGNED_FAULTS[case]
    damage(copied)
    sign_bundle(copied, trained.private_key)
    with pytest.raises(ModelRejected) as error:
        verify_bundle(copied, trained.public_key)
    assert expected in str(error.value)


def test_what_is_scored_is_what_was_read_even_when_the_files_change_meanwhile(
    trained: Trained, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is swapped right before the signature is checked: the bytes that were read are what counts."""
    genuine = (copied / "model.onnx").read_bytes()
    check = verify._check_signature

    def swap_then_check(path: Path, *arguments: Any) -> None:
        (path / "model.onnx").write_bytes(b"evil")
        check(path, *arguments)

    monkeypatch.setattr(verify, "_check_signature", swap_then_check)
    bundle = verify_bundle(copied, trained.public_key)
    assert bundle.onnx == genuine
    assert bundle.digest == trained.digest


def test_further_files_are_signed_and_digested_like_the_others(trained: Trained, copied: Path) -> None:
    (copied / "tokenizer.json").write_text("{}")
    sign_bundle(copied, trained.private_key)
    with_tokenizer = verify_bundle(copied, trained.public_key).digest
    assert with_tokenizer != trained.digest
    (copied / "tokenizer.json").write_text("[]")
    with pytest.raises(ModelRejected, match=r"tokenizer.json: expected the bytes that were signed"):
        verify_bundle(copied, trained.public_key)
    (copied / "tokenizer.json").unlink()
    with pytest.raises(ModelRejected, match=r"model.sig: expected a signature over the files here"):
        verify_bundle(copied, trained.public_key)


def test_one_of_several_keys_is_enough(trained: Trained, copied: Path, tmp_path: Path) -> None:
    files = verify.read_bundle(copied)
    _, other = generate_signing_key(tmp_path / "other")
    keys = {"other": other.read_bytes(), "ours": trained.public_key.read_bytes()}
    assert verify.verify_files(files, keys, where=copied).digest == trained.digest
    with pytest.raises(ModelRejected, match="private half of other, got another"):
        verify.verify_files(files, {"other": keys["other"]}, where=copied)


def test_the_digest_leaves_the_signature_out(trained: Trained) -> None:
    files = {name: (trained.bundle / name).read_bytes() for name in BUNDLE_FILES}
    assert bundle_digest(files) == bundle_digest({**files, "model.sig": b""}) == trained.digest
    assert bundle_digest({**files, "manifest.json": b"{}"}) != trained.digest
