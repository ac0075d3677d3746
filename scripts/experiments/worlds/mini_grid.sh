# needs minigrid (pip install --no-deps minigrid); what success is stands in mini_grid.py
collect() {
    jepa-agent collect --env minigrid:MiniGrid-Empty-8x8-v0 --policy random --steps 100 "$@" \
        --wrapper "minigrid.wrappers:RGBImgObsWrapper tile_size=8" \
        --wrapper "minigrid.wrappers:ImgObsWrapper"
}
collect --episodes 500 --seed $SEED --workers 2 --out train.h5
collect --episodes 100 --seed 1000000 --out held-out.h5
jepa-agent train pixels --data train.h5 --training.seed $SEED --planner categorical-cem --planner.knots 5 --out run
jepa-agent evaluate --checkpoint run --goals data --data held-out.h5 --offset 25 --episodes 200 \
    --success mini_grid:same --out score --video plan.gif
