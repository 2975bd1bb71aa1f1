"""Takes the manifests out of a document's ```yaml blocks, for the checks that the chart's own renders pass.

    check-docs.py DOCUMENT FOLDER

Writes into FOLDER what check-crds.mjs reads (docs.json), and the values that an Application of Argo CD or a HelmRelease of Flux has for the
chart (docs-NUMBER-values.yaml), which helm/lint renders. A block that is no manifest is a list of values by its own and is rendered, too.
"""

import json
import pathlib
import re
import sys

import yaml


def values_of(doc):
    """The values for the chart, None if the object has none."""
    spec = doc.get("spec", {})
    match doc["kind"]:
        case "Application":
            sources = spec.get("sources", [spec.get("source", {})])
            return next((source["helm"]["valuesObject"] for source in sources if "valuesObject" in source.get("helm", {})), None)
        case "HelmRelease":
            return spec.get("values")
    return None


def main(arguments):
    document, folder = map(pathlib.Path, arguments)
    blocks = re.findall(r"^```yaml\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    custom, values = [], []
    for block in blocks:
        for doc in yaml.safe_load_all(block):
            if "kind" not in doc:
                values.append(doc)
                continue
            where = f"{document.name}: {doc['kind']}/{doc['metadata']['name']}"
            if "/" in doc["apiVersion"]:
                custom.append({"where": where, "doc": doc})
            if (own := values_of(doc)) is not None:
                values.append(own)
    (folder / "docs.json").write_text(json.dumps(custom))
    for number, own in enumerate(values, 1):
        (folder / f"docs-{number}-values.yaml").write_text(yaml.safe_dump(own))
    print(f"{len(custom)} custom resources, {len(values)} sets of values")
    return 0 if custom and values else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
