import numpy as np


class Pusher:
    """Aims at places near the block, by steps of at most 40 pixels."""

    def __init__(self, seed):
        self.aim = None

    def __call__(self, env, rng):
        world = env.unwrapped
        place, block = np.array(world.agent.position), np.array(world.block.position)
        if self.aim is None or rng.random() < 0.1:
            self.aim = block + rng.normal(0, 70, 2)
        return np.clip(place + np.clip(self.aim - place, -40, 40), 0, 512).astype(np.float32)
