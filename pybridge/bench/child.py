"""The process of one lane: reads commands, answers with results, one JSON value a line.

A handler may print: what goes to standard output lands on standard error, the answers have a descriptor of their own.
"""

import os
import sys
import time
import warnings
from typing import BinaryIO

import msgspec

from pybridge.bench import lanes, system
from pybridge.bench.protocol import Answer, Command, Done, Failure, Lane, Plan, Result, Settle


def main() -> None:
    """Serves commands until standard input ends."""
    # The command refuses handlers of the wrong kind; what their coroutines say on top of it helps nobody.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    lane = msgspec.json.decode(sys.stdin.buffer.readline(), type=Lane)
    try:
        runner = lanes.make(lane)
    except ValueError as error:
        return send(answers, Failure(str(error)))
    send(answers, Done(Result(requests=0, items=0, bytes=0, seconds=0.0, state=system.state())))
    decoder = msgspec.json.Decoder(Command)
    for line in sys.stdin.buffer:
        send(answers, execute(runner, decoder.decode(line)))
    # Daemon threads and runtimes of the reference bridges have no orderly end to wait for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def send(answers: BinaryIO, answer: Answer) -> None:
    """Writes one line."""
    answers.write(msgspec.json.encode(answer) + b"\n")


def execute(runner: lanes.Runner, command: Command) -> Answer:
    """What a command gives; a handler's failure is an answer too."""
    try:
        match command:
            case Plan():
                result = runner.run(command)
            case Settle():
                time.sleep(command.seconds)
                if command.trim:
                    getattr(runner, "trim", system.give_back)()
                result = Result(requests=0, items=0, bytes=0, seconds=command.seconds)
    except Exception as error:  # noqa: BLE001
        return Failure(f"{type(error).__name__}: {error}")
    return Done(msgspec.structs.replace(result, state=system.state()))


if __name__ == "__main__":
    main()
