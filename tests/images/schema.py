"""schema.py: the fields of the Kubernetes API that our manifests use, and no others.

    problems(document) -> ["sandbox: spec.template.spec.containers[0].imagee: no such field", ...]

Strict where the API server is lax: an unknown field is an error here, and so is a name that nothing
defines: a volume that is mounted, a port that is probed, labels that a selector wants. Fields and
types: the API reference of Kubernetes 1.32.
"""
import re


def word(*choices):
    return lambda v: v in choices or f"is not one of {' | '.join(map(str, choices))}"


def pattern(text, what):
    return lambda v: bool(isinstance(v, str) and re.fullmatch(text, v)) or f"is no {what}"


def number(low, high):
    return lambda v: (type(v) is int and low <= v <= high) or f"is no number from {low} to {high}"


def text(v):
    return (isinstance(v, str) and v != "") or "is no text"


def flag(v):
    return isinstance(v, bool) or "is neither true nor false"


class Map:
    """Any keys, all values alike."""

    def __init__(self, value):
        self.value = value


NAME = pattern(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", "DNS label")
QUANTITY = pattern(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", "quantity")
PATH = pattern(r"/.*", "absolute path")
IMAGE = pattern(r"[a-z0-9][a-z0-9._/-]*:[\w][\w.-]*", "image with a tag")
PORT = number(1, 65535)
SECONDS = number(0, 3600)



def port_or_name(v):
    return PORT(v) is True or NAME(v) is True or "is no port"


# A key with "!" has to be there. A list has one kind of item.
EXEC = {"command!": [text]}
HTTP = {"path!": PATH, "port!": port_or_name, "scheme": word("HTTP", "HTTPS")}
PROBE = {"exec": EXEC, "httpGet": HTTP, "initialDelaySeconds": SECONDS, "periodSeconds": number(1, 600),
         "timeoutSeconds": number(1, 60), "failureThreshold": number(1, 600),
         "successThreshold": number(1, 10)}
LIFECYCLE = {"preStop": {"exec": EXEC, "sleep": {"seconds!": SECONDS}}}
SECURITY = {"privileged": flag, "runAsUser": number(0, 1 << 31), "runAsNonRoot": flag,
            "allowPrivilegeEscalation": flag, "readOnlyRootFilesystem": flag}
POD_SECURITY = {"runAsUser": number(0, 1 << 31), "runAsGroup": number(0, 1 << 31),
                "runAsNonRoot": flag, "fsGroup": number(0, 1 << 31),
                "fsGroupChangePolicy": word("Always", "OnRootMismatch")}
RESOURCES = {"requests": Map(QUANTITY), "limits": Map(QUANTITY)}
CONTAINER = {
    "name!": NAME, "image!": IMAGE, "imagePullPolicy": word("Always", "IfNotPresent", "Never"),
    "command": [text], "args": [text], "workingDir": PATH,
    "env": [{"name!": pattern(r"[A-Za-z_]\w*", "variable"), "value!": text}],
    "ports": [{"name!": NAME, "containerPort!": PORT, "protocol": word("TCP", "UDP")}],
    "securityContext": SECURITY, "startupProbe": PROBE, "readinessProbe": PROBE,
    "livenessProbe": PROBE, "lifecycle": LIFECYCLE, "resources!": RESOURCES,
    "volumeMounts": [{"name!": NAME, "mountPath!": PATH, "readOnly": flag, "subPath": text}]}
SIDECAR = dict(CONTAINER, restartPolicy=word("Always"))
VOLUME = {"name!": NAME, "emptyDir": {"medium": word("Memory"), "sizeLimit": QUANTITY},
          "secret": {"secretName!": NAME, "defaultMode": number(0, 0o777)},
          "persistentVolumeClaim": {"claimName!": NAME}}
POD = {"containers!": [CONTAINER], "initContainers": [SIDECAR], "volumes": [VOLUME],
       "terminationGracePeriodSeconds!": SECONDS, "automountServiceAccountToken!": flag,
       "runtimeClassName": NAME, "hostUsers": flag, "securityContext": POD_SECURITY,
       "restartPolicy": word("Always", "OnFailure", "Never")}
META = {"name!": NAME, "labels": Map(text), "annotations": Map(text)}
TEMPLATE = {"metadata!": {"labels!": Map(text), "annotations": Map(text)}, "spec!": POD}
SELECTOR = {"matchLabels!": Map(text)}
CLAIM = {"accessModes!": [word("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")],
         "resources!": RESOURCES, "storageClassName": NAME}
KINDS = {
    ("v1", "Pod"): {"spec!": POD},
    ("v1", "PersistentVolumeClaim"): {"spec!": CLAIM},
    ("v1", "Service"): {"spec!": {"clusterIP": word("None"), "publishNotReadyAddresses": flag,
                                  "selector!": Map(text),
                                  "ports!": [{"name!": NAME, "port!": PORT,
                                              "targetPort": port_or_name}]}},
    ("apps/v1", "Deployment"): {"spec!": {"replicas": number(0, 1000), "selector!": SELECTOR,
                                          "template!": TEMPLATE}},
    ("apps/v1", "StatefulSet"): {
        "spec!": {"replicas": number(0, 1000), "selector!": SELECTOR, "template!": TEMPLATE,
                  "serviceName!": NAME, "podManagementPolicy": word("OrderedReady", "Parallel"),
                  "volumeClaimTemplates": [{"metadata!": META, "spec!": CLAIM}]}},
}
RESERVE = 3  # seconds between the end of pinnace's grace and the kubelet's kill


def walk(value, rule, at, out):
    if isinstance(rule, (dict, Map)):
        walk_object(value, rule, at, out)
    elif isinstance(rule, list):
        if not isinstance(value, list) or not value:
            out.append(f"{at}: is no list, or an empty one")
            return
        for i, item in enumerate(value):
            walk(item, rule[0], f"{at}[{i}]", out)
    else:
        said = rule(value)
        if said is not True:
            out.append(f"{at}: {value!r} {said}")


def walk_object(value, rule, at, out):
    if not isinstance(value, dict):
        out.append(f"{at}: is no object")
        return
    fields = None if isinstance(rule, Map) else {k.rstrip("!"): v for k, v in rule.items()}
    for key, item in value.items():
        if fields is not None and key not in fields:
            out.append(f"{at}.{key}: no such field")
        else:
            walk(item, rule.value if fields is None else fields[key], f"{at}.{key}", out)
    for key in () if fields is None else (k[:-1] for k in rule if k.endswith("!")):
        if key not in value:
            out.append(f"{at}.{key}: is missing")


def settings(container):
    return {e["name"]: e.get("value", "") for e in container.get("env", [])}


def hook_seconds(container):
    hook = container.get("lifecycle", {}).get("preStop", {})
    command = hook.get("exec", {}).get("command", [])
    return hook.get("sleep", {}).get("seconds", int(command[1]) if command[:1] == ["sleep"] else 0)


def pod_problems(pod, claims):
    """What a schema does not say."""
    containers = pod.get("initContainers", []) + pod["containers"]
    volumes = {v["name"] for v in pod.get("volumes", [])} | claims
    mounted, hooks = set(), max(hook_seconds(c) for c in containers)
    for c in containers:
        at = f"container {c['name']}"
        ports = {p["name"] for p in c.get("ports", [])}
        for mount in c.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in volumes:
                yield f"{at}: mounts {mount['name']}, which is no volume"
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = c.get(kind, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in ports:
                yield f"{at}: {kind} asks port {port}, which it has not"
            if kind in c and len({"exec", "httpGet"} & set(c[kind])) != 1:
                yield f"{at}: {kind} asks nobody, or two"
        grace = settings(c).get("PINNACE_GRACE")
        if grace:
            need = hooks + int(grace.rstrip("s")) + RESERVE
            if pod["terminationGracePeriodSeconds"] < need:
                yield f"{at}: needs {need} s to end, and gets fewer"
            if "startupProbe" not in c or "readinessProbe" not in c:
                yield f"{at}: pinnace is not asked whether it is ready"
    for name in volumes - mounted:
        yield f"volume {name}: nobody mounts it"


def problems(document):
    kind = (document.get("apiVersion"), document.get("kind"))
    name = document.get("metadata", {}).get("name", "?")
    if kind not in KINDS:
        return [f"{name}: {kind[0]} {kind[1]} is not known"]
    out = []
    walk(document, dict(KINDS[kind], **{"apiVersion!": text, "kind!": text, "metadata!": META}),
         f"{kind[1]} {name}", out)
    if out:
        return out
    spec = document["spec"]
    if kind[1] == "Pod":
        return list(pod_problems(spec, set()))
    if "template" in spec:
        claims = {c["metadata"]["name"] for c in spec.get("volumeClaimTemplates", [])}
        out = list(pod_problems(spec["template"]["spec"], claims))
        labels = spec["template"]["metadata"]["labels"]
        if not spec["selector"]["matchLabels"].items() <= labels.items():
            out.append(f"{name}: its selector does not find its own pods")
    return out
