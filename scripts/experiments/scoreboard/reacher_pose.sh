# needs mujoco
WORLD="--env jepa_agent:ReacherPose-v0 --env-kwargs image_size=64 --policy jepa_agent.envs.generators:ArmMover --history 2"
OFFSETS="25 50 100"
source "$(dirname "$0")/steps.sh"
