# ruff: noqa: E501  # a table of cases reads best with one case a line
"""CSV files with a column mapping: what is read, and what a mistake in file or mapping says."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import UserError
from contracts.features import Feature, FeatureTable
from producers.csv_source import CsvSource
from producers.sources import SourceRecord
from tests.producers.support import AT_MS, PSEUDONYM_KEY

TABLE = FeatureTable(
    name="tiny",
    version=1,
    max_missing=1,
    features=(
        Feature(name="age", title="Age", unit="years", hard=(18, 120), usual=(29, 77)),
        Feature(name="sex", title="Sex", unit="code", hard=(0, 1), usual=(0, 1), codes={"0": "f", "1": "m"}),
        Feature(name="chol", title="Chol", unit="mg/dL", hard=(40, 900), usual=(90, 400), zero_is_missing=True),
    ),
)
MAPPING = """
record_number = "mrn"
missing = ["", "?"]
observed_at = "seen"
[source]
column = "ward"
labels = { "A" = "st-mary/a", "B" = "st-mary/b" }
[outcome]
column = "sick"
[features.age]
column = "age"
[features.sex]
column = "sex"
codes = { "F" = 0, "M" = 1 }
[features.chol]
column = "chol"
"""
HEADER = "mrn,ward,seen,age,sex,chol,sick\n"
GOOD = "7,A,2026-03-01T12:00:00+01:00,63,F,233.5,2\n"


def take(folder: Path, rows: str, mapping: str = MAPPING) -> list[SourceRecord]:
    (folder / "mapping.toml").write_text(mapping, "utf-8")
    (folder / "patients.csv").write_bytes(rows.encode("latin-1"))
    source = CsvSource(
        folder / "patients.csv",
        folder / "mapping.toml",
        pseudonym_key=PSEUDONYM_KEY,
        outcome_delay_s=1,
        seed=1,
        table=TABLE,
    )
    records: list[SourceRecord] = []
    while part := source.take(100, AT_MS):
        records += part
    return records


def test_a_row_becomes_an_event_and_an_outcome(tmp_path: Path) -> None:
    event, outcome = take(tmp_path, HEADER + GOOD)
    body = msgspec.json.decode(event.value or b"")
    assert body["source"] == event.source == "st-mary/a"
    assert body["observed_at"] == 1_772_362_800_000
    assert body["features"] == {"age": 63, "sex": 0, "chol": 233.5}
    assert msgspec.json.decode(outcome.value or b"")["diagnosis"] == 1


@pytest.mark.parametrize(
    ("case", "row", "features"),
    [
        ("an empty cell", "7,A,5,63,F,,0\n", {"age": 63, "sex": 0, "chol": None}),
        ("a missing mark", "7,A,5,?,?,1e2,0\n", {"age": None, "sex": None, "chol": 100}),
        ("a disguised zero", "7,A,5,63,M,0.0,0\n", {"age": 63, "sex": 1, "chol": None}),
        ("blanks around", "7, A ,5, 63 , M ,90,0\n", {"age": 63, "sex": 1, "chol": 90}),
        ("outside the hard range, which is the worker's to refuse", "7,A,5,-4,M,90,0\n", {"age": -4, "sex": 1, "chol": 90}),
        ("blank lines", "\n7,A,5,63,M,90,0\n\n", {"age": 63, "sex": 1, "chol": 90}),
    ],
)  # fmt: skip
def test_cells_become_features(tmp_path: Path, case: str, row: str, features: dict[str, float | None]) -> None:
    event = take(tmp_path, HEADER + row)[0]
    assert msgspec.json.decode(event.value or b"")["features"] == features
    assert msgspec.json.decode(event.value or b"")["observed_at"] == 5


def test_a_missing_diagnosis_sends_no_outcome(tmp_path: Path) -> None:
    assert len(take(tmp_path, HEADER + "7,A,5,63,M,90,?\n")) == 1


def test_a_byte_order_mark_and_semicolons_are_read(tmp_path: Path) -> None:
    rows = "\xef\xbb\xbf" + (HEADER + GOOD).replace(",", ";")
    assert len(take(tmp_path, rows, 'delimiter = ";"\n' + MAPPING)) == 2


def test_a_constant_source_and_an_absent_feature(tmp_path: Path) -> None:
    mapping = (
        'record_number = "mrn"\nabsent = ["chol"]\n[source]\nconstant = "st-mary"\n'
        + MAPPING[MAPPING.index("[features.age]") : MAPPING.index("[features.chol]")]
    )
    (event,) = take(tmp_path, "mrn,age,sex\n7,63,F\n", mapping)
    assert event.source == "st-mary"
    assert msgspec.json.decode(event.value or b"")["features"] == {"age": 63, "sex": 0, "chol": None}
    assert msgspec.json.decode(event.value or b"")["observed_at"] == AT_MS


NAME = "Jane Doe"


@pytest.mark.parametrize(
    ("case", "rows", "expected"),
    [
        ("text for a number", f"{HEADER}{GOOD}8,A,5,{NAME},F,1,0\n", "line 3, column 'age': expected a number, got text of 8"),
        ("NaN", f"{HEADER}8,A,5,nan,F,1,0\n", "line 2, column 'age': expected a finite number, got NaN or an infinity"),
        ("infinity", f"{HEADER}8,A,5,1e999,F,1,0\n", "line 2, column 'age': expected a finite number"),
        ("unknown label", f"{HEADER}8,A,5,63,{NAME},1,0\n", "column 'sex': expected one of the labels 'F', 'M'; got text of 8"),
        ("unknown source", f"{HEADER}8,{NAME},5,63,F,1,0\n", "column 'ward': expected one of the labels 'A', 'B'; got text"),
        ("empty source", f"{HEADER}8,,5,63,F,1,0\n", "column 'ward': expected one of the labels 'A', 'B'; got an empty cell"),
        ("no record number", f"{HEADER},A,5,63,F,1,0\n", "column 'mrn': expected 1 to 200 characters, got an empty cell"),
        ("long record number", f"{HEADER}{'8' * 201},A,5,63,F,1,0\n", "column 'mrn': expected 1 to 200 characters, got text of 201"),
        ("no offset", f"{HEADER}8,A,2026-03-01T12:00:00,63,F,1,0\n", "column 'seen': expected a time with an offset"),
        ("not a time", f"{HEADER}8,A,{NAME},63,F,1,0\n", "column 'seen': expected ISO 8601 or epoch milliseconds, got text of 8"),
        ("diagnosis", f"{HEADER}8,A,5,63,F,1,{NAME}\n", "column 'sick': expected a number, got text of 8 characters"),
        ("a cell too many", f"{HEADER}8,A,5,63,F,1,0,{NAME}\n", "line 2: expected 7 cells, got 8"),
        ("a cell too few", f"{HEADER}8,A,5\n", "line 2: expected 7 cells, got 3"),
        ("broken quotation", f'{HEADER}"{NAME}"x,A,5,63,F,1,0\n', "line 2: expected CSV, got a broken quotation"),
        ("missing column", f"mrn,ward,seen,age,sex,chol\n8,A,5,63,F,{NAME}\n", "line 1: expected column 'sick' once, got it 0 times"),
        ("column twice", f"age,{HEADER}1,{GOOD}", "line 1: expected column 'age' once, got it 2 times"),
        ("empty file", "", "expected a line of column names, got an empty one"),
        ("Latin-1", f"{HEADER}8,A,5,63,F,1,\xe9\n", "expected UTF-8"),
    ],
)  # fmt: skip
def test_a_bad_file_says_where_and_what_and_never_shows_a_cell(
    tmp_path: Path, case: str, rows: str, expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        take(tmp_path, rows)
    assert str(caught.value).startswith(str(tmp_path / "patients.csv"))
    assert expected in str(caught.value)
    assert NAME not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_before_a_bad_line_leave_first_and_the_error_stays(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "patients.csv").write_text(HEADER + GOOD + "8,A,5,old,F,1,0\n" + GOOD)
    source = CsvSource(tmp_path / "patients.csv", tmp_path / "mapping.toml", pseudonym_key=PSEUDONYM_KEY, table=TABLE)
    assert len(source.take(100, AT_MS)) == 1
    for _ in range(2):
        with pytest.raises(UserError, match="line 3"):
            source.take(100, AT_MS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    source = CsvSource(tmp_path / "none.csv", tmp_path / "mapping.toml", pseudonym_key=PSEUDONYM_KEY, table=TABLE)
    with pytest.raises(UserError, match=r"none.csv: expected a CSV file that can be read: No such file"):
        source.take(1, AT_MS)
    with pytest.raises(UserError, match=r"none.toml: expected a mapping file that can be read: No such file"):
        CsvSource(tmp_path / "none.csv", tmp_path / "none.toml", pseudonym_key=PSEUDONYM_KEY)


@pytest.mark.parametrize(
    ("case", "old", "new", "expected"),
    [
        ("not TOML", "[source]", "[source", "expected TOML, got a syntax error"),
        ("unknown entry", "record_number", "record_nr", "unknown field `record_nr`"),
        ("wrong type", '"mrn"', "5", "got `int` - at `$.record_number`"),
        ("unknown feature", "[features.age]", "[features.ages]", "expected features of table tiny (age, sex, chol), got 'ages'"),
        ("left out", '[features.chol]\ncolumn = "chol"', "", "expected feature chol either as a table of `features` or in `absent`"),
        ("both", 'missing = ["", "?"]', 'absent = ["age"]', "expected feature age either as a table"),
        ("wrong code", '"M" = 1', '"M" = 2', "features.sex.codes: expected 0, 1; got 'M' = 2"),
        ("codes of a number", 'column = "age"', 'column = "age"\ncodes = { "old" = 1 }', "expected no codes, for its values are numbers"),
        ("bad source", '"st-mary/a"', '"St Mary"', "expected a source of the form site/ward/device in lower case, got 'St Mary'"),
        ("two sources", 'column = "ward"', 'column = "ward"\nconstant = "a"', "expected either `constant` or `column`"),
        ("no labels", 'labels = { "A" = "st-mary/a", "B" = "st-mary/b" }', "", "expected `labels` with `column`"),
        ("delimiter", 'record_number = "mrn"', 'record_number = "mrn"\ndelimiter = ".."', "at `$.delimiter`"),
    ],
)  # fmt: skip
def test_a_bad_mapping_names_the_file_and_the_entry(
    tmp_path: Path, case: str, old: str, new: str, expected: str
) -> None:
    assert old in MAPPING
    with pytest.raises(UserError) as caught:
        take(tmp_path, HEADER, MAPPING.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "mapping.toml"))
    assert expected in str(caught.value)


@given(cell=st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=',"'), max_size=30))
def test_any_cell_is_a_number_null_or_a_user_error_without_it(
    tmp_path_factory: pytest.TempPathFactory, cell: str
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    marked = f"{cell}~secret" if len(cell) > 20 else cell
    said = ""
    try:
        records = take(folder, f"{HEADER}8,A,5,{marked},F,1,0\n")
        age = msgspec.json.decode(records[0].value or b"")["features"]["age"]
    except UserError as error:
        said = str(error)
    if said:
        assert "column 'age'" in said
        assert "~secret" not in said
    else:
        assert age is None or float(marked) == age
