# needs gymnasium-robotics and mujoco; between two frames a ball moves by less than a pixel
WORLD="--env jepa_agent:PointMaze-v0 --env-kwargs maze=medium image_size=64 --policy jepa_agent.envs.generators:MazeWalker --history 4"
OFFSETS="25 100"
TRAIN=${TRAIN---model.encoder.patch 4 --model.encoder.channels 64 64 64 --training.steps 1500 --training.refinement.steps 2000 --cost.arrival 0.1}
source "$(dirname "$0")/steps.sh"
