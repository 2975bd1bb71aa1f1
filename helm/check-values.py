"""Holds the chart's values to what describes them.

    check-values.py [--update] CHART REFERENCE

- Each value of values.yaml has a comment that opens with `# --`, right above it or above the map that it is part of.
- The table in the chart's README is made of these comments; with --update it is written, else compared.
- values.schema.json allows under `config` just the keys of REFERENCE, the service's own default configuration, but for those that
  the chart sets itself: a key that the service does not know would stop it, one that is missing here could not be set.
"""

import json
import pathlib
import re
import sys

import yaml

BEGIN, END = "<!-- values: written by helm/lint --update -->\n", "<!-- end of values -->\n"
LONGEST_DEFAULT = 40
SET_BY_CHART = re.compile(r"(admin|grpc)\.listen|grpc\.tls\.[a-z_]+|store\.(read_)?url(_file)?|token\.keys(_file)?|auth\.(mode|api_keys_file|client_certificates_file)|mail\.url(_file)?")


def comments(text):
    """The comment of each value, by its path."""
    path, comment, found = [], None, {}
    for line in text.splitlines():
        if note := re.match(r"\s*# (-- )?(.*)", line):
            if note[1]:
                comment = note[2]
            elif comment is not None:
                comment += " " + note[2]
        elif key := re.match(r"( *)([A-Za-z_]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment is not None:
                found[".".join(path)] = comment
            comment = None
        else:
            comment = None
    return found


def table(values, notes):
    """The rows, and the paths without a comment."""
    rows, bare = [], []

    def walk(value, path):
        where = ".".join(path)
        if where in notes:
            default = json.dumps(value)
            default = f"`{default}`" if len(default) <= LONGEST_DEFAULT else "see values.yaml"
            note = notes[where].replace("|", "\\|")
            rows.append(f"| `{where}` | {default} | {note} |\n")
        elif isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(inner, [*path, key])
        else:
            bare.append(where)

    for key, value in values.items():
        walk(value, [key])
    return "".join(["| Value | Default | |\n", "| --- | --- | --- |\n", *rows]), bare


def service_keys(reference):
    """The keys of the service's default configuration; one without a value stands there as a comment."""
    section, found = None, set()
    for line in reference.splitlines():
        if header := re.fullmatch(r"\[([a-z_.]+)\]", line):
            section = header[1]
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found.add(f"{section}.{key[1]}")
    return found


def schema_keys(schema):
    sections = schema["properties"]["config"]["properties"]
    return {f"{section}.{key}" for section, body in sections.items() for key in body["properties"]}


def check(chart, reference, update):
    text = (chart / "values.yaml").read_text()
    rows, bare = table(yaml.safe_load(text), comments(text))
    yield from (f"values.yaml: {where} has no comment" for where in bare)

    readme = chart / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    written, after = rest.split(END)
    if update:
        readme.write_text(before + BEGIN + rows + END + after)
    elif written != rows:
        yield "README.md: the table is not that of values.yaml (helm/lint --update writes it)"

    allowed = schema_keys(json.loads((chart / "values.schema.json").read_text()))
    known = service_keys(reference.read_text())
    if not known:
        yield f"{reference.name}: no key found"
    for key in sorted(known - allowed):
        if not SET_BY_CHART.fullmatch(key):
            yield f"values.schema.json: config.{key} is missing, which the service has"
    for key in sorted(allowed):
        if key not in known or SET_BY_CHART.fullmatch(key):
            yield f"values.schema.json: config.{key} is not the service's, or set by the chart"


def main(arguments):
    update = arguments[:1] == ["--update"]
    chart, reference = map(pathlib.Path, arguments[-2:])
    found = list(check(chart, reference, update))
    print("".join(f"{complaint}\n" for complaint in found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
