"""The same model on other engines: ``configs/ENGINE.pbtxt`` beside ``config.pbtxt``, for ``--model-config-name``.

==========  ============================================================================================
(none)      ``config.pbtxt``: ONNX Runtime, on a GPU where there is one, else on the CPU
limited     the same with limits on its queue and two instances or more: what cannot be done soon is refused, for
            servers that others reach
cpu         ONNX Runtime, on the CPU even where there is a GPU
ort_trt     ONNX Runtime with TensorRT inside; engines are built when first needed and kept in a cache
tensorrt    a TensorRT plan, ``model.plan`` beside ``model.onnx``, that the bundle's build_engine.py made on the spot
==========  ============================================================================================

Nothing else differs: names, types, shapes, batches and, but for ``limited``, queues and how many instances there are,
are those of ``config.pbtxt``.
"""

from dataclasses import replace

from serving.protocol.model_config import NO_LIMITS, TENSORRT, Accelerator, Instances, ModelConfig, Queue

PLAN = "model.plan"
CACHE = "/tmp/ganfoundry-engines"  # noqa: S108 (what NVIDIA's container can always write; mount it to keep engines)
PROFILES = ("0", "1")  # of a plan, in the order of the bundle's tensorrt/profiles.json
USUAL_BATCH = 16  # that engines are made quickest for
LIMITED = "limited"
UNSTALLED = 2  # instances: where a queue has limits, a single one is found waiting late (benchmarks/load/stalls.py)


def engines_of(config: ModelConfig, plan: bool) -> dict[str, ModelConfig]:
    """The configurations of a model beside its ``config``, by engine; ``plan`` if a bundle can build one of it."""
    instances = config.instances or Instances()
    on_gpu = replace(instances, kind="KIND_GPU")
    engines = {
        LIMITED: _limited(config),
        "cpu": replace(config, instances=replace(instances, kind="KIND_CPU"), accelerator=None),
        "ort_trt": replace(config, instances=on_gpu, accelerator=_tensorrt_inside(config)),
    }
    if plan:
        profiled = replace(on_gpu, profiles=PROFILES)
        engines["tensorrt"] = replace(config, backend=TENSORRT, filename=PLAN, accelerator=None, instances=profiled)
    return engines


def _limited(config: ModelConfig) -> ModelConfig:
    """The configuration with limits, those that were set for this machine where there are any."""
    queue, instances, limits = config.queue or NO_LIMITS, config.instances or Instances(), Queue()
    if not queue.size and not queue.timeout_us:
        queue = replace(queue, size=limits.size, timeout_us=limits.timeout_us)
    return replace(config, queue=queue, instances=replace(instances, count=max(instances.count, UNSTALLED)))


def _tensorrt_inside(config: ModelConfig) -> Accelerator:
    """ONNX Runtime's TensorRT provider by the names of the Triton backend's README."""
    most = config.max_batch_size
    batches = {"min": 1, "opt": min(USUAL_BATCH, most), "max": most}
    parameters = {
        "precision_mode": "FP32",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": CACHE,
        "trt_engine_cache_prefix": config.name,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": CACHE,
    }

    # Which shapes an engine is made for.
    for which, batch in batches.items():
        shapes = [f"{each.name}:{'x'.join(map(str, (batch, *each.dims)))}" for each in config.inputs]
        parameters[f"trt_profile_{which}_shapes"] = ",".join(shapes)
    return Accelerator("tensorrt", parameters)
