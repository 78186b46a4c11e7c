"""Runs the AWS CLI with the arguments that it reads, a JSON list a line, and writes what it said. Run by driver.rs.

What is called is what the `aws` command calls; loading it once instead of for each call is what makes a long scenario
bearable.
"""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver


class Output(io.TextIOWrapper):
    """Takes text and, as the CLI wants at times, bytes."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode()


def aws(arguments):
    stdout, stderr = Output(), Output()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            status = create_clidriver().main(arguments)
        except SystemExit as stop:
            status = stop.code
    return {"status": status or 0, "stdout": stdout.text(), "stderr": stderr.text()}


for line in sys.stdin:
    print(json.dumps(aws(json.loads(line))), flush=True)
