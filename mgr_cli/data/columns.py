"""Tables of features: a row a track, a column a feature, read in bounded memory.

A table comes from a stranger. It is read some thousand rows at a time, fewer where they are
long, and refused where its numbers together are more than memory should have to hold.
"""

import csv
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.parsers import TextFileReader

from mgr_cli.errors import DatasetError

MAX_COLUMNS = 20_000
MAX_VALUES = 2**28  # 1 GiB in 32 bits; all 106,574 tracks of FMA with 518 features are a fifth
ROWS_AT_ONCE = 4_096
CELLS_AT_ONCE = 2**22  # as text a cell takes some 60 bytes
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-")
"""What stands in a column of numbers where there is none; in one of text these are names."""


def header(table: Path, *, n_rows: int = 1) -> list[list[str]]:
    """Return the first rows of a table.

    Raises
    ------
    DatasetError
        If it cannot be read, is shorter, or has too many columns.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for _, row in zip(range(n_rows), csv.reader(file), strict=False)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read ({error}); expected a CSV file") from error
    if len(rows) < n_rows:
        raise DatasetError(f"{table}: {len(rows)} rows, expected {n_rows} of header at least")
    if len(rows[0]) > MAX_COLUMNS:
        raise DatasetError(f"{table}: {len(rows[0])} columns, expected {MAX_COLUMNS} at the most")
    return rows


def read(
    table: Path, names: Sequence[str], *, skip: int, text: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...], np.ndarray]:
    """Read a table of features.

    Parameters
    ----------
    table : Path
        A CSV file.
    names : sequence of str
        Of its columns.
    skip : int
        Rows of header.
    text : sequence of str
        Columns that are no features. Others without a number in the first rows are none either,
        and are passed over.

    Returns
    -------
    texts : pd.DataFrame
        The columns of `text`, as str.
    columns : tuple of str
        Names of the features.
    values : np.ndarray [shape=(n_rows, n_columns)]
        float32; not a number where a cell holds none. True is 1 and False 0.

    Raises
    ------
    DatasetError
        If it is no CSV, has a row that is longer than its header, no row or no feature, or
        holds more than `MAX_VALUES` numbers.
    """
    texts: list[pd.DataFrame] = []
    values: list[np.ndarray] = []
    columns: tuple[str, ...] = ()
    n_rows = 0
    for rows in _rows(table, names, skip=skip, text=text):
        numbers = rows.drop(columns=list(text)).apply(pd.to_numeric, errors="coerce")
        if not n_rows:
            columns = tuple(name for name in numbers.columns if numbers[name].notna().any())
        n_rows += len(rows)
        if n_rows * len(columns) > MAX_VALUES:
            raise DatasetError(f"{table}: more than {MAX_VALUES} numbers; divide it")
        texts.append(rows[list(text)])
        with np.errstate(over="ignore"):  # what 32 bits cannot hold is infinite, and told as such
            values.append(numbers[list(columns)].to_numpy(np.float32))
    if not n_rows or not columns:
        raise DatasetError(f"{table}: no {'feature' if n_rows else 'row'} in it")
    return pd.concat(texts, ignore_index=True), columns, np.concatenate(values)


def _rows(
    table: Path, names: Sequence[str], *, skip: int, text: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Yield a table some rows at a time, the columns of text without anything missing."""
    try:
        with pd.read_csv(
            table,
            skiprows=skip,
            header=None,
            names=list(names),
            index_col=False,
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values={name: list(MISSING) for name in names if name not in text},
            encoding="utf-8-sig",
            chunksize=max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, len(names)))),
            low_memory=False,
        ) as chunks:
            while (rows := _next(chunks)) is not None:
                yield rows.fillna(dict.fromkeys(text, ""))
    except pd.errors.EmptyDataError:
        return
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        said = " ".join(str(error).split())
        raise DatasetError(f"{table}: cannot be read ({said}); expected a CSV file") from error


def _next(chunks: TextFileReader) -> pd.DataFrame | None:
    """Return the next rows; pandas would only warn of rows that lose their last cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(chunks, None)
