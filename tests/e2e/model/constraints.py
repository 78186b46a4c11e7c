"""Sends kms-sim what KMS's model forbids, and what it just allows, for every member of every operation's input.

The model is botocore's `service-2.json`; the sentences are those that KMS answers with. Run by model.rs with the
address of kms-sim.
"""

import base64
import http.client
import json
import re
import sys

import botocore.session

# Valid values of shapes that have a pattern: to be shortened and lengthened by the function.
SAMPLES = {
    "AccountIdType": lambda n: "1" * n,
    "AliasNameType": lambda n: "a" * n,
    "BackingKeyIdType": lambda n: "a" * n,
    "CloudHsmClusterIdType": lambda n: "cluster-" + "a" * (n - 8),
    "GrantConstraintSourceArnType": lambda n: "arn:aws:s3::123456789012:" + "x" * (n - 25),
    "GrantNameType": lambda n: "n" * n,
    "KeyMaterialDescriptionType": lambda n: "d" * n,
    "MarkerType": lambda n: "m" * n,
    "PolicyNameType": lambda n: "p" * n,
    "PolicyType": lambda n: "{" * n,
    "PrincipalIdType": lambda n: "p" * n,
    "RegionType": lambda n: "a-" + "b" * (n - 4) + "-1",
    "ServicePrincipalType": lambda n: "a.b." + "c" * (n - 4),
    "XksKeyIdType": lambda n: "k" * n,
    "XksProxyAuthenticationAccessKeyIdType": lambda n: "A" * n,
    "XksProxyAuthenticationRawSecretAccessKeyType": lambda n: "s" * n,
    "XksProxyUriEndpointType": lambda n: "https://" + "h" * (n - 8),
    "XksProxyUriPathType": lambda n: "/kms/xks/v1" if n < 13 else "/" + "p" * (n - 12) + "/kms/xks/v1",
    "XksProxyVpcEndpointServiceNameType": lambda n: "com.amazonaws.vpce.us-east-1.vpce-svc-" + "0" * (n - 38),
}
# The shortest value that the pattern allows, where it is longer than `min`.
SHORTEST = {
    "GrantConstraintSourceArnType": 26,
    "KeyMaterialDescriptionType": 1,
    "RegionType": 5,
    "ServicePrincipalType": 5,
    "XksProxyUriPathType": 11,
    "XksProxyVpcEndpointServiceNameType": 39,
}
# What kms-sim does otherwise, and why: `Operation.path` and the kind of check.
EXCEPTIONS = {
    "UpdateCustomKeyStore.xksProxyVpcEndpointServiceName min":
        "the model's own words: an empty name clears it, when the connectivity becomes PUBLIC_ENDPOINT",
    "Decrypt.ciphertextBlob optional": "only a dry run that ignores it can do without",
    "ReEncrypt.ciphertextBlob optional": "only a dry run that ignores it can do without",
}

WRONG_TYPE = {"string": [], "blob": {}, "integer": "1", "boolean": "yes", "list": "x", "map": "x", "structure": "x", "timestamp": "x"}

model = botocore.session.get_session().get_component("data_loader").load_service_model("kms", "service-2")
shapes = model["shapes"]
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
checks, failures, used = 0, [], set()


def send(operation, body):
    """The exception's name and message; empty ones for success."""
    connection.request("POST", "/", json.dumps(body), {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"TrentService.{operation}",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/kms/aws4_request, "
                         "SignedHeaders=host;x-amz-date, Signature=ab",
    })
    answer = connection.getresponse()
    content = answer.read()
    if answer.status == 200:
        return "", ""
    error = json.loads(content)
    return error["__type"], error.get("message", "")


def camel(name):
    return name[0].lower() + name[1:]


