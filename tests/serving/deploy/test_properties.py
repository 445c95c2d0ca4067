"""What must hold of everything that is written, whichever target it is for."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.deploy.cluster import ADAPTER, QUEUE_METRIC
from serving.deploy.plan import IMAGE
from serving.deploy.writing import TARGETS, to_text
from serving.protocol.pbtxt import parse_lenient
from tests.serving.deploy.conftest import MODELS
from tests.serving.deploy.rendered import CLUSTERS, of_kind, pods, rendered, server, walk

FORBIDDEN = {
    "privileged",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostPath",
    "hostPort",
    "add",
    "cap_add",
    "network_mode",
}
FORBIDDEN |= {"pid", "ipc", "devices_cgroup_rules", "userns_mode"}


@pytest.fixture(params=CLUSTERS)
def cluster(request, planned) -> list[dict[str, Any]]:
    return rendered(planned, request.param)


@pytest.fixture
def service(planned) -> dict[str, Any]:
    (document,) = rendered(planned, "compose")
    return document["services"]["triton"]


def test_every_container_runs_without_root_rights_or_files_to_change(cluster):
    for _, pod in pods(cluster):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 1000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_container_of_compose_runs_without_root_rights_or_files_to_change(service):
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_shared_with_the_machine(documents):
    for document in documents:
        assert not {path[-1] for path, _ in walk(document) if path} & FORBIDDEN


def test_every_image_is_fixed_by_its_digest(documents, planned, target):
    images = {value for each in documents for path, value in walk(each) if path and path[-1] == "image"}
    assert images == {planned.image}
    ours = rendered(replace(planned, image=IMAGE), target)
    for path, value in (found for each in ours for found in walk(each)):
        if path and path[-1] == "image":
            assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3@sha256:<digest>", value)


def test_no_secret_stands_in_plain_text(documents):
    assert not of_kind(documents, "Secret")
    texts = [value for each in documents for _, value in walk(each) if isinstance(value, str)]
    keys = [key for text in texts for key in re.findall(r"admin-key=([^\"\s]*)", text)]
    assert keys
    assert set(keys) <= {"$(ADMIN_KEY)", "$$key"}


def test_the_key_comes_from_a_secret(cluster, planned):
    _, _, container = server(cluster)
    (key,) = [each for each in container["env"] if each["name"] == "ADMIN_KEY"]
    assert key == {"name": "ADMIN_KEY", "valueFrom": {"secretKeyRef": {"name": f"{planned.name}-admin", "key": "key"}}}


def copied(repository: Path, planned, volume: Path) -> Path:
    """The volume after the copy that docs/deploy.md describes."""
    for model in planned.models:
        shutil.copytree(repository / model, volume / planned.release / model)
    return volume


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folders_that_publish_wrote_are_mounted_byte_for_byte_and_read_only(repository, planned, tmp_path):
    volume = copied(repository, planned, tmp_path)
    _, pod, container = server(rendered(planned, "kubernetes"))
    (models,) = [each for each in pod["volumes"] if each["name"] == "models"]
    assert models["persistentVolumeClaim"] == {"claimName": "sprites-models", "readOnly": True}
    mounts = [each for each in container["volumeMounts"] if each["name"] == "models"]
    assert [each["mountPath"] for each in mounts] == [f"/models/{model}" for model in MODELS]
    assert "--model-repository=/models" in container["args"]
    for mount in mounts:
        assert mount["readOnly"] is True
        assert files(volume / mount["subPath"]) == files(repository / Path(mount["mountPath"]).name)


def test_kserve_is_given_the_same_folders(repository, planned, tmp_path):
    volume = copied(repository, planned, tmp_path)
    _, _, container = server(rendered(planned, "kserve"))
    (where,) = [each["value"] for each in container["env"] if each["name"] == "STORAGE_URI"]
    assert where.startswith("pvc://sprites-models/")
    assert "--model-repository=/mnt/models" in container["args"]
    assert files(volume / where.removeprefix("pvc://sprites-models/")).keys() == {
        f"{model}/{name}" for model in MODELS for name in files(repository / model)
    }
    assert not [each for each in container["volumeMounts"] if each["mountPath"].startswith("/mnt")]


def test_compose_mounts_the_folders_themselves(repository, service):
    here = repository.parent / "deploy" / "sprites"
    assert [each["target"] for each in service["volumes"]] == [f"/models/{model}" for model in MODELS]
    for mount in service["volumes"]:
        assert not Path(mount["source"]).is_absolute(), "a path of the machine it was written on"
        assert (here / mount["source"]).resolve() == (repository / Path(mount["target"]).name).resolve()
        assert mount["read_only"] is True
        assert mount["bind"]["create_host_path"] is False, "a folder that is missing would be made, empty"
        assert mount["bind"]["selinux"] == "z", "SELinux would keep the container from reading it"


def test_compose_puts_nothing_in_where_a_path_has_a_dollar_sign(planned):
    (document,) = rendered(replace(planned, places=("../$HOME/${a}", *planned.places[1:])), "compose")
    assert document["services"]["triton"]["volumes"][0]["source"] == "../$$HOME/$${a}"
    lone = re.compile(r"(?<!\$)(?:\$\$)*\$(?!\$)")
    assert not [value for _, value in walk(document) if isinstance(value, str) and lone.search(value)]


def test_models_have_the_shared_memory_that_they_take(planned):
    large = replace(planned, shared_memory=1234)
    for target in CLUSTERS:
        _, pod, _ = server(rendered(large, target))
        (volume,) = [each for each in pod["volumes"] if each["name"] == "shared-memory"]
        assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "1234Mi"}
    (document,) = rendered(large, "compose")
    assert document["services"]["triton"]["shm_size"] == "1234m"


def test_servers_that_others_reach_refuse_what_they_cannot_do_soon(planned, repository):
    (document,) = rendered(planned, "compose")
    lines = [document["services"]["triton"]["entrypoint"][2]]
    lines += [" ".join(server(rendered(planned, target))[2]["args"]) for target in CLUSTERS]
    for line in lines:
        (name,) = re.findall(r"--model-config-name=([a-z]+)", line)
        for model in ("sprites", "sprites_mapping", "sprites_synthesis"):
            queue = parse_lenient((repository / model / "configs" / f"{name}.pbtxt").read_text()).queue
            assert (queue.size, queue.timeout_us) == (128, 10_000_000)


@pytest.mark.parametrize("cpus", [1, 3])
def test_there_are_no_more_threads_than_cores(planned, cpus):
    """ONNX Runtime would start one for each core of the machine and instance, and a limit would stop them all."""
    sized = replace(planned, cpus=cpus)
    (document,) = rendered(sized, "compose")
    lines = [re.findall(r'"(--[^"]+)"', document["services"]["triton"]["entrypoint"][2])]
    lines += [server(rendered(sized, target))[2]["args"] for target in CLUSTERS]
    for line in lines:
        pool = [each for each in line if each.startswith("--backend-config=onnxruntime,")]
        assert [each.partition(",")[2] for each in pool] == [
            "enable-global-threadpool=1",
            f"intra_op_thread_count={cpus}",
            "inter_op_thread_count=1",
        ]
    _, _, container = server(rendered(sized, "kserve"))
    assert container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"] == cpus
    assert document["services"]["triton"]["deploy"]["resources"]["limits"]["cpus"] == str(cpus)


def test_more_instances_may_have_more_processes(planned):
    def pids(**changes) -> int:
        (document,) = rendered(replace(planned, **changes), "compose")
        return document["services"]["triton"]["deploy"]["resources"]["limits"]["pids"]

    assert pids(instances=100, cpus=8) - pids(instances=99, cpus=8) >= 8
    assert pids(instances=100, cpus=9) - pids(instances=100, cpus=8) == 100


def test_shared_memory_is_memory_and_only_scratch_space_can_be_written(cluster):
    _, pod, container = server(cluster)
    volumes = {each["name"]: each for each in pod["volumes"]}
    writable = [each for each in container["volumeMounts"] if not each.get("readOnly")]
    assert {each["mountPath"] for each in writable} == {"/dev/shm", "/tmp"}
    for mount in writable:
        assert volumes[mount["name"]]["emptyDir"]["medium"] == "Memory"
        assert re.fullmatch(r"\d+Mi", volumes[mount["name"]]["emptyDir"]["sizeLimit"])


def test_probes_ask_for_models_that_are_there(cluster, service, repository):
    _, _, container = server(cluster)
    commands = [container["livenessProbe"]["exec"]["command"], service["healthcheck"]["test"]]
    for command in commands:
        asked = re.findall(r"/v2/models/([^/]+)/ready", " ".join(command))
        assert tuple(asked) == MODELS
        assert all((repository / model / "config.pbtxt").is_file() for model in asked)
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/v2/health/ready"


def test_probes_ask_the_server_itself_whatever_proxies_there_are(cluster, service):
    for command in (server(cluster)[2]["livenessProbe"]["exec"]["command"], service["healthcheck"]["test"]):
        assert command[command.index("--noproxy") + 1] == "*"


def test_a_server_that_loads_is_given_time_and_one_whose_model_died_is_not(cluster):
    _, _, container = server(cluster)
    patience = {
        name: container[name]["periodSeconds"] * container[name]["failureThreshold"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert patience["startupProbe"] >= 300
    assert patience["readinessProbe"] < patience["livenessProbe"] <= 60
    assert "initialDelaySeconds" not in container["livenessProbe"], "the start-up probe sees to that"


def test_requests_in_flight_are_finished_before_anything_is_killed(cluster, service):
    _, pod, container = server(cluster)
    (exit_timeout,) = [int(each.partition("=")[2]) for each in container["args"] if "exit-timeout" in each]
    drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > drain + exit_timeout
    assert drain > 0
    assert drain < container["livenessProbe"]["terminationGracePeriodSeconds"] < pod["terminationGracePeriodSeconds"]
    assert int(service["stop_grace_period"].removesuffix("s")) > exit_timeout


def test_ports_agree(cluster, service):
    _, _, container = server(cluster)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"grpc": 8001, "http": 8000, "metrics": 8002}
    assert not [each for each in container["args"] if "-port" in each], "Triton listens elsewhere"
    assert container["ports"][0]["name"] == "grpc", "KServe serves the first"
    assert len(of_kind(cluster, "Service")) == 1, "KServe's own has no address where serviceClusterIPNone is set"
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    for each in of_kind(cluster, "Service"):
        assert [(port["port"], port["targetPort"]) for port in each["spec"]["ports"]] == [(8001, "grpc")]
    (policy,) = of_kind(cluster, "NetworkPolicy")
    let_in = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    assert let_in == [ports["grpc"], ports["metrics"]]
    (scraped,) = {value for each in cluster for path, value in walk(each) if path and path[-1] == "prometheus.io/port"}
    assert int(scraped) == ports["metrics"]
    assert sorted(service["ports"]) == sorted(f"127.0.0.1:{port}:{port}" for port in ports.values())


def test_nothing_gets_out_and_only_clients_and_prometheus_get_in(cluster):
    (policy,) = of_kind(cluster, "NetworkPolicy")
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["spec"]["egress"] == []
    (clients,), (prometheus,) = (rule["from"] for rule in policy["spec"]["ingress"])
    assert clients == {"podSelector": {"matchLabels": {"sprites-client": "true"}}}
    assert prometheus["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}


def test_everything_that_guards_pods_selects_the_servers_and_nothing_else(cluster):
    labels, pod, _ = server(cluster)
    selectors = [each["spec"]["selector"] for each in of_kind(cluster, "Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(cluster, "PodDisruptionBudget")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(cluster, "Deployment")]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(cluster, "NetworkPolicy")]
    selectors += [each["labelSelector"]["matchLabels"] for each in pod["topologySpreadConstraints"]]
    assert len(selectors) >= 3
    (loader,) = [found for found, spec in pods(cluster) if spec is not pod]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= loader.items()


@pytest.mark.parametrize(("target", "scaled"), [("kubernetes", "sprites"), ("kserve", "sprites-predictor")])
def test_servers_are_added_by_the_time_that_requests_wait(planned, target, scaled):
    documents = rendered(planned, target)
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": scaled}
    (metric,) = scaler["spec"]["metrics"]
    ((rule,),) = [each["rules"]["custom"] for each in TARGETS[target](planned)[ADAPTER]]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"] == QUEUE_METRIC
    waited, served = re.findall(r"nv_inference_\w+", rule["metricsQuery"])
    assert (waited, served) == ("nv_inference_queue_duration_us", "nv_inference_request_success")
    assert rule["seriesQuery"].startswith(waited)
    assert not any("replicas" in each["spec"] for each in of_kind(documents, "Deployment")), "two would set it"


def test_one_server_less_than_the_fewest_is_left_while_machines_are_emptied(cluster, planned):
    (budget,) = of_kind(cluster, "PodDisruptionBudget")
    (scaler,) = of_kind(cluster, "HorizontalPodAutoscaler")
    assert 1 <= budget["spec"]["minAvailable"] == scaler["spec"]["minReplicas"] - 1 == planned.replicas - 1


def test_kserve_keeps_its_service_inside_and_leaves_scaling_to_us(planned):
    (service,) = of_kind(rendered(planned, "kserve"), "InferenceService")
    assert service["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    resources = service["spec"]["predictor"]["containers"][0]["resources"]
    assert resources["limits"].keys() == resources["requests"].keys(), "KServe fills in what is missing"


@pytest.mark.parametrize("target", CLUSTERS)
@pytest.mark.parametrize("gpus", [0, 2])
def test_a_server_sees_the_gpus_it_asked_for(planned, target, gpus):
    _, _, container = server(rendered(replace(planned, gpus=gpus), target))
    assert container["resources"]["limits"].get("nvidia.com/gpu", 0) == gpus
    seen = {each["name"]: each.get("value") for each in container["env"]}
    assert seen.get("NVIDIA_VISIBLE_DEVICES") == (None if gpus else "void")
    assert seen.get("NVIDIA_TF32_OVERRIDE") == ("0" if gpus else None)
    assert seen.get("ORT_DISABLE_TELEMETRY") == "1"


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_container_of_compose_sees_the_gpus_it_asked_for(planned, gpus):
    (document,) = rendered(replace(planned, gpus=gpus), "compose")
    service = document["services"]["triton"]
    devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
    assert [(each["driver"], each["count"]) for each in devices] == ([("nvidia", gpus)] if gpus else [])
    expected = {"NVIDIA_TF32_OVERRIDE": "0"} if gpus else {"NVIDIA_VISIBLE_DEVICES": "void"}
    assert service["environment"] == expected | {"ORT_DISABLE_TELEMETRY": "1"}


def test_yaml_gives_back_what_it_was_made_of(documents):
    text = to_text(documents)
    assert list(yaml.safe_load_all(text)) == documents
    assert not re.search(r"[&*]id\d", text), "a reference, which is hard to read"
