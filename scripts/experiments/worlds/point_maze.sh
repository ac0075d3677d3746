# needs gymnasium-robotics
collect="jepa-agent collect --env gymnasium_robotics:PointMaze_UMaze-v3 --policy wander"
$collect --episodes 1000 --steps 100 --seed $SEED --workers 2 --out train.h5
$collect --episodes 100 --steps 150 --seed 1000000 --out held-out.h5
jepa-agent train vector --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 100 \
    --success-within 0.5 0.5 nan nan --episodes 200 --out score --video plan.gif
