"""Which errors say that memory was too small."""

from __future__ import annotations

OF_CPU = "DefaultCPUAllocator"


def lack_of_memory(error: BaseException) -> str | None:
    """What an error says of a lack of memory, the machine's or a GPU's; None of other errors.

    Torch raises an `OutOfMemoryError` for CUDA alone: for CPUs and Apple's GPUs it is a plain
    `RuntimeError`, and so is what `load_state_dict` makes of each. Torch is not imported for it,
    which would make every command start late.
    """
    said = str(error)
    if isinstance(error, RuntimeError):
        if OF_CPU not in said and "out of memory" not in said:
            return None
    elif not isinstance(error, MemoryError):
        return None
    return said[max(0, said.find(OF_CPU)) :].partition(". ")[0] or "no more"
