# needs nothing else; the world's own rule is success: within 16 pixels
collect="jepa-agent collect --env jepa_agent:TwoRoom224-v0 --env-kwargs obs_type=state"
collect="$collect --policy jepa_agent.envs.generators:Rover"
$collect --episodes 1000 --steps 100 --seed $((SEED * 100000)) --workers 2 --out train.h5
$collect --episodes 100 --steps 150 --seed 1000000 --out held-out.h5
jepa-agent train vector --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 100 \
    --episodes 200 --out score --video plan.gif
