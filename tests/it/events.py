"""Reads events as four kinds of followers do, and demands that all of them saw the same.

    events.py ADDRESS <input.json

The input has the bodies that webhooks posted and that NATS published, as texts: {"webhook": [...], "nats": [...]}. The messages
of ListEvents, GetEvent and WatchEvents are fetched here. Bodies are parsed strictly: a field that the message does not have is an
error. Prints, as one line of JSON, the types that were seen and one accepted event; for a difference it prints that and exits
with 1.
"""

import argparse
import json
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "invitation.v1.EventService"


class Events:
    """The EventService, known by its reflection alone."""

    def __init__(self, channel):
        self.channel = channel
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self.methods = self.pool.FindServiceByName(SERVICE).methods_by_name
        self.event = self.message("invitation.v1.Event")

    def message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def call(self, name, request):
        method = self.methods[name]
        invoke = (self.channel.unary_stream if method.server_streaming else self.channel.unary_unary)(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        request_class = message_factory.GetMessageClass(method.input_type)
        return invoke(request_class(**request), timeout=60)

    def watched(self):
        """Every event that there is when the watch begins."""
        for response in self.call("WatchEvents", {"from_beginning": True}):
            if response.WhichOneof("item") == "checkpoint_time":
                return
            if response.resume_token != response.event.resume_token:
                raise SystemExit("a response has another resume_token than its event")
            yield response.event

    def listed(self, invitations):
        for parent in invitations:
            request = {"parent": parent, "page_size": 100}
            while True:
                page = self.call("ListEvents", request)
                yield from page.events
                if not page.next_page_token:
                    break
                request["page_token"] = page.next_page_token

    def parsed(self, bodies):
        for body in bodies:
            event = json_format.Parse(body, self.event(), ignore_unknown_fields=False, descriptor_pool=self.pool)
            if event.resume_token:
                raise SystemExit(f"a body has a resume_token: {body}")
            # Also the other way round: the body is what the library of the client would write.
            if json.loads(body) != json_format.MessageToDict(event, descriptor_pool=self.pool):
                raise SystemExit(f"the body is not in the JSON mapping: {body}")
            yield event


def by_uid(events):
    found = {}
    for event in events:
        event.ClearField("resume_token")
        found[event.uid] = event
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    given = json.load(sys.stdin)
    with grpc.insecure_channel(parser.parse_args().address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        events = Events(channel)
        watched = by_uid(events.watched())
        invitations = sorted({event.invitation for event in watched.values()})
        ways = {"ListEvents": by_uid(events.listed(invitations))}
        ways["GetEvent"] = by_uid(events.call("GetEvent", {"name": event.name}) for event in watched.values())
        ways |= {way: by_uid(events.parsed(bodies)) for way, bodies in given.items()}
    for way, seen in ways.items():
        for uid in watched.keys() | seen.keys():
            if watched.get(uid) != seen.get(uid):
                raise SystemExit(f"WatchEvents and {way} differ:\n{watched.get(uid)}\n{seen.get(uid)}")
    for event in watched.values():
        if event.WhichOneof("payload") is None or not (event.state and event.kind and event.account and event.actor):
            raise SystemExit(f"an event lacks a part:\n{event}")
    accepted = [event for event in watched.values() if event.type == "invitation.accepted" and event.accepted.groups]
    shown = json_format.MessageToDict(accepted[0], descriptor_pool=events.pool) if accepted else None
    print(json.dumps({"types": sorted({event.type for event in watched.values()}), "accepted": shown}))


if __name__ == "__main__":
    main()
