"""The webhook configurations as they are deployed, with the address of a server on this machine in the place of the Service."""

import base64
import json

KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def deployed(plane, manifests):
    """All objects of a kustomization, as the API server would read them."""
    rendered = plane.kubectl("kustomize", str(manifests))
    return documents(plane.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", stdin=rendered))


def documents(text):
    """JSON documents that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        document, end = decoder.raw_decode(text, at)
        found += document["items"] if document.get("kind") == "List" else [document]
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found


def readdressed(objects, address, authority):
    """The webhook configurations among them; the server is asked for at its address, and has to show a certificate of this authority."""
    found = []
    for item in objects:
        if item["kind"] in KINDS:
            item = json.loads(json.dumps(item))
            item["metadata"] = {"name": item["metadata"]["name"]}
            for webhook in item["webhooks"]:
                path = webhook["clientConfig"]["service"].get("path", "/")
                webhook["clientConfig"] = {"url": f"https://{address}{path}", "caBundle": base64.b64encode(authority).decode()}
            found.append(item)
    return found


def names(objects):
    """Of the webhooks that change pods."""
    return [w["name"] for item in objects if item["kind"] == KINDS[0] for w in item["webhooks"] if any("pods" in rule["resources"] for rule in w["rules"])]


def durations(metrics, webhooks):
    """Cumulative {upper bound: count} of the API server's own measurement of these webhooks at pods' creation, and their sum in seconds."""
    buckets, total = {}, 0.0
    for line in metrics.splitlines():
        if not line.startswith("apiserver_admission_webhook_admission_duration_seconds_") or 'operation="CREATE"' not in line:
            continue
        name, _, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        if not any(f'name="{webhook}"' in labels for webhook in webhooks):
            continue
        if name.endswith("_bucket"):
            bound = float(labels.split('le="')[1].split('"')[0].replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0) + int(float(value))
        elif name.endswith("_sum"):
            total += float(value)
    return buckets, total


def difference(after, before):
    buckets = {bound: count - before[0].get(bound, 0) for bound, count in after[0].items()}
    return buckets, after[1] - before[1]
