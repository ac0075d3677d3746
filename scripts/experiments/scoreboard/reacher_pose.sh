# needs mujoco; 0.05 rad of the elbow move the fingertip by two thirds of a pixel of 64
WORLD="--env jepa_agent:ReacherPose-v0 --env-kwargs image_size=96 --policy jepa_agent.envs.generators:ArmMover --history 4"
OFFSETS="25 50 100"
BFLOAT16=$(grep -qs amx_bf16 /proc/cpuinfo && echo True || echo False)  # where the processor has it
TRAIN=${TRAIN---model.max-image-size 96 --model.encoder.patch 6 --model.encoder.channels 64 64 64 --training.steps 5000 --training.refinement.steps 2500 --training.bfloat16 $BFLOAT16 --cost.arrival 0.1 --cost.error-memory 8}
source "$(dirname "$0")/steps.sh"
