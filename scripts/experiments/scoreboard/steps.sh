# what every world of the scoreboard does; what is there already is not done again
set -e
if [ ! -f train.h5 ]; then
    began=$SECONDS
    jepa-agent collect $WORLD --episodes ${EPISODES-2000} --steps 100 --seed $((SEED * 100000)) --workers 2 --out train.h5
    echo $((SECONDS - began)) > collected.txt
fi
if [ ! -f held-out.h5 ]; then
    jepa-agent collect $WORLD --episodes 200 --steps 150 --seed 1000000 --workers 2 --out held-out.h5
fi
mkdir -p $PRESET
if [ ! -f $PRESET/trained.txt ]; then
    jepa-agent train $PRESET --data train.h5 --training.seed $SEED ${TRAIN-} --out $PRESET/run
    echo $PRESET ${TRAIN-} > $PRESET/trained.txt
fi
if [ ! -f $PRESET/score/report.json ]; then
    jepa-agent evaluate --checkpoint $PRESET/run --goals data --data held-out.h5 --offset $OFFSETS --budget offset+25 \
        --episodes $TASKS $ORACLE --out $PRESET/score --video $PRESET/plan.gif
fi
