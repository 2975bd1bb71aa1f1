"""Holds the chart's values to what describes them.

    check-values.py [--update] CHART REFERENCE

- Each value of values.yaml has a comment that opens with `# --`, right above it or above the map that it is part of.
- The table in the chart's README is made of these comments; with --update it is written, else compared.
- values.schema.json has under `config` just what REFERENCE, the service's own default configuration, says of each key, but for those
  that the chart sets itself: a key that the service does not know would stop it, one that is missing here could not be set, and a value
  that it refuses is to be refused here. The same for what templates/_reference.tpl tells the templates. Both are written with --update.
"""

import json
import pathlib
import re
import sys

import config_schema
import yaml

BEGIN, END = "<!-- values: written by helm/lint --update -->\n", "<!-- end of values -->\n"
LONGEST_DEFAULT = 40


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

    known = config_schema.keys(reference.read_text())
    if not known:
        yield f"{reference.name}: no key found"
    schema_file = chart / "values.schema.json"
    schema = json.loads(schema_file.read_text())
    template_file = chart / "templates" / "_reference.tpl"
    wanted = config_schema.config_schema(known)
    if update:
        schema["properties"]["config"] = wanted
        schema_file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
        template_file.write_text(config_schema.template(known))
    else:
        found = schema["properties"]["config"]["properties"]
        for section in sorted(found.keys() | wanted["properties"].keys()):
            if found.get(section) != wanted["properties"].get(section):
                yield f"values.schema.json: config.{section} is not what {reference.name} says (helm/lint --update writes it)"
        if template_file.read_text() != config_schema.template(known):
            yield f"_reference.tpl: is not what {reference.name} says (helm/lint --update writes it)"


def main(arguments):
    update = arguments[:1] == ["--update"]
    chart, reference = map(pathlib.Path, arguments[-2:])
    found = list(check(chart, reference, update))
    print("".join(f"{complaint}\n" for complaint in found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
