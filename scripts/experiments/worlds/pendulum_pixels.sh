# needs nothing else
collect="jepa-agent collect --env Pendulum-v1 --pixels --size 64 --history 2 --policy wander"
$collect --episodes 500 --steps 100 --seed $SEED --workers 2 --out train.h5
$collect --episodes 100 --steps 100 --seed 1000000 --out held-out.h5
jepa-agent train pixels --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 --episodes 200 \
    --success-within 0.2 0.2 1 --goal-moving --workers 2 --out score --video plan.gif
