"""Reads CloudEvents with the library of the CNCF, as followers do that know nothing of this service.

    cloud_events.py ASYNCAPI_DOCUMENT <input.json

The input has a list of messages for each way: {"way": [{"headers": {...}, "body": "..."}, ...], ...}. Prints, as one line of
JSON, for each way the attributes and the data of its events. The library puts in an id, a time or a version that is missing, so
their absence is an error here. The data is compared with the schema that the AsyncAPI document has of its type.
"""

import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from dateutil.parser import isoparse
from jsonschema import Draft202012Validator


class Document:
    """The messages of an AsyncAPI document."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.components = json.load(file)["components"]

    def check(self, data):
        """Demands that an event is one of the document's messages, and has no field that its schema does not name."""
        schema = self.components["messages"][data["type"]]["payload"]
        for error in Draft202012Validator({**schema, "components": self.components}).iter_errors(data):
            raise SystemExit(f"{error.message} at {error.json_path}: {data}")
        self.check_names(data, "invitation.v1.Event")

    def check_names(self, value, name):
        properties = self.components["schemas"][name]["properties"]
        if unknown := value.keys() - properties.keys():
            raise SystemExit(f"{name} has no {unknown}")
        for key, inner in value.items():
            reference = properties[key].get("allOf", [{}])[0].get("$ref", "").rpartition("/")[2]
            if isinstance(inner, dict) and reference:
                self.check_names(inner, reference)


def read(message, document):
    headers, body = {name.lower(): value for name, value in message["headers"].items()}, message["body"].encode()
    is_structured = headers.get("content-type", "").startswith(JSONFormat.CONTENT_TYPE)
    if is_structured and any(name.startswith("ce-") for name in headers):
        raise SystemExit(f"a message is in both modes: {headers}")
    given = json.loads(body) if is_structured else {name.removeprefix("ce-"): value for name, value in headers.items()}
    if missing := {"specversion", "id", "source", "type", "time"} - given.keys():
        raise SystemExit(f"a message has no {missing}: {given}")
    event = from_http_event(HTTPMessage(headers=headers, body=body))
    if event.get_time() != isoparse(event.get_data()["time"]):
        raise SystemExit(f"the time is not that of the data: {given}")
    document.check(event.get_data())
    attributes = {**event.get_attributes(), "time": "that of the data"}
    return {"mode": "structured" if is_structured else "binary", "attributes": attributes, "data": event.get_data()}


def main():
    document, given = Document(sys.argv[1]), json.load(sys.stdin)
    print(json.dumps({way: [read(message, document) for message in messages] for way, messages in given.items()}))


if __name__ == "__main__":
    main()
