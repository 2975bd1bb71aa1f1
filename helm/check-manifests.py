"""Checks rendered manifests of the chart; prints one line per complaint and exits 1 if there is any.

    check-manifests.py RENDER...            the manifests in these files
    check-manifests.py --self-test RENDER   each check complains about a manifest that was spoilt for it

What it holds each object to: Kubernetes' own schema, strictly, at the oldest and the newest version; Pod Security "restricted";
and what ties the objects together (selectors, references, probes, the drain, nothing secret in sight).
It does not look at how the templates produce them: that is for the snapshots.
"""

import copy
import pathlib
import re
import sys
import tomllib

import kubernetes_validate
import yaml

KUBERNETES = ("1.27", "1.37")
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
WORKLOADS = {"Deployment", "Job", "Pod"}


def name(doc):
    return f"{doc['kind']}/{doc['metadata']['name']}"


def pod(doc):
    """The pod template of a workload; a Pod is its own."""
    return doc if doc["kind"] == "Pod" else doc["spec"]["template"]


def pods(docs):
    return [(name(doc), pod(doc)) for doc in docs if doc["kind"] in WORKLOADS]


def config_of(doc, docs):
    """The configuration file that a workload mounts, as text; empty if it mounts none that is rendered."""
    mounted = {volume.get("configMap", {}).get("name") for volume in pod(doc)["spec"].get("volumes", [])}
    maps = [d["data"].get("config.toml", "") for d in docs if d["kind"] == "ConfigMap" and d["metadata"]["name"] in mounted]
    return "".join(maps)


def schema(docs):
    for doc in docs:
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(doc, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name(doc)}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                # The library's own command line passes over these.
                yield f"{name(doc)}: Kubernetes {version}: {error.message}"


def restricted(docs):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    for where, template in pods(docs):
        spec = template["spec"]
        outer = spec.get("securityContext", {})
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{where}: {field}"
        if outer.get("sysctls"):
            yield f"{where}: sysctls"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{where}: mounts the service account's token"
        for volume in spec.get("volumes", []):
            for kind in volume.keys() - {"name"} - VOLUMES:
                yield f"{where}: volume {volume['name']}: {kind} is not allowed"
        containers = spec.get("initContainers", []) + spec["containers"] + spec.get("ephemeralContainers", [])
        for container in containers:
            inner = container.get("securityContext", {})
            here = f"{where}: container {container['name']}"
            if inner.get("privileged") or inner.get("procMount", "Default") != "Default":
                yield f"{here}: privileged, or procMount set"
            if inner.get("allowPrivilegeEscalation") is not False:
                yield f"{here}: allowPrivilegeEscalation is not false"
            if inner.get("readOnlyRootFilesystem") is not True:
                yield f"{here}: readOnlyRootFilesystem is not true"
            capabilities = inner.get("capabilities", {})
            if "ALL" not in capabilities.get("drop", []):
                yield f"{here}: capabilities are not dropped"
            if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
                yield f"{here}: capabilities are added"
            if inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
                yield f"{here}: runAsNonRoot is not true"
            if 0 in (inner.get("runAsUser"), outer.get("runAsUser")):
                yield f"{here}: runs as root"
            profile = inner.get("seccompProfile", outer.get("seccompProfile", {})).get("type")
            if profile not in ("RuntimeDefault", "Localhost"):
                yield f"{here}: seccompProfile is {profile}"
            if any(port.get("hostPort") for port in container.get("ports", [])):
                yield f"{here}: hostPort"


def selectors(docs):
    """What selects pods selects the server's, all of them, and none of the migration or the test."""
    deployments = [doc for doc in docs if doc["kind"] == "Deployment"]
    if len(deployments) != 1:
        yield f"{len(deployments)} Deployments"
        return
    server = pod(deployments[0])["metadata"]["labels"].items()
    others = [pod(doc)["metadata"]["labels"].items() for doc in docs if doc["kind"] in ("Job", "Pod")]
    for doc in docs:
        spec = doc.get("spec", {})
        match doc["kind"]:
            case "Service":
                selector = spec["selector"]
            case "Deployment" | "PodDisruptionBudget":
                selector = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                selector = spec["podSelector"]["matchLabels"]
            case _:
                continue
        if not selector.items() <= server:
            yield f"{name(doc)}: does not select the server's pods"
        if any(selector.items() <= labels for labels in others):
            yield f"{name(doc)}: selects pods that do not serve"


