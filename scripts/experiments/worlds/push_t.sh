# needs gym-pusht; who plays stands in push_t.py
collect="jepa-agent collect --env gym_pusht:gym_pusht/PushT-v0 --env-kwargs obs_type=state"
$collect --policy push_t:Pusher --episodes 1500 --steps 100 --seed $SEED --workers 2 --out train.h5
$collect --policy push_t:Pusher --episodes 200 --steps 100 --seed 1000000 --out held-out.h5
jepa-agent train vector --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 --episodes 200 \
    --success-within 20 20 20 20 0.349 --out score --video plan.gif
