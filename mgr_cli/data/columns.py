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
from mgr_cli.features.normalisation import LARGEST

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
        Columns that are no features. Others without a usable number in the first rows are none
        either, and are passed over.

    Returns
    -------
    texts : pd.DataFrame
        The columns of `text`, as str.
    columns : tuple of str
        Names of the features.
    values : np.ndarray [shape=(n_rows, n_columns)]
        float32; not a number where a cell holds none, or one beyond `LARGEST`, and 0 where it
        holds one below the inverse of that. True is 1 and False 0.

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
        cells = numbers.to_numpy(np.float64)
        cells = np.where(np.abs(cells) <= LARGEST, cells, np.nan)
        cells[np.abs(cells) < 1 / LARGEST] = 0  # products of them vanish in 32 bits
        if not n_rows:
            usable = np.isfinite(cells).any(axis=0)
            columns = tuple(numbers.columns[usable])
        n_rows += len(rows)
        if n_rows * len(columns) > MAX_VALUES:
            raise DatasetError(f"{table}: more than {MAX_VALUES} numbers; divide it")
        texts.append(rows[list(text)])
        values.append(cells[:, usable].astype(np.float32))
    if not n_rows or not columns:
        found = f"feature in it, expected numbers up to {LARGEST:.0e}" if n_rows else "row in it"
        raise DatasetError(f"{table}: no {found}")
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
