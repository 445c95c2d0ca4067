"""What is handed to Prometheus and Grafana, held against the metrics that a real server gives."""

import itertools
import json
import re
import urllib.request
from pathlib import Path

import pytest
import yaml

from serving.server.launch import HOST, ServerPorts

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
# As NVIDIA documents them: a machine without a GPU does not show them.
ON_GPUS = {"nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"}
METRIC = re.compile(r"\bnv_\w+")


@pytest.fixture(scope="module")
def metrics(server):
    """The names of all metrics of a real server."""
    with urllib.request.urlopen(f"http://{HOST}:{server.ports.metrics}/metrics", timeout=10) as answer:
        names = re.findall(r"^(nv_\w+)[{ ]", answer.read().decode(), re.MULTILINE)
    assert len(names) > 20
    return set(names)


def expressions():
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def cells(panel):
    place = panel["gridPos"]
    rows, columns = range(place["y"], place["y"] + place["h"]), range(place["x"], place["x"] + place["w"])
    return set(itertools.product(rows, columns))


def test_every_metric_of_the_dashboard_exists(metrics):
    named = [set(METRIC.findall(expression)) for expression in expressions()]
    assert all(names or "up{" in expression for names, expression in zip(named, expressions(), strict=True))
    assert set().union(*named) - metrics == ON_GPUS
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert set(METRIC.findall(variables["model"]["query"]["query"])) <= metrics


def test_every_metric_of_the_documentation_exists(metrics):
    named = set(METRIC.findall((ROOT / "docs" / "monitoring.md").read_text()))
    assert named
    assert named <= metrics


def test_panels_have_places_and_numbers_of_their_own():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [cells(panel) for panel in PANELS]
    assert sum(map(len, taken)) == len(set().union(*taken))
    assert all(0 <= column < 24 for _, column in set().union(*taken))


def test_everything_asks_the_chosen_source_for_the_chosen_models():
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "model"}
    assert variables["model"]["datasource"] == chosen
    for panel in PANELS:
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    per_model = re.compile(r"nv_inference_\w+(?!\w|{model=~\"\$model\")")
    assert not [expression for expression in expressions() if per_model.search(expression)]


def test_prometheus_reads_where_serve_says_its_metrics_are():
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"localhost:{ServerPorts().metrics}"]}]
    assert job["metrics_path"] == "/metrics"
    assert [each for each in expressions() if f'up{{job="{job["job_name"]}"}}' in each]
