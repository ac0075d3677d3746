# needs gymnasium-robotics and mujoco
WORLD="--env jepa_agent:PointMaze-v0 --env-kwargs image_size=64 --policy jepa_agent.envs.generators:MazeWalker --history 2"
OFFSETS="25 100"
source "$(dirname "$0")/steps.sh"
