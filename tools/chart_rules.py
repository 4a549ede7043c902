"""Rules that the objects of chart and manifests keep, beyond what a schema can say. Each rule takes the objects and
answers what is wrong, or nothing."""

import json
import re
import subprocess

# What the leader holds by its finalizer: found by name, so all have the same one.
HELD = {"Deployment", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
# ClusterRoles for people stand beside the manager's.
FOR_PEOPLE = ("-viewer", "-editor", "-resolver")
# `kubectl apply` keeps the whole object in an annotation, and annotations may have 256 KiB together.
LARGEST = 240 * 1024


def broken(objects, program=None):
    """(rule, what is wrong or "") for every rule that applies."""
    rules = {"no wildcard in a role": wildcards, "one name": names, "pods meet the restricted level": hardening,
             "webhooks reach us and stop nobody": webhooks, "no finalizers": finalizers, "kubectl apply takes it": sizes}
    if program and of_kind(objects, "Deployment"):
        rules["the program has every flag"] = lambda found: unknown_flags(found, program)
    return [(name, "\n".join(rule(objects))) for name, rule in rules.items()]


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def label(each):
    return f"{each['kind']} {each['metadata']['name']}"


def wildcards(objects):
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            for key, values in rule.items():
                if any("*" in value for value in values):
                    yield f"{label(role)} has {key} {values}"


def names(objects):
    """The manager is told one name, its objects have it, and the bindings bind what is there."""
    for deployment in of_kind(objects, "Deployment"):
        told = [flag.partition("=")[2] for flag in arguments(deployment) if flag.startswith("--installation=")]
        if told != [deployment["metadata"]["name"]]:
            yield f"{label(deployment)} is told --installation={told}"
        for each in of_kind(objects, *HELD):
            # An agent's rights are not needed to clean up.
            is_agents = each["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "agent"
            if each["metadata"]["name"] not in told and not each["metadata"]["name"].endswith(FOR_PEOPLE) and not is_agents:
                yield f"{label(each)} is not named {told}, so the leader cannot hold it"
        missing = HELD - {each["kind"] for each in objects if each["metadata"]["name"] in told}
        if missing:
            yield f"no {', '.join(sorted(missing))} is named {told}"
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        for bound in [binding["roleRef"], *binding["subjects"]]:
            if (bound["kind"], bound["name"]) not in there:
                yield f"{label(binding)} binds {bound['kind']} {bound['name']}, which is not there"


def hardening(objects):
    for deployment in of_kind(objects, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        inherited = pod.get("securityContext", {})
        for container in pod["containers"] + pod.get("initContainers", []):
            context = {**inherited, **container.get("securityContext", {})}
            for key, wanted in {
                "runAsNonRoot": True, "runAsUser": 65533, "readOnlyRootFilesystem": True, "privileged": False,
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }.items():
                if context.get(key) != wanted:
                    yield f"{label(deployment)}, container {container['name']}: {key} is {context.get(key)}, not {wanted}"


def webhooks(objects):
    """Their Service is there, they fail open (but for pods that only run with us) and soon, and no pod of ours waits for one of ours."""
    ports = {(each["metadata"]["name"], each["metadata"].get("namespace"), port["port"])
             for each in of_kind(objects, "Service") for port in each["spec"]["ports"]}
    for configuration in of_kind(objects, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            who = f"{label(configuration)}, webhook {webhook['name']}"
            service = webhook["clientConfig"]["service"]
            if (service["name"], service["namespace"], service["port"]) not in ports:
                yield f"{who} calls port {service['port']} of Service {service['name']}, which is not there"
            # What asked for our RuntimeClass cannot run without us anyhow.
            is_of_protected = any(each["name"] == "protected" for each in webhook.get("matchConditions", []))
            if webhook["failurePolicy"] != "Ignore" and not is_of_protected:
                yield f"{who} has failurePolicy {webhook['failurePolicy']}: an outage of ours would be everybody's"
            if webhook["timeoutSeconds"] > 5:
                yield f"{who} may take {webhook['timeoutSeconds']} s"
            about_pods = any("pods" in rule["resources"] for rule in webhook["rules"])
            if about_pods and not leaves_out(webhook.get("namespaceSelector", {}), service["namespace"]):
                yield f"{who} is asked about pods of its own namespace"


def leaves_out(selector, namespace):
    """Whether a selector by name says that this namespace is not meant."""
    by_name = [each for each in selector.get("matchExpressions", []) if each["key"] == "kubernetes.io/metadata.name"]
    return any((each["operator"] == "NotIn") == (namespace in each["values"]) for each in by_name)


def finalizers(objects):
    """The leader puts them up. In a manifest they would make an installation that never ran impossible to delete."""
    for each in objects:
        if each["metadata"].get("finalizers"):
            yield f"{label(each)} has finalizers {each['metadata']['finalizers']}"


def sizes(objects):
    for each in objects:
        size = len(json.dumps(each, separators=(",", ":")))
        if size > LARGEST:
            yield f"{label(each)} has {size} bytes; `kubectl apply` refuses more than {LARGEST}: shorten its descriptions"


def arguments(deployment):
    return [flag for container in deployment["spec"]["template"]["spec"]["containers"] for flag in container["args"]]


def unknown_flags(objects, program):
    """A flag that the program does not know keeps the pods from starting."""
    done = subprocess.run([*program, "serve", "--help"], capture_output=True, text=True)
    if done.returncode != 0:
        yield f"{' '.join(program)} serve --help failed: {done.stderr.strip()}"
        return
    known = set(re.findall(r"--[a-z][a-z-]*", done.stdout))
    for deployment in of_kind(objects, "Deployment"):
        for flag in arguments(deployment):
            if flag.startswith("--") and flag.partition("=")[0] not in known:
                yield f"{label(deployment)} passes {flag}, which `holdfast serve` does not know"
