"""Checks rendered manifests of the chart; prints one line per complaint and exits 1 if there is any.

    check-manifests.py [--crds FILE] RENDER...   the manifests in these files; FILE@1.31 is for Kubernetes 1.31 and newer alone
    check-manifests.py --self-test RENDER        each check complains about a manifest that was spoilt for it

What it holds each object to: Kubernetes' own schema, strictly, at three versions; Pod Security "restricted";
and what ties the objects together (selectors, references, probes, the drain, nothing secret in sight).
It does not look at how the templates produce them: that is for the snapshots. Custom resources are no part of Kubernetes' schema; they are
written to the FILE of --crds, for check-crds.mjs.
"""

import copy
import json
import pathlib
import re
import sys
import tomllib

import kubernetes_validate
import yaml

from spoilers import SPOILERS

KUBERNETES = ("1.27", "1.33", "1.37")
OWN_GROUPS = {"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"}
CONFIG = "invitation-service/config"
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


def config_of(doc):
    """The configuration file that a workload carries, as text; empty if there is none."""
    return pod(doc)["metadata"].get("annotations", {}).get(CONFIG, "")


def is_custom(doc):
    return doc["apiVersion"].rpartition("/")[0] not in OWN_GROUPS


def server_of(docs):
    """The pod template of the Deployment."""
    return next(pod(doc) for doc in docs if doc["kind"] == "Deployment")


def schema(docs, oldest="1.27"):
    for doc in docs:
        if is_custom(doc):
            continue
        for version in (version for version in KUBERNETES if older(oldest) <= older(version)):
            try:
                kubernetes_validate.validate(doc, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name(doc)}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                # The library's own command line passes over these.
                yield f"{name(doc)}: Kubernetes {version}: {error.message}"


def older(version):
    return [int(part) for part in version.split(".")]


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
    """An object selects the pods of its own component and no others; a ServiceMonitor selects one Service, of the admin port."""
    deployments = [doc for doc in docs if doc["kind"] == "Deployment"]
    if len(deployments) != 1:
        yield f"{len(deployments)} Deployments"
        return
    component = "app.kubernetes.io/component"
    workloads = [(pod(doc)["metadata"]["labels"]) for doc in docs if doc["kind"] in WORKLOADS]
    for doc in docs:
        spec = doc.get("spec", {})
        wanted = "server"
        match doc["kind"]:
            case "Service":
                selector = spec["selector"]
            case "Deployment" | "PodDisruptionBudget":
                selector = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                selector = spec["podSelector"]["matchLabels"]
                wanted = doc["metadata"]["labels"][component]
            case "ServiceMonitor":
                chosen = spec["selector"]["matchLabels"].items()
                services = [d["metadata"]["name"] for d in docs if d["kind"] == "Service" and chosen <= d["metadata"]["labels"].items()]
                if len(services) != 1 or not services[0].endswith("-admin"):
                    yield f"{name(doc)}: selects {services}, so pods are scraped twice or not at all"
                continue
            case _:
                continue
        selected = [labels[component] for labels in workloads if selector.items() <= labels.items()]
        if set(selected) != {wanted}:
            yield f"{name(doc)}: selects pods of {sorted(set(selected))}, not of the {wanted} alone"


