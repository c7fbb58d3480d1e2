"""Makes a real signal arrive just before the k-th bytecode instruction of seawall's that may notice it.

CPython runs Python signal handlers only where its eval loop looks at the eval breaker: the macro `CHECK_EVAL_BREAKER`
in Python/ceval.c (3.11) and Python/bytecodes.c (from 3.12), which stands after calls (`CALL*`), at the start of a
function (`RESUME`) and at backward jumps (`*JUMP_BACKWARD*`). So nothing is guessed here: the signal is set pending
before each of those instructions in turn, and the interpreter itself chooses the place where the handler runs. What is
told as the place is where that was.

What counts the instructions (a trace function, from Python 3.12 on a monitor) must not notice the signal itself. It
ends the counting, sets the signal pending by reading an attribute, which is no call in bytecode, and returns: none of
that looks at the eval breaker.
"""

import ctypes
import dis
import os
import signal
import sys
from pathlib import Path
from typing import Any

import seawall

HERE = f"{Path(seawall.__file__).parent}{os.sep}"
TOOL = 4  #: a free number among the tools that monitor
monitoring: Any = getattr(sys, "monitoring", None)
LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD")
GENERATED = "<seawall"  #: how the file names of generated functions begin


class Interrupted(BaseException):
    """What a handler raises, as `KeyboardInterrupt`: no failure of the dependency, wherever it comes up."""


class Wedged(BaseException):
    """The call does not come to its end: it waits for a lock of this very thread, or goes round for ever."""


class _Pending:
    """Reading `now` sets the signal pending."""

    _as_parameter_ = int(signal.SIGUSR1)
    now = property(ctypes.pythonapi.PyErr_SetInterruptEx)


_pending = _Pending()


class At:
    """Traces a block and sends the signal before the instruction with this number; see the module.

    Attributes:
        sent: False if there were not as many instructions.
    """

    def __init__(self, number):
        self._left = number
        self.sent = False
        self._codes: dict = {}

    def __enter__(self):
        if monitoring is None:
            sys.settrace(self._called)
        else:
            monitoring.use_tool_id(TOOL, "signalled")
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self._at)
            monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
        return self

    def __exit__(self, kind, error, tb):
        self._stop()
        if monitoring is not None:
            monitoring.free_tool_id(TOOL)

    def _stop(self):
        if monitoring is None:
            sys.settrace(None)
        else:
            monitoring.set_events(TOOL, 0)

    def _at(self, code, offset):
        """From Python 3.12 on, where trace functions miss instructions."""
        if not code.co_filename.startswith((HERE, GENERATED)):
            return monitoring.DISABLE
        if self._counted(code, offset):
            _pending.now  # noqa: B018 - no call, or this function would notice the signal
        return None

    def _called(self, frame, event, arg):
        name = frame.f_code.co_filename
        if not name.startswith((HERE, GENERATED)):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame, event, arg):
        if event == "opcode" and self._counted(frame.f_code, frame.f_lasti):
            _pending.now  # noqa: B018 - no call, or this function would notice the signal
            return None
        return self._step

    def _counted(self, code, offset):
        """Whether this is the instruction; nothing is traced any more then."""
        looks = self._codes.get(code)
        if looks is None:
            looks = self._codes[code] = [_looks(op) for op in code.co_code]
        if not looks[offset]:
            return False
        self._left -= 1
        if self._left:
            return False
        self.sent = True
        self._stop()
        return True


def _looks(op):
    """Whether an instruction may look at the eval breaker."""
    name = dis.opname[op]
    return name != "PRECALL" and any(word in name for word in LOOKS)


def _place(frame):
    """Where a handler runs, and what called that."""
    names: list[str] = []
    while frame is not None and len(names) < 2:
        names.append(f"{frame.f_code.co_filename.removeprefix(HERE)}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(names)


def every(make, call, wrong, handler, stride=1):
    """Sends a signal into one call at each place in turn; gives how many there were, and what was wrong after which.

    Args:
        make: builds a fresh world.
        call: makes one protected call in it.
        wrong: says in words what is wrong in it afterwards, or None.
        handler: what the signal does: gets the world, and may raise `Interrupted`.
        stride: take each so many of the places only.
    """
    found: dict[str, str] = {}
    number, wedged = 1, False
    signal.signal(signal.SIGALRM, _wedged)
    while not wedged:
        world = make()
        places: list[str] = []

        def arrived(signum, frame, world=world, places=places):
            places.append(_place(frame))
            handler(world)

        signal.signal(signal.SIGUSR1, arrived)
        words = None
        signal.setitimer(signal.ITIMER_REAL, 1.0)  # a call takes some milliseconds, even when it is traced
        at = At(number)
        try:
            with at:
                call(world)
        except Interrupted:
            pass
        except Wedged:
            wedged = True
            words = "wedged: the call does not come to its end"
        except Exception as error:
            words = f"the call raised {error!r}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not at.sent:
            assert number > 4, "hardly anything was traced"
            break
        words = words or wrong(world)
        if words is not None:
            found.setdefault(places[0], words)
        number += stride
    return number - 1, found


def _wedged(signum, frame):
    raise Wedged
