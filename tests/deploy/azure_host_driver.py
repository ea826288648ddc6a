"""Runs inside the worker's process: hands requests of the tests to Azure's worker library, as its proxy worker does.

One JSON document per line on standard input, one per line as an answer. The library takes the host's messages as
protobuf objects; these here are plain records with the same fields. Standard library and the worker's library only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from types import SimpleNamespace
from typing import Any


class Record:
    """A message: what it was made with are its fields."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class TypedData(Record):
    """A value in one of the shapes that the host knows."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  # protobuf's name
        return next(iter(self.__dict__), None)


class ParameterBinding(Record):
    """A value for a parameter."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802  # protobuf's name
        return "data"


class BindingInfo(Record):
    """A binding; the numbers are those of the host's protocol (FunctionRpc.proto)."""

    in_, out, inout = 0, 1, 2
    undefined, string, binary, stream = 0, 1, 2, 3


class StatusResult(Record):
    """How a request ended; the numbers are those of the host's protocol."""

    Failure, Success, Cancelled = 0, 1, 2


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    FunctionEnvironmentReloadResponse=Record,
    FunctionLoadResponse=Record,
    FunctionMetadataResponse=Record,
    InvocationResponse=Record,
    ParameterBinding=ParameterBinding,
    RpcException=Record,
    RpcFunctionMetadata=Record,
    RpcRetryOptions=Record,
    StatusResult=StatusResult,
    TypedData=TypedData,
    WorkerInitResponse=Record,
    WorkerMetadata=Record,
)


class Log(logging.Handler):
    """Keeps what is logged during a request, as the proxy worker sends it to the host."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append({"logger": record.name, "level": record.levelname, "message": record.getMessage()})

    def take(self) -> list[dict[str, str]]:
        """Return the lines since the last call."""
        lines, self.lines = self.lines, []
        return lines


def request(**content: Any) -> SimpleNamespace:
    """Return a request as the library gets it."""
    return SimpleNamespace(request=SimpleNamespace(**content), properties={"host": "127.0.0.1", "protos": PROTOS})


def status(answer: Any) -> dict[str, Any]:
    """Return how a request ended."""
    result = answer.result
    failed = result.status != StatusResult.Success
    return {
        "succeeded": not failed,
        "exception": result.exception.message if failed else "",
        "stack": result.exception.stack_trace if failed else "",
    }


async def start(worker: Any, directory: str) -> dict[str, Any]:
    """Let the worker index the functions of an app."""
    content = SimpleNamespace(capabilities={}, function_app_directory=directory)
    answer = status(await worker.worker_init_request(request(worker_init_request=content)))
    if answer["succeeded"]:
        metadata = await worker.functions_metadata_request(request())
        answer["functions"] = {
            found.name: {
                "id": found.function_id,
                "bindings": [json.loads(binding) for binding in found.raw_bindings],
                "retries": getattr(found.retry_options, "max_retry_count", 0),
            }
            for found in metadata.function_metadata_results or ()
        }
    return answer


async def invoke(worker: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Call a function with a value per parameter, each as {kind: value}, and metadata of its trigger."""
    content = SimpleNamespace(
        invocation_id=asked["invocation"],
        function_id=asked["function"],
        input_data=[ParameterBinding(name=name, data=TypedData(**data)) for name, data in asked["inputs"].items()],
        trigger_metadata={name: TypedData(**data) for name, data in asked["metadata"].items()},
        trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )
    answer = await worker.invocation_request(request(invocation_request=content))
    outputs = getattr(answer, "output_data", None) or ()
    return {**status(answer), "outputs": {output.name: vars(output.data) for output in outputs}}


async def main() -> None:
    """Answer requests until the input ends; log lines of the time between two answers come with the second."""
    log = Log()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.INFO)
    loop = asyncio.get_running_loop()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what functions print is no answer
    import azure_functions_runtime as worker

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answer = await (start(worker, asked["start"]) if "start" in asked else invoke(worker, asked))
        modules = sorted(sys.modules) if asked.get("modules") else []
        answers.write(json.dumps({**answer, "logs": log.take(), "modules": modules}) + "\n")
        answers.flush()


if __name__ == "__main__":
    asyncio.run(main())
