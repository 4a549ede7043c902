"""JSON schemas for kubeconform, made offline: Kubernetes' own kinds from the OpenAPI file inside its Go module, ours
from our CRDs. They are strict: a field that the kind does not have is an error, as it is for `kubectl apply`.
"""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
# How kubeconform is told where a kind's schema is; core kinds have their version in the place of the group.
LOCATION = "{{.Group}}/{{.ResourceAPIVersion}}/{{.ResourceKind}}.json"

# What matters for validation; the rest (descriptions, defaults, extensions) is left out.
KEPT = {"type", "format", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength",
        "minItems", "maxItems", "minProperties", "maxProperties", "uniqueItems", "multipleOf"}
EITHER = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


class NoSchemas(RuntimeError):
    """Kubernetes' OpenAPI file cannot be had."""


def pinned_version(go_mod):
    """The version of Kubernetes that the test world is built from."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise NoSchemas(f"{go_mod} does not name a version of k8s.io/kubernetes")
    return found.group(1)


def openapi(version):
    """The OpenAPI file of a Kubernetes version, downloaded once by Go."""
    command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"]
    try:
        # Not from the checkout: no go.mod of ours has a say in it.
        done = subprocess.run(command, cwd="/", env={**os.environ, "GOFLAGS": "-mod=mod"}, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NoSchemas("go is not on the PATH; it is needed to fetch Kubernetes' OpenAPI file") from error
    if done.returncode != 0:
        raise NoSchemas(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"], "api/openapi-spec/swagger.json")


def cached(version, caches):
    """The folder with the schemas of a Kubernetes version; made where it is not there yet."""
    key = hashlib.sha256(Path(__file__).read_bytes() + version.encode()).hexdigest()[:16]
    folder = caches / f"schemas-{key}"
    if not folder.exists():
        definitions = read(openapi(version))["definitions"]
        aside = caches / f"schemas-{key}.{os.getpid()}"
        write_all(kubernetes(definitions), aside)
        try:
            aside.rename(folder)
        except OSError:
            # Somebody else was faster, and theirs is the same.
            if not folder.exists():
                raise
    return folder


def kubernetes(definitions):
    """{path: schema} of every kind that is an object of its own."""
    converted = {name: closed(definition) for name, definition in definitions.items()}
    converted[QUANTITY] = {"anyOf": [{"type": "string"}, {"type": "number"}]}
    schemas = {"meta.json": standalone(converted, META)}
    for name, definition in definitions.items():
        if "metadata" not in definition.get("properties", {}):
            continue
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            schema = standalone(converted, name)
            schemas[path_of(kind["group"], kind["version"], kind["kind"])] = named(schema, kind["group"], kind["version"], kind["kind"])
    return schemas


def custom(crds, meta):
    """{path: schema} of the kinds that CRDs define. `meta`: the schema of object metadata, from `kubernetes`."""
    schemas = {}
    for crd in crds:
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        for version in crd["spec"]["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": meta["$ref"]}}
            schema["definitions"] = meta["definitions"]
            schemas[path_of(group, version["name"], kind)] = named(schema, group, version["name"], kind)
    return schemas


def path_of(group, version, kind):
    return f"{group or version}/{version}/{kind.lower()}.json"


def named(schema, group, version, kind):
    """`schema` for this one kind: apiVersion and kind must be there, and be these."""
    api_version = f"{group}/{version}" if group else version
    said = {"required": ["apiVersion", "kind", "metadata"],
            "properties": {"apiVersion": {"const": api_version}, "kind": {"const": kind}}}
    definitions = schema.pop("definitions", {})
    return {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [schema, said], "definitions": definitions}


def standalone(converted, name):
    """A definition with all that it refers to, and nothing else."""
    needed, waiting = {}, [name]
    while waiting:
        here = waiting.pop()
        if here not in needed:
            needed[here] = converted[here]
            waiting += re.findall(r'"#/definitions/([^"]+)"', json.dumps(converted[here]))
    return {"$ref": f"#/definitions/{name}", "definitions": needed}


def closed(schema):
    """An OpenAPI schema as a JSON schema that takes no unknown fields."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return dict(EITHER)
    found = {key: value for key, value in schema.items() if key in KEPT}
    for end, least in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # A flag in OpenAPI, the bound itself in JSON schema.
        if schema.get(end):
            found[end] = found.pop(least)
    if "properties" in schema:
        found["properties"] = {name: closed(inner) for name, inner in schema["properties"].items()}
    if "items" in schema:
        found["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = closed(schema["additionalProperties"])
    elif "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = bool(schema.get("additionalProperties", False))
    for key in ("allOf", "anyOf", "oneOf", "not"):
        # In a CRD these only narrow values: fields are declared outside, so nothing is closed here.
        if key in schema:
            found[key] = schema[key]
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") else found


def read(path):
    return json.loads(path.read_text())


def write_all(schemas, folder):
    for path, schema in schemas.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(schema))
