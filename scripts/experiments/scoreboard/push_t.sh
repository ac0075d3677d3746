# needs gym-pusht
WORLD="--env jepa_agent:PushT-v0 --env-kwargs image_size=64 --policy jepa_agent.envs.pushing:Pusher"
OFFSETS="25 50 75 100"
EPISODES=${EPISODES-13000}
TRAIN=${TRAIN---model.encoder.patch 4 --model.encoder.channels 64 64 64 --training.steps 2500 --training.refinement.steps 3000}
ORACLE=  # its oracle searches for minutes a task
source "$(dirname "$0")/steps.sh"
