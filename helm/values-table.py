"""Holds the table of values in the chart's README to values.yaml, whose comments it is made of.

    values-table.py [--update] CHART

A value is a key right below a comment that opens with `# --`. Each key of values.yaml is one, or is part of one.
"""

import json
import pathlib
import re
import sys

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
            rows.append(f"| `{where}` | {default} | {notes[where].replace('|', chr(92) + '|')} |\n")
        elif isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(inner, [*path, key])
        else:
            bare.append(where)

    for key, value in values.items():
        walk(value, [key])
    return ["| Value | Default | |\n", "| --- | --- | --- |\n", *rows], bare


def main(arguments):
    update = arguments[:1] == ["--update"]
    chart = pathlib.Path(arguments[-1])
    text = (chart / "values.yaml").read_text()
    rows, bare = table(yaml.safe_load(text), comments(text))
    for where in bare:
        print(f"values.yaml: {where} has no comment")
    readme = chart / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    written, after = rest.split(END)
    if written != "".join(rows):
        if update:
            readme.write_text(before + BEGIN + "".join(rows) + END + after)
        else:
            print("README.md: the table is not that of values.yaml")
            return 1
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
