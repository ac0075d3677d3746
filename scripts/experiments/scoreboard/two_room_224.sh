WORLD="--env jepa_agent:TwoRoom224-v0 --env-kwargs image_size=64 --policy jepa_agent.envs.generators:Rover"
OFFSETS="25 50 100"
TRAIN=${TRAIN---cost.reduction sum}  # the learned distance is exact here
source "$(dirname "$0")/steps.sh"