def references(docs):
    """A pod finds what it names: its ConfigMap, claim and service account, in time if it is a hook, and its mounts' volumes."""
    own = {(doc["kind"], doc["metadata"]["name"]): doc["metadata"].get("annotations", {}) for doc in docs}
    prefix = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "Deployment"}
    for doc in docs:
        if doc["kind"] not in WORKLOADS:
            continue
        annotations = doc["metadata"].get("annotations", {})
        early = annotations.get("helm.sh/hook", "").startswith("pre-")
        spec = pod(doc)["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        if ("ServiceAccount", spec.get("serviceAccountName", "")) in own and early:
            yield f"{name(doc)}: its service account does not exist yet when the hook runs"
        for volume in volumes.values():
            target = ("ConfigMap", volume.get("configMap", {}).get("name"))
            if volume["name"] == "config" and target not in own:
                yield f"{name(doc)}: there is no {'/'.join(map(str, target))}"
            elif early and target in own:
                weight = own[target].get("helm.sh/hook-weight")
                if weight is None or int(weight) >= int(annotations["helm.sh/hook-weight"]):
                    yield f"{name(doc)}: {'/'.join(target)} does not exist yet when the hook runs"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName", "")
            if claim.startswith(tuple(prefix)) and ("PersistentVolumeClaim", claim) not in own:
                yield f"{name(doc)}: there is no claim {claim}"
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{name(doc)}: there is no volume {mount['name']}"


def settings(section):
    """The keys of a configuration and their values, those of inner sections too."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from settings(value)
        else:
            yield key, value


def configuration(docs):
    """The configuration parses, is safe to serve on every address, and each file that it names is mounted."""
    for doc in docs:
        if doc["kind"] != "ConfigMap":
            continue
        try:
            config = tomllib.loads(doc["data"]["config.toml"])
        except tomllib.TOMLDecodeError as error:
            yield f"{name(doc)}: {error}"
            continue
        if config["auth"]["mode"] != "required":
            yield f"{name(doc)}: auth.mode is {config['auth']['mode']}"
        if not config["grpc"]["listen"].endswith(":50051"):
            yield f"{name(doc)}: grpc.listen is {config['grpc']['listen']}"
        for section, key in (("token", "keys"), ("store", "url"), ("mail", "url")):
            if not str(config.get(section, {}).get(key, "sqlite:")).startswith("sqlite:"):
                yield f"{name(doc)}: {section}.{key} is a secret"
        # An authority's certificate is no secret: it comes from a volume of the user's own.
        wanted = {v for k, v in settings(config) if k.endswith("_file") and k != "ca_file"}
        for where, template in pods(docs):
            volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
            if volumes.get("config", {}).get("configMap", {}).get("name") != doc["metadata"]["name"]:
                continue
            secret = volumes["secrets"]["secret"]
            if secret.get("defaultMode") != 0o440:
                yield f"{where}: the secret files are not 0440"
            mounts = {m["name"]: m["mountPath"] for m in template["spec"]["containers"][0]["volumeMounts"]}
            found = {f"{mounts['secrets']}/{item['path']}" for item in secret["items"]}
            found |= {f"{mounts['config']}/{key}" for key in doc["data"] if key != "config.toml"}
            if tls := volumes.get("tls", {}).get("projected"):
                items = [item for source in tls["sources"] for item in source["secret"]["items"]]
                found |= {f"{mounts['tls']}/{item['path']}" for item in items}
                if tls.get("defaultMode") != 0o440:
                    yield f"{where}: the files of the certificate are not 0440"
            if wanted != found:
                yield f"{where}: the configuration names {sorted(wanted)}, the Secret is mounted as {sorted(found)}"


def environment(docs):
    for where, template in pods(docs):
        for container in template["spec"]["containers"]:
            if container.get("envFrom"):
                yield f"{where}: envFrom"
            for variable in container.get("env", []):
                if "valueFrom" in variable or re.search(r"KEY|SECRET|PASSWORD|URL$", variable["name"]):
                    yield f"{where}: {variable['name']} may be a secret"
        if template["spec"].get("enableServiceLinks") is not False:
            yield f"{where}: enableServiceLinks is not false"


def probes(docs):
    """Liveness never asks for the database: an outage must not restart the pods. No Service leads to the port of the probes."""
    for doc in docs:
        if doc["kind"] != "Deployment":
            continue
        container = doc["spec"]["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if not re.search(rf'^\[admin\]\nlisten = ".*:{ports["admin"]}"$', config_of(doc, docs), re.MULTILINE):
            yield f"{name(doc)}: the port of the probes is not that of admin.listen"
        for probe, path in PROBES.items():
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": "admin"}:
                yield f"{name(doc)}: {probe} is {container.get(probe)}"
        for service in docs:
            for port in service["spec"]["ports"] if service["kind"] == "Service" else ():
                if port.get("targetPort", port["port"]) in ("admin", ports["admin"]):
                    yield f"{name(service)}: leads to the port of the probes"


def drain(docs):
    """SIGKILL comes after the drain's own deadline."""
    units = {"ms": 0.001, "s": 1, "m": 60}
    for doc in docs:
        if doc["kind"] != "Deployment":
            continue
        total = 0
        for key in ("drain_delay", "drain_timeout"):
            duration = re.search(rf'^{key} = "(\d+)(ms|s|m)"$', config_of(doc, docs), re.MULTILINE)
            if not duration:
                yield f"{name(doc)}: its configuration has no {key}"
                return
            total += int(duration[1]) * units[duration[2]]
        grace = doc["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        if grace <= total:
            yield f"{name(doc)}: {grace} s of grace for a drain of {total} s"


def replicas(docs):
    """A pod with a claim is alone, in time too; several pods have a disruption budget."""
    kinds = {doc["kind"] for doc in docs}
    for doc in docs:
        if doc["kind"] != "Deployment":
            continue
        spec = doc["spec"]
        claims = any("persistentVolumeClaim" in volume for volume in spec["template"]["spec"]["volumes"])
        if claims and (spec["replicas"] > 1 or spec["strategy"]["type"] != "Recreate"):
            yield f"{name(doc)}: two pods may open one database file"
        if claims == ("Job" in kinds):
            yield f"{name(doc)}: PostgreSQL is migrated by a Job, SQLite by its pod"
        if (spec["replicas"] > 1) != ("PodDisruptionBudget" in kinds):
            yield f"{name(doc)}: {spec['replicas']} replicas, but PodDisruptionBudget: {'PodDisruptionBudget' in kinds}"


CHECKS = (schema, restricted, selectors, references, configuration, environment, probes, drain, replicas)


def complaints(docs):
    return [complaint for check in CHECKS for complaint in check(docs)]


# What is spoilt, and a part of the complaint that must follow: `d` is the Deployment, `p` its pod, `c` its container, `m` its
# ConfigMap, `j` the Job, `s` the Service.
SPOILERS = (
    ("d['spec']['replica'] = 3", "Additional properties"),
    ("d['spec']['minReadySeconds'] = 'two'", "is not of type"),
    ("s['apiVersion'] = 'v9'", "Couldn't find schema"),
    ("del c['securityContext']['runAsNonRoot'], p['securityContext']['runAsNonRoot']", "runAsNonRoot"),
    ("p['securityContext']['runAsUser'] = 0", "runs as root"),
    ("del c['securityContext']['seccompProfile'], p['securityContext']['seccompProfile']", "seccompProfile"),
    ("c['securityContext']['capabilities'] = {}", "not dropped"),
    ("c['securityContext']['capabilities']['add'] = ['SYS_ADMIN']", "are added"),
    ("del c['securityContext']['allowPrivilegeEscalation']", "allowPrivilegeEscalation"),
    ("c['securityContext']['privileged'] = True", "privileged"),
    ("c['securityContext']['readOnlyRootFilesystem'] = False", "readOnlyRootFilesystem"),
    ("del pod(j)['spec']['containers'][0]['securityContext']", "Job/"),
    ("p['hostNetwork'] = True", "hostNetwork"),
    ("c['ports'][0]['hostPort'] = 80", "hostPort"),
    ("p['volumes'].append({'name': 'host', 'hostPath': {'path': '/'}})", "hostPath is not allowed"),
    ("del p['automountServiceAccountToken']", "token"),
    ("s['spec']['selector']['app.kubernetes.io/component'] = 'x'", "does not select"),
    ("del s['spec']['selector']['app.kubernetes.io/component']", "do not serve"),
    ("p['volumes'][0]['configMap']['name'] = 'x'", "there is no ConfigMap/x"),
    ("pod(j)['spec']['volumes'][0]['configMap']['name'] = d['metadata']['name']", "does not exist yet"),
    ("pod(j)['spec']['serviceAccountName'] = p['serviceAccountName']", "does not exist yet"),
    ("c['volumeMounts'][0]['name'] = 'x'", "there is no volume x"),
    ("m['data']['config.toml'] = m['data']['config.toml'].replace('required', 'none')", "auth.mode"),
    ("m['data']['config.toml'] = m['data']['config.toml'].replace('url_file', 'url')", "is a secret"),
    ("m['data']['config.toml'] += '\\n['", "ConfigMap/"),
    ("p['volumes'][1]['secret']['items'].pop()", "is mounted as"),
    ("p['volumes'][1]['secret']['defaultMode'] = 0o444", "0440"),
    ("c['env'] = [{'name': 'INVITATION__TOKEN__KEYS', 'value': 'k'}]", "may be a secret"),
    ("del p['enableServiceLinks']", "enableServiceLinks"),
    ("c['livenessProbe']['httpGet']['path'] = '/readyz'", "livenessProbe"),
    ("c['readinessProbe']['httpGet']['path'] = '/livez'", "readinessProbe"),
    ("c['startupProbe']['httpGet']['port'] = 'grpc'", "startupProbe"),
    ("c['ports'][1]['containerPort'] = 9091", "not that of admin.listen"),
    ("s['spec']['ports'].append({'name': 'admin', 'port': 9090})", "leads to the port of the probes"),
    ("s['spec']['ports'][0]['targetPort'] = 'admin'", "leads to the port of the probes"),
    ("p['terminationGracePeriodSeconds'] = 25", "of grace"),
    ("p['volumes'].append({'name': 'data', 'persistentVolumeClaim': {'claimName': 'x'}})", "two pods"),
    ("d['spec']['replicas'] = 1", "PodDisruptionBudget"),
)


def self_test(docs):
    yield from (f"before anything was spoilt: {complaint}" for complaint in complaints(docs))
    for spoiler, expected in SPOILERS:
        spoilt = copy.deepcopy(docs)
        # Two objects of one kind: the hook's ConfigMap comes after the server's, as helm renders hooks last.
        first = {doc["kind"]: doc for doc in reversed(spoilt)}
        server = pod(first["Deployment"])["spec"]
        scope = {
            "d": first["Deployment"],
            "p": server,
            "c": server["containers"][0],
            "j": first["Job"],
            "s": first["Service"],
            "m": first["ConfigMap"],
            "pod": pod,
        }
        exec(spoiler, scope)
        found = complaints(spoilt)
        if not any(expected in complaint for complaint in found):
            yield f"no complaint about {expected!r} after: {spoiler} (but {found})"


def load(path):
    return [doc for doc in yaml.safe_load_all(pathlib.Path(path).read_text()) if doc]


def main(arguments):
    match arguments:
        case ["--self-test", path]:
            found = list(self_test(load(path)))
            if not found:
                print(f"ok   {len(SPOILERS)} spoilt manifests refused")
        case [*paths] if paths:
            found = [f"{pathlib.Path(path).name}: {complaint}" for path in paths for complaint in complaints(load(path))]
        case _:
            sys.exit(__doc__)
    for complaint in found:
        print(f"FAIL {complaint}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
