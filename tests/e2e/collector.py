"""A collector of OpenTelemetry traces: prints its port, then a line of JSON for each span that comes.

What comes is read by opentelemetry-proto, which refuses fields that the protocol does not have.
"""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


def values_of(attributes):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/json"
        # The one way in which OTLP's JSON is not Protobuf's: ids are hexadecimal, not base64.
        for resource in body["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for name in IDS:
                        if name in span:
                            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
        request = Parse(json.dumps(body), ExportTraceServiceRequest())
        for resource in request.resource_spans:
            service = values_of(resource.resource.attributes)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    assert len(span.trace_id) == 16 and len(span.span_id) == 8
                    told = {
                        "service": service["service.name"],
                        "trace": span.trace_id.hex(),
                        "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "start": span.start_time_unix_nano,
                        "end": span.end_time_unix_nano,
                        "status": span.status.code,
                        "attributes": values_of(span.attributes),
                    }
                    print(json.dumps(told), flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
