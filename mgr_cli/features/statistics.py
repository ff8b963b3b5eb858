"""Seven numbers that sum up how a feature moves over a track.

Mean, standard deviation, skewness, kurtosis (Fisher's: 0 for a normal distribution), median,
minimum and maximum, all of them of the frames as a population (divided by n, not n − 1).
They are NumPy's and SciPy's defaults, taken from one set of central moments in float64.

Of a feature that does not move, skewness and kurtosis are 0/0. SciPy gives NaN today; it gave
0 and −3 when the Free Music Archive's file was made, which therefore holds no NaN. A number
that a classifier can take is wanted here too, so it is 0 and −3.
"""

import numpy as np

STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")  # FMA sorts them so


def summarise(values: np.ndarray) -> np.ndarray:
    """Sum up each row.

    Parameters
    ----------
    values : np.ndarray [shape=(n_numbers, n_frames)]
        At least one frame, finite.

    Returns
    -------
    np.ndarray [shape=(7, n_numbers)]
        float64, in the order of `STATISTICS`. A row is constant if it moves by less than
        float32 resolves; its skewness is 0 and its kurtosis −3.
    """
    values = values.astype(np.float64)
    mean = values.mean(axis=1)
    deviation = values - mean[:, None]
    squared = deviation * deviation
    n_frames = values.shape[1]
    variance = squared.mean(axis=1)
    third = np.einsum("ij,ij->i", squared, deviation) / n_frames
    fourth = np.einsum("ij,ij->i", squared, squared) / n_frames

    constant = variance <= (np.finfo(np.float32).eps * np.abs(mean)) ** 2
    divisor = np.where(constant, 1.0, variance)
    skew = np.where(constant, 0.0, third / divisor**1.5)
    kurtosis = np.where(constant, 0.0, fourth / divisor**2) - 3
    low, high = values.min(axis=1), values.max(axis=1)
    median = np.median(values, axis=1, overwrite_input=True)  # last: it reorders the values
    return np.stack([kurtosis, high, mean, median, low, skew, np.sqrt(variance)])
