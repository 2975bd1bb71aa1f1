"""A gRPC client that knows the service only through its reflection, as a stranger's client would.

    client.py ADDRESS PACKAGE.SERVICE/METHOD [--header NAME=VALUE]... [--timeout SECONDS] <request.json

Prints the response as one line of JSON, or one line per message of a stream. For an error it prints an object with the
code, the message and what google.rpc.Status carries, and exits with 1.
"""

import argparse
import json
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("method")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--timeout", type=float, default=30)
    return parser.parse_args()


def call(channel, args):
    """Yields the responses: one, unless the method streams."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    service, _, name = args.method.partition("/")
    method = pool.FindServiceByName(service).FindMethodByName(name)
    if method is None or method.client_streaming:
        raise SystemExit(f"{args.method}: no such method, or one that takes a stream")
    request = json_format.Parse(sys.stdin.read(), message_class(method.input_type)(), descriptor_pool=pool)
    invoke = (channel.unary_stream if method.server_streaming else channel.unary_unary)(
        f"/{service}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_class(method.output_type).FromString,
    )
    response = invoke(request, timeout=args.timeout)
    for message in response if method.server_streaming else [response]:
        yield json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)


class Headers(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds the headers to every call, those of reflection included, which asks for a credential where calls do."""

    def __init__(self, headers):
        self.headers = [tuple(header.split("=", 1)) for header in headers]

    def add(self, continuation, details, request):
        class Details(grpc.ClientCallDetails):
            method = details.method
            timeout = details.timeout
            metadata = [*(details.metadata or []), *self.headers]
            credentials = details.credentials
            wait_for_ready = details.wait_for_ready
            compression = details.compression

        return continuation(Details(), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = add


def message_class(descriptor):
    return message_factory.GetMessageClass(descriptor)


def describe(error):
    """The parts of an error that a client may rely on; those that the server did not send are null or empty."""
    known = {"code": error.code().name, "message": error.details(), "reason": None, "domain": None, "metadata": {}}
    known |= {"retry_delay_seconds": None, "field_violations": []}
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(info):
            known |= {"reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}
        elif detail.Unpack(retry):
            known["retry_delay_seconds"] = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(bad_request):
            known["field_violations"] += [
                {"field": violation.field, "description": violation.description, "reason": violation.reason}
                for violation in bad_request.field_violations
            ]
    return known


def main():
    args = arguments()
    with grpc.insecure_channel(args.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            for response in call(grpc.intercept_channel(channel, Headers(args.header)), args):
                print(json.dumps(response, ensure_ascii=False), flush=True)
        except grpc.RpcError as error:
            print(json.dumps(describe(error), ensure_ascii=False))
            sys.exit(1)


if __name__ == "__main__":
    main()
