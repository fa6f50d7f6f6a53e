"""What the UCI records are, and what a wrong file is told."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.heart_disease import HEART_DISEASE
from models.dataset import DATA_FILE, Dataset, load_dataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset()


def test_the_table_has_920_records_of_which_509_are_of_ill_patients(dataset: Dataset) -> None:
    assert dataset.x.shape == (920, 13)
    assert dataset.x.dtype == np.float32
    assert int(dataset.y.sum()) == 509


def test_missing_values_are_counted_with_the_disguised_zeros(dataset: Dataset) -> None:
    missing = dict(zip(HEART_DISEASE.names, np.isnan(dataset.x).sum(axis=0).tolist(), strict=True))
    assert missing == {
        "age": 0,
        "sex": 0,
        "cp": 0,
        "trestbps": 59 + 1,
        "chol": 30 + 172,
        "fbs": 90,
        "restecg": 2,
        "thalch": 55,
        "exang": 55,
        "oldpeak": 62,
        "slope": 309,
        "ca": 611,
        "thal": 486,
    }


def test_the_sites_have_the_sizes_that_uci_gives(dataset: Dataset) -> None:
    assert Counter(dataset.site.tolist()) == {
        "Cleveland": 303,
        "Hungary": 294,
        "Switzerland": 123,
        "VA Long Beach": 200,
    }


def test_the_first_record_has_ucis_original_codes(dataset: Dataset) -> None:
    # processed.cleveland.data, line 1
    assert dataset.x[0].tolist() == pytest.approx([63, 1, 1, 145, 233, 1, 2, 150, 0, 2.3, 3, 0, 6])
    assert dataset.y[0] == 0


def test_two_records_repeat_another_and_are_not_distinct(dataset: Dataset) -> None:
    assert dataset.record_id[dataset.repeated].tolist() == ["406", "908"]
    distinct = dataset.distinct()
    assert len(distinct) == 918
    assert not distinct.repeated.any()


HEADER = DATA_FILE.read_text(encoding="utf-8").splitlines()[0]
ROW = "1,63,Male,Cleveland,typical angina,145,233,TRUE,lv hypertrophy,150,FALSE,2.3,downsloping,0,fixed defect,0"


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "patients.csv"
    path.write_text("\n".join((*lines, "")), encoding="utf-8")
    return path


def test_a_file_of_the_same_format_loads(tmp_path: Path) -> None:
    assert load_dataset(written(tmp_path, HEADER, ROW)).x.shape == (1, 13)


@pytest.mark.parametrize(
    ("row", "where", "expected"),
    [
        pytest.param(ROW.replace("typical angina", "sore"), "line 3, column cp", "typical angina", id="unknown label"),
        pytest.param(ROW.replace(",145,", ",high,"), "line 3, column trestbps", "a number", id="not a number"),
        pytest.param(ROW.replace(",145,", ",nan,"), "line 3, column trestbps", "a number", id="nan"),
        pytest.param(ROW.replace(",63,", ",163,"), "line 3, column age", "from 18 to 120", id="out of range"),
        pytest.param(ROW[:-1] + "5", "line 3, column num", "0 (no disease) or 1 to 4", id="diagnosis"),
        pytest.param(ROW.replace("Cleveland", " "), "line 3, column dataset", "site", id="no site"),
        pytest.param(ROW + ",9", "line 3", "16 columns", id="too many columns"),
        pytest.param("1,63", "line 3", "16 columns", id="too few columns"),
        pytest.param('1,"63', "after line 2", "CSV", id="open quote"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column_and_never_quoted(
    tmp_path: Path, row: str, where: str, expected: str
) -> None:
    path = written(tmp_path, HEADER, ROW, row)
    with pytest.raises(UserError) as error:
        load_dataset(path)
    text = str(error.value)
    assert text.startswith(f"{path}, {where}")
    assert expected in text
    assert "sore" not in text
    assert "high" not in text


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: expected a header with the columns thalch"):
        load_dataset(written(tmp_path, HEADER.replace("thalch", "thalach"), ROW))


def test_a_file_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one record"):
        load_dataset(written(tmp_path, HEADER))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a readable CSV file"):
        load_dataset(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(UserError, match="line 2: expected UTF-8"):
        load_dataset(tmp_path / "bytes.csv")
