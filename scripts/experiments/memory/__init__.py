"""The parts of `memory.py`: worlds, predictors, learning, planning, tables."""
