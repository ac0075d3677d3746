# needs gymnasium[mujoco]
collect="jepa-agent collect --env Reacher-v5 --steps 50"
$collect --policy "wander scale=0.2" --episodes 2000 --seed $SEED --workers 2 --out train.h5
$collect --policy "wander scale=0.2" --episodes 200 --seed 1000000 --out held-out.h5
jepa-agent train vector --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 --episodes 200 \
    --success-within 0.05 0.05 0.05 0.05 nan nan nan nan nan nan --out score --video plan.gif
