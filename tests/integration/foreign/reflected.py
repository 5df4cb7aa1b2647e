"""A client that knows nothing of Cloister: grpcio, and what server reflection says. Only the reflection protocol itself comes
from its .proto file."""

import queue

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

from service import SLOW, contract


class Reflection:
    """One stream of questions; version is "v1" or "v1alpha"."""

    def __init__(self, channel, version):
        package = f"grpc.reflection.{version}."
        self.request = contract.message(package + "ServerReflectionRequest")
        self.asked = []
        call = channel.stream_stream(f"/{package}ServerReflection/ServerReflectionInfo",
                                     request_serializer=lambda m: m.SerializeToString(),
                                     response_deserializer=contract.message(package + "ServerReflectionResponse").FromString)
        self.questions = queue.Queue()
        self.answers = call(iter(self.questions.get, None), timeout=30 * SLOW)

    def ask(self, **question):
        self.questions.put(self.request(host="anything", **question))
        return next(self.answers)

    def services(self):
        return [service.name for service in self.ask(list_services="").list_services_response.service]

    def files(self, **question):
        answer = self.ask(**question).file_descriptor_response.file_descriptor_proto
        return [descriptor_pb2.FileDescriptorProto.FromString(file) for file in answer]

    def close(self):
        self.questions.put(None)
        assert list(self.answers) == [], "the stream goes on after the last question"


class Reflected:
    """Messages and methods of a server, by name; all of it from reflection."""

    def __init__(self, target, version="v1", metadata=()):
        self.channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
        self.metadata = list(metadata)
        self.reflection = Reflection(self.channel, version)
        self.services = self.reflection.services()
        self.pool = descriptor_pool.DescriptorPool()
        self.known = set()
        for service in self.services:
            self._learn(file_containing_symbol=service)
        for detail in ("BadRequest", "RetryInfo", "ErrorInfo"):
            self._learn(file_containing_symbol="google.rpc." + detail)
        self.factory = message_factory.MessageFactory(self.pool)

    def _learn(self, **question):
        files = {file.name: file for file in self.reflection.files(**question)}

        def add(name):
            if name in self.known:
                return
            if name not in files:  # sent before on this stream, or left to be asked for
                files.update((file.name, file) for file in self.reflection.files(file_by_filename=name))
            for dependency in files[name].dependency:
                add(dependency)
            self.known.add(name)
            self.pool.Add(files[name])
        for name in list(files):
            add(name)

    def close(self):
        self.reflection.close()
        self.channel.close()

    def message(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def call(self, method, request=None, raw=None, timeout=30, metadata=None, **options):
        """The answers of "package.Service/Method", by what its descriptor says; request: a dict, a message or an iterator."""
        service, name = method.split("/")
        found = self.pool.FindServiceByName(service).FindMethodByName(name)
        proto = descriptor_pb2.MethodDescriptorProto()
        found.CopyToProto(proto)
        shape = ("stream" if proto.client_streaming else "unary") + "_" + ("stream" if proto.server_streaming else "unary")
        make = getattr(self.channel, shape)
        call = make("/" + method, request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
                    response_deserializer=self.factory.GetPrototype(found.output_type).FromString)
        kind = self.factory.GetPrototype(found.input_type)
        if raw is not None:
            sent = iter([raw]) if proto.client_streaming else raw
        elif proto.client_streaming:
            sent = (kind(**message) for message in request)
        else:
            sent = kind(**(request or {}))
        sent_metadata = self.metadata if metadata is None else metadata
        answer = call(sent, timeout=timeout * SLOW, metadata=sent_metadata, **options)
        return list(answer) if proto.server_streaming else [answer]

    def details(self, error):
        """{"BadRequest": message, ...}: google.rpc.Status by its own field numbers, the details by the reflected types."""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = _status_class().FromString(value)
                assert status.code == error.code().value[0], "the code in the details is another"
                assert status.message == error.details(), "the message in the details is another"
                found = {}
                for detail in status.details:
                    prefix, name = detail.type_url.split("/")
                    assert prefix == "type.googleapis.com"
                    found[name.rpartition(".")[2]] = self.message(name).FromString(detail.value)
                return found
        return {}


def _status_class():
    """google.rpc.Status with the well-known Any, as google's own .proto has it."""
    pool = descriptor_pool.DescriptorPool()
    any_file = descriptor_pb2.FileDescriptorProto()
    any_pb2.DESCRIPTOR.CopyToProto(any_file)
    pool.Add(any_file)
    file = descriptor_pb2.FileDescriptorProto(name="google/rpc/status.proto", package="google.rpc", syntax="proto3",
                                              dependency=[any_file.name])
    status = file.message_type.add(name="Status")
    field = descriptor_pb2.FieldDescriptorProto
    status.field.add(name="code", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    status.field.add(name="message", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    status.field.add(name="details", number=3, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
                     type_name=".google.protobuf.Any")
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("google.rpc.Status"))
