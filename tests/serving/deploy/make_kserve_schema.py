"""Makes kserve.json: the JSON Schema of an InferenceService, from the models in KServe's own Python package.

    pip download --no-deps kserve==0.21.0 && unzip kserve-*.whl -d kserve
    python make_kserve_schema.py kserve

No package registry that was at hand carries KServe's CRD. Its Python models are generated from the same Go types: they
know every field and its type, so unknown fields can be refused; patterns, defaults and which fields are required they
do not know, but for what REQUIRED says. Kubernetes' own types are left to kubernetes-validate, whose definitions the
schema refers to. The status, which only KServe writes, is not described.
"""

import ast
import json
import re
import sys
from pathlib import Path

ROOT = "V1beta1InferenceService"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", "object": "object"}
KUBERNETES = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s."
ELSEWHERE = {
    "V1ObjectMeta": "apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "K8sIoApiAppsV1DeploymentStrategy": "api.apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
    "ResourceQuantity": "apimachinery.pkg.api.resource.Quantity",
    "V1beta1MetricQuantity": "apimachinery.pkg.api.resource.Quantity",
}
REQUIRED = {ROOT: ["apiVersion", "kind", "metadata", "spec"], "V1beta1InferenceServiceSpec": ["predictor"]}
FIXED = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}


def read_models(package: Path) -> dict[str, dict[str, str]]:
    """The fields of every model, by the names they have in YAML, with their types as the package spells them."""
    models = {}
    for path in sorted(package.glob("kserve/models/v1beta1_*.py")):
        (made,) = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        tables = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in made.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in ("openapi_types", "attribute_map")
        }
        models[made.name] = {tables["attribute_map"][key]: kind for key, kind in tables["openapi_types"].items()}
    return models


def schema_of(kind: str, ours: dict[str, dict[str, str]]) -> dict:
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        return {"type": "array", "items": schema_of(match[1], ours)}
    if match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {"type": "object", "additionalProperties": schema_of(match[1], ours)}
    if kind in ours:
        return {"$ref": f"#/$defs/{kind}"}
    return {"$ref": KUBERNETES + ELSEWHERE.get(kind, f"api.core.v1.{kind.removeprefix('V1')}")}


def reached(models: dict[str, dict[str, str]]) -> set[str]:
    """The models an InferenceService can hold."""
    found, waiting = set(), [ROOT]
    while waiting:
        if (name := waiting.pop()) in models and name not in found:
            found.add(name)
            waiting += [word for kind in models[name].values() for word in re.findall(r"\w+", kind)]
    return found


def make(package: Path) -> dict:
    models = read_models(package)
    del models[ROOT]["status"]
    definitions = {}
    for name in sorted(reached(models)):
        fields = {field: schema_of(kind, models) for field, kind in models[name].items()}
        definitions[name] = {"type": "object", "additionalProperties": False, "properties": fields}
        definitions[name] |= {"required": REQUIRED[name]} if name in REQUIRED else {}
    definitions[ROOT]["properties"] |= {field: {"const": value} for field, value in FIXED.items()}
    return definitions


def main() -> None:
    definitions = make(Path(sys.argv[1]))
    # A definition a line.
    lines = ",\n".join(f'  "{name}": {json.dumps(schema)}' for name, schema in definitions.items())
    text = f'{{\n "$schema": "{DIALECT}",\n "$ref": "#/$defs/{ROOT}",\n "$defs": {{\n{lines}\n }}\n}}\n'
    Path(__file__).with_name("kserve.json").write_text(text)


if __name__ == "__main__":
    main()
