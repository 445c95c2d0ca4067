"""Bulk sampling with a Ray task for each shard. Ray is imported here only, and only when it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import MissingDependency, ServingError, first_line
from serving.bulk.sample import Progress, Tally, make_shard
from serving.bulk.shards import BulkOrder, State, check_folder
from serving.client.sampler import Sampler
from serving.protocol.tls import ClientTls
from serving.sampling.files import make_places

SECONDS_TO_END = 10.0  # for tasks that are cancelled


def write_shards_with_ray(
    order: BulkOrder,
    url: str,
    shards: Sequence[int],
    out: Path,
    progress: Progress | None = None,
    tls: ClientTls | None = None,
) -> str:
    """As ``bulk.sample.write_shards``, on the cluster that RAY_ADDRESS names, one that runs here, or a new one here.

    Every node must have this package, reach the server at ``url`` and see ``out``. Raises MissingDependency where Ray
    is not installed.
    """
    ray = _ray()
    check_folder(order, out)
    make_places(out)
    tally = Tally(order, shards, out, progress)

    try:
        ray.init(logging_level="warning", log_to_driver=False)
        task = ray.remote(_make_shard)

        # All shards are handed in at once; what is finished is counted as it comes.
        shard_of = {task.remote(order, url, tls, shard, out.absolute()): shard for shard in shards}
        try:
            while shard_of:
                (ready, *_), _ = ray.wait(list(shard_of))
                tally.add(shard_of.pop(ready), ray.get(ready))
        finally:
            _cancel(ray, list(shard_of))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # an error of ours, as the task raised it
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ServingError(
            f"Ray failed ({first_line(error)}): finished shards are kept, run the same command again"
        ) from None
    finally:
        ray.shutdown()
    return tally.said()


def _cancel(ray: Any, tasks: list[Any]) -> None:
    """End tasks so that they clean up after themselves, which they could not if they were killed."""
    for task in tasks:
        ray.cancel(task)
    if tasks:
        ray.wait(tasks, num_returns=len(tasks), timeout=SECONDS_TO_END)


def _make_shard(order: BulkOrder, url: str, tls: ClientTls | None, shard: int, out: Path) -> State:
    """The task: one shard, of the version that the order names."""
    with Sampler(order.model, url, batch=order.batch, no_batching=True, tls=tls) as sampler:
        if (sampler.version, sampler.bundle, sampler.batch) != (order.version, order.bundle_sha256, order.batch):
            raise ServingError(f"'{order.model}' became another on the server meanwhile: run the same command again")
        return make_shard(sampler, order, shard, out)


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingDependency(
            "--ray needs Ray, which is not installed: pip install -c constraints.txt '.[ray]'"
        ) from None
    return ray