def references(docs):
    """A pod finds what it names: its ConfigMaps, claim and service account, in time if it is a hook, and its mounts' volumes."""
    own = {(doc["kind"], doc["metadata"]["name"]) for doc in docs}
    prefix = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "Deployment"}
    for doc in docs:
        if doc["kind"] not in WORKLOADS:
            continue
        early = doc["metadata"].get("annotations", {}).get("helm.sh/hook", "").startswith("pre-")
        spec = pod(doc)["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        if ("ServiceAccount", spec.get("serviceAccountName", "")) in own and early:
            yield f"{name(doc)}: its service account does not exist yet when the hook runs"
        for volume in volumes.values():
            for source in (volume, *volume.get("projected", {}).get("sources", [])):
                target = source.get("configMap", {}).get("name", "")
                if early and ("ConfigMap", target) in own:
                    yield f"{name(doc)}: ConfigMap/{target} does not exist yet when the hook runs"
                if target.startswith(tuple(prefix)) and ("ConfigMap", target) not in own:
                    yield f"{name(doc)}: there is no ConfigMap/{target}"
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


def is_configured(container):
    return any(variable["name"] == "INVITATION_CONFIG" for variable in container.get("env", []))


def configuration(docs):
    """The configuration parses, is safe to serve on every address, and each file that it names is mounted."""
    for doc in docs:
        if doc["kind"] not in WORKLOADS or not is_configured(pod(doc)["spec"]["containers"][0]):
            continue
        try:
            config = tomllib.loads(config_of(doc))
            found = check_settings(config)
        except (tomllib.TOMLDecodeError, KeyError) as error:
            found = [f"its configuration: {error!r}"]
        else:
            found += check_files(doc, config, docs)
        yield from (f"{name(doc)}: {complaint}" for complaint in found)


def check_settings(config):
    found = []
    if config["auth"]["mode"] != "required":
        found.append(f"auth.mode is {config['auth']['mode']}")
    if not config["grpc"]["listen"].endswith(":50051"):
        found.append(f"grpc.listen is {config['grpc']['listen']}")
    for section, key in (("token", "keys"), ("store", "url"), ("mail", "url")):
        if not str(config.get(section, {}).get(key, "sqlite:")).startswith("sqlite:"):
            found.append(f"{section}.{key} is a secret")
    return found


def check_files(doc, config, docs):
    """The files of the chart's own volumes are those that the configuration names, and nobody else may read the secret ones."""
    found = []
    volumes = {volume["name"]: volume for volume in pod(doc)["spec"].get("volumes", [])}
    mounts = {m["name"]: m["mountPath"] for m in pod(doc)["spec"]["containers"][0]["volumeMounts"]}
    mounted = set()
    for volume in ("secrets", "tls", "config"):
        projected = volumes.get(volume, {}).get("projected")
        if not projected:
            continue
        if volume != "config" and projected.get("defaultMode") != 0o440:
            found.append(f"the files of the volume {volume} are not 0440")
        for source in projected["sources"]:
            kind, content = next(iter(source.items()))
            items = content.get("items")
            if items is None:
                # A ConfigMap of the chart's own, as a whole.
                data = next(d["data"] for d in docs if d["kind"] == "ConfigMap" and d["metadata"]["name"] == content["name"])
                items = [{"path": key} for key in data]
            mounted |= {f"{mounts.get(volume)}/{item['path']}" for item in items}
    file = f"{mounts.get('config')}/config.toml"
    if file not in mounted:
        found.append(f"{file} is not mounted")
    own = tuple(mounts[volume] for volume in ("secrets", "tls", "config") if volume in mounts)
    wanted = {value for key, value in settings(config) if key.endswith("_file") and str(value).startswith(own)}
    if wanted != mounted - {file}:
        found.append(f"the configuration names {sorted(wanted)}, the volumes have {sorted(mounted - {file})}")
    return found


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


def rollout(docs):
    """A pod's configuration is part of it, says why it ended, and stays as it is when only the chart's version changes."""
    for doc in docs:
        if doc["kind"] not in WORKLOADS:
            continue
        template = pod(doc)
        for label in template["metadata"]["labels"].keys() & {"helm.sh/chart", "app.kubernetes.io/version"}:
            yield f"{name(doc)}: {label} rolls pods that did not change"
        if template["spec"]["containers"][0].get("terminationMessagePolicy") != "FallbackToLogsOnError":
            yield f"{name(doc)}: terminationMessagePolicy is not FallbackToLogsOnError"
        if doc["kind"] == "Job" and "helm.sh/hook" not in doc["metadata"].get("annotations", {}):
            if not re.search(r"-migrate-[0-9a-f]{8}$", doc["metadata"]["name"]):
                yield f"{name(doc)}: its name has no hash, and the template of a Job never changes"
            if "ttlSecondsAfterFinished" in doc["spec"] or "activeDeadlineSeconds" in doc["spec"]:
                yield f"{name(doc)}: ends by a clock"
        elif doc["kind"] == "Job" and not doc["spec"].get("activeDeadlineSeconds", 300) < 300:
            yield f"{name(doc)}: goes on when helm has given up"


def probes(docs):
    """Liveness never asks for the database: an outage must not restart the pods. One Service leads to their port, without an address."""
    for doc in docs:
        if doc["kind"] != "Deployment":
            continue
        container = doc["spec"]["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if not re.search(rf'^\[admin\]\nlisten = ".*:{ports["admin"]}"$', config_of(doc), re.MULTILINE):
            yield f"{name(doc)}: the port of the probes is not that of admin.listen"
        for probe, path in PROBES.items():
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": "admin"}:
                yield f"{name(doc)}: {probe} is {container.get(probe)}"
        for service in (d for d in docs if d["kind"] == "Service"):
            label = service["metadata"]["labels"].get("app.kubernetes.io/component")
            if label == "admin" and service["spec"].get("clusterIP") == "None" and service["spec"].get("publishNotReadyAddresses"):
                continue
            for port in service["spec"]["ports"]:
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
            duration = re.search(rf'^{key} = "(\d+)(ms|s|m)"$', config_of(doc), re.MULTILINE)
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
    scaler = next((doc["spec"] for doc in docs if doc["kind"] == "HorizontalPodAutoscaler"), None)
    for doc in docs:
        if doc["kind"] != "Deployment":
            continue
        spec = doc["spec"]
        if scaler and "replicas" in spec:
            yield f"{name(doc)}: replicas beside a HorizontalPodAutoscaler, which each upgrade would undo"
        pods = scaler["minReplicas"] if scaler else spec["replicas"]
        claims = any("persistentVolumeClaim" in volume for volume in spec["template"]["spec"]["volumes"])
        if claims and (pods > 1 or spec["strategy"]["type"] != "Recreate"):
            yield f"{name(doc)}: two pods may open one database file"
        migrates = "migrate_on_start = true" in config_of(doc)
        if (claims or migrates) == ("Job" in kinds):
            yield f"{name(doc)}: PostgreSQL is migrated by a Job, SQLite by its pod"
        if (pods > 1) != ("PodDisruptionBudget" in kinds):
            yield f"{name(doc)}: {pods} replicas, but PodDisruptionBudget: {'PodDisruptionBudget' in kinds}"


CHECKS = (restricted, selectors, references, configuration, environment, rollout, probes, drain, replicas)


def complaints(docs, oldest="1.27"):
    return [*schema(docs, oldest), *(complaint for check in CHECKS for complaint in check(docs))]


def self_test(docs):
    yield from (f"before anything was spoilt: {complaint}" for complaint in complaints(docs))
    for spoiler, expected in SPOILERS:
        spoilt = copy.deepcopy(docs)
        first = {doc["kind"]: doc for doc in reversed(spoilt)}
        server = pod(first["Deployment"])["spec"]
        scope = {
            "d": first["Deployment"],
            "p": server,
            "a": pod(first["Deployment"])["metadata"]["annotations"],
            "c": server["containers"][0],
            "j": first["Job"],
            "s": first["Service"],
            "n": first["NetworkPolicy"],
            "h": first["HorizontalPodAutoscaler"],
            "v": first["ServiceMonitor"],
            "pod": pod,
            "CONFIG": CONFIG,
        }
        exec(spoiler, scope)
        found = [complaint for check in CHECKS for complaint in check(spoilt)]
        if not any(expected in complaint for complaint in found):
            # These take longest, and one version shows that they are looked at.
            found += schema(spoilt, KUBERNETES[-1])
        if not any(expected in complaint for complaint in found):
            yield f"no complaint about {expected!r} after: {spoiler} (but {found})"


def load(path):
    return [doc for doc in yaml.safe_load_all(pathlib.Path(path).read_text()) if doc]


def main(arguments):
    crds = None
    if arguments[:1] == ["--crds"]:
        crds, arguments = pathlib.Path(arguments[1]), arguments[2:]
    match arguments:
        case ["--self-test", path]:
            found = list(self_test(load(path)))
            if not found:
                print(f"ok   {len(SPOILERS)} spoilt manifests refused")
        case [*paths] if paths:
            found, custom = [], []
            for path, _, oldest in (path.partition("@") for path in paths):
                docs = load(path)
                where = pathlib.Path(path).name
                found += [f"{where}: {complaint}" for complaint in complaints(docs, oldest or KUBERNETES[0])]
                custom += [{"where": f"{where}: {name(doc)}", "doc": doc} for doc in docs if is_custom(doc)]
            if crds:
                crds.write_text(json.dumps(custom))
        case _:
            sys.exit(__doc__)
    for complaint in found:
        print(f"FAIL {complaint}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
