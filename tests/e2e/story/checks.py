"""What a scenario script is written in: checks that print themselves, exceptions by type, questions to the test.

Knows nothing of KMS but the shape of a boto3 client.
"""

import json
import sys
import time

import boto3
from botocore.config import Config

# KMS gives a proxy 250 ms, twice. A machine that does other work too may miss that: such a call is tried again, and
# said so, because this is about meaning and not about speed.
BUSY = "did not respond in time"


class Story:
    """One run: counts its checks and remembers those that failed."""

    def __init__(self, argument):
        self.given = json.loads(argument)
        self.checks = 0
        self.failures = []

    def client(self, access_key_id="test", region=None):
        return boto3.client(
            "kms",
            endpoint_url=self.given["kms_endpoint_url"],
            region_name=region or self.given["region"],
            aws_access_key_id=access_key_id,
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5),
        )

    def chapter(self, title):
        print(f"-- {title}")

    def equal(self, what, found, expected):
        self.checks += 1
        if found == expected:
            print(f"ok    {what}")
            return True
        print(f"FAIL  {what}\n        expected: {expected!r}\n        found:    {found!r}")
        self.failures.append(what)
        return False

    def true(self, what, found, because=""):
        return self.equal(f"{what}{' (' + because + ')' if because else ''}", bool(found), True)

    def raises(self, exception, what, call, message=None, **arguments):
        """The call fails with that modelled exception type, and with that message if one is given."""
        name = exception.__name__
        for attempt in range(3):
            try:
                answer = call(**arguments)
            except exception as error:
                said = error.response["Error"].get("Message", "")
                if BUSY in said and message is not None and BUSY not in message and attempt < 2:
                    print(f"      {what}: the proxy was late, again")
                    continue
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                fault = name in ("DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException")
                self.equal(f"{what}: {name}", status, 500 if fault else 400)
                if message is not None:
                    self.equal(f"{what}: its message", said, message)
            except Exception as error:
                self.equal(f"{what}: {name}", f"{type(error).__name__}: {error}", name)
            else:
                answer.pop("ResponseMetadata", None)
                self.equal(f"{what}: {name}", f"success: {answer}", name)
            return

    def works(self, what, call, **arguments):
        """The call succeeds; its answer without ResponseMetadata."""
        for attempt in range(3):
            try:
                answer = call(**arguments)
            except Exception as error:
                said = getattr(error, "response", {}).get("Error", {}).get("Message", "")
                if BUSY in said and attempt < 2:
                    print(f"      {what}: the proxy was late, again")
                    continue
                self.equal(what, f"{type(error).__name__}: {error}", "success")
                raise
            metadata = answer.pop("ResponseMetadata")
            self.equal(what, metadata["HTTPStatusCode"], 200)
            return answer

    def wait(self, what, look, expected, seconds=20):
        """Looks until it is as expected; what else was seen on the way."""
        seen = []
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found == expected or time.monotonic() > deadline:
                self.equal(what, found, expected)
                return seen
            if not seen or seen[-1] != found:
                seen.append(found)
            time.sleep(0.02)

    def ask(self, command):
        """Has the test do something; the byte counter's state afterwards."""
        print(f"> {command}")
        return json.loads(sys.stdin.readline())

    def end(self):
        print(f"-- {self.checks} checks, {len(self.failures)} failed")
        for failure in self.failures:
            print(f"FAILED  {failure}")
        sys.exit(1 if self.failures else 0)
