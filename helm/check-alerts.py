"""Holds the alerts and the dashboard of rendered charts to what they are about; prints one line per complaint and exits 1 if there is any.

    check-alerts.py PROMTOOL CASES RUNBOOK METRICS FOLDER RENDER...

Each alert of the RENDERs fires in a case of CASES, says there what is written there, and does not at the series that are healthy, which
have every metric that it names; the
RUNBOOK has a section of its name; rules and dashboards parse, and name no metric that METRICS has not. FOLDER is an empty one to work in.
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml

# Metrics of others: Prometheus itself, kube-state-metrics, the kubelet.
FOREIGN = re.compile(r"^(up|kube_|kubelet_)")
# A metric of an expression; one with a colon is recorded by a rule.
NAME = re.compile(r"(?<![:\w])([a-z][a-z_0-9]+)\{")
HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


def load(path):
    return [doc for doc in yaml.safe_load_all(pathlib.Path(path).read_text()) if doc]


def run(promtool, *arguments):
    """The output of promtool if it fails."""
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


def rules_of(docs):
    return [rule for doc in docs if doc["kind"] == "PrometheusRule" for group in doc["spec"]["groups"] for rule in group["rules"]]


def selector_of(rules):
    """The labels that select the release, as the rules have them."""
    return re.search(r'namespace="[^"]+",job="[^"]+"', rules[0]["expr"])[0]


def test_of(case, rule, selector):
    """A case as promtool has it."""
    series = series_of(case["series"], selector)
    if case.get("quiet"):
        quiet = [{"eval_time": at, "alertname": case["alert"], "exp_alerts": []} for at in case["at"].split()]
        return {"interval": "1m", "input_series": series, "alert_rule_test": quiet}
    labels = dict(re.findall(r'(\w+)="([^"]+)"', selector)) | case.get("labels", {}) if "own" not in case else case["own"]
    expected = {
        "exp_labels": labels | rule["labels"],
        "exp_annotations": rule["annotations"] | {"summary": case["summary"]},
    }
    return {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": case["at"], "alertname": case["alert"], "exp_alerts": [expected]}],
    }


def series_of(series, selector):
    return [{"series": name.replace("$s", selector), "values": values} for name, values in series.items()]


def check_rules(promtool, cases, folder, path, before):
    """Complaints, and the names of the alerts. Those that a render of before had are not tried again."""
    rules = rules_of(load(path))
    if not rules:
        return [], set()
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    selector = selector_of(rules)
    file = folder / f"{pathlib.Path(path).stem}.rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    found = run(promtool, "check", "rules", str(file))
    fired = {case["alert"] for case in cases["cases"] if not case.get("quiet")} & alerts.keys()
    tests = [test_of(case, alerts[case["alert"]], selector) for case in cases["cases"] if case["alert"] in alerts.keys() - before]
    quiet = [{"eval_time": "90m", "alertname": alert, "exp_alerts": []} for alert in alerts.keys() - before]
    tests.append({"interval": "1m", "input_series": series_of(cases["healthy"], selector), "alert_rule_test": quiet})
    test = folder / f"{pathlib.Path(path).stem}.test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": [file.name], "evaluation_interval": "1m", "tests": tests}))
    found += run(promtool, "test", "rules", str(test))
    found += [f"{alert} fires in no case" for alert in sorted(alerts.keys() - fired)]
    healthy = {name.partition("{")[0] for name in cases["healthy"]}
    for alert in sorted(alerts.keys() - before):
        missing = set(NAME.findall(alerts[alert]["expr"])) - healthy
        found += [f"{alert}: no healthy series of {name}, so its silence says nothing" for name in sorted(missing)]
    return found, set(alerts)


def dashboard_expressions(docs):
    """The expressions of the dashboards, with Grafana's variables filled in."""
    for doc in docs:
        for name, text in doc.get("data", {}).items() if doc["kind"] == "ConfigMap" else ():
            if name.endswith(".json"):
                for panel in json.loads(text)["panels"]:
                    for target in panel.get("targets", []):
                        yield re.sub(r"\$(__rate_interval|__range)", "5m", target["expr"])


def check_dashboards(promtool, folder, path):
    expressions = list(dashboard_expressions(load(path)))
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    file = folder / f"{pathlib.Path(path).stem}.dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    return run(promtool, "check", "rules", str(file))


def unknown_metrics(paths, metrics):
    """Names of metrics in rules and dashboards that the documented table lacks."""
    known = set(re.findall(r"^\| `([a-z_0-9]+)`", metrics.read_text(), re.MULTILINE))
    used = set()
    for path in paths:
        docs = load(path)
        for expression in [rule["expr"] for rule in rules_of(docs)] + list(dashboard_expressions(docs)):
            used |= set(NAME.findall(expression))
    own = {name for name in used if not FOREIGN.match(name)}
    return [f"there is no metric {name} in {metrics.name}" for name in sorted(own) if name not in known and HISTOGRAM.sub("", name) not in known]


def main(arguments):
    promtool, cases, runbook, metrics, folder, *renders = arguments
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    cases = yaml.safe_load(pathlib.Path(cases).read_text())
    found, alerts = [], set()
    for path in renders:
        complaints, names = check_rules(promtool, cases, folder, path, alerts)
        found += [f"{pathlib.Path(path).name}: {complaint}" for complaint in complaints]
        found += check_dashboards(promtool, folder, path)
        alerts |= names
    found += [f"a case for {case['alert']}, which is no alert" for case in cases["cases"] if case["alert"] not in alerts]
    sections = set(re.findall(r"^### (InvitationService\w+)$", pathlib.Path(runbook).read_text(), re.MULTILINE))
    found += [f"{alert} has no section in {runbook}" for alert in sorted(alerts - sections)]
    found += [f"{runbook} has a section for {alert}, which is no alert" for alert in sorted(sections - alerts)]
    found += unknown_metrics(renders, pathlib.Path(metrics))
    print("".join(f"FAIL {complaint}\n" for complaint in found), end="")
    print(f"{len(alerts)} alerts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
