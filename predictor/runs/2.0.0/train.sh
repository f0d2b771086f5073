#!/usr/bin/env bash
# How the shipped weights, version 2.0.0, were trained: sh predictor/runs/2.0.0/train.sh DATA WORK
# DATA has prompts/ and outcomes/train/ in the formats of predictor/README.md (data.json beside this
# file lists the files that were used, with their sums). The start is version 1.0.0, from this
# repository's history, with four of its six layers. Training stops by the clock, and the shipped run
# was interrupted to add rows and small letters, its last 24 minutes on a schedule of their own (LOG.md), so a rerun gives other weights of its kind.
set -euo pipefail
data=$1 work=$2 first=$2/1.0.0
mkdir -p "$first"
git archive ef549de predictor/model | tar -x -C "$first"
python -m predictor.train --prompts "$data/prompts" --outcomes "$data/outcomes/train" --work "$work" \
    --base "$first/predictor/model" --layers 0,1,3,5 --minutes 104 --seed 0
python -m predictor.export --prompts "$data/prompts" --outcomes "$data/outcomes/train" --work "$work" \
    --version 2.0.0 --parity tests/data/predictor_parity.json --manifest predictor/runs/2.0.0/data.json
python -m predictor.reference --outcomes "$data/outcomes/train" --work "$work"
python -m predictor.evaluate --prompts "$data/prompts" --outcomes "$data/outcomes/train"
