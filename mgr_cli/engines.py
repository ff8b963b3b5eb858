"""Where work runs: in processes of this machine, or on a cluster, all through joblib.

A task is a plain function of picklable arguments that writes its result to the dataset's folder
and returns where; on a cluster all machines must see the source and that folder under the same
paths. What a cluster loses, when a worker dies, it does again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, get_args

from joblib import Parallel, parallel_config

from mgr_cli.config import Engine
from mgr_cli.errors import EngineError

ENGINES: tuple[Engine, ...] = get_args(Engine)

_PATIENCE = 10  # seconds until a cluster that does not answer is given up


@contextmanager
def workers(
    engine: Engine = "local", *, scheduler: str | None = None, n_jobs: int = -1
) -> Iterator[Parallel]:
    """Give a pool that runs joblib's delayed calls and yields their results in order.

    Parameters
    ----------
    engine : {"local", "dask", "ray", "spark"}
        Processes here, or a cluster.
    scheduler : str, optional
        Address of the cluster, as tcp://10.0.0.5:8786.
    n_jobs : int
        Processes here, -1 is one a core; on a cluster tasks at a time, -1 is all it has.

    Raises
    ------
    EngineError
        If the engine is unknown, not installed, or does not answer.
    """
    if engine == "local":
        with Parallel(n_jobs=n_jobs, return_as="generator") as pool:
            yield pool
        return
    if engine not in _CLUSTERS:
        raise EngineError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    connect, needs = _CLUSTERS[engine]
    try:
        connection = connect(scheduler)
    except ImportError as error:
        raise EngineError(
            f"{engine} is not installed ({error}); run `pip install {needs}`"
        ) from error
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise EngineError(
            f"no {engine} cluster answers at {scheduler or 'any known address'} ({said}); "
            "start one, or check --scheduler"
        ) from error
    with connection, parallel_config(backend=engine), _pool(n_jobs) as pool:
        yield pool


def _pool(n_jobs: int) -> Parallel:
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # Ray and Spark give their results all at once, in a list
        return Parallel(n_jobs=n_jobs)


def _dask(scheduler: str | None) -> AbstractContextManager[Any]:
    from distributed import Client

    if scheduler is None:  # Client would quietly start a cluster of its own
        raise ValueError("no address was given")
    client: AbstractContextManager[Any] = Client(scheduler, timeout=_PATIENCE)  # type: ignore[no-untyped-call]
    return client


def _ray(scheduler: str | None) -> AbstractContextManager[Any]:
    import ray
    from ray.util.joblib import register_ray

    connection: AbstractContextManager[Any] = ray.init(
        address=scheduler or "auto", log_to_driver=False
    )
    register_ray()
    return connection


def _spark(scheduler: str | None) -> AbstractContextManager[Any]:
    from joblibspark import register_spark
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    session = (builder.master(scheduler) if scheduler else builder).getOrCreate()
    register_spark()
    return nullcontext(session)


_CLUSTERS: Mapping[str, tuple[Callable[[str | None], AbstractContextManager[Any]], str]] = {
    "dask": (_dask, "distributed"),
    "ray": (_ray, "ray"),
    "spark": (_spark, "joblibspark"),
}
"""How a cluster is reached, and the package that must be installed."""