class Member:
    """A place in an operation's input: builds the body that has only a certain value there."""

    def __init__(self, operation, path, shape, body):
        self.operation, self.path, self.shape_name, self.body = operation, path, shape, body
        self.shape = shapes[shape]

    def check(self, kind, value, judge, expected):
        global checks
        place = f"{self.operation}.{self.path} {kind}"
        if place in EXCEPTIONS:
            used.add(place)
            return
        checks += 1
        name, message = send(self.operation, self.body(value))
        if not judge(name, message):
            shown = json.dumps(value)
            shown = shown if len(shown) < 60 else f"{shown[:40]}… ({len(shown)})"
            failures.append(f"{place}: {shown}\n        expected: {expected}\n"
                            f"        found:    {name}: {message[:300]}")

    def violation(self, rule):
        return f"at '{self.path}' failed to satisfy constraint: {rule}"

    def refused(self, kind, value, rule):
        self.check(kind, value, lambda name, message: name == "ValidationException" and self.violation(rule) in message,
                   f"ValidationException: …{self.violation(rule)}")

    def accepted(self, kind, value):
        """Other members may be missing; this one is not complained about."""
        self.check(kind, value, lambda name, message: name != "SerializationException" and f"'{self.path}'" not in message,
                   f"no violation at '{self.path}'")

    def walk(self):
        shape, kind = self.shape, self.shape["type"]
        self.check("type", WRONG_TYPE[kind], lambda name, _: name == "SerializationException", "SerializationException")
        getattr(self, kind, lambda: None)()

    def lengths(self, make, shortest=None):
        low, high = self.shape.get("min", 0), self.shape.get("max")
        if low > 0:
            self.refused("min", make(low - 1), f"Member must have length greater than or equal to {low}")
        if high is not None:
            self.refused("max", make(high + 1), f"Member must have length less than or equal to {high}")
            self.accepted("longest", make(high))
        self.accepted("shortest", make(max(low, shortest or 0)))

    def string(self):
        if "enum" in self.shape:
            return self.enum()
        pattern = self.shape.get("pattern")
        if pattern is None:
            return self.lengths(lambda n: "x" * n)
        # KMS's patterns are Java's: \w is ASCII, and they hold for the whole value.
        matches = re.compile(pattern, re.ASCII).fullmatch
        sample = SAMPLES[self.shape_name]
        shortest = SHORTEST.get(self.shape_name, self.shape.get("min", 0))
        for n in (shortest, self.shape["max"]):
            assert len(sample(n)) == n and matches(sample(n)), (self.shape_name, n, sample(n))
        # Too short a value may look like anything.
        self.lengths(lambda n: sample(n) if n >= shortest else "x" * n, shortest)
        valid = sample(max(shortest, self.shape["max"] // 2))
        rule = f"Member must satisfy regular expression pattern: {pattern}"
        for position in (0, len(valid) // 2, len(valid)):
            for foreign in ("\u0100", " ", "\n", "!"):
                wrong = valid[:position] + foreign + valid[position + 1:]
                if not matches(wrong):
                    self.refused("pattern", wrong, rule)

    def enum(self):
        values = self.shape["enum"]

        def names_all(name, message):
            said = re.search(re.escape(self.violation("Member must satisfy enum value set: ")) + r"\[([^]]*)\]", message)
            absent = f"Value null at '{self.path}'" in message
            return name == "ValidationException" and not absent and said and sorted(said[1].split(", ")) == sorted(values)

        for wrong in ("", "NO_SUCH_VALUE", values[0].lower()):
            self.check("enum", wrong, names_all, f"ValidationException: …enum value set: {values}")
        for value in values:
            self.accepted("enum value", value)

    def blob(self):
        self.lengths(lambda n: base64.b64encode(b"b" * n).decode())

    def integer(self):
        low, high = self.shape["min"], self.shape["max"]
        self.refused("min", low - 1, f"Member must have value greater than or equal to {low}")
        self.refused("max", high + 1, f"Member must have value less than or equal to {high}")
        self.accepted("least", low)
        self.accepted("most", high)

    def list(self):
        item = shapes[self.shape["member"]["shape"]]
        some = item.get("enum", [{} if item["type"] == "structure" else "x"])[0]
        low, high = self.shape.get("min", 0), self.shape.get("max")
        if low > 0:
            self.refused("min", [], f"Member must have length greater than or equal to {low}")
        if high is not None:
            self.refused("max", [some] * (high + 1), f"Member must have length less than or equal to {high}")
            self.accepted("longest", [some] * high)
        # The second of two, so that the position counts.
        valid = {"structure": {}, "string": some}[item["type"]]
        Member(self.operation, f"{self.path}.2.member", self.shape["member"]["shape"],
               lambda value: self.body([valid, value])).walk()

    def map(self):
        self.check("value type", {"x": 1}, lambda name, _: name == "SerializationException", "SerializationException")
        self.accepted("value", {"x": "y"})

    def structure(self):
        required = self.shape.get("required", [])
        for name, member in self.shape.get("members", {}).items():
            path = f"{self.path}.{camel(name)}" if self.path else camel(name)
            member = Member(self.operation, path, member["shape"], lambda value, name=name: self.body({name: value}))
            member.walk()
            absent = Member(self.operation, path, member.shape_name, self.body)
            rule = f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
            for value in ({}, {name: None}):
                if name in required:
                    absent.check("required", value,
                                 lambda name, message: name == "ValidationException" and rule in message,
                                 f"ValidationException: …{rule}")
                else:
                    absent.check("optional", value, lambda _, message: rule not in message, "not that it is null")


operations = sorted(model["operations"])
for operation in operations:
    Member(operation, "", model["operations"][operation]["input"]["shape"], lambda value: value).structure()

for stale in sorted(EXCEPTIONS.keys() - used):
    failures.append(f"{stale} is in the list of exceptions and in no check")
print(f"{len(operations)} operations, {checks} checks, {len(failures)} failed")
for failure in failures:
    print(f"FAIL  {failure}")
sys.exit(1 if failures or not checks else 0)
