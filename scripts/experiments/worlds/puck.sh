# needs nothing else: docs/your-world.md has the world's 30 lines
jepa-agent collect --env puck:Puck-v0 --policy wander --episodes 1000 --seed $SEED --workers 2 --out train.h5
jepa-agent train vector --data train.h5 --training.seed $SEED --out run
jepa-agent evaluate --checkpoint run --episodes 200 --out score --video plan.gif
