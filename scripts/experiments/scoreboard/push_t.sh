# needs gym-pusht
WORLD="--env jepa_agent:PushT-v0 --env-kwargs image_size=64 --policy jepa_agent.envs.pushing:Pusher"
OFFSETS="25 50 75 100"
EPISODES=${EPISODES-4000}
TRAIN=${TRAIN---training.steps 6000 --training.refinement.steps 4000}
ORACLE=  # its oracle searches for minutes a task
source "$(dirname "$0")/steps.sh"
