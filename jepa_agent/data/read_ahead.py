"""The next batch's observations are read from the disk while the present batch is learned from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor


class ReadAhead:
    """Reads what a random generator leads to, in a thread, before it is asked for.

    The thread draws from a copy of the generator. What it has read is given only to who comes with
    a generator in the very state that was copied, so that batches are those of a training that
    reads when it needs, bit for bit, also after one that was resumed.

    Args:
        read: draws rows with a generator and reads them, into memory of the host.
    """

    def __init__(self, read: Callable[[torch.Generator], Tensor]) -> None:
        self._read = read
        self._thread: ThreadPoolExecutor | None = None
        self._begun: tuple[Tensor, Future[Tensor]] | None = None

    def begin(self, generator: torch.Generator) -> None:
        """Begin to read what a draw with this generator, as it is now, needs."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "read-ahead")
        state = generator.get_state()
        self._begun = state, self._thread.submit(self._work, state, generator.device)

    def take(self, state: Tensor) -> Tensor | None:
        """What was read for a generator of this state, or None if another one or none was begun.

        Raises:
            Exception: what the reading raised.
        """
        begun, self._begun = self._begun, None
        if begun is None or not torch.equal(begun[0], state):
            return None
        return begun[1].result()

    def close(self) -> None:
        """End the thread, after what it is reading; it begins anew if it is needed again."""
        thread, self._thread, self._begun = self._thread, None, None
        if thread is not None:
            thread.shutdown(cancel_futures=True)

    def _work(self, state: Tensor, device: torch.device) -> Tensor:
        generator = torch.Generator(device)
        generator.set_state(state)
        if device.type != "cuda":
            return self._read(generator)
        with torch.cuda.stream(torch.cuda.Stream(device)):  # waits for no step
            return self._read(generator).pin_memory()
