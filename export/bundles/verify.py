"""Re-check a bundle anywhere: hashes, graph rules and golden images. Torch-free, and distrustful of every file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from core.bundle import GOLDEN, GRAPH, MAPPING, SYNTHESIS, Manifest, read_bundle
from core.contract import Port, input_ports, mapping_ports, output_port, rows, style_port, synthesis_ports
from core.difference import MOST_LEVELS, VisibleDifference, levels_apart
from core.errors import BundleError
from core.golden import INPUT_PREFIX, Golden, golden_shapes
from core.images import Images
from core.onnx.reading import read_model
from core.onnx.session import CPU, Chain, Session, open_session, run
from export.bundles.provenance import Origin
from export.checks.rules import RULES, Contract, broken_rules
from export.checks.verification import recorded_targets
from export.precisions.limits import FILES, LIMITS, holds
from export.targets.variants import verify_targets


class Finding(NamedTuple):
    """One check that passed, and its figure."""

    check: str
    figure: str


def verify_bundle(path: Path, provider: str = CPU, threads: int = 0) -> list[Finding]:
    """Check the bundle at ``path`` from its hashes to its golden images, on one ONNX Runtime provider.

    Raises BundleError at the first thing that is wrong, in one line that names the file, and MissingDependency if
    the provider does not work here. ``threads`` 0 means all cores.
    """
    manifest = read_bundle(path)
    facts = Origin.told_by(manifest).metadata()
    findings = [Finding("files", f"{len(manifest.files)} unchanged since the export")]

    # The fp32 graph
    contract = Contract(manifest.spec, manifest.opset, facts=facts)
    model = _read_graph(path / GRAPH, contract)
    findings.append(Finding("graph rules", f"{len(RULES)} kept, opset {manifest.opset}"))
    golden = _read_golden(path / GOLDEN, manifest)
    try:
        findings += _replay(open_session(model, provider, threads), golden)
    except BundleError as error:
        raise BundleError(f"{path / GRAPH}: {error}") from None

    # Other precisions, targets and parts, where the bundle has them
    for precision in sorted(name for name, file in FILES.items() if file in manifest.files):
        file = path / FILES[precision]
        findings.append(_verify_precision(file, precision, contract, golden, provider, threads))
    targets = verify_targets(path, recorded_targets(manifest), manifest.files, golden, provider)
    findings += [Finding(f"target {name}", figure) for name, figure in targets.items()]
    if {MAPPING, SYNTHESIS} & set(manifest.files):
        findings.append(_verify_parts(path, manifest, golden, provider, threads))
    return findings


def _verify_precision(
    path: Path, precision: str, contract: Contract, golden: Golden, provider: str, threads: int
) -> Finding:
    """The generator in another precision makes the golden images too, within the limits of that precision."""
    graph = _read_graph(path, contract)
    if not holds(read_model(path), precision):
        raise BundleError(f"{path} has no weights in {precision}: export again")
    try:
        images = run(open_session(graph, provider, threads), golden.inputs)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    found = VisibleDifference.between(images, golden.images)
    if complaint := LIMITS[precision].complaint(found):
        raise BundleError(f"{path}: against {GOLDEN}, {complaint}: export again")
    return Finding(precision, f"golden images: {found}")


def _verify_parts(path: Path, manifest: Manifest, golden: Golden, provider: str, threads: int) -> Finding:
    """Mapping and synthesis, one after the other, make the golden images too."""
    if missing := sorted({MAPPING, SYNTHESIS} - set(manifest.files)):
        raise BundleError(f"{path} lacks {missing[0]}, the other half of what it holds: export again")
    spec, opset, facts = manifest.spec, manifest.opset, Origin.told_by(manifest).metadata()
    styles = _styles(path / MAPPING)
    mapping = _read_graph(path / MAPPING, Contract(spec, opset, mapping_ports(spec), styles, facts))
    synthesis = _read_graph(path / SYNTHESIS, Contract(spec, opset, synthesis_ports(spec, styles), facts=facts))

    try:
        chain = Chain(open_session(mapping, provider, threads), open_session(synthesis, provider, threads))
        together = _replay(chain, golden)[0]
    except BundleError as error:
        raise BundleError(f"{path / MAPPING} and {SYNTHESIS}: {error}") from None
    return Finding("mapping and synthesis", together.figure)


def _styles(path: Path) -> Port:
    """What lies between the two graphs, as the mapping graph has it: other than its name and type, only its sides."""
    outputs = read_model(path).graph.output
    sides = [side.dim_value for side in outputs[0].type.tensor_type.shape.dim][1:] if outputs else []
    if len(sides) != 2 or min(sides) < 1:
        raise BundleError(f"{path} does not give a style for each layer: export again")
    return style_port(*sides)


def check_graph(model: onnx.ModelProto, contract: Contract) -> None:
    """Raise BundleError at the first rule that ``model`` breaks."""
    if broken := next(broken_rules(model, contract), None):
        raise BundleError(f"the graph breaks a rule, {broken}")


def _read_graph(path: Path, contract: Contract) -> bytes:
    """The graph's bytes, once they are known to keep the rules. No other file is opened."""
    model = read_model(path)
    try:
        check_graph(model, contract)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    return path.read_bytes()


def _read_golden(path: Path, manifest: Manifest) -> Golden:
    """The golden images, once their headers are known to be those of the spec: else nothing is unpacked."""
    ports = {INPUT_PREFIX + port.name: port for port in input_ports(manifest.spec)}
    wanted = {"image": output_port(manifest.spec), **ports}
    try:
        found = {name: (dtype, shape[1:]) for name, (dtype, shape) in golden_shapes(path).items()}
    except Exception:  # numpy and zipfile raise half a dozen kinds for a damaged file, and this says which
        return Golden.read(path)
    if found != {name: (port.dtype, port.shape) for name, port in wanted.items()}:
        raise BundleError(f"{path} holds golden images of another generator: export again")
    return Golden.read(path)


def _replay(session: Session, golden: Golden) -> list[Finding]:
    together = run(session, golden.inputs)
    count = len(golden)
    levels = _within(f"its images differ from those in {GOLDEN}", together, golden.images)

    if not np.array_equal(together, run(session, golden.inputs)):
        raise BundleError("two runs on the same inputs differ")
    alone = np.concatenate([run(session, row) for row in rows(golden.inputs)])
    apart = _within("an image alone differs from the same image in a batch", alone, together)

    differing = (together != golden.images).any(axis=-1).mean()
    return [
        Finding("golden images", f"{count} within {levels} of 255 levels, {differing:.3%} of pixels differ"),
        Finding("alone and in a batch", f"{count} within {apart} of 255 levels"),
        Finding("two runs", f"bit-identical on {session.get_providers()[0]}"),
    ]


def _within(what: str, images: Images, expected: Images) -> int:
    levels = levels_apart(images, expected)
    if levels > MOST_LEVELS:
        raise BundleError(f"{what} by {levels} of 255 levels, {MOST_LEVELS} is allowed: export again")
    return levels
